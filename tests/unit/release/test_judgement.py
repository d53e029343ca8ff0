"""Judging a run by its evidence: what it is about, whether it passes the policy, which candidate it has."""

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
EVIDENCE = read_evidence(DATA)
EXPECTED = EVIDENCE.subject.to_json()
STRICT = json.dumps(edited(json.loads(POLICY), {"evaluation.min_examples": 10**6}))


def refused(message: str, data: bytes = DATA, expected=EXPECTED) -> None:
    with pytest.raises(EvidenceError, match=rf"^s3://evidence/1.json: [^\n]*{message}[^\n]*$"):
        judge(data, "s3://evidence/1.json", expected, POLICY)


@pytest.mark.parametrize("expected", [EXPECTED, {}])
@pytest.mark.parametrize("policy", [POLICY, json.dumps(json.loads(POLICY), indent=2)])
def test_evidence_is_judged_again_and_named_by_its_digest(expected, policy):
    found = judge(DATA, "", expected, policy)
    assert (found.digest, found.evidence, found.verdict) == (digest(DATA), EVIDENCE, EVIDENCE.verdict)
    assert found.verdict.passed


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_evidence_that_blocks_is_accepted_and_its_verdict_blocks(name):
    found = judge(candidate_files(broken=name, champion=CHAMPION)["evidence.json"], "", EXPECTED, POLICY)
    assert {check.name for check in found.verdict.failures} == {name, *BLOCKING[name].blocking}


def test_the_given_policy_decides_not_that_of_the_run():
    assert [check.name for check in judge(DATA, "", {}, STRICT).verdict.failures] == ["evaluation.examples"]


@pytest.mark.parametrize("name", Subject.model_fields)
def test_evidence_about_something_else_is_refused_and_it_is_named(name):
    value = another(EXPECTED[name])
    refused(f"{name} is .* in the evidence, expected {value!r}", expected={**EXPECTED, name: value})


def test_all_differences_are_named_also_what_the_evidence_does_not_say():
    refused(
        "nonce is .*expected 'n'; commit is .*expected 'c'",
        expected={**EXPECTED, "nonce": "n", "commit": "c"},
    )
    refused("colour is None in the evidence, expected 'red'", expected={**EXPECTED, "colour": "red"})


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b"\xff", DATA[:-1], DATA + b" ", b" " + DATA])
def test_what_is_no_evidence_is_refused(data):
    refused("not evidence", data)


def test_the_candidate_is_found_among_others_and_named_with_its_model(store):
    put(store, "B")
    with pytest.raises(EvidenceError, match="there is no candidate"):
        prove(store, EVIDENCE)
    candidate, found = store_run(store, FILES), prove(store, EVIDENCE)
    assert (found.candidate, found.model_digest) == (candidate, digest(FILES["model.onnx"]))
    assert found.model_uri == f"{store.uri}/candidates/{candidate}/model.onnx"
    overwrite(store.uri, f"candidates/{candidate}/model.keras", b"another")
    with pytest.raises(EvidenceError, match=r"model.keras is missing or was changed"):
        prove(store, EVIDENCE)
