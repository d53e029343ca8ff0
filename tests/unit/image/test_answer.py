"""`jukebox ci answer` and `verdict`: a decision is kept by its inputs, and used for the same inputs."""

import json

import pytest
from checkouts import append, key_of, results, task
from oci_images import image, push
from policies import default_text
from processes import assert_one_line
from promotions import release
from servers import closed_port

from ml.image.registry import Registry
from ml.release.decisions import Decision, make_inputs
from ml.release.store import ModelStore

VERSION, JUDGE = "0" * 16, f"registry.example/judge@sha256:{'1' * 64}"
ALL = {"LINT": "yes", "BUILD": "yes", "TRAIN": "yes"}
NOTHING = dict.fromkeys(ALL, "no")
FAILING = {"name": "parity.max", "passed": False, "reason": "0.1 is not <= 0.01"}
BLOCKED = {"exit_code": 10, "error": "the gate blocked the model (parity.max)", "checks": [FAILING]}


class Site:
    """A checkout, its dependencies in a registry, and a store."""

    def __init__(self, tree, repository: str) -> None:
        self.tree, self.home, self.told = tree, tree.parent, tree.parent / "answer.json"
        self.store = ModelStore(str(self.home / "store"), create=True)
        self.decisions = self.home / "store/decisions"
        below = f"{repository}/component-dependencies:{key_of(tree)}"
        push(Registry(insecure=True), below, image({"a": "b"}))
        self.env = {"REPOSITORY": repository, "STORE": self.store.uri, "JUDGE_IMAGE": JUDGE}
        self.env |= {"DATA_VERSION": VERSION, "DEPENDENCIES": below, "TAG": "try"}

    def call(self, verb: str, *options: object, **env: str):
        env = {f"JUKEBOX_{name}": value for name, value in {**self.env, **env}.items()}
        return task(self.tree, verb, *options, **env)

    def answer(self, *options: object, **env: str):
        return self.call("answer", "--checkout", self.tree, *options, **env)

    def work(self, *options: object, **env: str) -> dict[str, str]:
        """Return the work that is left after an answer that does not block."""
        assert self.answer(*options, **env).returncode == 0
        return self.results()

    def results(self) -> dict[str, str]:
        return {name: text for name, text in results(self.tree).items() if name in ALL}

    def outcome(self) -> tuple:
        known = json.loads(self.told.read_text())
        return known["exit_code"], known["link"], known.get("answered")

    def assemble(self, *options: object) -> str:
        self.call("image-assemble", "--checkout", self.tree, *options)
        return results(self.tree)["IMAGE_DIGEST"]

    def verdict(self, superseded_by: str = "", **outcome: object):
        """Write the outcome of a run of this checkout, if one is given, and call `verdict`."""
        if outcome:
            key = make_inputs(self.assemble(), VERSION, ("jukebox", "1"), default_text(), JUDGE, {}).key
            known = {"inputs": key, "run_id": "r1", "link": "https://x/1", "exit_code": 0, **outcome}
            (self.home / "submit.json").write_text(json.dumps(known))
        files = f"{self.home}/submit.json:{self.home}/none.json"
        return self.call("verdict", OUTCOME=files, SUPERSEDED_BY=superseded_by)


@pytest.fixture
def site(tree, host, request):
    return Site(tree, f"{host}/{request.node.name.partition('[')[0]}")


def test_without_a_decision_everything_is_left_to_do(site):
    done = site.answer()
    assert (done.returncode, done.stderr, site.results()) == (0, "", ALL)
    assert done.stdout.startswith("to train: there is no earlier decision about this code, data and policy")
    assert done.stdout.endswith("lint and tests: to be run\n")
    assert site.work(REPOSITORY=site.env["REPOSITORY"] + "/without/dependencies") == ALL


def test_a_push_that_changes_nothing_trains_nothing_and_every_other_is_trained(site):
    candidate = release(site.store, "A")
    assert site.verdict(candidate=candidate, promotion=1).returncode == 0
    append(site.tree / "README.md")
    done = site.answer("--outcome", site.told)
    assert (done.returncode, site.results()) == (0, {**ALL, "TRAIN": "no"})
    assert f"nothing to train: candidate {candidate[:12]}, in production" in done.stdout
    assert site.outcome() == (0, "https://x/1", "r1")
    site.assemble("--passed-tests", "tests/unit")
    assert site.work() == NOTHING
    assert site.work("--tests", "tests") == {**ALL, "TRAIN": "no"}
    append(site.home / "policy.yaml", default_text().replace("min_examples: ", "min_examples: 1"))
    changes = {"POLICY": str(site.home / "policy.yaml"), "DATA_VERSION": "1" * 16, "MODEL_NAME": "other"}
    for name, value in (
        changes | {"MODEL_VERSION": "2", "JUDGE_IMAGE": "another", "RETRAIN": "true"}
    ).items():
        assert site.work(**{name: value}) == {**ALL, "LINT": "no"}, name
    append(site.tree / "ml/version.py")
    assert site.work() == ALL


def test_a_push_that_was_blocked_is_blocked_until_another_model_is_in_production(site):
    first = release(site.store, "A")
    assert assert_one_line(site.verdict(**BLOCKED), 10) == f"jukebox: {BLOCKED['error']}"
    line = assert_one_line(site.answer(), 10)
    assert "blocked already, by run r1 of " in line
    assert line.endswith(BLOCKED["error"])
    done = site.answer("--outcome", site.told, "--decided-ok")
    assert (done.returncode, site.results(), line in done.stderr) == (0, NOTHING, True)
    assert site.outcome() == (10, "https://x/1", None)
    release(site.store, "B")
    assert site.work()["TRAIN"] == "yes"
    # The judge decided beside the champion that it measured, not beside the one of now.
    site.verdict(**BLOCKED, champion=first)
    assert site.work()["TRAIN"] == "yes"


def test_a_registry_that_does_not_answer_fails_the_task_and_a_damaged_decision_does_not(site):
    site.verdict(**BLOCKED)
    next(site.decisions.iterdir()).write_text("junk")
    done = site.answer()
    assert (done.returncode, site.results()["TRAIN"], done.stdout[:6]) == (0, "yes", "note: ")
    away = site.answer("--outcome", site.told, "--decided-ok", REPOSITORY=f"127.0.0.1:{closed_port()}/x")
    assert "cannot look up" in assert_one_line(away, 30)
    assert site.results() == NOTHING


# A block without a blocking check: the state of the run contradicts its evidence.
EXCUSED = ([], *([{**FAILING, **about}] for about in ({"passed": True}, {"level": "warn"}, {"waiver": "w"})))


UNKEPT = [*({"exit_code": code} for code in (2, 20, 30, 40)), *({"checks": checks} for checks in EXCUSED)]


@pytest.mark.parametrize("about", [*UNKEPT, {"policy_digest": "sha256:1", "judged_by": "sha256:2"}])
def test_what_is_no_decision_about_the_inputs_is_not_kept(site, about):
    outcome = {**BLOCKED, **about}
    assert assert_one_line(site.verdict(**outcome), outcome["exit_code"]) == f"jukebox: {BLOCKED['error']}"
    assert not site.decisions.exists()


@pytest.mark.parametrize("judged_by", ["sha256:1", ""])
def test_a_block_is_kept_for_people(site, judged_by):
    site.verdict(**{**BLOCKED, "error": "x" * 9000}, policy_digest="sha256:1", judged_by=judged_by)
    (path,) = site.decisions.iterdir()
    kept = Decision.load(json.loads(path.read_text()))
    assert (kept.verdict, kept.run_id, kept.link, kept.reason) == ("block", "r1", "https://x/1", "x" * 2000)
    assert path.stem == kept.inputs


def test_a_pass_that_was_not_promoted_is_missing_evidence_and_an_unkept_decision_costs_itself_only(site):
    line = assert_one_line(site.verdict(candidate="c" * 64), 40)
    assert line == "jukebox: candidate cccccccccccc passed its self-check, and was not promoted"
    assert not site.decisions.exists()
    site.decisions.write_text("a file")
    done = site.verdict(**BLOCKED)
    assert done.returncode == 10
    assert done.stdout.startswith("note: the decision was not kept: cannot write ")


def test_a_run_that_was_cancelled_or_left_nothing_is_not_failed_by_its_verdict(site):
    stopped = {"exit_code": 20, "error": "interrupted"}
    for done, said in (
        (site.verdict(), "nothing was decided\n"),
        (site.verdict(**stopped, superseded_by="push-2"), "superseded by push-2\n"),
        (site.verdict(**stopped, interrupted=True), "nothing was decided\n"),
    ):
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
