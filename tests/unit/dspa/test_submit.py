"""One attempt, one run: whatever is lost on the way, and whoever else submits at the same moment."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from dspa_server import Fault, Script
from reports import STRICT
from submissions import OTHER_IMAGE, World, at_first, nth, outcome, pipeline

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.outcome import RunOutcome

ENOUGH = 6.0
"""Seconds of settling in which an existing run is certainly listed."""


def two_runs(here: World) -> list:
    """Start two runs of the attempt, the older first."""
    return [here.dspa.runs[here.begin(ahead=ahead).run_id] for ahead in (-60, 0)]


# The usual way.


def test_it_looks_before_the_post_and_again_afterwards(here):
    submission = here.submission(epochs=3, learning_rate=0.01, dirty=True)
    passed = here.submit(submission)
    kinds = here.kinds()
    experiments = ["list_experiments", "create_experiment"]
    assert kinds[:6] == ["healthz", *experiments, "list_runs", "create_run", "list_runs"]
    assert (set(kinds[6:-1]), kinds[-1]) == ({"get_run"}, "list_runs")
    (run,) = here.runs()
    assert (run.run_id, run.display_name) == (passed.run_id, submission.name)
    assert run.parameters == submission.parameters
    assert run.pipeline_spec["root"] == submission.pipeline.spec["root"]
    assert run.platform_spec == submission.pipeline.platform
    assert here.dspa.experiments[run.experiment_id].display_name == "jukebox"
    commit = submission.parameters["commit"]
    assert len(commit) == 40
    told = f"note: the code differs from commit {commit[:12]}: the work tree has changes"
    assert here.said[1].startswith(told)


def test_a_second_submission_adopts_a_run_that_has_ended(here):
    first = here.submit()
    place_of_policy(here).write_text(STRICT)  # which an adopted run does not need any more
    assert here.submit() == first
    assert here.count("create_run") == here.count("create_experiment") == 1
    assert any("adopted" in line for line in here.said)


def test_a_second_submission_adopts_a_run_that_is_running(here):
    here.dspa.script = Script(never_ends=True)
    with pytest.raises(PlatformError, match="left running"):
        here.submit(deadline=1, leave_running=True)
    (run,) = here.runs()
    assert (run.state, here.count("terminate")) == ("RUNNING", 0)
    run.script = Script()
    assert here.submit().run_id == run.run_id
    assert here.count("create_run") == 1


def test_another_attempt_or_experiment_is_another_run(here):
    submissions = here.submission("one"), here.submission("two")
    elsewhere = submissions[0].model_copy(update={"experiment": "another"})
    assert len({here.submit(one).run_id for one in (*submissions, elsewhere)}) == len(here.runs()) == 3


def test_an_attempt_whose_run_the_server_has_deleted_is_refused(here):
    first = here.submit()
    del here.dspa.runs[first.run_id]
    message = f"had run {first.run_id}, which the DSPA has deleted; .*: use another --attempt"
    here.refuses(here.submission(), message)


@pytest.mark.parametrize("name", ["notes.txt", "a/b.json", "..json", "x" * 200 + ".json"])
def test_a_file_that_is_no_runs_evidence_does_not_stop_an_attempt(here, name):
    file = Path(here.submission().parameters["evidence_uri"]).parent / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert here.submit().verdict.passed


def place_of_policy(here: World) -> Path:
    return Path(here.submission().parameters["evidence_uri"]).with_name("policy.yaml")


def test_the_policy_is_in_its_place_before_the_post(here):
    seen = []
    here.dspa.fault = at_first("create_run", lambda: seen.append(place_of_policy(here).read_bytes()))
    here.submit()
    (run,) = here.runs()
    assert [digest(data) for data in seen] == [run.parameters["policy"]]


def test_another_policy_in_its_place_is_refused_before_the_post(here):
    place_of_policy(here).parent.mkdir(parents=True)
    place_of_policy(here).write_text(STRICT)
    here.refuses(here.submission(), r"/policy.yaml is not the policy that was left there")


# The run of the attempt that exists already.


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        *(
            ({name: value}, name)
            for name, value in {
                "commit": "0" * 40,
                "dirty": True,
                "data_version": "0000000000000000",
                "policy": STRICT,
                "model_name": "another",
                "store_uri": "/somewhere/else",
                "image": OTHER_IMAGE,
            }.items()
        ),
        ({"epochs": 5}, "hyperparameters.epochs"),
        ({"table_uris": {"rankings": "s3://x", "songs": "sample:"}}, "table_uris.rankings"),
        (
            {"commit": "0" * 40, "seed": 1, "epochs": 3},
            "commit, hyperparameters.epochs, hyperparameters.seed",
        ),
    ],
)
def test_the_same_attempt_with_something_else_is_refused_and_it_is_named(here, changes, named):
    run = here.begin()
    message = f"already has run {run.run_id}, with another {named}: use another --attempt"
    here.refuses(here.submission(**changes), message)


def test_the_same_attempt_with_another_pipeline_or_champion_is_refused(here):
    run = here.begin()
    other = pipeline().model_copy(update={"digest": digest(b"another pipeline")})
    same = here.submission().model_copy(update={"pipeline": other})
    here.refuses(same, f"{run.run_id}, with another pipeline or image: use another --attempt")
    changed = here.submission(champion="c" * 64)
    here.refuses(changed, f"run {run.run_id} of this attempt started when another model was in production")


@pytest.mark.parametrize(
    ("first", "second"), [("PENDING", "PENDING"), ("PENDING", "SUCCEEDED"), ("FAILED", "PENDING")]
)
def test_several_runs_that_may_pass_are_refused_and_all_named(here, first, second):
    older, younger = two_runs(here)
    older.state, younger.state = first, second
    names = rf"this attempt has 2 runs: {older.run_id} \({first}\), {younger.run_id} \({second}\); none"
    here.refuses(here.submission(), names)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "CANCELING", "SKIPPED"])
def test_the_oldest_run_is_adopted_if_no_younger_one_can_pass(here, state):
    first, second = two_runs(here)
    second.state = here.dspa.runs[here.begin(ahead=60).run_id].state = state
    assert here.submit().run_id == first.run_id
    assert here.count("create_run") == 3


# POSTs whose answer is lost.


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault.reset(after=True), Fault.close(after=True), Fault.gateway_timeout(), Fault.truncated()),
        *(Fault.status(503, "", after=True), Fault.status(200, "null", "application/json", after=True)),
        *(Fault.json({}, after=True), Fault.json({"display_name": "another"}, after=True)),
    ],
    ids=["reset", "close", "504", "truncated", "503", "null", "nothing", "another"],
)
def test_a_run_whose_answer_was_lost_is_looked_up_and_not_posted_again(here, fault):
    here.dspa.fault = nth("create_run", {1: fault})
    passed = here.submit(settle=ENOUGH)
    assert [run.run_id for run in here.runs()] == [passed.run_id]
    assert here.count("create_run") == 1


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.close(), Fault.gateway_timeout(after=False), Fault.busy(503), Fault.unauthorized()],
    ids=["reset", "close", "504", "503", "401"],
)
def test_a_run_that_never_started_is_looked_up_and_then_posted_again(here, fault):
    here.dspa.fault = nth("create_run", {1: fault})
    passed = here.submit()
    assert [run.run_id for run in here.runs()] == [passed.run_id]
    kinds = here.kinds()
    first = kinds.index("create_run")
    between = kinds[first + 1 : kinds.index("create_run", first + 1)]
    assert (set(between), here.count("create_run")) == ({"list_runs"}, 2)


def test_posts_without_an_answer_are_bounded(here):
    here.dspa.fault = nth("create_run", dict.fromkeys(range(1, 99), Fault.reset()))
    with pytest.raises(Unavailable, match="after 3 POSTs there is no run jukebox ") as caught:
        here.submit()
    assert (caught.value.exit_code, here.count("create_run"), here.runs()) == (30, 3, [])


def test_a_missing_right_is_reported_with_the_rule_after_bounded_posts(here):
    here.dspa.forbidden = lambda request: request.kind == "create_run"
    rule = "verbs get and create.*datasciencepipelinesapplications/api.*after 3 POSTs"
    with pytest.raises(Refused, match=rule) as caught:
        here.submit()
    assert (caught.value.exit_code, here.count("create_run"), here.runs()) == (30, 3, [])
    here.dspa.experiments.clear()
    here.dspa.forbidden = lambda request: request.method == "POST"
    with pytest.raises(Refused, match="datasciencepipelinesapplications/api"):
        here.submit()
    assert here.count("create_run") == 3


def test_a_rejected_run_is_not_posted_again(here):
    with pytest.raises(Rejected, match=r"HTTP 400.*not required by pipeline: colour") as caught:
        here.submit(here.submission(colour="red"))
    assert (caught.value.exit_code, here.count("create_run"), here.runs()) == (30, 1, [])


def late(here: World, ahead: float) -> None:
    """Lose the first POST, and commit it when the run of the second is being followed."""

    def commit() -> None:
        first = next(request for request in here.dspa.requests if request.kind == "create_run")
        here.dspa.clock_skew = ahead
        requests.post(f"{here.dspa.url}/apis/v2beta1/runs", data=first.body, timeout=20).raise_for_status()
        here.dspa.clock_skew = 0

    lost = nth("create_run", {1: Fault.gateway_timeout(after=False)})
    commits = at_first("get_run", commit)
    here.dspa.fault = lambda request: lost(request) or commits(request)


def test_a_younger_run_of_a_late_commit_is_terminated_and_never_counts(here):
    late(here, ahead=60)
    passed = here.submit()
    ours, second = here.runs()
    assert (passed.run_id, ours.state, second.terminated) == (ours.run_id, "SUCCEEDED", True)
    assert any(second.run_id in line and "second run" in line for line in here.said)
    # Even if it had evidence that passes.
    second.terminated, second.state = False, "SUCCEEDED"
    here.leave(second)
    older = f"does not count: run {ours.run_id} of the same attempt is older"
    with pytest.raises(EvidenceError, match=older):
        here.follow(second.run_id)
    assert here.follow(ours.run_id) == passed.model_copy(update={"claimed": None})


def test_an_older_run_of_a_late_commit_is_the_one_that_is_kept(here):
    late(here, ahead=-60)
    with pytest.raises(EvidenceError) as caught:
        here.submit()
    ours, older = here.runs()
    assert f"run {ours.run_id} does not count: run {older.run_id}" in str(caught.value)
    assert f"jukebox follow {older.run_id}" in str(caught.value)
    assert (older.terminated, here.follow(older.run_id).run_id) == (False, older.run_id)


def test_an_older_run_that_lists_hide_until_the_verdict_is_found_then(here):
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


def test_a_list_that_never_shows_our_run_lets_none_count(here):
    here.dspa.list_lag = 10**6
    here.ends_in(PlatformError, "the list of runs lacks .* no run counts")


def test_lists_that_lag_hide_neither_an_answered_run_nor_a_lost_one(here):
    here.dspa.list_lag = 3
    assert here.submit().verdict.passed
    here.dspa.fault = nth("create_run", {1: Fault.reset(after=True)})
    assert here.submit(here.submission("another"), settle=ENOUGH).verdict.passed
    assert here.count("create_run") == len(here.runs()) == 2


# Several submitters.


def together(kind: str, times: int):
    """Make a `fault` that lets two submitters make their n-th call of a kind at the same moment only."""
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
    # Neither sees a run before both have posted, and both look before either goes on.
    here.dspa.fault = together("list_runs", times=2)
    first, second = both(here, here.submission(), here.submission())
    assert isinstance(first, RunOutcome), first
    assert first == second
    assert here.count("create_run") == len(here.runs()) == 2
    assert sorted(run.terminated for run in here.runs()) == [False, True]
    assert not here.dspa.runs[first.run_id].terminated
    oldest = min(here.runs(), key=lambda run: (run.created_at.replace(microsecond=0), run.run_id))
    assert oldest.run_id == first.run_id


def test_a_submitter_never_passes_with_a_run_that_another_has_terminated(here):
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


def test_a_run_that_another_submitter_has_made_meanwhile_is_not_terminated(here):
    here.dspa.list_lag = 1
    here.begin(here.submission(seed=8))
    here.dspa.list_lag = 0
    (other,) = here.runs()
    other.created_at -= datetime.timedelta(hours=1)
    with pytest.raises(EvidenceError, match="already has run"):
        here.submit(here.submission(seed=7))
    (own,) = [run for run in here.runs() if run is not other]
    assert (other.terminated, own.terminated) == (False, True)


def test_two_submitters_that_create_the_experiment_at_once_share_it(here):
    here.dspa.fault = together("list_experiments", times=1)
    ended = both(here, here.submission("one"), here.submission("two"))
    assert all(isinstance(one, RunOutcome) for one in ended), ended
    assert here.count("create_experiment") == 2
    assert len({run.experiment_id for run in here.runs()}) == 1
    assert [known.display_name for known in here.dspa.experiments.values()] == ["Default", "jukebox"]


def test_an_experiment_that_exists_but_is_never_listed_is_an_error(here):
    here.dspa.fault = lambda request: Fault.json({}) if request.kind == "list_experiments" else None
    here.dspa.add_experiment("jukebox")
    with pytest.raises(Unavailable, match="the experiment jukebox exists, but is not listed"):
        here.submit()
    assert here.count("create_run") == 0


def test_an_experiment_that_differs_in_case_is_refused_at_once(here):
    here.dspa.add_experiment("Jukebox")
    with pytest.raises(UsageError, match="--experiment jukebox: the DSPA has Jukebox and ignores case"):
        here.submit()
    assert (here.count("create_experiment"), here.count("create_run")) == (0, 0)


def test_an_archived_experiment_is_used_with_a_note(here):
    here.dspa.add_experiment("jukebox").storage_state = "ARCHIVED"
    here.submit()
    assert any("the experiment jukebox is archived" in line for line in here.said)
