"""The Pipeline and its triggers in a real cluster: pass, block, no-op, webhook and replay."""

import hashlib
import hmac
import json
import time

import pytest
import requests
from cluster.installation import HOOK
from cluster.site import Site, seconds
from tekton.expected import ROLES
from tekton.manifests import task_names

TASKS = {*task_names(), "report", "verdict"}


@pytest.fixture(scope="module")
def passed(site) -> str:
    commit = site.commit()
    site.start(commit, "passes")
    reason, tasks = site.wait("passes")
    assert (reason, tasks) == ("Succeeded", dict.fromkeys(TASKS, "Succeeded")), site.logs("passes")
    ends = site.task_runs("passes") | {"all": site.get("pipelinerun", "passes")["status"]}
    print("\n".join(f"{name}: {seconds(status):.0f} s" for name, status in ends.items()))
    return commit


def test_a_commit_is_promoted(site, passed):
    listed = site.get("pipelinerun", "passes")["status"]["results"]
    results = {result["name"]: result["value"] for result in listed}
    assert (results["VERDICT"], results["PROMOTION"], results["COMMIT"]) == ("pass", "1", passed)
    # What Tekton Chains reads.
    assert results["CHAINS-GIT_COMMIT"] == passed
    model = {"uri": results["MODEL_URI"], "digest": results["MODEL_DIGEST"]}
    assert results["model-ARTIFACT_OUTPUTS"] == model
    (run,) = site.known(commit=passed)
    assert run["state"] == "SUCCEEDED"
    assert run["parameters"]["image"].endswith(results["IMAGE_DIGEST"])
    pods = site.get("pods", selector="tekton.dev/pipelineRun=passes")["items"]
    label = "tekton.dev/pipelineTask"
    accounts = {pod["metadata"]["labels"][label]: pod["spec"]["serviceAccountName"] for pod in pods}
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
    assert not site.known(commit=commit)


def push(site: Site, commit: str, secret: str = HOOK, ref: str = "refs/heads/main") -> None:
    """Send what GitHub sends after a push."""
    params = site.get("pipelines.tekton.dev", "jukebox-train")["spec"]["params"]
    (repository,) = (param["default"] for param in params if param["name"] == "repository-url")
    sent = {"ref": ref, "after": commit, "repository": {"full_name": "jukebox", "clone_url": repository}}
    body = json.dumps(sent).encode()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push"}
    headers["X-Hub-Signature-256"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    with site.forwarded("service/el-jukebox", 8080) as port:
        requests.post(f"http://127.0.0.1:{port}", data=body, headers=headers, timeout=30)


def test_a_push_starts_one_run_however_often_it_is_delivered(site, passed):
    before = site.runs()
    for secret, ref in (("wrong", "refs/heads/main"), (HOOK, "refs/heads/other"), (HOOK, "refs/tags/v1")):
        push(site, passed, secret, ref)
    time.sleep(15)
    assert site.runs() == before
    for _ in range(3):
        push(site, passed)
    time.sleep(15)
    (name,) = site.runs() - before
    params = {param["name"]: param["value"] for param in site.get("pipelinerun", name)["spec"]["params"]}
    assert params["revision"] == passed
    site.cancel(name)
