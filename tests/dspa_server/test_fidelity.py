"""KFP's own client and its generated models find nothing strange in the double, whatever its version."""

import json
import re
from datetime import datetime

import kfp
import kfp_server_api
import pytest
import trustme

from dspa_server import PROFILES, Dspa, Script, serving
from dspa_server.samples import compiled
from ml.pipeline.compiler import compile_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

PARAMETERS = {
    "rankings_uri": "r",
    "songs_uri": "s",
    "data_version": "1",
    "commit": "c",
    "dirty": False,
    "nonce": "n",
    "champion": "",
    "evidence_uri": "e",
    "store_uri": "x",
    "policy": "p",
}
UNKNOWN_TO_THE_MODELS = {"tag_name", "commit_sha", "tasks", "task_count"}


@pytest.fixture(scope="module")
def ir(tmp_path_factory):
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compile_pipeline(path)
    return str(path)


@pytest.fixture(params=PROFILES)
def dspa(request):
    with serving(Dspa(profile=request.param)) as found:
        yield found


@pytest.fixture
def client(dspa):
    return kfp.Client(host=dspa.url)


def parsed(client, model):
    """Check that the model that the client made of the last answer holds all that the answer said."""
    api = client._run_api.api_client
    said = json.loads(api.last_response.data)
    assert normal(api.sanitize_for_serialization(model)) == normal(said)
    return model


def normal(value):
    """Write every moment alike, and leave out what is newer than the models."""
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items() if name not in UNKNOWN_TO_THE_MODELS}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)", value):
        return (
            datetime.fromisoformat(value).replace(tzinfo=None)
            if value < "0002"
            else datetime.fromisoformat(value)
        )
    return value


def named(name):
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def create(client, ir, **kwargs):
    made = client.create_run_from_pipeline_package(ir, PARAMETERS, "a run", experiment_name="ours", **kwargs)
    return made.run_id


def test_health(dspa, client):
    found = parsed(client, client.get_kfp_healthz())
    assert found.multi_user is False
    assert found.pipeline_store == ("database" if dspa.version.pipeline_store else None)


def test_experiments(client):
    made = parsed(client, client.create_experiment("ours", description="all of them"))
    assert client.create_experiment("ours").experiment_id == made.experiment_id
    assert client.get_experiment(experiment_name="ours") == made
    assert parsed(client, client.get_experiment(experiment_id=made.experiment_id)) == made
    listed = parsed(client, client.list_experiments(sort_by="display_name desc"))
    assert [item.display_name for item in listed.experiments] == ["ours", "Default"]
    assert listed.total_size == 2
    client.archive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "ARCHIVED"
    client.unarchive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "AVAILABLE"


def test_an_experiment_that_is_not_there(client):
    with pytest.raises(ValueError, match="No experiment is found"):
        client.get_experiment(experiment_name="none")


def test_a_run_from_its_beginning_to_its_end(dspa, client, ir):
    run_id = create(client, ir)
    first = parsed(client, client.get_run(run_id))
    assert (first.state, first.finished_at.year, first.run_details) == ("PENDING", 1970, None)
    assert first.runtime_config.parameters == PARAMETERS
    assert first.service_account == "pipeline-runner-dspa"
    assert first.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "jukebox-train"
    assert "platforms" in first.pipeline_spec["platform_spec"]
    done = parsed(client, client.wait_for_run_completion(run_id, timeout=20, sleep_duration=0))
    assert done.state == "SUCCEEDED"
    assert done.error is None
    assert done.finished_at >= done.created_at
    assert [item.state for item in done.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    last = parsed(client, client.get_run(run_id))
    if dspa.version.task_details:
        names = [task.display_name for task in last.run_details.task_details]
        assert names[1:6] == ["root-driver", "root", "champion-driver", "champion", "executor"]
        assert {task.state for task in last.run_details.task_details} == {"SUCCEEDED"}
    else:
        assert last.run_details is None


def test_runs_in_lists(client, ir):
    run_id = create(client, ir)
    client.get_run(run_id)
    client.get_run(run_id)
    listed = parsed(client, client.list_runs(filter=named("a run"), sort_by="created_at desc"))
    assert [(run.run_id, run.state) for run in listed.runs] == [(run_id, "RUNNING")]
    nothing = parsed(client, client.list_runs(filter=named("another")))
    assert (nothing.runs, nothing.total_size, nothing.next_page_token) == (None, None, None)
    experiment = client.get_experiment(experiment_name="ours")
    assert client.list_runs(experiment_id=experiment.experiment_id).total_size == 1


def test_a_terminated_run(client, ir):
    run_id = create(client, ir)
    assert client.terminate_run(run_id) == {}
    assert client.get_run(run_id).state == "CANCELING"
    assert client.wait_for_run_completion(run_id, timeout=20, sleep_duration=0).state == "FAILED"
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.terminate_run(run_id)
    assert (refused.value.status, json.loads(refused.value.body)["code"]) == (400, 3)


def test_archived_and_deleted_runs(client, ir):
    run_id = create(client, ir)
    client.archive_run(run_id)
    assert [run.storage_state for run in client.list_runs().runs] == ["ARCHIVED"]
    client.unarchive_run(run_id)
    assert client.get_run(run_id).storage_state == "AVAILABLE"
    client.delete_run(run_id)
    with pytest.raises(kfp_server_api.ApiException) as refused:
        client.get_run(run_id)
    assert refused.value.status == 404


def test_a_failed_run_again(dspa, client, ir):
    dspa.script = lambda run: Script(final="FAILED", failed_task="train")
    run_id = create(client, ir)
    assert client.wait_for_run_completion(run_id, timeout=20, sleep_duration=0).state == "FAILED"
    client._run_api.run_service_retry_run(run_id)
    assert client.get_run(run_id).state == "RUNNING"


def test_an_uploaded_pipeline_and_runs_of_it(client, ir, tmp_path):
    pipeline = parsed(client, client.upload_pipeline(ir, "jukebox", "a description"))
    small = str(compiled(tmp_path))
    version = parsed(client, client.upload_pipeline_version(small, "v2", pipeline_name="jukebox"))
    assert version.pipeline_id == pipeline.pipeline_id == client.get_pipeline_id("jukebox")
    assert parsed(client, client.get_pipeline(pipeline.pipeline_id)) == pipeline
    assert (
        parsed(client, client.get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id))
        == version
    )
    listed = parsed(client, client.list_pipeline_versions(pipeline.pipeline_id, sort_by="name"))
    assert [item.display_name for item in listed.pipeline_versions] == ["jukebox", "v2"]
    experiment = client.create_experiment("ours")
    run = client.run_pipeline(
        experiment.experiment_id,
        "by reference",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"text": "hello"},
    )
    found = parsed(client, client.get_run(run.run_id))
    assert found.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert found.pipeline_spec is None


def test_over_tls_with_a_token(tmp_path, ir):
    ca = trustme.CA()
    dspa = Dspa(tokens={"good"}, ca_file=tmp_path / "ca.pem")
    ca.cert_pem.write_to_path(str(dspa.ca_file))
    with serving(dspa, ca=ca):
        assert dspa.url.startswith("https://localhost:")
        client = kfp.Client(host=dspa.url, existing_token="good", ssl_ca_cert=str(dspa.ca_file))
        assert parsed(client, client.get_run(create(client, ir))).state == "PENDING"
