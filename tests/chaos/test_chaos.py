"""Seeded schedules of faults, and submitters that break an invariant, which is detected.

JUKEBOX_CHAOS is the number of schedules (`make chaos` takes 5,000), JUKEBOX_CHAOS_FIRST the first seed.
"""

import collections
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from dspa_server import Fault, Script
from tiers import SLOW

from chaos.invariants import violations
from chaos.schedules import FAULTS, LEAVINGS, Schedule, schedule
from chaos.world import TOKENS, live_through
from ml.core.errors import EvidenceError
from ml.dspa import run, session, submit, transport
from ml.dspa.failures import Unavailable
from ml.dspa.outcome import RunOutcome

FIRST = int(os.environ.get("JUKEBOX_CHAOS_FIRST", "0"))
SCHEDULES, BATCH = int(os.environ.get("JUKEBOX_CHAOS", "500")), 50


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    """Shorten the pauses that are constants, and silence the library that logs every fault."""
    monkeypatch.setattr(session, "FIRST", 0.01)
    again = transport.AGAIN.new(backoff_factor=0.005, backoff_jitter=0)
    monkeypatch.setattr(transport, "AGAIN", again)
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "disabled", True)


def outcome_of(seed: int) -> tuple[str, list[str]]:
    """Run a schedule, and return how its last submitter ended and what does not hold."""
    try:
        world = live_through(schedule(seed))
        return world.outcomes[-1].name, violations(world)
    except Exception as error:
        return "double failed", [f"seed {seed}: the double: {error!r}"]


def assert_all_hold(seeds: range) -> None:
    # Most of the time of a schedule is waiting: several run at once.
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(outcome_of, seeds))
    assert [text for _, wrong in results for text in wrong] == []
    ends = collections.Counter(name for name, _ in results)
    print(f"{len(seeds)} schedules: {dict(ends)}")
    # Without a verdict the schedules would say nothing about passes.
    assert ends["pass"] or len(seeds) < 20, ends


def test_invariants_hold_in_a_few_schedules():
    assert_all_hold(range(24))


@SLOW
@pytest.mark.parametrize("start", range(FIRST, FIRST + SCHEDULES, BATCH))
def test_invariants_hold_whatever_goes_wrong(start):
    assert_all_hold(range(start, min(start + BATCH, FIRST + SCHEDULES)))


def test_the_schedules_have_everything_in_them():
    plans = list(map(schedule, range(500)))
    struck = {name for plan in plans for name, _ in (*plan.faults.values(), *plan.posts.values())}
    assert (struck, {plan.leaves for plan in plans}) == (set(FAULTS), set(LEAVINGS))
    assert {plan.script.final for plan in plans} == {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
    for trait in ("list_lag", "twins", "deaths", "interrupted", "token_expires"):
        assert sum(bool(getattr(plan, trait)) for plan in plans) >= 20, trait
    assert any(plan.script.never_ends for plan in plans)
    assert any(plan.script.vanish_after for plan in plans)
    assert sum(plan.deadline < 6 for plan in plans) >= 20
    # A kill when the POST was committed.
    assert sum(0 in plan.deaths.values() for plan in plans) >= 20


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (
            {"interrupted": 1, "faults": dict.fromkeys(range(7, 99), ("403", Fault.forbidden()))},
            "could not be terminated",
        ),
        (
            {"deadline": 1.0, "posts": dict.fromkeys(range(1, 9), ("hang", Fault.hang(1)))},
            "a run( was requested and has not appeared| named .* may still be running)",
        ),
    ],
)
def test_a_stopped_submitter_says_what_it_does_not_know(plan, told):
    plan = Schedule(script=Script(never_ends=True), **plan)
    world = live_through(plan)
    assert (bool(re.search(told, world.outcomes[0].message)), violations(world)) == (True, []), world.outcomes
    assert world.outcomes[0].name in ("RunFailed", "DeadlineOver")


# Submitters that break an invariant.


def said(**changes) -> str:
    """Live through a schedule in which only the given goes wrong, and return what does not hold."""
    return "; ".join(violations(live_through(Schedule(**changes))))


def post_blindly(session, experiment, submission, trace):
    """Post, and post again if no answer comes: what `submit_once` avoids."""
    while True:
        try:
            trace.run = session.client.create_run(submission.body(experiment.experiment_id))
            return trace.run
        except Unavailable:
            continue


@pytest.fixture
def blind(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    for module in (run, submit):
        monkeypatch.setattr(module, "keep_one", lambda session, experiment_id, key, known: known[0])


def test_without_faults_a_run_passes():
    world = live_through(Schedule())
    assert ([outcome.name for outcome in world.outcomes], violations(world)) == (["pass"], [])


def test_a_blind_second_post_is_detected(blind):
    # Of two runs of one second the ids decide which is older: in some worlds it is the second.
    texts = [said(posts={1: ("reset after", Fault.reset(after=True))}) for _ in range(12)]
    assert any("is not the oldest" in text or "continue after the verdict" in text for text in texts)


def test_two_runs_that_count_are_detected(blind):
    assert "two runs count" in said(twins=True)


def test_a_second_post_in_the_next_life_is_detected(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    text = said(leaves="missing", lives=2)
    assert "posted a run although one existed" in text
    assert "several runs without a reason" in text


@pytest.mark.parametrize("leaves", ["missing", "lying", "candidate tampered"])
def test_a_state_believed_without_its_evidence_is_detected(monkeypatch, leaves):
    def believe(session, ended, parameters, policy_text):
        known = {"run_id": ended.run_id, "run": ended.display_name, "state": ended.state}
        return RunOutcome(**known, link="", evidence="", candidate="c")

    monkeypatch.setattr(run, "conclude", believe)
    assert f"passed, but {leaves}" in said(leaves=leaves)


@pytest.mark.parametrize(
    ("error", "detected"),
    [
        (EvidenceError("None"), "no cause in one line"),
        (KeyError("x"), "not a failure that is documented: crash"),
        (EvidenceError(f"a line with {TOKENS[0]}"), "the token is printed"),
    ],
)
def test_a_failure_without_a_cause_or_of_another_kind_or_with_the_token_is_detected(
    monkeypatch, error, detected
):
    def fail(*_):
        raise error

    monkeypatch.setattr(run, "conclude", fail)
    assert detected in said()
