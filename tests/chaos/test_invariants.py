"""The invariants notice a submitter that breaks them, and the schedules have everything in them."""

import dataclasses

import pytest
from dspa_server import Fault, Script

from chaos import invariants
from chaos.batches import hurried
from chaos.schedules import FAULTS, LEAVINGS, schedule
from chaos.world import TOKENS, World, live_through
from ml.core.errors import EvidenceError
from ml.dspa import outcome as concluding
from ml.dspa import run, submit
from ml.dspa.failures import Unavailable

PLAIN = dataclasses.replace(
    schedule(1),
    script=Script(pending=1, running=3),
    list_lag=0,
    leaves="pass",
    faults={},
    posts={},
    token_expires=None,
    deadline=6.0,
    lives=1,
    deaths={},
    interrupted=None,
    twins=False,
    real=False,
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
    """Post, and post again at once when no answer comes: what `submit_once` is there to avoid."""
    while True:
        try:
            trace.run = session.client.create_run(submission.body(experiment.experiment_id))
            return trace.run
        except Unavailable:
            continue


def believe(session, ended, parameters, policy_text):
    """Believe the state alone."""
    if ended.state != "SUCCEEDED":
        raise EvidenceError(f"run {ended.run_id} did not succeed")
    return concluding.RunOutcome(
        run_id=ended.run_id, run=ended.display_name, state=ended.state, link="", evidence="", candidate="c"
    )


def only_known(session, experiment_id, prefix, known):
    """Look for no other run of the key."""
    return known[0]


def test_a_schedule_in_which_nothing_goes_wrong_passes():
    world = lived()
    assert [outcome.name for outcome in world.outcomes] == ["pass"]
    assert said(world) == ""


def test_a_blind_second_post_is_noticed(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    monkeypatch.setattr(run, "keep_one", only_known)
    # Of two runs of one second it is their ids that say which is the older: in some worlds the blind one is.
    worlds = [lived(posts={1: ("reset after", Fault.reset(after=True))}) for _ in range(12)]
    texts = [said(world) for world in worlds]
    assert any("is not the oldest" in text or "go on after the verdict" in text for text in texts)


def test_a_second_post_after_a_failure_is_noticed(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    world = lived(leaves="missing", lives=2)
    assert "asked for a run although there was one" in said(world)
    assert "several runs without a reason" in said(world)


def test_a_post_is_not_repeated_without_a_look(monkeypatch):
    monkeypatch.setattr(submit, "_look_up", lambda *_: [])
    monkeypatch.setattr(run, "keep_one", only_known)
    monkeypatch.setattr(submit, "keep_one", only_known)
    world = lived(leaves="missing", lives=3)
    assert len(world.runs()) == 3
    assert "several runs without a reason" in said(world)


@pytest.mark.parametrize("leaves", sorted(set(LEAVINGS) - {"pass", "late", "too late"}))
def test_a_state_believed_without_its_evidence_is_noticed(monkeypatch, leaves):
    assert said(lived(leaves=leaves)) == ""
    monkeypatch.setattr(run, "conclude", believe)
    assert f"passed, but {leaves}" in said(lived(leaves=leaves))


def test_two_that_count_are_noticed(monkeypatch):
    monkeypatch.setattr(run, "submit_once", post_blindly)
    monkeypatch.setattr(run, "keep_one", only_known)
    assert "two runs count" in said(lived(twins=True))


def test_a_failure_without_a_cause_is_noticed(monkeypatch):
    def fail(*_):
        raise EvidenceError("None")

    monkeypatch.setattr(run, "conclude", fail)
    assert "no cause in one line" in said(lived())


def test_a_failure_that_is_none_of_ours_is_noticed(monkeypatch):
    def fail(*_):
        raise KeyError("evidence_uri")

    monkeypatch.setattr(run, "conclude", fail)
    assert "not a failure that is documented: crash" in said(lived())


def test_a_wait_without_end_is_noticed():
    world = lived()
    world.outcomes[0].seconds = 60
    assert "took 60.0 s" in said(world)


def test_a_token_that_is_told_is_noticed():
    world = lived()
    world.outcomes[0].said.append(f"trying again with {TOKENS[0]}")
    assert "the token is told" in said(world)


def test_every_seed_gives_the_same_schedule_again():
    def told(seed: int) -> str:
        plan = schedule(seed)
        kinds = {number: name for number, (name, _) in plan.faults.items()}
        return str(dataclasses.replace(plan, faults=kinds))

    assert [told(seed) for seed in range(50)] == [told(seed) for seed in range(50)]
    assert len({told(seed) for seed in range(50)}) == 50


def test_the_schedules_have_everything_in_them():
    plans = [schedule(seed) for seed in range(500)]
    assert set().union(*(plan.kinds for plan in plans)) == set(FAULTS)
    assert {plan.leaves for plan in plans} == set(LEAVINGS)
    assert {plan.profile for plan in plans} == {"2.5", "2.16", "next"}
    assert {plan.list_lag for plan in plans} >= {0, 6}
    finals = {plan.script.final for plan in plans}
    assert finals == {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
    for trait in ("real", "twins", "deaths", "interrupted", "token_expires"):
        assert sum(bool(getattr(plan, trait)) for plan in plans) >= 20, trait
    assert sum(plan.script.never_ends for plan in plans) >= 3
    assert sum(plan.script.vanish_after is not None for plan in plans) >= 3
    assert sum(plan.deadline < 6 for plan in plans) >= 20
    # A kill just when the POST was committed, of a real process.
    assert sum(plan.real and 0 in plan.deaths.values() for plan in plans) >= 8
