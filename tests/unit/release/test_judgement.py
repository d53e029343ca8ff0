"""Judging a run by its evidence: what it is about, whether it passes the policy, which candidate it has."""

import pytest
from candidates import candidate_files, overwrite, put
from reports import POLICY, STRICT

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.gate.evidence import read_evidence
from ml.release.judgement import judge, prove

FILES = candidate_files()
DATA = FILES["evidence.json"]
EVIDENCE = read_evidence(DATA)
EXPECTED = EVIDENCE.subject.to_json()


@pytest.mark.parametrize(("policy", "failures"), [(POLICY, []), (STRICT, ["evaluation.examples"])])
def test_the_given_policy_decides_not_that_of_the_run(policy, failures):
    judged = judge(DATA, "", EXPECTED, policy)
    assert (judged.digest, judged.evidence) == (digest(DATA), EVIDENCE)
    assert [check.name for check in judged.verdict.failures] == failures


@pytest.mark.parametrize(
    ("data", "expected", "message"),
    [
        (DATA + b" ", EXPECTED, "not evidence"),
        (DATA, {"nonce": "n", "commit": "c"}, "nonce is .*expected 'n'; commit is .*expected 'c'"),
    ],
    ids=["form", "subject"],
)
def test_what_is_no_evidence_or_about_something_else_is_refused(data, expected, message):
    with pytest.raises(EvidenceError, match=rf"^s3://evidence/1.json: [^\n]*{message}[^\n]*$"):
        judge(data, "s3://evidence/1.json", expected, POLICY)


def test_the_candidate_is_in_the_store_unchanged_and_named_with_its_model(store):
    put(store, "B")
    with pytest.raises(EvidenceError, match="there is no candidate"):
        prove(store, EVIDENCE)
    candidate, proven = put(store), prove(store, EVIDENCE)
    assert (proven.candidate, proven.model_digest) == (candidate, digest(FILES["model.onnx"]))
    assert proven.model_uri == f"{store.uri}/candidates/{candidate}/model.onnx"
    overwrite(store.uri, f"candidates/{candidate}/model.keras", b"another")
    with pytest.raises(EvidenceError, match=r"model.keras is missing or was changed"):
        prove(store, EVIDENCE)
