"""The link to a run has the form of the dashboard's generation, which a setting or the cluster tells."""

import json

import pytest
from pods import kubernetes
from submissions import world

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
        (f"{OLDER}/experiments/music/e1/runs/r1", f"{OLDER}/experiments"),
        (f"{OLDER}/pipelineRuns/music?x=1#y", f"{OLDER}/experiments"),
        (NEWER, f"{NEWER}/develop-train/experiments"),
        (f"{NEWER}/projects/music?section=overview", f"{NEWER}/develop-train/experiments"),
        ("https://data-science-gateway.apps/", "https://data-science-gateway.apps/develop-train/experiments"),
        ("https://ai.example:8443/develop-train/x", "https://ai.example:8443/develop-train/experiments"),
        ("https://ai.example/ai-hub/catalog", "https://ai.example/experiments"),
        ("http://localhost:4010", "http://localhost:4010/experiments"),
    ],
)
def test_any_page_of_a_dashboard_tells_its_address_and_generation(address, page):
    assert experiments_page(address) == page


@pytest.mark.parametrize(
    "address",
    ["rh-ai.apps", "ftp://x/", "https://", "https://a:b@x/", "https://a b/", "https://x/ y", "x" * 9],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="not an address"):
        experiments_page(address)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with kubernetes(tmp_path) as site:
        yield site


def link(site, **hrefs: object) -> None:
    items = [{"metadata": {"name": name}, "spec": {"href": href}} for name, href in hrefs.items()]
    site.files[LINKS] = json.dumps({"items": items}).encode()


def found(host: str = SERVICE) -> str:
    return find_experiments(host, "ds-pipeline-dspa-music", Api("music"))


@pytest.mark.parametrize("host", [SERVICE, ROUTE, "https://ds-pipeline-dspa.music.svc.cluster.local:8443"])
@pytest.mark.parametrize("name", ["rhodslink", "odhlink"])
def test_the_link_of_the_console_is_taken(cluster, host, name):
    link(cluster, another="https://else.example.com/", **{name: f"{NEWER}/"})
    assert found(host) == f"{NEWER}/develop-train/experiments"


def test_the_link_of_another_cluster_is_not(cluster):
    link(cluster, rhodslink="https://rh-ai.apps.other.com/")
    assert found(ROUTE) == f"{OLDER}/experiments"


@pytest.mark.parametrize("host", ["https://pipelines.example.com", "http://127.0.0.1:8888"])
def test_a_host_that_is_no_dspas_by_its_name_asks_nobody(cluster, host):
    assert found(host) == ""
    assert cluster.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"items":null}',
        b'{"items":[{}]}',
        b'{"items":[{"metadata":{"name":"rhodslink"},"spec":{"href":7}}]}',
        b'{"items":[{"metadata":{"name":"rhodslink"},"spec":{"href":"dashboard-url"}}]}',
    ],
)
def test_a_cluster_without_such_a_link_costs_the_link_only(cluster, answer):
    cluster.files[LINKS] = answer
    assert found() == ""
    assert found(ROUTE) == f"{OLDER}/experiments"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_cluster_that_does_not_tell_costs_the_link_only(cluster, status):
    link(cluster, rhodslink=NEWER)
    cluster.status = status
    assert found() == ""


def session(**where: str) -> Session:
    timeouts = Timeouts(deadline=5)
    return Session(
        Client(Connection(**{"host": SERVICE, "namespace": "music", **where}), timeouts),
        timeouts,
        Deadline(5),
        print,
    )


@pytest.fixture
def run(tmp_path):
    with world(tmp_path) as here:
        yield here.begin()


def test_a_link_leads_to_the_run_and_the_cluster_is_asked_once(cluster, run):
    link(cluster, rhodslink=NEWER)
    asking = session()
    where = f"{NEWER}/develop-train/experiments/music/{run.experiment_id}/runs/{run.run_id}"
    assert [asking.link(run), asking.link(run)] == [where, where]
    assert len(cluster.asked) == 1


def test_a_setting_asks_nobody(cluster, run):
    page = f"{OLDER}/experiments"
    assert session(experiments=page).link(run) == f"{page}/music/{run.experiment_id}/runs/{run.run_id}"
    assert cluster.asked == []


@pytest.mark.parametrize("where", [{"namespace": "", "experiments": f"{OLDER}/experiments"}, {}])
def test_without_namespace_or_dashboard_the_api_has_the_run(cluster, run, where):
    assert session(**where).link(run) == f"{SERVICE}/apis/v2beta1/runs/{run.run_id}"


def test_a_run_that_is_submitted_has_the_link_in_log_and_result(tmp_path, cluster):
    with world(tmp_path) as here:
        ended = here.submit()
    assert ended.link == f"{here.dspa.url}/apis/v2beta1/runs/{ended.run_id}"
    assert any(line.endswith(ended.link) for line in here.said)
