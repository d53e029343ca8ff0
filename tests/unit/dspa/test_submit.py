"""One attempt, one run: whatever is lost on the way, and whoever else submits at the same moment."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from dspa_server import Fault, Script
from reports import STRICT
from submissions import OTHER_IMAGE, World, nth, pipeline

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.timeouts import DeadlineOver

OTHERS = {
    "commit": "0" * 40,
    "dirty": True,
    "policy": STRICT,
    "store_uri": "/elsewhere",
    "image": OTHER_IMAGE,
}
ENOUGH = 6.0
"""Seconds of settling in which an existing run is certainly listed."""


def two_runs(here: World) -> list:
    """Start two runs of the attempt, the older first."""
    return [here.dspa.runs[here.begin(ahead=ahead).run_id] for ahead in (-60, 0)]


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
    assert run.platform_spec == submission.pipeline.platform
    assert here.dspa.experiments[run.experiment_id].display_name == "jukebox"
    told = f"note: the code differs from commit {submission.parameters['commit'][:12]}: the work tree has"
    assert here.said[1].startswith(told)


def place_of_policy(here: World, attempt: str = "attempt-1") -> Path:
    return Path(here.submission(attempt).parameters["evidence_uri"]).with_name("policy.yaml")


def test_a_second_submission_adopts_a_run_that_has_ended(here):
    first = here.submit()
    place_of_policy(here).write_text(STRICT)  # which an adopted run does not need any more
    assert here.submit() == first
    assert here.count("create_run") == here.count("create_experiment") == 1
    assert any("adopted" in line for line in here.said)


def test_a_second_submission_adopts_a_run_that_is_running(here):
    here.dspa.script = Script(never_ends=True)
    here.ends_in(DeadlineOver, "left running", expires="RUNNING", leave_running=True)
    (run,) = here.runs()
    assert (run.state, here.count("terminate")) == ("RUNNING", 0)
    run.script = Script()
    assert here.submit().run_id == run.run_id
    assert here.count("create_run") == 1


def test_another_attempt_or_experiment_is_another_run_and_an_archived_one_is_noted(here):
    here.dspa.add_experiment("another").storage_state = "ARCHIVED"
    submissions = here.submission("one"), here.submission("two")
    elsewhere = submissions[0].model_copy(update={"experiment": "another"})
    assert len({here.submit(one).run_id for one in (*submissions, elsewhere)}) == len(here.runs()) == 3
    assert len([line for line in here.said if "the experiment another is archived" in line]) == 1


def test_an_attempt_whose_run_the_server_has_deleted_is_refused(here):
    first = here.submit()
    del here.dspa.runs[first.run_id]
    message = f"had run {first.run_id}, which the DSPA has deleted; .*: use another --attempt"
    here.refuses(here.submission(), message)


@pytest.mark.parametrize("name", ["notes.txt", "a/b.json", "..json", "x" * 200 + ".json"])
def test_a_file_that_is_no_runs_evidence_does_not_stop_an_attempt(here, name):
    file = place_of_policy(here).parent / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert here.submit().verdict.passed


def test_the_policy_is_in_its_place_before_the_post_and_another_one_is_refused(here):
    seen = []
    here.dspa.fault = nth("create_run", {1: lambda: seen.append(place_of_policy(here, "one").read_bytes())})
    here.submit(here.submission("one"))
    assert [digest(data) for data in seen] == [here.runs()[0].parameters["policy"]]
    place_of_policy(here).parent.mkdir(parents=True)
    place_of_policy(here).write_text(STRICT)
    here.refuses(here.submission(), r"/policy.yaml is not the policy that was left there")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        *(({name: value}, name) for name, value in OTHERS.items()),
        ({"nonce": "another"}, "nonce"),
        ({"evidence_uri": "/elsewhere/{run_id}.json"}, "evidence_uri, nonce"),
        ({"table_uris": {"rankings": "s3://x", "songs": "sample:"}}, "table_uris.rankings"),
        ({"dirty": True, "seed": 1, "epochs": 3}, "dirty, hyperparameters.epochs, hyperparameters.seed"),
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


def test_the_oldest_run_is_adopted_if_no_younger_one_can_pass(here):
    runs = [*two_runs(here), *(here.dspa.runs[here.begin(ahead=60).run_id] for _ in range(3))]
    for run, state in zip(runs[1:], ("FAILED", "CANCELED", "CANCELING", "SKIPPED"), strict=True):
        run.state = state
    assert here.submit().run_id == runs[0].run_id
    assert here.count("create_run") == 5


LOST = {
    **{"reset": Fault.reset(after=True), "504": Fault.gateway_timeout(), "truncated": Fault.truncated()},
    **{"nothing": Fault.json({}, after=True), "login": Fault.status(200, "<html>", after=True)},
    "another": Fault.json({"display_name": "another"}, after=True),
}
NEVER = {
    **{"no run, reset": Fault.reset(), "no run, 504": Fault.gateway_timeout(after=False)},
    **{"no run, 503": Fault.busy(503), "no run, 401": Fault.unauthorized()},
}


@pytest.mark.parametrize("what", [*LOST, *NEVER])
def test_a_run_whose_answer_was_lost_is_looked_up_and_posted_again_only_if_it_never_started(here, what):
    here.dspa.fault = nth("create_run", {1: {**LOST, **NEVER}[what]})
    passed = here.submit(settle=ENOUGH if what in LOST else 0.2)
    assert [run.run_id for run in here.runs()] == [passed.run_id]
    assert here.count("create_run") == (1 if what in LOST else 2)
    assert here.kinds()[here.kinds().index("create_run") + 1] == "list_runs"


def test_a_post_that_was_refused_had_no_effect_and_is_sent_again_after_one_look_up(here):
    here.dspa.fault = nth("create_run", {1: Fault.unauthorized()})
    here.submit(settle=0.2)
    first, second = (index for index, kind in enumerate(here.kinds()) if kind == "create_run")
    assert here.kinds()[first:second].count("list_runs") == 1


@pytest.mark.parametrize(
    ("fault", "changes", "posts", "error", "message"),
    [
        (Fault.reset(), {}, 3, Unavailable, "after 3 POSTs there is no run jukebox "),
        (Fault.forbidden(), {}, 3, Refused, "verbs get and create.*applications/api.*3 POSTs"),
        (None, {"colour": "red"}, 1, Rejected, r"HTTP 400.*not required by pipeline: colour"),
    ],
)
def test_posts_that_start_no_run_are_bounded(here, fault, changes, posts, error, message):
    here.dspa.fault = lambda request: fault if request.kind == "create_run" else None
    with pytest.raises(error, match=message):
        here.submit(here.submission(**changes))
    assert (here.count("create_run"), here.runs()) == (posts, [])


def test_a_token_that_is_refused_at_the_beginning_is_an_error_at_once(here):
    here.dspa.tokens = set()
    with pytest.raises(Refused, match="the token is not accepted"):
        here.submit(refused=9)
    assert here.kinds() == ["healthz"]


def late(here: World, ahead: float) -> None:
    """Lose the first POST, and commit it when the run of the second is being followed."""

    def commit() -> None:
        first = next(request for request in here.dspa.requests if request.kind == "create_run")
        here.dspa.clock_skew = ahead
        requests.post(f"{here.dspa.url}/apis/v2beta1/runs", data=first.body, timeout=20).raise_for_status()
        here.dspa.clock_skew = 0

    lost, commits = nth("create_run", {1: Fault.gateway_timeout(after=False)}), nth("get_run", {1: commit})
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


def test_a_list_that_never_shows_our_run_lets_none_count(here):
    here.dspa.list_lag = 10**6
    here.ends_in(PlatformError, "the list of runs lacks .* no run counts")


def test_lists_that_lag_hide_neither_an_answered_run_nor_a_lost_one(here):
    here.dspa.list_lag = 3
    assert here.submit().verdict.passed
    here.dspa.fault = nth("create_run", {1: Fault.reset(after=True)})
    assert here.submit(here.submission("another"), settle=ENOUGH).verdict.passed
    assert here.count("create_run") == len(here.runs()) == 2


def together(kind: str, times: int):
    """Make a `fault` that lets two submitters make their n-th call of a kind at the same moment only."""
    barrier = threading.Barrier(2)
    return nth(kind, dict.fromkeys(range(1, 2 * times + 1), lambda: barrier.wait(20)))


def both(here: World, *submissions) -> list:
    """Submit twice at once."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(here.submit, submissions))


def test_two_submitters_at_once_with_one_key_end_with_the_same_run(here):
    here.dspa.add_experiment("jukebox")
    # Neither sees a run before both have posted, and both look before either goes on.
    here.dspa.fault = together("list_runs", times=2)
    first, second = both(here, here.submission(), here.submission())
    assert first == second
    assert here.count("create_run") == len(here.runs()) == 2
    assert sorted(run.terminated for run in here.runs()) == [False, True]
    oldest = min(here.runs(), key=lambda run: (run.created_at.replace(microsecond=0), run.run_id))
    assert (oldest.run_id, oldest.terminated) == (first.run_id, False)


@pytest.mark.parametrize(("ahead", "why"), [(-60, "is older"), (60, "has replaced this cancelled one")])
def test_a_submitter_never_passes_with_a_run_that_another_has_terminated(here, ahead, why):
    def rival() -> None:
        (ours,) = here.runs()
        here.begin(ahead=ahead)
        here.client().terminate(ours.run_id)

    here.dspa.fault = nth("get_run", {1: rival})
    with pytest.raises(EvidenceError, match=f"does not count: run .* of the same attempt {why}"):
        here.submit()
    assert [run.terminated for run in here.runs()] == [True, False]


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
    assert all(one.verdict.passed for one in both(here, here.submission("one"), here.submission("two")))
    assert here.count("create_experiment") == 2
    assert len({run.experiment_id for run in here.runs()}) == 1
    assert [known.display_name for known in here.dspa.experiments.values()] == ["Default", "jukebox"]


def test_an_experiment_that_is_not_listed_or_differs_in_case_is_an_error(here):
    here.dspa.add_experiment("Jukebox")
    with pytest.raises(UsageError, match="--experiment jukebox: the DSPA has Jukebox and ignores case"):
        here.submit()
    assert here.count("create_experiment") == 0
    here.dspa.fault = lambda request: Fault.json({}) if request.kind == "list_experiments" else None
    here.dspa.add_experiment("jukebox")
    with pytest.raises(Unavailable, match="the experiment jukebox exists, but is not listed"):
        here.submit()
    assert here.count("create_run") == 0
