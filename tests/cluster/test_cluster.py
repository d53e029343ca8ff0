"""The Pipeline and its triggers in a real cluster: pass, block, no-op, bad data, webhook and replay."""

import hashlib
import hmac
import json
import time

import pytest
import requests
from cluster.installation import HOOK
from cluster.site import Site
from tekton.expected import ROLES
from tekton.manifests import task_names

TASKS = {*task_names(), "report", "verdict"}


@pytest.fixture(scope="module")
def passed(site) -> str:
    commit = site.commit()
    site.start(commit, "passes")
    reason, tasks = site.wait("passes")
    assert (reason, tasks) == ("Succeeded", dict.fromkeys(TASKS, "Succeeded")), site.logs("passes")
    for name, seconds in site.seconds("passes").items():
        print(f"{name}: {seconds:.0f} s")
    return commit


def test_a_commit_is_promoted(site, passed):
    run = site.get("pipelinerun", "passes")
    results = {result["name"]: result["value"] for result in run["status"]["results"]}
    assert (results["VERDICT"], results["PROMOTION"], results["COMMIT"]) == ("pass", "1", passed)
    # What Tekton Chains reads.
    assert results["CHAINS-GIT_COMMIT"] == passed
    assert results["model-ARTIFACT_OUTPUTS"] == {
        "uri": results["MODEL_URI"],
        "digest": results["MODEL_DIGEST"],
    }
    (found,) = site.known(commit=passed)
    assert found["state"] == "SUCCEEDED"
    assert found["parameters"]["image"].endswith(results["IMAGE_DIGEST"])


def test_each_task_ran_as_its_own_account(site, passed):
    pods = site.get("pods", selector="tekton.dev/pipelineRun=passes")["items"]
    accounts = {
        pod["metadata"]["labels"]["tekton.dev/pipelineTask"]: pod["spec"]["serviceAccountName"]
        for pod in pods
    }
    assert accounts == {**dict.fromkeys(TASKS, "jukebox-ci"), **ROLES}


def test_a_model_that_fails_parity_is_blocked(site, passed):
    bad = site.commit("ml/onnx/conversion.py", "ray(solution", "ray(0.9 * solution")
    site.start(bad, "fails-parity")
    reason, tasks = site.wait("fails-parity")
    assert (reason, tasks["submit-run"], tasks["report"]) == ("Failed", "Succeeded", "Succeeded")
    assert (tasks["verdict"], "promote" in tasks) == ("Failed", False)
    assert "the gate blocked the model (parity" in site.logs("fails-parity")
    assert [run["state"] for run in site.known(commit=bad)] == ["FAILED"]


def test_a_push_of_docs_trains_nothing(site, passed):
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    site.start(commit, "changes-docs")
    reason, tasks = site.wait("changes-docs")
    always = ("fetch-source", "holdout", "answer", "report", "verdict")
    assert (reason, tasks) == ("Completed", dict.fromkeys(always, "Succeeded")), site.logs("changes-docs")
    assert "nothing to train: candidate" in site.logs("changes-docs")
    assert not site.known(commit=commit)


def test_tables_that_break_the_contract_are_refused(site, passed):
    bad = f"{site.backend.folder}/tables"
    site.python(f"""
import tempfile
from pathlib import Path
import pandas as pd
from ml.problems.songs.sample import write_tables
from ml.problems.songs.sample_spec import SampleSpec
from ml.storage.objects import put_object
folder = Path(tempfile.mkdtemp())
rankings, songs = folder / "rankings.parquet", folder / "songs.parquet"
write_tables(SampleSpec(songs=600, days=7, seed=7), rankings, songs)
pd.read_parquet(rankings).drop(columns="daily_rank").to_parquet(rankings)
for table in (rankings, songs):
    put_object(f"{bad}/{{table.name}}", table.read_bytes())
""")
    site.start(passed, "bad-data", data=bad)
    reason, tasks = site.wait("bad-data")
    assert (reason, tasks["verdict"], "submit-run" in tasks) == ("Failed", "Failed", False)
    assert "column daily_rank is missing" in site.logs("bad-data")


def test_a_commit_that_breaks_lint_is_not_built(site, passed):
    bad = site.commit("ml/core/version.py", 'UNKNOWN = "unknown"', 'UNKNOWN="unknown"')
    site.start(bad, "breaks-lint")
    reason, tasks = site.wait("breaks-lint")
    assert (reason, tasks["lint"], "build-image" in tasks) == ("Failed", "Failed", False)


def push(site: Site, commit: str, secret: str = HOOK, ref: str = "refs/heads/main") -> int:
    """Send what GitHub sends after a push."""
    url = site.get("pipelines.tekton.dev", "jukebox-train")["spec"]["params"]
    (repository,) = (param["default"] for param in url if param["name"] == "repository-url")
    sent = {"ref": ref, "after": commit, "repository": {"full_name": "jukebox", "clone_url": repository}}
    body = json.dumps(sent).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push"}
    headers["X-Hub-Signature-256"] = f"sha256={signature}"
    with site.forwarded("service/el-jukebox", 8080) as port:
        return requests.post(f"http://127.0.0.1:{port}", data=body, headers=headers, timeout=30).status_code


def new_runs(site: Site, before: set[str], seconds: float = 15) -> set[str]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and site.runs() == before:
        time.sleep(1)
    return site.runs() - before


def test_a_push_starts_one_run_however_often_it_is_delivered(site, passed):
    before = site.runs()
    for secret, ref in (("wrong", "refs/heads/main"), (HOOK, "refs/heads/other"), (HOOK, "refs/tags/v1")):
        push(site, passed, secret, ref)
    assert new_runs(site, before) == set()
    push(site, passed)
    (name,) = new_runs(site, before)
    push(site, passed)
    push(site, passed)
    time.sleep(5)
    assert site.runs() - before == {name}
    params = {param["name"]: param["value"] for param in site.get("pipelinerun", name)["spec"]["params"]}
    assert params["revision"] == passed
    site.cancel(name)
    reason, tasks = site.wait(name, 300)
    assert reason.startswith("Cancelled")
    assert "promote" not in tasks
