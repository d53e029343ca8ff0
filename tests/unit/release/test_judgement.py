"""Judging a run by its evidence: what it is about, whether it passes our policy, which candidate it has."""

import json

import pytest
from candidates import candidate_files, overwrite, put, store_run
from mutations import BLOCKING, ONE_OF_EACH
from reports import CHAMPION, POLICY, another, edited

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.gate.evidence import Subject, read_evidence
from ml.release.judgement import judge, prove

FILES = candidate_files(champion=CHAMPION)
DATA = FILES["evidence.json"]
EXPECTED = read_evidence(DATA).subject.to_json()


def refused(message: str, data: bytes = DATA, expected=EXPECTED, policy: str = POLICY) -> None:
    with pytest.raises(EvidenceError, match=message) as caught:
        judge(data, "s3://evidence/1.json", expected, policy)
    assert str(caught.value).startswith("s3://evidence/1.json: ")
    assert "\n" not in str(caught.value)


def test_evidence_of_the_run_is_judged_again_and_named_by_its_digest():
    found = judge(DATA, "", EXPECTED, POLICY)
    assert found.digest == digest(DATA)
    assert found.evidence.to_bytes() == DATA
    assert found.verdict == found.evidence.verdict
    assert found.verdict.passed


def test_nothing_expected_is_nothing_missed():
    assert judge(DATA, "", {}, POLICY).verdict.passed


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_evidence_that_blocks_is_believed_and_its_verdict_blocks(name):
    data = candidate_files(broken=name, champion=CHAMPION)["evidence.json"]
    found = judge(data, "", EXPECTED, POLICY)
    assert {check.name for check in found.verdict.failures} == {name, *BLOCKING[name].blocking}


@pytest.mark.parametrize("name", Subject.model_fields)
def test_evidence_about_something_else_is_refused_and_it_is_named(name):
    value = another(EXPECTED[name])
    refused(f"{name} is .* in the evidence, expected {value!r}", expected={**EXPECTED, name: value})


def test_all_that_is_something_else_is_named():
    expected = {**EXPECTED, "nonce": "n", "commit": "c"}
    refused("nonce is .*expected 'n'; commit is .*expected 'c'", expected=expected)


def test_what_the_evidence_does_not_say_is_not_taken_for_said():
    refused("colour is None in the evidence, expected 'red'", expected={**EXPECTED, "colour": "red"})


def test_a_policy_that_is_written_otherwise_but_says_the_same_is_ours():
    spaced = json.dumps(json.loads(POLICY), indent=2)
    assert judge(DATA, "", EXPECTED, spaced).verdict.passed


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b"\xff", DATA[:-1], DATA + b" ", b" " + DATA])
def test_what_is_no_evidence_is_refused(data):
    refused("not evidence", data)


def test_the_candidate_is_found_among_others_and_named_with_its_model(store):
    others = [put(store, name) for name in "BCD"]
    candidate = store_run(store, FILES)
    found = prove(store, read_evidence(DATA))
    assert found.candidate == candidate
    assert candidate not in others
    assert found.model_digest == digest(FILES["model.onnx"])
    assert found.model_uri == f"{store.uri}/candidates/{candidate}/model.onnx"


def test_a_store_without_it_is_refused(store):
    put(store, "B")
    with pytest.raises(EvidenceError, match="there is no candidate"):
        prove(store, read_evidence(DATA))


@pytest.mark.parametrize("name", ["model.keras", "model.onnx", "served.json", "manifest.json"])
def test_a_candidate_with_a_changed_file_is_refused(store, name):
    candidate = store_run(store, FILES)
    overwrite(store.uri, f"candidates/{candidate}/{name}", b"another")
    with pytest.raises(EvidenceError):
        prove(store, read_evidence(DATA))


def test_our_policy_decides_not_the_one_that_the_run_was_given():
    strict = json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 10**6}))
    assert [check.name for check in judge(DATA, "", EXPECTED, strict).verdict.failures] == [
        "evaluation.songs"
    ]
