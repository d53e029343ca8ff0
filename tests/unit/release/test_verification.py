"""What promotion verifies: every digest, every number, the verdict, and under which policy it was reached."""

import json

import pytest
from candidates import REPORT_FILES, candidate_files, forge, overwrite, promotion_refused, put
from mutations import BLOCKING, ONE_OF_EACH
from reports import CHAMPION, POLICY, another, at, dotted, edited, leaves, replaced
from tiers import PARTS, sampled

from ml.errors import EvidenceError, GateBlocked
from ml.gate.canonical import canonical_bytes
from ml.release.promotion import promote
from ml.release.store import ModelStore

FILES = candidate_files()
EVIDENCE = json.loads(FILES["evidence.json"])
CHANGED = {
    dotted(path): canonical_bytes(replaced(EVIDENCE, (path, another(at(EVIDENCE, path)))))
    for path in leaves(EVIDENCE)
}
"""The evidence with one value changed, for each of its values."""

STRICT = json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 10**6}))
LOOSE = json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 1}))
ONLY_WORDS = {
    f"subject.{name}"
    for name in ("run_id", "nonce", "model_name", "model_version", "commit", "dirty", "image")
}
"""What promotion cannot know: in a forged candidate, whose id is another, these may say anything."""


@pytest.mark.parametrize("name", sampled(BLOCKING, ONE_OF_EACH))
def test_a_blocked_candidate_is_refused_for_its_reason(folder, name):
    promotion_refused(folder, put(folder, broken=name, champion=CHAMPION), GateBlocked, f"{name}: ")


def test_a_verdict_that_its_numbers_do_not_give_is_refused(folder):
    blocked = candidate_files(broken="parity.served.test.violations")
    evidence = {**json.loads(blocked["evidence.json"]), "verdict": EVIDENCE["verdict"]}
    candidate = folder.put_candidate(forge(blocked, evidence))
    promotion_refused(folder, candidate, EvidenceError, "not what its own numbers give")


@pytest.mark.parametrize("theirs", [LOOSE, STRICT, ""], ids=["looser", "stricter", "none"])
def test_a_candidate_judged_under_another_policy_is_refused(folder, theirs):
    promotion_refused(folder, put(folder, policy=theirs), EvidenceError, "judged under another policy")


def test_our_policy_decides(folder):
    assert promote(folder, put(folder, "L", policy=LOOSE), LOOSE).new
    promotion_refused(folder, put(folder), EvidenceError, "another policy", policy=STRICT)
    promotion_refused(folder, put(folder, policy=STRICT), GateBlocked, "evaluation.songs", policy=STRICT)
    promotion_refused(folder, put(folder, policy=""), GateBlocked, "the policy is empty", policy="")


def test_evidence_about_another_model_is_refused(folder):
    for name in ("model.keras", "model.onnx"):
        swapped = {**FILES, name: b"another model"}
        promotion_refused(folder, folder.put_candidate(swapped), EvidenceError, f"{name} is 'sha256:")


@pytest.mark.parametrize("name", REPORT_FILES)
def test_reports_that_are_not_those_of_the_evidence_are_refused(folder, name):
    other = candidate_files("B")[name] if name != "data_report.json" else canonical_bytes({})
    promotion_refused(
        folder, folder.put_candidate({**FILES, name: other}), EvidenceError, "not those in its evidence"
    )
    promotion_refused(folder, folder.put_candidate({**FILES, name: b"{"}), EvidenceError, "candidate")


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"labels.json"}))
def test_a_candidate_without_one_of_its_files_is_refused_by_name(folder, name):
    rest = {key: data for key, data in FILES.items() if key != name}
    promotion_refused(folder, folder.put_candidate(rest), EvidenceError, f"{name} is missing")


def test_evidence_that_is_none_is_refused(folder):
    for data in (b"", b"{}", FILES["evidence.json"] + b" "):
        promotion_refused(
            folder, folder.put_candidate({**FILES, "evidence.json": data}), EvidenceError, "not evidence"
        )


@pytest.mark.parametrize("name", FILES)
def test_a_byte_changed_after_the_gate_is_refused(store, name):
    candidate = put(store)
    overwrite(store.uri, f"candidates/{candidate}/{name}", FILES[name][:-2] + b"\0\n")
    promotion_refused(store, candidate, EvidenceError, f"{name} is missing or was changed after the gate")


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_value_in_the_evidence_is_refused_whatever_it_is(folder, part):
    candidate = put(folder)
    assert len(CHANGED) > 400
    for changed in list(CHANGED.values())[part]:
        overwrite(folder.uri, f"candidates/{candidate}/evidence.json", changed)
        promotion_refused(
            folder, candidate, EvidenceError, "evidence.json is missing or was changed after the gate"
        )


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_value_is_refused_in_a_candidate_made_anew_unless_it_is_a_word(tmp_path, folder, part):
    for name, changed in list(CHANGED.items())[part]:
        candidate = folder.put_candidate({**FILES, "evidence.json": changed})
        if name in ONLY_WORDS:
            fresh = ModelStore(str(tmp_path / name), create=True)
            assert promote(fresh, fresh.put_candidate(folder.read_candidate(candidate)), POLICY).new
        else:
            with pytest.raises((EvidenceError, GateBlocked), match=candidate[:12]):
                promote(folder, candidate, POLICY)
    assert folder.log() == []
