"""KFP's own client and its generated models accept the double's answers, whatever its version."""

import json
import re
from datetime import datetime

import kfp
import kfp_server_api
import pytest
import trustme

from dspa_server import PROFILES, Dspa, serving
from dspa_server.samples import named
from ml.pipeline.compiler import compile_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

PARAMETERS = {"dirty": False} | dict.fromkeys(
    "problem data_version commit nonce champion evidence_uri store_uri policy".split(), "x"
)
NEWER_THAN_THE_MODELS = {"tag_name", "commit_sha", "tasks"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)")


@pytest.fixture(scope="module")
def ir(tmp_path_factory):
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compile_pipeline(path)
    return str(path)


@pytest.fixture(params=PROFILES)
def dspa(request):
    with serving(Dspa(profile=request.param)) as served:
        yield served


@pytest.fixture
def client(dspa):
    return kfp.Client(host=dspa.url)


def parsed(client, model):
    """Check that the client's model of the last answer has all that the answer has."""
    api = client._run_api.api_client
    assert normal(api.sanitize_for_serialization(model)) == normal(json.loads(api.last_response.data))
    return model


def normal(value):
    """Return a value with comparable times and without what is newer than the models."""
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items() if name not in NEWER_THAN_THE_MODELS}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str) and TIME.fullmatch(value):
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=None) if value < "0002" else moment
    return value


def create(client, ir):
    return client.create_run_from_pipeline_package(ir, PARAMETERS, "a run", experiment_name="ours").run_id


def test_health_and_experiments(client):
    assert parsed(client, client.get_kfp_healthz()).multi_user is False
    with pytest.raises(ValueError, match="No experiment is found"):
        client.get_experiment(experiment_name="ours")
    made = parsed(client, client.create_experiment("ours", description="all of them"))
    assert client.create_experiment("ours").experiment_id == made.experiment_id
    listed = parsed(client, client.list_experiments(sort_by="display_name desc"))
    assert ([item.display_name for item in listed.experiments], listed.total_size) == (["ours", "Default"], 2)


def test_a_run_from_its_beginning_to_its_end(dspa, client, ir):
    run_id = create(client, ir)
    first = parsed(client, client.get_run(run_id))
    assert (first.state, first.finished_at.year, first.run_details) == ("PENDING", 1970, None)
    assert (first.runtime_config.parameters, first.service_account) == (PARAMETERS, "pipeline-runner-dspa")
    assert first.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "jukebox-train"
    assert "platforms" in first.pipeline_spec["platform_spec"]
    client.get_run(run_id)
    listed = parsed(client, client.list_runs(filter=named("a run"), sort_by="created_at desc"))
    assert [(run.run_id, run.state) for run in listed.runs] == [(run_id, "RUNNING")]
    nothing = parsed(client, client.list_runs(filter=named("another"), experiment_id=first.experiment_id))
    assert (nothing.runs, nothing.total_size, nothing.next_page_token) == (None, None, None)
    done = parsed(client, client.wait_for_run_completion(run_id, timeout=20, sleep_duration=0))
    assert (done.state, done.error, done.finished_at >= done.created_at) == ("SUCCEEDED", None, True)
    assert [item.state for item in done.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    details = parsed(client, client.get_run(run_id)).run_details
    if dspa.version.task_details:
        names = [task.display_name for task in details.task_details]
        assert names[1:6] == ["root-driver", "root", "champion-driver", "champion", "executor"]
        assert {task.state for task in details.task_details} == {"SUCCEEDED"}


def test_over_tls_with_a_token_a_run_is_terminated_archived_and_retried(tmp_path, ir):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(Dspa(tokens={"good"}), ca=ca) as dspa:
        client = kfp.Client(host=dspa.url, existing_token="good", ssl_ca_cert=str(tmp_path / "ca.pem"))
        run_id = create(client, ir)
        assert client.terminate_run(run_id) == {}
        assert client.wait_for_run_completion(run_id, timeout=20, sleep_duration=0).state == "FAILED"
        client.archive_run(run_id)
        assert [run.storage_state for run in client.list_runs().runs] == ["ARCHIVED"]
        client._run_api.run_service_retry_run(run_id)
        assert client.get_run(run_id).state == "RUNNING"
        with pytest.raises(kfp_server_api.ApiException) as refused:
            client.get_run("none")
    assert (refused.value.status, json.loads(refused.value.body)["code"]) == (404, 5)
