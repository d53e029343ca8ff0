"""`jukebox ci answer` and `verdict`: a decision is kept by its inputs, and used for the same inputs."""

import json

import pytest
from checkouts import append, key_of, results, task
from oci_images import image, push
from policies import default_text
from processes import assert_one_line
from promotions import release
from servers import closed_port

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed, UsageError
from ml.image.registry import Registry
from ml.release.decisions import Decision, make_inputs
from ml.release.store import ModelStore

VERSION = "0" * 16
JUDGE = f"registry.example/judge@sha256:{'1' * 64}"
ALL = {"LINT": "yes", "BUILD": "yes", "TRAIN": "yes"}
NOTHING = dict.fromkeys(ALL, "no")
FAILING = {"name": "parity.max", "passed": False, "reason": "0.1 is not <= 0.01"}


class Site:
    """A checkout, its dependencies in a registry, and a store."""

    def __init__(self, tree, repository: str) -> None:
        self.tree, self.repository, self.home = tree, repository, tree.parent
        self.store = ModelStore(str(self.home / "store"), create=True)
        self.decisions = self.home / "store/decisions"
        self.below = f"{repository}/component-dependencies:{key_of(tree)}"
        push(Registry(insecure=True), self.below, image({"a": "b"}))

    def called(self, verb: str, *options: object, **env: str):
        variables = {"JUKEBOX_REPOSITORY": self.repository, "JUKEBOX_STORE": self.store.uri}
        variables |= {"JUKEBOX_JUDGE_IMAGE": JUDGE, "JUKEBOX_DATA_VERSION": VERSION}
        variables |= {"JUKEBOX_DEPENDENCIES": self.below, "JUKEBOX_TAG": "try", **env}
        return task(self.tree, verb, *options, **variables)

    def answer(self, *options: object, **env: str):
        return self.called("answer", "--checkout", self.tree, *options, **env)

    def work(self, *options: object, **env: str) -> dict[str, str]:
        """Return the work that is left after an answer that does not block."""
        assert self.answer(*options, **env).returncode == 0
        return self.results()

    def results(self) -> dict[str, str]:
        return {name: text for name, text in results(self.tree).items() if name in ALL}

    def outcome(self) -> tuple:
        known = json.loads((self.home / "answer.json").read_text())
        return known["exit_code"], known["link"], known.get("answered")

    def assemble(self, *options: object) -> str:
        assert self.called("image-assemble", "--checkout", self.tree, *options).returncode == 0
        return results(self.tree)["IMAGE_DIGEST"]

    def inputs(self) -> str:
        """Return the key of the inputs of a run of this checkout."""
        return make_inputs(self.assemble(), VERSION, ("jukebox", "1"), default_text(), JUDGE, {}).key

    def ended(self, superseded_by: str = "", **outcome: object):
        """Write the outcome of a run, and call `verdict`."""
        checks = [FAILING] if outcome.get("exit_code") == GateBlocked.exit_code else []
        known = {"inputs": self.inputs(), "run_id": "r1", "link": "https://x/1", "checks": checks, **outcome}
        (self.home / "submit.json").write_text(json.dumps({"exit_code": 0, **known}))
        files = f"{self.home}/submit.json:{self.home}/none.json"
        return self.called("verdict", JUKEBOX_OUTCOME=files, JUKEBOX_SUPERSEDED_BY=superseded_by)

    def promoted(self) -> str:
        """Promote a model of this checkout."""
        candidate = release(self.store, "A")
        assert self.ended(candidate=candidate, promotion=1).returncode == 0
        return candidate


@pytest.fixture
def site(tree, host, request):
    return Site(tree, f"{host}/{request.node.name.partition('[')[0]}")


def test_without_a_decision_everything_is_left_to_do(site):
    done = site.answer()
    assert (done.returncode, done.stderr, site.results()) == (0, "", ALL)
    assert done.stdout.splitlines() == [
        "to train: there is no earlier decision about this code, data and policy that still holds",
        "lint and tests: to be run",
    ]
    site.repository += "/without/dependencies"
    assert site.work() == ALL


def test_lint_and_tests_are_left_out_after_they_passed_on_the_same_files(site):
    site.assemble("--passed-tests", "tests/unit")
    assert site.work() == {**ALL, "LINT": "no"}
    append(site.tree / "README.md")
    assert site.work() == {**ALL, "LINT": "no"}
    assert site.work("--tests", "tests") == ALL
    append(site.tree / "ml/version.py")
    assert site.work() == ALL


def test_a_push_that_changes_nothing_trains_nothing(site):
    candidate = site.promoted()
    append(site.tree / "README.md")
    done = site.answer("--outcome", site.home / "answer.json")
    assert (done.returncode, site.results()) == (0, {**ALL, "TRAIN": "no"})
    assert f"nothing to train: candidate {candidate[:12]}, in production" in done.stdout
    assert site.outcome() == (0, "https://x/1", "r1")
    site.assemble("--passed-tests", "tests/unit")
    assert site.work() == NOTHING


def other_policy(site: Site) -> dict[str, str]:
    append(site.home / "policy.yaml", default_text().replace("min_examples: ", "min_examples: 1"))
    return {"JUKEBOX_POLICY": str(site.home / "policy.yaml")}


CHANGES = {
    "code": lambda site: append(site.tree / "ml/version.py"),
    "policy": other_policy,
    "data": lambda _: {"JUKEBOX_DATA_VERSION": "1" * 16},
    "name": lambda _: {"JUKEBOX_MODEL_NAME": "other"},
    "version": lambda _: {"JUKEBOX_MODEL_VERSION": "2"},
    "judge": lambda _: {"JUKEBOX_JUDGE_IMAGE": "another"},
    "retrain": lambda _: {"JUKEBOX_RETRAIN": "true"},
    "another promotion": lambda site: release(site.store, "B") and None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_other_change_is_trained(site, change):
    site.promoted()
    assert site.work()["TRAIN"] == "no"
    assert site.work(**(CHANGES[change](site) or {}))["TRAIN"] == "yes"


def test_a_push_that_was_blocked_is_blocked_until_another_model_is_in_production(site):
    first, blocked = release(site.store, "A"), "the gate blocked the model (parity.max)"
    assert blocked in assert_one_line(site.ended(exit_code=10, error=blocked), GateBlocked.exit_code)
    line = assert_one_line(site.answer(), GateBlocked.exit_code)
    assert "blocked already, by run r1 of " in line
    assert line.endswith(blocked)
    done = site.answer("--outcome", site.home / "answer.json", "--decided-ok")
    assert (done.returncode, site.results(), line in done.stderr) == (0, NOTHING, True)
    assert site.outcome() == (10, "https://x/1", None)
    release(site.store, "B")
    assert site.work()["TRAIN"] == "yes"
    # The judge decided beside the champion that it measured, not beside the one of now.
    site.ended(exit_code=10, error="blocked", champion=first)
    assert site.work()["TRAIN"] == "yes"


def test_a_damaged_decision_gets_a_note_and_is_trained(site):
    site.store.objects.put(f"decisions/{site.inputs()}.json", b"junk")
    done = site.answer()
    assert (done.returncode, site.results()["TRAIN"], done.stdout[:6]) == (0, "yes", "note: ")


def test_a_registry_that_does_not_answer_fails_the_task(site):
    site.repository = f"127.0.0.1:{closed_port()}/x"
    done = site.answer("--outcome", site.home / "answer.json", "--decided-ok")
    assert "cannot look up" in assert_one_line(done, PlatformError.exit_code)
    assert site.results() == NOTHING


KINDS = (UsageError, RunFailed, PlatformError, EvidenceError)
UNKEPT = [({"exit_code": kind.exit_code}, kind) for kind in KINDS]
# A block without a blocking check: the state of the run contradicts its evidence.
EXCUSED = ([], *([{**FAILING, **about}] for about in ({"passed": True}, {"level": "warn"}, {"waiver": "w"})))
UNKEPT += [({"exit_code": 10, "checks": checks}, GateBlocked) for checks in EXCUSED]
UNKEPT += [({"exit_code": 10, "policy_digest": "sha256:1", "judged_by": "sha256:2"}, GateBlocked)]


@pytest.mark.parametrize(("outcome", "kind"), UNKEPT)
def test_what_is_no_decision_about_the_inputs_is_not_kept(site, outcome, kind):
    done = site.ended(error="why", **outcome)
    assert assert_one_line(done, kind.exit_code) == "jukebox: why"
    assert not site.decisions.exists()


@pytest.mark.parametrize("judged_by", ["sha256:1", ""])
def test_a_block_is_kept_for_people(site, judged_by):
    site.ended(exit_code=10, error="x" * 9000, policy_digest="sha256:1", judged_by=judged_by)
    (path,) = site.decisions.iterdir()
    kept = Decision.load(json.loads(path.read_text()))
    assert (kept.verdict, kept.run_id, kept.link, kept.reason) == ("block", "r1", "https://x/1", "x" * 2000)
    assert path.stem == kept.inputs


def test_a_pass_that_was_not_promoted_is_missing_evidence(site):
    line = assert_one_line(site.ended(candidate="c" * 64), EvidenceError.exit_code)
    assert line == "jukebox: candidate cccccccccccc passed its self-check, and was not promoted"
    assert not site.decisions.exists()


def test_a_store_that_cannot_be_written_costs_the_decision_only(site):
    site.decisions.write_text("a file")
    done = site.ended(exit_code=10, error="blocked")
    assert done.returncode == GateBlocked.exit_code
    assert done.stdout.startswith("note: the decision was not kept: cannot write ")


def test_a_run_that_was_cancelled_or_left_nothing_is_not_failed_by_its_verdict(site):
    done = site.ended(exit_code=20, error="interrupted", superseded_by="push-2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "superseded by push-2\n", "")
    nothing = site.called("verdict", JUKEBOX_OUTCOME=str(site.home / "none.json"))
    for done in (site.ended(exit_code=20, error="interrupted", interrupted=True), nothing):
        assert (done.returncode, done.stdout, done.stderr) == (0, "nothing was decided\n", "")
