"""The link to a run has the form of the dashboard's generation, which a setting or the cluster tells."""

import json

import pytest

from ml.core.kubernetes import Api
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.dashboard import experiments_page, find_experiments
from ml.dspa.session import Session
from ml.dspa.timeouts import Deadline, Timeouts

OLDER = "https://rhods-dashboard-redhat-ods-applications.apps.example.com"
NEWER = "https://rh-ai.apps.example.com"
SERVICE = "https://ds-pipeline-dspa.music.svc:8443"
ROUTE = "https://ds-pipeline-dspa-music.apps.example.com"
LINKS = "/apis/console.openshift.io/v1/consolelinks"


@pytest.mark.parametrize(
    ("address", "page"),
    [
        (OLDER, f"{OLDER}/experiments"),
        (f" {OLDER}/ ", f"{OLDER}/experiments"),
        (f"{OLDER}/pipelineRuns/music?x=1#y", f"{OLDER}/experiments"),
        (f"{NEWER}/projects/music?section=overview", f"{NEWER}/develop-train/experiments"),
        ("https://data-science-gateway.apps/", "https://data-science-gateway.apps/develop-train/experiments"),
        ("https://ai.example:8443/develop-train/x", "https://ai.example:8443/develop-train/experiments"),
        ("http://localhost:4010/ai-hub/catalog", "http://localhost:4010/experiments"),
    ],
)
def test_any_page_of_a_dashboard_tells_its_address_and_generation(address, page):
    assert experiments_page(address) == page


@pytest.mark.parametrize("address", ["rh-ai.apps", "ftp://x/", "https://", "https://a:b@x/", "https://x/ y"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="not an address"):
        experiments_page(address)


def link(site, **hrefs: object) -> None:
    items = [{"metadata": {"name": name}, "spec": {"href": href}} for name, href in hrefs.items()]
    site.files[LINKS] = json.dumps({"items": items}).encode()


def looked_up(host: str = SERVICE) -> str:
    return find_experiments(host, "ds-pipeline-dspa-music", Api("music"))


@pytest.mark.parametrize("host", [SERVICE, ROUTE, "https://ds-pipeline-dspa.music.svc.cluster.local:8443"])
@pytest.mark.parametrize("name", ["rhodslink", "odhlink"])
def test_the_link_of_the_console_is_taken_but_not_that_of_another_cluster(cluster, host, name):
    link(cluster, another="https://else.example.com/", **{name: f"{NEWER}/"})
    assert looked_up(host) == f"{NEWER}/develop-train/experiments"
    link(cluster, **{name: "https://rh-ai.apps.other.com/"})
    assert looked_up(ROUTE) == f"{OLDER}/experiments"


@pytest.mark.parametrize("host", ["https://pipelines.example.com", "http://127.0.0.1:8888"])
def test_for_a_host_that_no_operator_named_the_cluster_is_not_asked(cluster, host):
    assert (looked_up(host), cluster.asked) == ("", [])


ITEM = '{"items":[{"metadata":{"name":"rhodslink"},"spec":{"href":%s}}]}'


@pytest.mark.parametrize(
    "answer", ["", "[]", "{}", '{"items":null}', '{"items":[{}]}', ITEM % "7", ITEM % '"dashboard-url"']
)
def test_without_a_usable_link_only_the_link_is_missing(cluster, answer):
    cluster.files[LINKS] = answer.encode()
    assert (looked_up(), looked_up(ROUTE)) == ("", f"{OLDER}/experiments")


def test_a_link_leads_to_the_run_by_setting_or_cluster_which_is_asked_once(cluster, here):
    def session(**where: str) -> Session:
        connection = Connection(**{"host": SERVICE, "namespace": "music", **where})
        return Session(Client(connection, Timeouts()), Timeouts(), Deadline(5), print)

    run = here.begin()
    place = f"music/{run.experiment_id}/runs/{run.run_id}"
    older = f"{OLDER}/experiments"
    assert session(experiments=older).link(run) == f"{older}/{place}"
    assert cluster.asked == []
    in_api = f"{SERVICE}/apis/v2beta1/runs/{run.run_id}"
    assert session(namespace="", experiments=older).link(run) == session().link(run) == in_api
    cluster.asked.clear()
    link(cluster, rhodslink=NEWER)
    asking = session()
    assert asking.link(run) == asking.link(run) == f"{NEWER}/develop-train/experiments/{place}"
    assert len(cluster.asked) == 1
