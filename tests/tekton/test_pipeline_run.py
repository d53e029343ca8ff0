"""From a real commit to a promoted model, and every way in which it must not get there."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from docker_registry import LOGIN
from dspa_command import TOKEN
from dspa_server import Fault, Request
from oci_images import pull
from tekton.harness import Run, TaskEnd, execute
from tekton.manifests import task_names
from tekton.world import ENCODED, FORGE_TOKEN, ROOT, Site, missing, open_site

TASKS = task_names()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site():
    lacking = missing()
    if lacking or os.geteuid() != 0:
        why = f"apt-get install {' '.join(lacking)}" if lacking else "run this as root: it builds images"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    folder = Path(tempfile.mkdtemp(prefix="jukebox-tekton-"))
    files = [*(ROOT / "tekton" / "tasks").glob("*.yaml"), *(ROOT / "tekton" / "pipelines").glob("*.yaml")]
    objects = [yaml.safe_load(file.read_text()) for file in files]
    try:
        with open_site(folder, [found for found in objects if "metadata" in found]) as opened:
            yield opened
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def run(site: Site, revision: str, uid: str, known: Mapping[str, TaskEnd] | None = None) -> Run:
    """Run the Pipeline for a revision; the DSPA's steps run the code of that commit.

    Args:
        site: where.
        revision: the commit.
        uid: the run's uid.
        known: tasks of another run that would end here as they did there.
    """
    code = site.world.folder / "code"
    shutil.rmtree(code, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(site.checkout), str(code)], check=True)
    subprocess.run(["git", "fetch", "-q", "origin", revision], cwd=code, check=True)
    subprocess.run(["git", "checkout", "-q", "FETCH_HEAD"], cwd=code, check=True)
    done = execute(site.world, site.spec(revision), uid, known or {})
    secrets = [TOKEN, FORGE_TOKEN, ENCODED, *(secret["AWS_SECRET_ACCESS_KEY"] for secret in _keys(site))]
    for secret in secrets:
        assert secret not in done.log
    return done


def _keys(site: Site) -> list[dict[str, str]]:
    return [secret for secret in site.world.secrets.values() if "AWS_SECRET_ACCESS_KEY" in secret]


def ended(done: Run, *names: str) -> dict[str, TaskEnd]:
    """Return how some tasks of a run have ended, for another run that differs only behind them."""
    return {name: done.tasks[name] for name in names}


def ends(done: Run) -> dict[str, str]:
    return {name: end.status for name, end in done.tasks.items()}


def promotions(site: Site, monkeypatch) -> int:
    from ml.release.store import ModelStore

    for name, value in site.s3.items():
        monkeypatch.setenv(name, value)
    return len(ModelStore("s3://bucket/tekton/store", create=True).log())


@pytest.fixture(scope="module")
def passed(site) -> tuple[str, Run]:
    commit = site.commit()
    return commit, run(site, commit, "uid-pass")


def test_a_commit_becomes_the_model_in_production(site, passed, monkeypatch):
    commit, done = passed
    assert ends(done) == dict.fromkeys([*TASKS, "report"], "Succeeded"), done.log
    assert promotions(site, monkeypatch) == 1
    from ml.gate.canonical import digest
    from ml.objects import get_object

    served = get_object("s3://bucket/tekton/store/serving/jukebox/1/model.onnx", 1 << 24)
    assert digest(served) == done.tasks["submit-run"].results["MODEL_DIGEST"]
    assert done.tasks["promote"].results["PROMOTION"] == "1"
    assert done.tasks["fetch-source"].results["COMMIT"] == commit


def test_the_run_was_about_this_commit_and_the_image_that_was_built(site, passed):
    commit, done = passed
    (record,) = [found for found in site.dspa.runs.values() if found.parameters["commit"] == commit]
    image = done.tasks["build-image"].results["IMAGE"]
    assert record.parameters["image"] == image
    assert record.parameters["dirty"] is False
    assert image.endswith(done.tasks["build-image"].results["IMAGE_DIGEST"])
    ours = pull(image, LOGIN)
    assert ours.top["opt/jukebox/bin/jukebox"][0] == 0o755
    assert commit not in json.dumps(ours.config)
    assert "a test" in record.description


def test_the_forge_was_told_with_its_token(site, passed):
    commit, done = passed
    path, status = site.forge.statuses[0]
    assert path == f"/repos/team/jukebox/statuses/{commit}"
    assert (status["state"], status["context"]) == ("success", "jukebox")
    assert "promoted" in done.tasks["report"].log
    assert site.forge.tokens == {FORGE_TOKEN}


def test_a_commit_that_breaks_lint_is_not_built(site, passed, monkeypatch):
    bad = site.commit("ml/version.py", 'UNKNOWN = "unknown"', 'UNKNOWN="unknown"')
    done = run(site, bad, "uid-lint")
    blocked(site, done, monkeypatch, "lint", "lint failed", "failure")
    # The registry lacked the dependencies, once; a change of code needs none of them anew.
    assert passed[1].tasks["toolchain"].log.count("to be built as") == 3
    assert "to be built as" not in done.tasks["toolchain"].log
    assert done.tasks["toolchain"].results == passed[1].tasks["toolchain"].results


def test_a_failing_test_is_not_built(site, passed, monkeypatch):
    bad = site.commit("ml/gate/canonical.py", 'separators=(",", ":")', 'separators=(", ", ":")')
    done = run(site, bad, "uid-test", ended(passed[1], "toolchain", "lint"))
    blocked(site, done, monkeypatch, "unit-test", "unit-test failed", "failure")


def test_a_model_that_fails_parity_is_blocked(site, passed, monkeypatch):
    old = "    answers = answer(network, rows)\n"
    bad = site.commit("ml/model/conversion.py", old, old.replace(")\n", ") * 0.9\n"))
    done = run(site, bad, "uid-parity", ended(passed[1], "toolchain", "lint", "unit-test"))
    blocked(site, done, monkeypatch, "submit-run", "parity", "failure")
    assert done.tasks["submit-run"].tries == 2, "a retry adopts the run"
    assert len([found for found in site.dspa.runs.values() if found.parameters["commit"] == bad]) == 1


def test_a_dspa_that_dies_promotes_nothing(site, passed, monkeypatch):
    def dies(request: Request) -> Fault | None:
        submitted = [found for found in site.dspa.runs.values() if found.description.endswith("a death")]
        return Fault.reset() if submitted else None

    monkeypatch.setattr(site.dspa, "fault", dies)
    spec = site.spec(passed[0], timeout="15", cause="a death")
    before = ended(passed[1], "toolchain", "lint", "unit-test", "build-image")
    done = execute(site.world, spec, "uid-dead", before)
    blocked(site, done, monkeypatch, "submit-run", "Connection reset", "error")


def test_a_revision_that_is_not_there_ends_before_anything_is_run(site, passed, monkeypatch):
    done = execute(site.world, site.spec("0" * 40), "uid-nowhere")
    blocked(site, done, monkeypatch, "fetch-source", "fetch-source failed", "error")


def blocked(site: Site, done: Run, monkeypatch, at: str, word: str, state: str) -> None:
    """Check that a run ended at a task, that nothing was promoted, and that the report says why."""
    assert done.tasks[at].status == "Failed", done.log
    assert done.tasks["promote"].status == "None"
    reached = TASKS.index(at)
    later = TASKS[reached + 1 :] if at != "lint" else TASKS[reached + 2 :]
    assert all(done.tasks[name].status == "None" for name in later), done.log
    assert promotions(site, monkeypatch) == 1
    assert done.tasks["report"].status == "Succeeded", done.log
    assert word in done.tasks["report"].log
    _, status = site.forge.statuses[-1]
    assert status["state"] == state
    assert status["description"].rstrip("…") in done.tasks["report"].log
