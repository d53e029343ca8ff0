"""From a commit to a promoted model, with real builds, linters and training, and what must end on the way."""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from docker_registry import LOGIN
from dspa_command import TOKEN
from dspa_server import Fault, Request
from oci_images import pull
from tekton.harness import Run, TaskEnd, execute
from tekton.manifests import files, named, task_names
from tekton.world import ENCODED, FORGE_TOKEN, PLACES, POLICY, Site, lacking, open_real

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.judge.keys import TRUST
from ml.release.signing import verify_envelope
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.objects import get_object, put_object

TASKS = task_names()
JUDGE_IMAGE = named(files("pipelines")[0]["spec"]["params"], "judge-image")["default"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site():
    missing = lacking("git", "buildah", "docker-registry", "mmdebstrap")
    if missing or os.geteuid() != 0:
        why = f"apt-get install {' '.join(missing)}" if missing else "run this as root: it builds images"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    folder = Path(tempfile.mkdtemp(prefix="jukebox-tekton-"))
    try:
        with open_real(folder) as opened:
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
    done = execute(site.world, site.spec(revision), uid, known or {})
    names = ("AWS_SECRET_ACCESS_KEY", "key", "key.pem", "token")
    found = [secret[name] for secret in site.world.secrets.values() for name in names if name in secret]
    # Of a PEM file the first line of data.
    secrets = [text.splitlines()[1] if "\n" in text else text for text in found]
    assert [secret for secret in (TOKEN, ENCODED, *secrets) if secret in done.log] == []
    return done


def ended(done: Run, last: str, *, but: tuple[str, ...] = ("fetch-source", "answer")) -> dict[str, TaskEnd]:
    """Return how the tasks up to one have ended, for another run that differs only behind them."""
    return {name: done.tasks[name] for name in TASKS[: TASKS.index(last) + 1] if name not in but}


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
    store, submitted = opened(site, monkeypatch), done.tasks["submit-run"].results
    (entry,) = store.log()
    assert (entry.candidate, entry.kind, entry.commit) == (submitted["CANDIDATE"], "attested", commit)
    assert entry.who == "PipelineRun music/uid-pass"
    assert store.head_state() == f"head 1 of {site.params['head']}"
    served = get_object(f"{PLACES['store']}/serving/jukebox/1/model.onnx", 1 << 24)
    assert digest(served) == submitted["MODEL_DIGEST"]
    assert done.tasks["promote"].results["PROMOTION"] == "1"
    path, status = site.forge.statuses[0]
    assert path == f"/repos/team/jukebox/statuses/{commit}"
    assert (status["state"], status["context"]) == ("success", "jukebox")
    assert "promoted" in done.tasks["report"].log
    assert site.forge.tokens == {FORGE_TOKEN}


def test_it_has_an_attestation_of_what_was_measured_on_songs_that_no_run_has_seen(site, passed, monkeypatch):
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
def test_the_key_of_the_runs_reaches_neither_holdout_nor_promotions(site, passed, monkeypatch, folder):
    path = f"{PLACES['store'].removesuffix('store')}{folder}/planted.json"
    for name, value in {**site.s3, **site.world.secrets["jukebox-store"]}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PlatformError):
        put_object(path, b"{}")
    with pytest.raises(PlatformError):
        get_object(path, 1 << 10)


def test_the_run_was_about_this_commit_and_the_image_that_was_built(site, passed):
    commit, done = passed
    (record,) = [found for found in site.dspa.runs.values() if found.parameters["commit"] == commit]
    image = done.tasks["build-image"].results["IMAGE"]
    assert (record.parameters["image"], record.parameters["dirty"]) == (image, False)
    assert pull(image, LOGIN).top["opt/jukebox/bin/jukebox"][0] == 0o755


def blocked(site: Site, done: Run, at: str, word: str, *, decided: bool, state: str = "failure") -> None:
    """Check that a run ended at a task, that nothing was promoted, and that the report says why.

    A task that has ``decided`` so has succeeded, and verdict fails.
    """
    assert done.ends[at] == ("Succeeded" if decided else "Failed"), done.log
    # What follows, but for what runs in parallel.
    later = [name for name in TASKS[TASKS.index(at) + 1 :] if (at, name) != ("lint", "unit-test")]
    assert all(done.ends[name] == "None" for name in later), done.log
    with pytest.MonkeyPatch.context() as patch:
        assert len(opened(site, patch).log()) == 1
    assert done.ends["report"] == "Succeeded", done.log
    assert done.ends["verdict"] == ("Failed" if at in ("submit-run", "promote") else "Succeeded"), done.log
    assert word in done.tasks["report"].log
    _, status = site.forge.statuses[-1]
    assert status["state"] == state
    # The status is shortened: a long text at its end, and what looks like another commit in the middle.
    assert all(part in done.tasks["report"].log for part in status["description"].split("…"))


@pytest.mark.parametrize(
    ("at", "file", "old", "new", "known", "word"),
    [
        ("lint", "ml/core/version.py", 'UNKNOWN = "unknown"', 'UNKNOWN="unknown"', "holdout", "lint failed"),
        ("unit-test", "ml/core/canonical.py", '(",", ":")', '(", ", ":")', "lint", "unit-test failed"),
        ("submit-run", "ml/onnx/conversion.py", "ray(solution", "ray(0.9 * solution", "unit-test", "parity"),
    ],
)
def test_a_commit_that_breaks_something_is_not_promoted(site, passed, at, file, old, new, known, word):
    bad = site.commit(file, old, new)
    done = run(site, bad, f"uid-{at}", ended(passed[1], known))
    blocked(site, done, at, word, decided=at == "submit-run")
    assert done.tasks[at].tries == 1
    runs = [found for found in site.dspa.runs.values() if found.parameters["commit"] == bad]
    assert len(runs) == (at == "submit-run")
    if at == "lint":
        # The registry lacked the dependencies, once; a change of code needs none of them anew.
        assert passed[1].tasks["toolchain"].log.count("to be built as") == 3
        assert "to be built as" not in done.tasks["toolchain"].log
        assert done.tasks["toolchain"].results == passed[1].tasks["toolchain"].results


def test_what_the_judge_measured_decides_by_the_policy_of_the_site(site, passed):
    """The run's word for itself was pass. Another policy decides on what was measured of its candidate."""
    commit, before = passed
    for part in ("judge", "outcome"):
        target = site.world.folder / "uid-judged" / "shared" / part
        shutil.copytree(before.home / "shared" / part, target)
    policy = re.sub(r"max_model_bytes: .*", "max_model_bytes: 1", POLICY)
    mounted = {**site.world.mounted, "/etc/jukebox/policy": {"policy.yaml": policy}}
    world = dataclasses.replace(site.world, mounted=mounted)
    known = ended(before, "measure", but=("fetch-source",))
    done = execute(world, site.spec(commit), "uid-judged", known)
    blocked(site, done, "promote", "does not pass (budget.model_bytes)", decided=True)
    assert done.tasks["promote"].tries == 1


def test_a_dspa_that_dies_promotes_nothing(site, passed, monkeypatch):
    def dies(request: Request) -> Fault | None:
        submitted = [found for found in site.dspa.runs.values() if found.description.endswith("a death")]
        return Fault.reset() if submitted else None

    monkeypatch.setattr(site.dspa, "fault", dies)
    spec = site.spec(passed[0], timeout="15", cause="a death", retrain="true")
    done = execute(site.world, spec, "uid-dead", ended(passed[1], "build-image"))
    blocked(site, done, "submit-run", "Connection reset", decided=False, state="error")


def test_a_push_of_docs_is_answered(site, passed, monkeypatch):
    """The image is the same, so the registry, the store and the judge's key are all that is asked."""
    commit = site.commit("README.md", "# jukebox\n", "# The jukebox\n")
    done = run(site, commit, "uid-docs")
    reached = ("fetch-source", "holdout", "answer", "report", "verdict")
    assert done.ends == dict.fromkeys(done.ends, "None") | dict.fromkeys(reached, "Succeeded"), done.log
    assert len(opened(site, monkeypatch).log()) == 1
    assert site.forge.statuses[-1][1]["state"] == "success"
