"""One attempt, one run: whatever is lost on the way, and whoever else submits at the same moment."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from dspa_server import Fault, Script
from reports import STRICT
from submissions import OTHER_IMAGE, World, at_first, nth, outcome, pipeline, world
from tiers import sampled

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.outcome import RunOutcome

FOREVER = Script(never_ends=True)
ENOUGH = 6.0
"""Seconds of settling in which a run that is there is certainly found."""


@pytest.fixture
def here(tmp_path):
    with world(tmp_path) as found:
        yield found


def refused(here: World, submission, message: str) -> None:
    """Check that a submission is refused, asks for no run, and terminates none."""
    before = here.count("create_run")
    with pytest.raises(EvidenceError, match=message) as caught:
        here.submit(submission)
    assert caught.value.exit_code == 40
    assert here.count("create_run") == before
    assert here.count("terminate") == 0


def test_it_looks_before_it_asks_and_again_afterwards(here):
    found = here.submit()
    kinds = here.kinds()
    assert kinds[:6] == [
        "healthz",
        "list_experiments",
        "create_experiment",
        "list_runs",
        "create_run",
        "list_runs",
    ]
    assert set(kinds[6:-1]) == {"get_run"}
    assert kinds[-1] == "list_runs"
    assert [run.run_id for run in here.runs()] == [found.run_id]


def test_what_is_asked_for_is_the_submission(here):
    submission = here.submission(epochs=3, learning_rate=0.01)
    here.submit(submission)
    (run,) = here.runs()
    assert run.display_name == submission.name
    assert run.parameters == submission.parameters
    assert run.pipeline_spec["root"] == submission.pipeline.spec["root"]
    assert run.platform_spec == submission.pipeline.platform
    assert here.dspa.experiments[run.experiment_id].display_name == "jukebox"


def test_a_work_tree_that_is_not_just_its_commit_is_told_before_anything_is_asked(here):
    submission = here.submission(dirty=True)
    here.submit(submission)
    commit = submission.parameters["commit"][:12]
    assert len(submission.parameters["commit"]) == 40
    assert here.said[1].startswith(f"note: the code differs from commit {commit}: the work tree has changes")


def test_a_second_submission_of_the_attempt_adopts_the_run_that_has_ended(here):
    first = here.submit()
    assert here.submit() == first
    assert here.count("create_run") == here.count("create_experiment") == 1
    assert any("adopted" in line for line in here.said)


def test_an_attempt_whose_run_the_server_has_forgotten_is_refused(here):
    first = here.submit()
    del here.dspa.runs[first.run_id]
    refused(
        here,
        here.submission(),
        f"had run {first.run_id}, which the DSPA has deleted; .*: use another --attempt",
    )


@pytest.mark.parametrize("name", ["notes.txt", "a/b.json", "..json", "x" * 200 + ".json"])
def test_what_is_no_runs_evidence_does_not_stop_an_attempt(here, name):
    file = Path(here.submission().parameters["evidence_uri"]).parent / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert here.submit().verdict.passed


def test_a_second_submission_of_the_attempt_adopts_the_run_that_is_under_way(here):
    here.dspa.script = FOREVER
    with pytest.raises(PlatformError, match="left running"):
        here.submit(deadline=1, leave_running=True)
    (run,) = here.runs()
    assert (run.state, here.count("terminate")) == ("RUNNING", 0)
    run.script = Script()
    assert here.submit().run_id == run.run_id
    assert here.count("create_run") == 1


def test_another_attempt_is_another_run(here):
    first, second = here.submit(here.submission("one")), here.submit(here.submission("two"))
    assert {first.run_id, second.run_id} == {run.run_id for run in here.runs()}
    assert len(here.runs()) == 2


def test_the_same_attempt_in_another_experiment_is_another_run(here):
    first = here.submit()
    second = here.submit(here.submission().model_copy(update={"experiment": "another"}))
    assert first.run_id != second.run_id


def place_of_policy(here: World) -> Path:
    return Path(here.submission().parameters["evidence_uri"]).with_name("policy.yaml")


def test_the_policy_is_in_its_place_before_the_run_is_asked_for(here):
    seen = []
    here.dspa.fault = at_first("create_run", lambda: seen.append(place_of_policy(here).read_bytes()))
    here.submit()
    (run,) = here.runs()
    assert [digest(data) for data in seen] == [run.parameters["policy"]]


def test_another_policy_in_its_place_is_refused_before_a_run_is_asked_for(here):
    place_of_policy(here).parent.mkdir(parents=True)
    place_of_policy(here).write_text(STRICT)
    refused(here, here.submission(), r"/policy.yaml is not the policy that was left there")


def test_a_run_that_is_adopted_needs_no_policy_any_more(here):
    first = here.submit()
    place_of_policy(here).write_text(STRICT)
    assert here.submit().run_id == first.run_id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commit", "0" * 40),
        ("dirty", True),
        ("data_version", "0000000000000000"),
        ("epochs", 5),
        ("learning_rate", 0.5),
        ("policy", STRICT),
        ("model_name", "another"),
        ("rankings_uri", "s3://charts/today.parquet"),
        ("store_uri", "/somewhere/else"),
    ],
)
def test_the_same_attempt_with_something_else_is_refused_and_it_is_named(here, name, value):
    run = here.begin()
    changed = here.submission(**{name: value})
    refused(here, changed, f"already has run {run.run_id}, with another {name}: use another --attempt")


def test_the_same_attempt_with_several_other_things_is_refused_and_all_are_named(here):
    here.begin(here.submission(epochs=3))
    refused(here, here.submission(commit="0" * 40, seed=1), "with another commit, epochs, seed:")


def test_the_same_attempt_with_another_image_or_pipeline_is_refused(here):
    run = here.begin()
    refused(here, here.submission(image=OTHER_IMAGE), f"{run.run_id}, with another image:")
    other = pipeline().model_copy(update={"digest": digest(b"another pipeline")})
    same = here.submission().model_copy(update={"pipeline": other})
    refused(here, same, f"{run.run_id}, with another pipeline or image: use another --attempt")


def test_an_attempt_whose_champion_has_changed_is_refused(here):
    run = here.begin()
    changed = here.submission(champion="c" * 64)
    refused(here, changed, f"run {run.run_id} of this attempt started when another model was in production")


def test_several_live_runs_of_an_attempt_are_refused_and_all_named(here):
    first, second = here.begin(ahead=-60), here.begin()
    names = rf"this attempt has 2 runs: {first.run_id} \(PENDING\), {second.run_id} \(PENDING\); none"
    refused(here, here.submission(), names)


def test_a_younger_run_that_succeeded_is_refused_beside_the_oldest(here):
    first, second = here.begin(ahead=-60), here.begin()
    here.dspa.runs[second.run_id].state = "SUCCEEDED"
    names = rf"{first.run_id} \(PENDING\), {second.run_id} \(SUCCEEDED\)"
    refused(here, here.submission(), names)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "CANCELING", "SKIPPED"])
def test_the_oldest_run_is_adopted_where_all_younger_are_lost(here, state):
    first = here.begin(ahead=-60)
    for ahead in (0, 60):
        here.dspa.runs[here.begin(ahead=ahead).run_id].state = state
    assert here.submit().run_id == first.run_id
    assert here.count("create_run") == 3


def test_the_oldest_is_not_replaced_by_a_younger_one_where_it_is_lost_itself(here):
    first, second = here.begin(ahead=-60), here.begin()
    here.dspa.runs[first.run_id].state = "FAILED"
    refused(here, here.submission(), rf"{first.run_id} \(FAILED\), {second.run_id} \(PENDING\)")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.reset(after=True),
        Fault.close(after=True),
        Fault.gateway_timeout(),
        Fault.truncated(),
        Fault.status(503, "", after=True),
        Fault.json({}, after=True),
        Fault.json({"display_name": "another"}, after=True),
        Fault.status(200, "null", "application/json", after=True),
    ],
    ids=["reset", "close", "504", "truncated", "503", "nothing", "another", "null"],
)
def test_a_run_whose_answer_was_lost_is_found_and_not_asked_for_again(here, fault):
    here.dspa.fault = nth("create_run", {1: fault})
    found = here.submit(settle=ENOUGH)
    assert [run.run_id for run in here.runs()] == [found.run_id]
    assert here.count("create_run") == 1


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.close(), Fault.gateway_timeout(after=False), Fault.busy(503), Fault.unauthorized()],
    ids=["reset", "close", "504", "503", "401"],
)
def test_a_run_that_was_never_begun_is_looked_for_and_then_asked_for_again(here, fault):
    here.dspa.fault = nth("create_run", {1: fault})
    found = here.submit()
    assert [run.run_id for run in here.runs()] == [found.run_id]
    kinds = here.kinds()
    first = kinds.index("create_run")
    second = kinds.index("create_run", first + 1)
    assert second > first + 1
    assert set(kinds[first + 1 : second]) == {"list_runs"}
    assert here.count("create_run") == 2


def test_a_run_that_never_appears_is_asked_for_a_bounded_number_of_times(here):
    here.dspa.fault = nth("create_run", dict.fromkeys(range(1, 99), Fault.reset()))
    with pytest.raises(Unavailable, match="after 3 POSTs there is no run jukebox ") as caught:
        here.submit()
    assert caught.value.exit_code == 30
    assert here.count("create_run") == 3
    assert here.runs() == []


def late(here: World, ahead: float) -> None:
    """Lose the first POST, and commit it when the run of the second is being followed."""

    def commit() -> None:
        first = next(request for request in here.dspa.requests if request.kind == "create_run")
        here.dspa.clock_skew = ahead
        url = f"{here.dspa.url}/apis/v2beta1/runs"
        requests.post(url, data=first.body, timeout=20).raise_for_status()
        here.dspa.clock_skew = 0

    lost = nth("create_run", {1: Fault.gateway_timeout(after=False)})
    commits = at_first("get_run", commit)
    here.dspa.fault = lambda request: lost(request) or commits(request)


def test_a_commit_that_comes_too_late_is_terminated_and_its_evidence_never_counts(here):
    late(here, ahead=60)
    found = here.submit()
    ours, second = here.runs()
    assert (found.run_id, ours.state, second.terminated) == (ours.run_id, "SUCCEEDED", True)
    assert any(second.run_id in line and "second run" in line for line in here.said)
    # Even had it come to evidence that passes, it would not count.
    second.terminated, second.state = False, "SUCCEEDED"
    here.leave(second)
    with pytest.raises(
        EvidenceError, match=f"does not count: run {ours.run_id} of the same attempt is older"
    ):
        here.follow(second.run_id)
    assert here.follow(ours.run_id) == found.model_copy(update={"claimed": None})


def test_a_commit_that_comes_too_late_but_counts_as_older_is_the_one_that_is_left(here):
    late(here, ahead=-60)
    with pytest.raises(EvidenceError) as caught:
        here.submit()
    ours, older = here.runs()
    assert f"run {ours.run_id} does not count: run {older.run_id}" in str(caught.value)
    assert f"jukebox follow {older.run_id}" in str(caught.value)
    assert not older.terminated
    assert here.follow(older.run_id).run_id == older.run_id


def test_a_run_that_lists_hide_is_found_when_the_verdict_is_near(here):
    """Its POST was answered by a reset, no list showed it in time, another POST followed."""
    here.dspa.list_lag = 10**6

    def show() -> None:
        for run in here.runs():
            run.hidden_lists = 0

    def strike(request):
        if request.kind == "create_run" and here.runs():
            here.dspa.clock_skew = 60
        return lost(request) or shows(request)

    lost, shows = nth("create_run", {1: Fault.reset(after=True)}), at_first("get_run", show)
    here.dspa.fault = strike
    with pytest.raises(EvidenceError, match="does not count"):
        here.submit()
    older, ours = here.runs()
    assert here.follow(older.run_id).run_id == older.run_id
    with pytest.raises(EvidenceError, match=f"run {older.run_id} of the same attempt is older"):
        here.follow(ours.run_id)


def test_lists_that_lag_hide_neither_the_run_that_was_answered_nor_the_one_that_was_lost(here):
    here.dspa.list_lag = 3
    assert here.submit().verdict.passed
    here.dspa.fault = nth("create_run", {1: Fault.reset(after=True)})
    assert here.submit(here.submission("another"), settle=ENOUGH).verdict.passed
    assert here.count("create_run") == len(here.runs()) == 2


def together(here: World, kind: str, times: int):
    """Make a `fault` that lets two submitters only make their n-th call of a kind at the same moment."""
    barrier, lock, seen = threading.Barrier(2), threading.Lock(), []

    def fault(request) -> None:
        if request.kind == kind:
            with lock:
                seen.append(request)
                mine = len(seen)
            if mine <= 2 * times:
                barrier.wait(20)

    return fault


def both(here: World, *submissions) -> list:
    """Submit twice at once."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda submission: outcome(lambda: here.submit(submission)), submissions))


def test_two_submitters_at_once_with_one_key_end_with_the_same_run(here):
    here.dspa.add_experiment("jukebox")
    # Neither sees a run before both have asked for one, and both look before either goes on.
    here.dspa.fault = together(here, "list_runs", times=2)
    first, second = both(here, here.submission(), here.submission())
    assert isinstance(first, RunOutcome), first
    assert first == second
    assert here.count("create_run") == len(here.runs()) == 2
    assert sorted(run.terminated for run in here.runs()) == [False, True]
    assert not here.dspa.runs[first.run_id].terminated
    assert min(here.runs(), key=lambda run: (run.created_at.replace(microsecond=0), run.run_id)).run_id == (
        first.run_id
    )


def test_of_two_submitters_the_one_that_looks_first_never_passes_with_a_run_that_does_not_count(here):
    """A POST that counts as older comes after our look; whoever made it has terminated ours."""
    younger = []

    def rival() -> None:
        older = here.begin(ahead=-60)
        (ours,) = (run for run in here.runs() if run.run_id != older.run_id)
        younger.append(ours)
        here.client().terminate(ours.run_id)

    here.dspa.fault = at_first("get_run", rival)
    with pytest.raises(EvidenceError, match=r"does not count: run .* of the same attempt is older"):
        here.submit()
    assert younger[0].terminated


def test_two_submitters_that_create_the_experiment_at_once_share_it(here):
    here.dspa.fault = together(here, "list_experiments", times=1)
    found = both(here, here.submission("one"), here.submission("two"))
    assert all(isinstance(one, RunOutcome) for one in found), found
    assert here.count("create_experiment") == 2
    assert len({run.experiment_id for run in here.runs()}) == 1
    assert [known.display_name for known in here.dspa.experiments.values()] == ["Default", "jukebox"]


def test_an_experiment_that_is_taken_but_never_shows_is_waited_for_in_bounds(here):
    here.dspa.fault = lambda request: Fault.json({}) if request.kind == "list_experiments" else None
    here.dspa.add_experiment("jukebox")
    with pytest.raises(Unavailable, match="the experiment jukebox exists, but is not listed"):
        here.submit()
    assert here.count("create_run") == 0


def test_an_experiment_that_differs_in_case_is_told_at_once(here):
    here.dspa.add_experiment("Jukebox")
    with pytest.raises(UsageError, match="--experiment jukebox: the DSPA has Jukebox and ignores case"):
        here.submit()
    assert (here.count("create_experiment"), here.count("create_run")) == (0, 0)


def test_an_experiment_that_is_archived_is_told_and_used(here):
    here.dspa.add_experiment("jukebox").storage_state = "ARCHIVED"
    here.submit()
    assert any("the experiment jukebox is archived" in line for line in here.said)


def test_a_missing_right_to_create_runs_is_told_with_the_rule_and_in_bounds(here):
    here.dspa.forbidden = lambda request: request.kind == "create_run"
    with pytest.raises(Refused) as caught:
        here.submit()
    assert caught.value.exit_code == 30
    assert "datasciencepipelinesapplications/api" in str(caught.value)
    assert "verbs get and create" in str(caught.value)
    assert "after 3 POSTs" in str(caught.value)
    assert here.count("create_run") == 3
    assert here.runs() == []


def test_a_missing_right_to_create_experiments_is_told_with_the_rule_and_in_bounds(here):
    here.dspa.forbidden = lambda request: request.method == "POST"
    with pytest.raises(Refused, match="datasciencepipelinesapplications/api"):
        here.submit()
    assert here.count("create_run") == 0


def test_a_run_that_the_server_rejects_is_not_asked_for_again(here):
    with pytest.raises(Rejected, match=r"HTTP 400.*not required by pipeline: colour") as caught:
        here.submit(here.submission(colour="red"))
    assert caught.value.exit_code == 30
    assert here.count("create_run") == 1
    assert here.runs() == []


@pytest.mark.parametrize("name", ["commit", "image", "seed", "policy", "champion", "store_uri"])
def test_a_server_that_tells_of_other_parameters_than_were_asked_for_is_not_believed(here, name):
    def begin_another(run):
        run.parameters[name] = "another"
        return Script()

    here.dspa.script = begin_another
    with pytest.raises(EvidenceError, match=r"already has run|another model was in production"):
        here.submit(here.submission(seed=7))


@pytest.mark.parametrize("adopted", [True, False], ids=["adopted", "created"])
@pytest.mark.parametrize("name", ["nonce", "evidence_uri"])
def test_a_run_whose_record_says_another_nonce_or_place_is_not_believed(here, name, adopted):
    other = {"nonce": "0" * 32, "evidence_uri": f"{here.home}/elsewhere/{{run_id}}.json"}[name]
    if adopted:
        here.begin(here.submission(**{name: other}))
    else:
        here.dspa.on_finish = lambda run: (run.parameters.update({name: other}), here.leave(run))
    with pytest.raises(EvidenceError):
        here.submit()


@pytest.mark.parametrize("name", ["commit", "data_version", "model_version", "store_uri"])
def test_a_run_whose_record_changes_on_the_way_is_not_believed(here, name):
    other = str(here.home / "elsewhere") if name == "store_uri" else "another"
    here.dspa.on_finish = lambda run: (run.parameters.update({name: other}), here.leave(run))
    with pytest.raises(EvidenceError):
        here.submit()


def test_a_seed_that_the_wire_cannot_carry_leaves_no_run_behind(here):
    with pytest.raises(EvidenceError, match="seed"):
        here.submit(here.submission(seed=2**53 + 1))
    assert all(run.terminated for run in here.dspa.live_runs())


def test_a_run_that_another_submitter_has_made_meanwhile_is_left_alone(here):
    here.dspa.list_lag = 1
    here.begin(here.submission(seed=8))
    here.dspa.list_lag = 0
    (other,) = here.dspa.runs.values()
    other.created_at -= datetime.timedelta(hours=1)
    with pytest.raises(EvidenceError, match="already has run"):
        here.submit(here.submission(seed=7))
    (own,) = [run for run in here.dspa.runs.values() if run is not other]
    assert (other.terminated, own.terminated) == (False, True)


def as_another(run, what: str) -> None:
    """Make a run one that nobody asked for, under the same name and with the same parameters."""
    container = run.pipeline_spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    platform = run.platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    if what == "image":
        container["image"] = OTHER_IMAGE
    elif what == "command":
        container["command"][-1] += "\nimport os"
    elif what == "secret":
        platform["exec-train"]["secretAsEnv"] = [{"secretName": "jukebox-promotion", "keyToEnv": []}]
    elif what == "step":
        tasks = run.pipeline_spec["root"]["dag"]["tasks"]
        tasks["another"] = tasks["train"]
    elif what == "cache":
        run.pipeline_spec["root"]["dag"]["tasks"]["gate"]["cachingOptions"] = {"enableCache": 1}
    elif what == "platform":
        run.platform_spec = {}
    elif what == "reference":
        run.reference = {"pipeline_id": "1", "pipeline_version_id": "2"}
    elif what == "account":
        run.service_account = "admin"
    else:
        run.pipeline_root = "s3://elsewhere"


STEP = "pipeline_spec.deploymentSpec.executors.exec-train.container"
ANOTHER = {
    "image": f"pipeline .it differs at {STEP}.image.",
    "command": f"pipeline .it differs at {STEP}.command.",
    "secret": r"pipeline .it differs at platform_spec.*\.exec-train\.secretAsEnv.",
    "step": "pipeline .it differs at pipeline_spec.root.dag.tasks.another.",
    "cache": r"pipeline .it differs at .*\.gate\.cachingOptions\.enableCache.",
    "platform": "pipeline .it differs at ",
    "reference": "pipeline .the answer does not contain it",
    "account": "runs as the service account admin, not as pipeline-runner-dspa",
    "root": "artifacts go to s3://elsewhere",
}


@pytest.mark.parametrize("what", ANOTHER)
def test_a_planted_run_with_our_name_and_parameters_is_refused(here, what):
    run = here.begin()
    as_another(here.dspa.runs[run.run_id], what)
    refused(here, here.submission(), f"run {run.run_id} is not what was submitted: it.* {ANOTHER[what]}")


@pytest.mark.parametrize("what", sampled(ANOTHER, ["image", "account"]))
def test_a_run_of_ours_that_comes_back_as_another_is_terminated(here, what):
    def begin_another(run):
        as_another(run, what)
        return Script()

    here.dspa.script = begin_another
    with pytest.raises(EvidenceError, match="is not what was submitted") as caught:
        here.submit()
    assert "\n" not in str(caught.value)
    (run,) = here.runs()
    assert run.terminated


@pytest.mark.parametrize("what", sampled(ANOTHER, ["image", "root"]))
def test_a_run_that_becomes_another_on_the_way_is_not_believed(here, what):
    here.dspa.on_finish = lambda run: (as_another(run, what), here.leave(run))
    with pytest.raises(EvidenceError, match=f"has changed: it.* {ANOTHER[what]}"):
        here.submit()


def test_a_run_in_another_experiment_than_asked_for_is_refused(here):
    moved = here.dspa.add_experiment("another").experiment_id

    def begin_elsewhere(run):
        run.experiment_id = moved
        return Script()

    here.dspa.script = begin_elsewhere
    with pytest.raises(EvidenceError, match=f"it is in another experiment, {moved}"):
        here.submit()
    assert here.runs()[0].terminated


def test_an_account_that_the_policy_names_is_one_that_a_run_may_have(here):
    run = here.begin()
    here.dspa.runs[run.run_id].service_account = "trainer"
    allowed = here.submission().model_copy(update={"service_accounts": ("trainer",)})
    assert here.submit(allowed).run_id == run.run_id


def test_a_number_is_the_same_however_a_server_writes_it_and_a_boolean_is_none(here):
    """A Struct holds doubles: 128.0 of the IR comes back as 128."""
    submission = here.submission(epochs=3, learning_rate=1.0)
    parameters = submission.pipeline.spec["root"]["inputDefinitions"]["parameters"]
    assert repr(parameters["epochs"]["defaultValue"]) == "300.0"
    here.submit(submission)
    (run,) = here.runs()
    shown = run.pipeline_spec["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"]
    assert repr(shown) == "300"
    run.parameters = {**run.parameters, "epochs": 3.0, "learning_rate": 1}
    assert here.submit(submission).run_id == run.run_id
    run.parameters["dirty"] = 0
    refused(here, submission, "with another dirty")
