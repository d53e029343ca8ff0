"""`jukebox ci answer` and `verdict`: a decision is kept by its inputs, and answers for the same ones."""

import json
import shutil

import pytest
from command import called
from docker_registry import registry_server
from oci_images import image, push
from processes import assert_one_line
from promotions import release
from servers import closed_port

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed, UsageError
from ml.gate.policy import default_text
from ml.image.key import base_digest, default_base, dependencies, keyed_files
from ml.image.registry import Registry
from ml.release.decisions import Decision, make_inputs
from ml.release.store import ModelStore

VERSION = "0" * 16
JUDGE = f"registry.example/judge@sha256:{'1' * 64}"
ALL = {"LINT": "yes", "BUILD": "yes", "TRAIN": "yes"}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


class Site:
    """A checkout, its dependencies in a registry, and a store."""

    def __init__(self, tree, repository: str) -> None:
        self.tree, self.repository = tree, repository
        self.home, self.newer = tree.parent, ""
        self.store = ModelStore(str(self.home / "store"), create=True)
        key = dependencies(keyed_files(tree), "3.12", base_digest(default_base(tree))).key
        self.below = push(
            Registry(insecure=True), f"{repository}/component-dependencies:{key}", image({"a": "b"})
        )

    def called(self, verb: str, *options: object, **env: str):
        told = {
            "JUKEBOX_REPOSITORY": self.repository,
            "JUKEBOX_REGISTRY_TLS": "false",
            "JUKEBOX_STORE": self.store.uri,
            "JUKEBOX_RESULTS_DIR": str(self.home / "results"),
            "JUKEBOX_JUDGE_IMAGE": JUDGE,
            "JUKEBOX_SOURCE": "https://git.example/team/jukebox",
            "JUKEBOX_DATA_VERSION": VERSION,
            "JUKEBOX_DEPENDENCIES": self.below,
            "JUKEBOX_TAG": "try",
            **env,
        }
        return called(verb, *options, cwd=self.home, env=told)

    def answer(self, *options: object, **env: str):
        return self.called("ci", "answer", "--checkout", self.tree, *options, **env)

    def assemble(self, *options: object) -> str:
        done = self.called("ci", "image-assemble", "--checkout", self.tree, *options)
        assert done.returncode == 0, done.stderr
        return self.results()["IMAGE_DIGEST"]

    def results(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.home / "results").glob("*")}

    def work(self) -> dict[str, str]:
        """Return what is left to be done."""
        return {name: text for name, text in self.results().items() if name in ALL}

    def inputs(self) -> str:
        """Return the key of what a run of this checkout would follow from."""
        about = (VERSION, ("jukebox", "1"), default_text(), JUDGE)
        return make_inputs(self.assemble(), *about, {}).key

    def ended(self, **outcome: object):
        """Have a run end with an outcome, and say so."""
        failing = {"name": "parity.max", "passed": False, "reason": "0.1 is not <= 0.01"}
        checks = [failing] if outcome.get("exit_code") == GateBlocked.exit_code else []
        known = {"inputs": self.inputs(), "run_id": "r1", "link": "https://x/1", "checks": checks, **outcome}
        (self.home / "submit.json").write_text(json.dumps({"exit_code": 0, **known}))
        files = f"{self.home}/submit.json:{self.home}/none.json"
        return self.called("ci", "verdict", JUKEBOX_OUTCOME=files, JUKEBOX_SUPERSEDED_BY=self.newer)


@pytest.fixture
def site(tree, host, request):
    return Site(tree, f"{host}/{request.node.name.partition('[')[0]}")


def promoted(site: Site, name: str = "A") -> str:
    """Promote a model, of which a run of this checkout is what passed."""
    candidate = release(site.store, name)
    assert site.ended(candidate=candidate, promotion=1).returncode == 0
    return candidate


def test_where_nothing_is_known_everything_is_left_to_be_done(site):
    done = site.answer()
    assert (done.returncode, done.stderr, site.work()) == (0, "", ALL)
    assert done.stdout.splitlines() == [
        "to train: there is no earlier decision about this code, data and policy that still holds",
        "lint and tests: to be run",
    ]


def test_without_the_dependencies_the_image_is_not_known(tree, host):
    site = Site(tree, f"{host}/other")
    site.repository = f"{host}/empty"
    assert (site.answer().returncode, site.work()) == (0, ALL)


def test_what_has_passed_on_the_same_files_is_left_out(site):
    site.assemble("--passed-tests", "tests/unit")
    site.answer()
    assert site.work() == {**ALL, "LINT": "no"}
    (site.tree / "README.md").write_text("other docs")
    site.answer()
    assert site.work() == {**ALL, "LINT": "no"}
    site.answer("--tests", "tests")
    assert site.work() == ALL
    with (site.tree / "ml" / "version.py").open("a") as module:
        module.write("# other code\n")
    site.answer()
    assert site.work() == ALL


def test_a_push_that_changes_nothing_trains_nothing(site):
    candidate = promoted(site)
    (site.tree / "README.md").write_text("other docs")
    done = site.answer("--outcome", site.home / "answer.json")
    assert (done.returncode, site.work()) == (0, {**ALL, "TRAIN": "no"})
    assert f"nothing to train: candidate {candidate[:12]}, in production" in done.stdout
    found = json.loads((site.home / "answer.json").read_text())
    assert (found["answered"], found["link"], found["exit_code"]) == ("r1", "https://x/1", 0)
    site.assemble("--passed-tests", "tests/unit")
    site.answer()
    assert site.work() == dict.fromkeys(ALL, "no")


def other_code(site: Site) -> None:
    with (site.tree / "ml" / "version.py").open("a") as module:
        module.write("# other code\n")


def other_policy(site: Site) -> dict[str, str]:
    path = site.home / "policy.yaml"
    path.write_text(default_text().replace("min_songs: ", "min_songs: 1"))
    return {"JUKEBOX_POLICY": str(path)}


@pytest.mark.parametrize(
    "change",
    [
        other_code,
        other_policy,
        lambda _: {"JUKEBOX_DATA_VERSION": "1" * 16},
        lambda _: {"JUKEBOX_MODEL_NAME": "other"},
        lambda _: {"JUKEBOX_MODEL_VERSION": "2"},
        lambda _: {"JUKEBOX_JUDGE_IMAGE": "another"},
        lambda _: {"JUKEBOX_RETRAIN": "true"},
        lambda site: release(site.store, "B") and None,
    ],
    ids=["code", "policy", "data", "name", "version", "judge", "retrain", "another promotion"],
)
def test_whatever_else_changes_is_trained(site, change):
    promoted(site)
    site.answer()
    assert site.work()["TRAIN"] == "no"
    assert site.answer(**(change(site) or {})).returncode == 0
    assert site.work()["TRAIN"] == "yes"


def test_a_push_that_was_blocked_is_blocked_until_another_model_is_in_production(site):
    release(site.store, "A")
    done = site.ended(exit_code=10, error="the gate blocked the model (parity.max)")
    assert "the gate blocked the model (parity.max)" in assert_one_line(done, GateBlocked.exit_code)
    done = site.answer()
    assert "blocked already, by run r1 of " in assert_one_line(done, GateBlocked.exit_code)
    assert done.stderr.rstrip().endswith("the gate blocked the model (parity.max)")
    assert site.work() == dict.fromkeys(ALL, "no")
    release(site.store, "B")
    assert (site.answer().returncode, site.work()["TRAIN"]) == (0, "yes")


def test_what_the_judge_blocked_was_decided_beside_the_model_that_it_measured(site):
    first = release(site.store, "A")
    release(site.store, "B")
    site.ended(exit_code=10, error="blocked", champion=first)
    assert (site.answer().returncode, site.work()["TRAIN"]) == (0, "yes")


def test_in_tekton_a_block_is_told_and_ends_the_task_well(site):
    site.ended(exit_code=10, error="blocked")
    done = site.answer("--outcome", site.home / "answer.json", "--decided-ok")
    assert (done.returncode, site.work()) == (0, dict.fromkeys(ALL, "no"))
    assert "blocked already, by run r1" in done.stderr
    found = json.loads((site.home / "answer.json").read_text())
    assert (found["exit_code"], found["link"]) == (10, "https://x/1")


def test_a_decision_that_cannot_be_read_is_told_of_and_trained(site):
    site.store.objects.put(f"decisions/{site.inputs()}.json", b"junk")
    done = site.answer()
    assert (done.returncode, site.work()["TRAIN"]) == (0, "yes")
    assert done.stdout.startswith("note: ")
    assert "is no decision" in done.stdout


def test_a_registry_that_does_not_answer_fails_the_task(site):
    site.repository = f"127.0.0.1:{closed_port()}/x"
    done = site.answer("--outcome", site.home / "answer.json", "--decided-ok")
    assert "cannot look up" in assert_one_line(done, PlatformError.exit_code)
    assert site.work() == dict.fromkeys(ALL, "no")


@pytest.mark.parametrize(
    ("code", "kind"), [(2, UsageError), (20, RunFailed), (30, PlatformError), (40, EvidenceError)]
)
def test_what_decides_nothing_is_not_kept_and_fails_as_it_did(site, code, kind):
    done = site.ended(exit_code=code, error="why")
    assert assert_one_line(done, kind.exit_code) == "jukebox: why"
    assert not (site.home / "store" / "decisions").exists()


ASIDE = {"name": "a", "passed": False, "reason": "b"}


@pytest.mark.parametrize(
    "checks",
    [[], [{**ASIDE, "passed": True}], [{**ASIDE, "level": "warn"}], [{**ASIDE, "waiver": "until 2030"}]],
)
def test_a_block_by_no_check_is_not_kept(site, checks):
    """A run that fails behind the gate is blocked, because its state contradicts its evidence."""
    done = site.ended(exit_code=10, error="the run failed, and its evidence passes", checks=checks)
    assert done.returncode == GateBlocked.exit_code
    assert not (site.home / "store" / "decisions").exists()


@pytest.mark.parametrize(("judged_by", "kept"), [("sha256:1", True), ("sha256:2", False), ("", True)])
def test_a_decision_by_a_policy_that_came_meanwhile_is_not_kept(site, judged_by, kept):
    site.ended(exit_code=10, error="blocked", policy_digest="sha256:1", judged_by=judged_by)
    assert (site.home / "store" / "decisions").exists() is kept


def test_a_pass_that_was_not_promoted_is_none(site):
    done = site.ended(candidate="c" * 64)
    said = "candidate cccccccccccc passed its self-check, and was not promoted"
    assert assert_one_line(done, EvidenceError.exit_code) == f"jukebox: {said}"
    assert not (site.home / "store" / "decisions").exists()


def test_a_store_that_does_not_take_it_costs_the_decision_only(site):
    (site.home / "store" / "decisions").write_text("a file")
    done = site.ended(exit_code=10, error="blocked")
    assert done.returncode == GateBlocked.exit_code
    assert done.stdout.startswith("note: the decision was not kept: cannot write ")


def test_a_run_that_a_newer_one_has_ended_fails_by_nothing_of_its_own(site):
    site.newer = "push-2"
    done = site.ended(exit_code=20, error="interrupted; run r1 was terminated")
    assert (done.returncode, done.stdout, done.stderr) == (0, "superseded by push-2\n", "")


def test_a_run_that_was_cancelled_is_not_failed_by_its_verdict(site):
    done = site.ended(exit_code=20, error="interrupted; run r1 was terminated", interrupted=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing was decided\n", "")


def test_nothing_that_ended_fails_nothing(site):
    done = site.called("ci", "verdict", JUKEBOX_OUTCOME=str(site.home / "none.json"))
    assert (done.returncode, done.stdout) == (0, "nothing was decided\n")


def test_a_decision_says_what_people_need(site):
    site.ended(exit_code=10, error="x" * 9000)
    (path,) = (site.home / "store" / "decisions").iterdir()
    found = Decision.load(json.loads(path.read_text()))
    assert (found.verdict, found.run_id, found.link, len(found.reason)) == (
        "block",
        "r1",
        "https://x/1",
        2000,
    )
    assert path.stem == found.inputs
