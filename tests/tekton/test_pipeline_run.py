"""From a commit to a promoted model, with real builds, linters and training, and what must end on the way."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from docker_registry import LOGIN
from dspa_command import TOKEN
from oci_images import pull
from tekton.harness import Run, TaskEnd, execute
from tekton.manifests import files, find, task_names
from tekton.world import ENCODED, FORGE_TOKEN, PLACES, Site, open_site

from ml.core.canonical import digest
from ml.judge.keys import TRUST
from ml.release.signing import verify_envelope
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.objects import get_object

TASKS = task_names()
PARAMS = {each["name"]: each.get("default") for each in files("pipelines")[0]["spec"]["params"]}

OF_THE_COMMIT = ("fetch-source", "answer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site():
    missing = [each for each in ("git", "buildah", "docker-registry", "mmdebstrap") if not shutil.which(each)]
    if missing or os.geteuid() != 0:
        why = f"apt-get install {' '.join(missing)}" if missing else "run this as root: it builds images"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    folder = Path(tempfile.mkdtemp(prefix="jukebox-tekton-"))
    try:
        with open_site(folder) as opened:
            yield opened
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def run(site: Site, revision: str, uid: str, known: dict[str, TaskEnd] | None = None) -> Run:
    """Run the Pipeline for a revision, whose code the DSPA's steps run; ``known`` tasks ended before."""
    code = site.world.folder / "code"
    shutil.rmtree(code, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(site.checkout), str(code)], check=True)
    subprocess.run(["git", "fetch", "-q", "origin", revision], cwd=code, check=True)
    subprocess.run(["git", "checkout", "-q", "FETCH_HEAD"], cwd=code, check=True)
    done = execute(site.world, {**site.params, "revision": revision}, uid, known or {})
    names = ("AWS_SECRET_ACCESS_KEY", "key", "key.pem", "token")
    secrets = [secret[name] for secret in site.world.secrets.values() for name in names if name in secret]
    # Of a PEM file the first line of data.
    lines = [text.splitlines()[1] if "\n" in text else text for text in secrets]
    assert [line for line in (TOKEN, ENCODED, *lines) if line in done.log] == []
    return done


def ended(done: Run, last: str) -> dict[str, TaskEnd]:
    """Return how the tasks up to one have ended, for another commit that differs only behind them."""
    return {name: done.tasks[name] for name in TASKS[: TASKS.index(last) + 1] if name not in OF_THE_COMMIT}


def opened(site: Site, monkeypatch) -> ModelStore:
    """Open the store, with the head of its log and the key that promotes."""
    for name, value in site.s3.items():
        monkeypatch.setenv(name, value)
    return ModelStore(PLACES["store"], head=site.params["head"])


@pytest.fixture(scope="module")
def passed(site) -> tuple[str, Run]:
    commit = site.commit()
    return commit, run(site, commit, "uid-pass")


def test_a_commit_becomes_the_model_in_production(site, passed, monkeypatch):
    commit, done = passed
    assert done.ends == dict.fromkeys([*TASKS, "report", "verdict"], "Succeeded"), done.log
    for name in TASKS:
        declared = find(site.world.objects, "Task", name)["spec"].get("results", ())
        assert {each["name"] for each in declared} == done.tasks[name].results.keys(), name
    store, submitted = opened(site, monkeypatch), done.tasks["submit-run"].results
    (entry,) = store.log()
    assert (entry.candidate, entry.kind, entry.commit) == (submitted["CANDIDATE"], "attested", commit)
    assert entry.who == "PipelineRun music/uid-pass"
    assert store.head_state() == f"head 1 of {site.params['head']}"
    served = get_object(f"{PLACES['store']}/serving/jukebox/1/model.onnx", 1 << 24)
    assert digest(served) == submitted["MODEL_DIGEST"]
    image = done.tasks["build-image"].results["IMAGE"]
    assert pull(image, LOGIN).top["opt/jukebox/bin/jukebox"][0] == 0o755
    (record,) = site.dspa.runs.values()
    assert (record.parameters["commit"], record.parameters["image"]) == (commit, image)
    assert site.forge.asked == [f"POST /repos/team/jukebox/statuses/{commit}"]
    assert FORGE_TOKEN in site.forge.headers[0]["authorization"]
    assert "promoted" in done.tasks["report"].log
    # The attestation of what was measured, on songs that no run has seen.
    name = entry.attestation.removeprefix("sha256:")
    path = f"{PLACES['store']}/promoted/{entry.candidate}/attestations/{name}.json"
    statement = verify_envelope(get_object(path, 1 << 24), read_trust(site.world.folder / "keys" / TRUST))
    measured, claimed = statement.predicate.measured, statement.predicate.claimed
    assert statement.candidate == entry.candidate
    assert measured.holdout.version == done.tasks["holdout"].results["HOLDOUT_VERSION"]
    assert measured.judge_image == PARAMS["judge-image"]
    assert "answered" not in measured.isolation.values()
    assert {name.partition(" ")[0] for name in measured.isolation} == {"api-server", "dns", "store"}
    assert (claimed.commit, claimed.run_id) == (commit, submitted["RUN_ID"])
    assert claimed.image == image
    assert claimed.pipeline_digest == done.tasks["compile-pipeline"].results["IR_DIGEST"]


def test_a_commit_whose_model_is_wrong_is_not_promoted(site, passed, monkeypatch):
    """It is blocked at the first try, measured by nobody, and reported; the Task verdict fails."""
    bad = site.commit("ml/onnx/conversion.py", "ray(solution", "ray(0.9 * solution")
    done = run(site, bad, "uid-wrong", ended(passed[1], "unit-test"))
    reached = [name for name in TASKS if name not in ("measure", "promote")]
    ends = dict.fromkeys(("measure", "promote"), "None") | dict.fromkeys((*reached, "report"), "Succeeded")
    assert done.ends == {**ends, "verdict": "Failed"}, done.log
    assert (done.tasks["submit-run"].tries, len(opened(site, monkeypatch).log())) == (1, 1)
    assert "parity" in done.tasks["report"].log
    assert site.forge.asked[-1].endswith(bad)


def test_a_push_of_docs_is_answered(site, passed):
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    done = run(site, commit, "uid-docs")
    reached = ("fetch-source", "holdout", "answer", "report", "verdict")
    assert done.ends == dict.fromkeys(done.ends, "None") | dict.fromkeys(reached, "Succeeded"), done.log
    assert site.forge.asked[-1].endswith(commit)
