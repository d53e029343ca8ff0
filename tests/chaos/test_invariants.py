"""The invariants detect a submitter that breaks them, and the schedules have everything in them."""

import dataclasses

import pytest
from dspa_server import PROFILES, Fault, Script

from chaos import invariants
from chaos.schedules import FAULTS, LEAVINGS, schedule
from chaos.submitter import hurried
from chaos.world import TOKENS, World, live_through
from ml.core.errors import EvidenceError
from ml.dspa import run, submit
from ml.dspa.failures import Unavailable
from ml.dspa.outcome import RunOutcome

PLAIN = dataclasses.replace(
    schedule(1),
    script=Script(pending=1, running=3),
    leaves="pass",
    deadline=6.0,
    lives=1,
    faults={},
    posts={},
    deaths={},
    **dict.fromkeys(("token_expires", "interrupted")),
    **dict.fromkeys(("list_lag", "twins"), 0),
)
"""A schedule in which nothing goes wrong."""


@pytest.fixture(autouse=True)
def _hurried():
    with hurried():
        yield


def lived(**changes) -> World:
    return live_through(dataclasses.replace(PLAIN, **changes))


def said(world: World) -> str:
    return "; ".join(invariants.violations(world))


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
    world = lived()
    assert ([outcome.name for outcome in world.outcomes], said(world)) == (["pass"], "")


def test_a_blind_second_post_is_detected(blind):
    # Of two runs of one second the ids decide which is older: in some worlds it is the second.
    worlds = [lived(posts={1: ("reset after", Fault.reset(after=True))}) for _ in range(12)]
    texts = [said(world) for world in worlds]
    assert any("is not the oldest" in text or "continue after the verdict" in text for text in texts)


def test_a_second_post_in_the_next_life_is_detected(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    text = said(lived(leaves="missing", lives=2))
    assert "posted a run although one existed" in text
    assert "several runs without a reason" in text


def test_two_runs_that_count_are_detected(blind):
    assert "two runs count" in said(lived(twins=True))


def test_a_post_without_a_look_is_detected(blind, monkeypatch):
    monkeypatch.setattr(run, "submit_once", submit.submit_once)
    monkeypatch.setattr(submit, "_look_up", lambda *_: [])
    world = lived(leaves="missing", lives=3)
    assert (len(world.runs()), "several runs without a reason" in said(world)) == (3, True)


@pytest.mark.parametrize("leaves", sorted(set(LEAVINGS) - {"pass", "late", "too late"}))
def test_a_state_believed_without_its_evidence_is_detected(monkeypatch, leaves):
    def believe(session, ended, parameters, policy_text):
        if ended.state != "SUCCEEDED":
            raise EvidenceError(f"run {ended.run_id} did not succeed")
        known = {"run_id": ended.run_id, "run": ended.display_name, "state": ended.state}
        return RunOutcome(**known, link="", evidence="", candidate="c")

    assert said(lived(leaves=leaves)) == ""
    monkeypatch.setattr(run, "conclude", believe)
    assert f"passed, but {leaves}" in said(lived(leaves=leaves))


@pytest.mark.parametrize(
    ("error", "detected"),
    [
        (EvidenceError("None"), "no cause in one line"),
        (KeyError("x"), "not a failure that is documented: crash"),
    ],
)
def test_a_failure_without_a_cause_or_of_another_kind_is_detected(monkeypatch, error, detected):
    def fail(*_):
        raise error

    monkeypatch.setattr(run, "conclude", fail)
    assert detected in said(lived())


def test_a_wait_without_end_and_a_printed_token_are_detected():
    world = lived()
    world.outcomes[0].seconds = 60
    world.outcomes[0].said.append(f"retrying with {TOKENS[0]}")
    assert "took 60.0 s" in said(world)
    assert "the token is printed" in said(world)


def test_every_seed_gives_its_own_schedule_again():
    def told(seed: int) -> str:
        plan = schedule(seed)
        kinds = {number: name for number, (name, _) in plan.faults.items()}
        return str(dataclasses.replace(plan, faults=kinds))

    plans = [told(seed) for seed in range(50)]
    assert plans == [told(seed) for seed in range(50)]
    assert len(set(plans)) == 50


def test_the_schedules_have_everything_in_them():
    plans = [schedule(seed) for seed in range(500)]
    assert {name for plan in plans for name in plan.kinds} == set(FAULTS)
    assert {plan.leaves for plan in plans} == set(LEAVINGS)
    assert {plan.profile for plan in plans} == set(PROFILES)
    assert {plan.list_lag for plan in plans} >= {0, 6}
    assert {plan.script.final for plan in plans} == {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
    for trait in ("twins", "deaths", "interrupted", "token_expires"):
        assert sum(bool(getattr(plan, trait)) for plan in plans) >= 20, trait
    assert sum(plan.script.never_ends for plan in plans) >= 3
    assert sum(plan.script.vanish_after is not None for plan in plans) >= 3
    assert sum(plan.deadline < 6 for plan in plans) >= 20
    # A kill when the POST was committed.
    assert sum(0 in plan.deaths.values() for plan in plans) >= 20
