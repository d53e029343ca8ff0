"""Candidate and evidence: closed, canonical documents; whoever reads the evidence can decide again."""

import pytest
from policies import default_policy, default_text
from reports import (
    CHAMPION,
    DAY,
    KERAS,
    MANIFEST,
    ONNX,
    POLICY,
    edited,
    failing,
    passing_evidence,
    passing_reports,
    removed,
    subject,
)

from ml.core.canonical import digest
from ml.gate.candidate import Manifest, manifest_of
from ml.gate.evidence import decide_again, make_evidence, mismatches, policy_digest, read_evidence
from ml.gate.registry import REPORTS

DATA = passing_evidence().to_bytes()
FILES = {"model.keras": KERAS, "model.onnx": ONNX, "served.json": b"{}"}


def evidence_of(reports, policy=POLICY):
    """Make evidence, and read it back."""
    made = make_evidence(subject(), MANIFEST, reports, policy, DAY)
    assert read_evidence(made.to_bytes()) == made
    return made


def test_the_id_of_a_candidate_is_that_of_its_files_and_of_nothing_else():
    manifest = manifest_of({**FILES, "labels.json": b"[]"})
    assert list(manifest.files) == [*FILES]
    assert manifest.id == manifest_of(dict(reversed(FILES.items()))).id == digest(manifest.to_bytes())[7:]
    ids = {manifest_of({**FILES, name: b"other"}).id for name in FILES}
    assert len({manifest.id, *ids}) == 4


def test_a_candidate_may_lack_the_trained_model_and_nothing_else():
    without = {name: data for name, data in FILES.items() if name != "model.keras"}
    manifest = manifest_of(without)
    assert list(manifest.files) == [*without]
    assert Manifest.from_bytes(manifest.to_bytes(), "a manifest") == manifest
    assert manifest.id != manifest_of(FILES).id
    for name in without:
        with pytest.raises(ValueError, match=f"{name} is missing"):
            manifest_of({other: data for other, data in FILES.items() if other != name})
    with pytest.raises(ValueError, match=r"model\.onnx, served\.json is missing"):
        manifest_of({"model.keras": KERAS})


@pytest.mark.parametrize("file", ["model.pkl", "MODEL.ONNX", "../model.onnx"])
def test_a_manifest_holds_no_other_file(file):
    value = MANIFEST.to_json()
    with pytest.raises(ValueError, match=r"files\."):
        Manifest.load({**value, "files": {**value["files"], file: value["files"]["model.onnx"]}})


def test_evidence_holds_what_it_was_made_from_and_reads_back():
    evidence = passing_evidence()
    assert evidence.reports == passing_reports()
    assert evidence.policy_digest == default_policy().digest
    assert evidence.files == MANIFEST.files
    assert evidence.candidate == MANIFEST.id
    assert read_evidence(DATA) == evidence
    assert read_evidence(DATA).to_bytes() == DATA
    assert decide_again(evidence, POLICY, DAY) == evidence.verdict


@pytest.mark.parametrize(
    "data",
    [
        DATA.strip(),
        DATA + b"\n",
        DATA.replace(b":", b": ", 1),
        DATA.replace(b'"dirty":false', b'"dirty":true,"dirty":false'),
        DATA.replace(b"jukebox", b"\\u006aukebox", 1),
        *(b"", b"null", b"{}", b"[]", b"\xff", b'{"a":' * 100_000),
    ],
    ids=lambda data: repr(data[:16]),
)
def test_other_bytes_are_not_evidence(data):
    with pytest.raises(ValueError, match="not evidence"):
        read_evidence(data)


@pytest.mark.parametrize("name", ["", "Jukebox", "a/b", "-a", "a-", "a" * 64, "a b"])
def test_a_models_name_is_one_of_a_folder(name):
    subject(model_name="a" * 63)
    with pytest.raises(ValueError, match="model_name"):
        subject(model_name=name)


def test_what_the_evidence_is_about_is_compared_by_field():
    assert mismatches(passing_evidence(), {"champion": CHAMPION, "run_id": "40564379"}) == []
    wrong = mismatches(passing_evidence(), {"champion": CHAMPION, "run_id": "1", "colour": "red"})
    assert wrong[0] == "run_id is '40564379' in the evidence, expected '1'"
    assert wrong[1:] == ["colour is None in the evidence, expected 'red'"]


def test_a_policy_that_cannot_be_read_still_has_a_digest_and_blocks():
    evidence = evidence_of(passing_reports(), "")
    assert evidence.policy_digest == policy_digest("") == digest(b"")
    assert failing(evidence.verdict) == {"policy"}
    assert not decide_again(evidence, "", DAY).passed
    assert policy_digest(default_text()) == policy_digest(POLICY) == default_policy().digest


def test_evidence_says_of_a_report_that_cannot_be_stored_why():
    evidence = evidence_of({**passing_reports(), "parity": {"p": object()}})
    assert evidence.reports["parity"] == {"unreadable": "Object of type object is not JSON serializable"}
    (failure,) = evidence.verdict.failures
    found = (failure.name, failure.value, failure.reason)
    assert found == ("parity", "unreadable", evidence.reports["parity"]["unreadable"])


@pytest.mark.parametrize("found", [None, {"unreadable": "OSError: gone"}, {"schema": 1}, "x", [1]], ids=repr)
def test_evidence_is_written_for_any_report_and_blocks(found):
    assert failing(evidence_of({"evaluation": found}).verdict) == set(REPORTS)
    assert failing(evidence_of(removed(passing_reports(), ("parity",))).verdict) == {"parity"}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_evidence_of_a_number_that_is_none_gives_the_verdict_that_it_states(number):
    evidence = evidence_of(edited(passing_reports(), {"evaluation.model.macro_f1": number}))
    assert failing(evidence.verdict) == {"evaluation"}
    assert decide_again(evidence, POLICY, DAY) == evidence.verdict
