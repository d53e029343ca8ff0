"""From a real commit to a promoted model, and every way in which it must not get there."""

import dataclasses
import json
import os
import re
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
from tekton.world import ENCODED, FORGE_TOKEN, PLACES, POLICY, ROOT, Site, missing, open_site

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.judge.keys import TRUST
from ml.release.signing import verify_envelope
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.objects import get_object, put_object

TASKS = task_names()
JUDGE_IMAGE = f"registry.example/jukebox/judge@sha256:{'0' * 64}"
"""The Pipeline's default."""

DECIDES = ("submit-run", "promote")
"""The tasks that leave an outcome, with which verdict fails."""

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
    for secret in (TOKEN, ENCODED, *_secrets(site)):
        assert secret not in done.log
    return done


def _secrets(site: Site) -> list[str]:
    """Return what must not be told: of each secret the keys, of a PEM file its first line of data."""
    named = ("AWS_SECRET_ACCESS_KEY", "key", "key.pem", "token")
    found = [secret[name] for secret in site.world.secrets.values() for name in named if name in secret]
    return [text.splitlines()[1] if "\n" in text else text for text in found]


def ended(done: Run, *names: str) -> dict[str, TaskEnd]:
    """Return how some tasks of a run have ended, for another run that differs only behind them."""
    return {name: done.tasks[name] for name in names}


def ends(done: Run) -> dict[str, str]:
    return {name: end.status for name, end in done.tasks.items()}


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
    assert ends(done) == dict.fromkeys([*TASKS, "report", "verdict"], "Succeeded"), done.log
    store = opened(site, monkeypatch)
    (entry,) = store.log()
    submitted = done.tasks["submit-run"].results
    assert (entry.candidate, entry.kind, entry.commit) == (submitted["CANDIDATE"], "attested", commit)
    assert entry.who == "PipelineRun music/uid-pass"
    assert store.head_state() == f"head 1 of {site.params['head']}"
    served = get_object(f"{PLACES['store']}/serving/jukebox/1/model.onnx", 1 << 24)
    assert digest(served) == submitted["MODEL_DIGEST"]
    assert done.tasks["promote"].results["PROMOTION"] == "1"
    assert done.tasks["fetch-source"].results["COMMIT"] == commit


def test_it_lies_beside_the_attestation_of_what_was_measured_on_songs_that_no_run_has_seen(
    site, passed, monkeypatch
):
    commit, done = passed
    (entry,) = opened(site, monkeypatch).log()
    name = entry.attestation.removeprefix("sha256:")
    path = f"{PLACES['store']}/promoted/{entry.candidate}/attestations/{name}.json"
    statement = verify_envelope(get_object(path, 1 << 24), read_trust(site.world.folder / "keys" / TRUST))
    measured, claimed = statement.predicate.measured, statement.predicate.claimed
    assert statement.candidate == entry.candidate
    assert measured.holdout.version == done.tasks["holdout"].results["HOLDOUT_VERSION"]
    assert measured.judge_image == JUDGE_IMAGE
    assert "answered" not in measured.isolation.values()
    assert {name.partition(" ")[0] for name in measured.isolation} == {"api-server", "dns", "store"}
    assert (claimed.commit, claimed.run_id) == (commit, done.tasks["submit-run"].results["RUN_ID"])
    assert claimed.image == done.tasks["build-image"].results["IMAGE"]
    assert claimed.pipeline_digest == done.tasks["compile-pipeline"].results["IR_DIGEST"]


@pytest.mark.parametrize("folder", ["holdout", "store/promoted", "store/promotions"])
def test_the_key_of_the_runs_reaches_none_of_it(site, passed, monkeypatch, folder):
    opened(site, monkeypatch)
    path = f"{PLACES['store'].removesuffix('store')}{folder}/planted.json"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.world.secrets["jukebox-store"].items():
            patch.setenv(name, value)
        with pytest.raises(PlatformError):
            put_object(path, b"{}")
        with pytest.raises(PlatformError):
            get_object(path, 1 << 10)


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
    bad = site.commit("ml/core/version.py", 'UNKNOWN = "unknown"', 'UNKNOWN="unknown"')
    done = run(site, bad, "uid-lint", ended(passed[1], "holdout"))
    blocked(site, done, monkeypatch, "lint", "lint failed", "failure")
    # The registry lacked the dependencies, once; a change of code needs none of them anew.
    assert passed[1].tasks["toolchain"].log.count("to be built as") == 3
    assert "to be built as" not in done.tasks["toolchain"].log
    assert done.tasks["toolchain"].results == passed[1].tasks["toolchain"].results


def test_a_failing_test_is_not_built(site, passed, monkeypatch):
    bad = site.commit("ml/core/canonical.py", 'separators=(",", ":")', 'separators=(", ", ":")')
    done = run(site, bad, "uid-test", ended(passed[1], "holdout", "toolchain", "lint"))
    blocked(site, done, monkeypatch, "unit-test", "unit-test failed", "failure")


def test_a_model_that_fails_parity_is_blocked(site, passed, monkeypatch):
    old = "    answers = answer(network, rows)\n"
    bad = site.commit("ml/onnx/conversion.py", old, old.replace(")\n", ") * 0.9\n"))
    done = run(site, bad, "uid-parity", ended(passed[1], "holdout", "toolchain", "lint", "unit-test"))
    blocked(site, done, monkeypatch, "submit-run", "parity", "failure", decided=True)
    assert done.tasks["submit-run"].tries == 1
    assert len([found for found in site.dspa.runs.values() if found.parameters["commit"] == bad]) == 1


def test_what_the_judge_measured_decides_by_the_policy_of_the_site(site, passed, monkeypatch):
    """The run's word for itself was pass. Another policy decides on what was measured of its candidate."""
    commit, before = passed
    for part in ("judge", "outcome"):
        target = site.world.folder / "uid-judged" / "shared" / part
        shutil.copytree(before.home / "shared" / part, target)
    policy = re.sub(r"max_model_bytes: .*", "max_model_bytes: 1", POLICY)
    mounted = {**site.world.mounted, "/etc/jukebox/policy": {"policy.yaml": policy}}
    world = dataclasses.replace(site.world, mounted=mounted)
    known = ended(before, *(name for name in TASKS if name not in ("fetch-source", "promote")))
    done = execute(world, site.spec(commit), "uid-judged", known)
    blocked(site, done, monkeypatch, "promote", "does not pass (budget.model_bytes)", "failure", decided=True)
    assert done.tasks["promote"].tries == 1


def test_a_dspa_that_dies_promotes_nothing(site, passed, monkeypatch):
    def dies(request: Request) -> Fault | None:
        submitted = [found for found in site.dspa.runs.values() if found.description.endswith("a death")]
        return Fault.reset() if submitted else None

    monkeypatch.setattr(site.dspa, "fault", dies)
    spec = site.spec(passed[0], timeout="15", cause="a death", retrain="true")
    before = ended(passed[1], "holdout", "toolchain", "lint", "unit-test", "build-image")
    done = execute(site.world, spec, "uid-dead", before)
    blocked(site, done, monkeypatch, "submit-run", "Connection reset", "error")


def test_a_revision_that_is_not_there_ends_before_anything_is_run(site, passed, monkeypatch):
    done = execute(site.world, site.spec("0" * 40), "uid-nowhere")
    blocked(site, done, monkeypatch, "fetch-source", "fetch-source failed", "error")


def test_a_push_of_docs_is_answered(site, passed, monkeypatch):
    """The image is the same, so the registry, the store and the judge's key are all that is asked."""
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    done = run(site, commit, "uid-docs")
    reached = ("fetch-source", "holdout", "answer", "report", "verdict")
    assert {name for name, end in ends(done).items() if end != "None"} == set(reached), done.log
    assert {done.tasks[name].status for name in reached} == {"Succeeded"}, done.log
    assert len(opened(site, monkeypatch).log()) == 1
    assert site.forge.statuses[-1][1]["state"] == "success"
    assert not [found for found in site.dspa.runs.values() if found.parameters["commit"] == commit]


def blocked(
    site: Site, done: Run, monkeypatch, at: str, word: str, state: str, *, decided: bool = False
) -> None:
    """Check that a run ended at a task, that nothing was promoted, and that the report says why.

    A task that has ``decided`` so has succeeded, and verdict fails.
    """
    assert done.tasks[at].status == ("Succeeded" if decided else "Failed"), done.log
    # What follows, but for what runs beside it.
    beside = {"lint": ["unit-test"], "fetch-source": ["holdout"]}.get(at, [])
    later = [name for name in TASKS[TASKS.index(at) + 1 :] if name not in beside]
    assert all(done.tasks[name].status == "None" for name in later), done.log
    assert len(opened(site, monkeypatch).log()) == 1
    assert done.tasks["report"].status == "Succeeded", done.log
    assert done.tasks["verdict"].status == ("Failed" if at in DECIDES else "Succeeded"), done.log
    assert word in done.tasks["report"].log
    _, status = site.forge.statuses[-1]
    assert status["state"] == state
    # What is told is shortened: a long text at its end, and what looks like another commit in the middle.
    assert all(part in done.tasks["report"].log for part in status["description"].split("…"))
