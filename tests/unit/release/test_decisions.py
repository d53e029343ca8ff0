"""A decision is valid for the same inputs, while the model that it is about is in production."""

import datetime

import pytest
from promotions import EVERYWHERE, release
from reports import policy_with

from ml.core.errors import EvidenceError
from ml.core.version import code_digest
from ml.gate.evidence import policy_digest
from ml.gate.policy import parse_policy
from ml.release.decisions import Decision, find_decision, keep_decision, make_inputs, still_holds

IMAGE, JUDGE, POLICY = f"sha256:{'1' * 64}", "registry.example/judge@sha256:4", parse_policy(EVERYWHERE)
INPUTS = make_inputs(f"registry.example/image@{IMAGE}", "2" * 16, ("jukebox", "1"), EVERYWHERE, JUDGE, {})
TODAY = datetime.date(2026, 1, 1)


def decision(verdict: str = "pass", **about: str) -> Decision:
    known = {"candidate": "", "beside": "", "run_id": "r1", "link": "", "at": "now", "reason": ""}
    return Decision(**{"inputs": INPUTS.key, "verdict": verdict, **known, **about})


def test_the_inputs_are_the_digests_of_image_policy_and_code():
    about = (INPUTS.image, INPUTS.policy_digest, INPUTS.code, INPUTS.model_name, INPUTS.model_version)
    assert about == (IMAGE, policy_digest(EVERYWHERE), code_digest(), "jukebox", "1")


def test_the_newest_decision_counts_and_only_for_its_inputs(store):
    for verdict in ("pass", "block"):
        keep_decision(store, decision(verdict))
        assert find_decision(store, INPUTS) == decision(verdict)
    for name in type(INPUTS).model_fields:
        other = {"epochs": "2"} if name == "hyperparameters" else "x"
        assert find_decision(store, INPUTS.model_copy(update={name: other})) is None


@pytest.mark.parametrize(
    ("data", "said"), [(b"{}", "no decision"), (decision(inputs="9" * 64).to_bytes(), "about other inputs")]
)
def test_what_is_no_decision_about_these_inputs_is_refused(store, data, said):
    store.objects.put(f"decisions/{INPUTS.key}.json", data)
    with pytest.raises(EvidenceError, match=f"is {said}.*remove it"):
        find_decision(store, INPUTS)


def test_a_decision_is_valid_while_the_same_model_is_in_production(store, monkeypatch):
    def valid(*decisions):
        return [still_holds(store, one, POLICY, TODAY) for one in decisions]

    assert valid(decision(), decision("block")) == [False, True]
    first = release(store, "A")
    kept = decision(candidate=first), decision("block"), decision("block", beside=first)
    assert valid(*kept) == [True, False, True]
    second = release(store, "B")
    assert valid(*kept, decision(candidate=second)) == [False, False, False, True]
    monkeypatch.setattr(store, "is_served", lambda _: False)
    assert valid(decision(candidate=second)) == [False]


@pytest.mark.parametrize(("until", "valid"), [("2026-01-01", True), ("2025-12-31", False), (None, False)])
def test_a_pass_on_a_waiver_is_valid_as_long_as_the_waiver(store, monkeypatch, until, valid):
    kept = decision(candidate=release(store, "A"))
    (entry,) = store.log()
    monkeypatch.setattr(store, "log", lambda: [entry.model_copy(update={"waived": ("budget.model_bytes",)})])
    waiver = {"check": "budget.model_bytes", "why": "w", "who": "w", "until": until}
    policy = policy_with({"waivers": [waiver] if until else []})
    assert still_holds(store, kept, parse_policy(policy), TODAY) is valid
