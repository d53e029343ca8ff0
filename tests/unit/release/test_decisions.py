"""What was decided answers for the same inputs, as long as what it rests on is in production."""

import datetime
import json

import pytest
from promotions import EVERYWHERE, release
from reports import edited

from ml.core.errors import EvidenceError
from ml.gate.policy import parse_policy
from ml.release.decisions import Decision, Inputs, find_decision, keep_decision, still_holds

INPUTS = Inputs(
    image=f"sha256:{'1' * 64}",
    data_version="2" * 16,
    model_name="jukebox",
    model_version="1",
    hyperparameters={},
    policy_digest=f"sha256:{'3' * 64}",
    judge_image="registry.example/judge@sha256:4",
    code=f"sha256:{'5' * 64}",
)
OTHERS = {
    "image": f"sha256:{'9' * 64}",
    "data_version": "9" * 16,
    "model_name": "other",
    "model_version": "2",
    "hyperparameters": {"epochs": "2"},
    "policy_digest": f"sha256:{'9' * 64}",
    "judge_image": "registry.example/judge@sha256:9",
    "code": f"sha256:{'9' * 64}",
}
TODAY = datetime.date(2026, 1, 1)
POLICY = parse_policy(EVERYWHERE)


def decision(verdict: str = "pass", **about: str) -> Decision:
    known = {"candidate": "", "beside": "", "run_id": "r1", "link": "", "at": "now", "reason": ""}
    return Decision(inputs=INPUTS.key, verdict=verdict, **{**known, **about})


@pytest.mark.parametrize("name", OTHERS)
def test_each_input_counts(folder, name):
    assert set(OTHERS) == set(Inputs.model_fields)
    keep_decision(folder, decision())
    assert find_decision(folder, INPUTS) == decision()
    assert find_decision(folder, INPUTS.model_copy(update={name: OTHERS[name]})) is None


def test_the_newest_decision_counts(store):
    keep_decision(store, decision())
    keep_decision(store, decision("block", reason="parity"))
    assert find_decision(store, INPUTS).verdict == "block"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", "is not a decision"),
        (b"junk", "is not a decision"),
        (decision().model_copy(update={"inputs": "9" * 64}).to_bytes(), "is about other inputs"),
    ],
)
def test_what_is_no_decision_about_these_inputs_is_refused(folder, data, said):
    folder.objects.put(f"decisions/{INPUTS.key}.json", data)
    with pytest.raises(EvidenceError, match=f"{said}.*remove it"):
        find_decision(folder, INPUTS)


def test_a_pass_answers_while_its_candidate_is_in_production(folder):
    assert not still_holds(folder, decision(), POLICY, TODAY), "nothing is in production, and nothing passed"
    first = release(folder, "A")
    kept = decision(candidate=first)
    assert still_holds(folder, kept, POLICY, TODAY)
    release(folder, "B")
    assert not still_holds(folder, kept, POLICY, TODAY)


def test_a_pass_that_was_never_published_does_not_answer(folder, monkeypatch):
    kept = decision(candidate=release(folder, "A"))
    monkeypatch.setattr(type(folder), "is_served", lambda *_: False)
    assert not still_holds(folder, kept, POLICY, TODAY)


def test_a_block_answers_while_the_same_model_is_in_production(folder):
    kept = decision("block")
    assert still_holds(folder, kept, POLICY, TODAY)
    first = release(folder, "A")
    assert not still_holds(folder, kept, POLICY, TODAY)
    assert still_holds(folder, decision("block", beside=first), POLICY, TODAY)


@pytest.mark.parametrize(("until", "holds"), [("2026-01-01", True), ("2025-12-31", False), (None, False)])
def test_a_pass_on_a_waiver_answers_as_long_as_the_waiver_lasts(folder, monkeypatch, until, holds):
    kept = decision(candidate=release(folder, "A"))
    (entry,) = folder.log()
    monkeypatch.setattr(folder, "log", lambda: [entry.model_copy(update={"waived": ("budget.model_bytes",)})])
    waiver = {"check": "budget.model_bytes", "why": "w", "who": "w", "until": until}
    policy = edited(json.loads(EVERYWHERE), {"waivers": [waiver] if until else []})
    assert still_holds(folder, kept, parse_policy(json.dumps(policy)), TODAY) is holds
