"""Which attestation is taken for which bytes: in folders and stores, among several, and none at all."""

import datetime

import obstore
import pytest
from attestations import AT, FILES, make_attestation, statement_about, trust_file

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.gate.candidate import manifest_of
from ml.release import signing, verification
from ml.release.model_files import find_model
from ml.release.trust import read_trust
from ml.release.verification import headline, verify
from ml.storage.objects import open_folder

DAY = datetime.timedelta(days=1)
ID = manifest_of(FILES).id


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return trust_file(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def trust(keys):
    return read_trust(keys[1])


@pytest.fixture(scope="module")
def envelopes(keys):
    """Attestations about one model, by the days after the first."""
    return {days: make_attestation(key=keys[0], at=AT + days * DAY) for days in range(3)}


def put(uri, prefix, envelopes, files=FILES) -> None:
    """Put a candidate into a store with its attestations."""
    objects = open_folder(uri, create=True)
    for name, data in files.items():
        obstore.put(objects, f"{prefix}/{name}", data)
    for envelope in envelopes:
        obstore.put(objects, f"{prefix}/attestations/{digest(envelope)[7:]}.json", envelope)


def test_a_promoted_candidate_is_found_by_the_beginning_of_its_id(store, trust, envelopes):
    put(store.uri, f"promoted/{ID}", [envelopes[0]])
    for beginning in (ID[:8], ID):
        found = verify(find_model(beginning, store.uri), trust)
        assert found.where == f"{store.uri}/promoted/{ID}"
        assert found.digest == digest(envelopes[0])
        assert found.unchecked == ()


def test_the_newest_of_several_counts_wherever_it_lies(store, trust, envelopes):
    put(store.uri, f"promoted/{ID}", [envelopes[1], envelopes[2], envelopes[0]])
    found = verify(find_model(ID, store.uri), trust)
    assert found.digest == digest(envelopes[2])
    assert sorted(line.partition(": ")[2] for line in found.passed_over) == ["it is older"] * 2


def test_what_is_promoted_comes_before_what_a_run_wrote(tmp_path, trust, envelopes):
    uri = str(tmp_path)
    put(uri, f"candidates/{ID}", [], {**FILES, "model.onnx": b"forged"})
    put(uri, f"promoted/{ID}", [envelopes[0]])
    assert verify(find_model(ID, uri), trust).where.endswith(f"promoted/{ID}")


def test_a_candidate_that_is_not_promoted_takes_a_named_attestation(tmp_path, trust, envelopes):
    uri = str(tmp_path / "store")
    put(uri, f"candidates/{ID}", [])
    file = tmp_path / "given.json"
    file.write_bytes(envelopes[0])
    assert verify(find_model(ID, uri), trust, file).name == str(file)
    with pytest.raises(EvidenceError, match="has no attestation; name one"):
        verify(find_model(ID, uri), trust)


@pytest.mark.parametrize("name", FILES)
def test_a_candidate_in_a_store_has_all_its_files(tmp_path, trust, envelopes, name):
    put(
        str(tmp_path),
        f"promoted/{ID}",
        [envelopes[0]],
        {other: FILES[other] for other in FILES if other != name},
    )
    with pytest.raises(EvidenceError, match=f"{name} is missing in .*promoted"):
        verify(find_model(ID, str(tmp_path)), trust)


def test_none_or_several_candidates_are_refused(tmp_path):
    uri = str(tmp_path)
    with pytest.raises(EvidenceError, match=r"no candidate in .* starts with abcdef01"):
        find_model("abcdef01", uri)
    for end in "23":
        put(uri, f"promoted/abcdef01{end * 56}", [])
    with pytest.raises(EvidenceError, match=r"2 candidates in .*promoted start with abcdef01"):
        find_model("abcdef01", uri)
    assert find_model("abcdef012", uri)


def test_strangers_among_the_attestations_are_passed_over_and_named(tmp_path, trust, envelopes):
    stranger, _ = trust_file(tmp_path / "other")
    uri = str(tmp_path / "store")
    by_stranger = make_attestation(key=stranger, at=AT + 9 * DAY)
    put(uri, f"promoted/{ID}", [envelopes[0], by_stranger, b"garbage", b""])
    found = verify(find_model(ID, uri), trust)
    assert found.digest == digest(envelopes[0])
    assert len(found.passed_over) == 3
    assert sum("does not hold" in line for line in found.passed_over) == 1


def test_an_attestation_about_another_model_is_refused(tmp_path, keys, trust):
    other = {**FILES, "model.onnx": b"GRAPH"}
    put(str(tmp_path), f"promoted/{ID}", [make_attestation(other, key=keys[0])])
    with pytest.raises(EvidenceError, match=r"model.onnx in .* is not the model.onnx that was measured"):
        verify(find_model(ID, str(tmp_path)), trust)


def test_of_one_about_another_model_and_one_about_this_the_second_counts(tmp_path, keys, trust, envelopes):
    about_another = make_attestation({**FILES, "model.onnx": b"GRAPH"}, key=keys[0], at=AT + DAY)
    put(str(tmp_path), f"promoted/{ID}", [about_another, envelopes[0]])
    assert verify(find_model(ID, str(tmp_path)), trust).digest == digest(envelopes[0])


def test_a_larger_or_smaller_file_is_another(tmp_path, trust, envelopes):
    for number, data in enumerate((FILES["model.onnx"] + b"!" * 10_000_000, b"", FILES["model.onnx"][:-1])):
        uri = str(tmp_path / str(number))
        put(uri, f"promoted/{ID}", [envelopes[0]], {**FILES, "model.onnx": data})
        with pytest.raises(EvidenceError, match=r"is not the model.onnx that was measured"):
            verify(find_model(ID, uri), trust)


def test_what_is_served_is_verified_without_the_keras_model(tmp_path, trust, envelopes):
    served = {name: FILES[name] for name in ("model.onnx", "served.json")}
    put(str(tmp_path), "17", [envelopes[0]], served)
    found = verify(find_model(str(tmp_path / "17"), ""), trust)
    assert (found.checked, found.unchecked) == (("model.onnx", "served.json"), ("model.keras",))


@pytest.mark.parametrize("name", ["model.onnx", "what I found (2).onnx", "a%20#b", "served.json"])
def test_one_file_is_compared_alone(tmp_path, trust, envelopes, name):
    content = FILES["served.json" if name == "served.json" else "model.onnx"]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "attestation.json").write_bytes(envelopes[0])
    found = verify(find_model(str(tmp_path / name), ""), trust)
    assert found.checked == (name if name == "served.json" else "model.onnx",)
    (tmp_path / name).write_bytes(content[::-1])
    with pytest.raises(EvidenceError, match="that was measured"):
        verify(find_model(str(tmp_path / name), ""), trust)


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(UsageError, match=r"has no model.onnx"):
        find_model(str(tmp_path), "")


def test_an_attestation_that_is_too_large_is_passed_over(tmp_path, trust, envelopes, monkeypatch):
    for module in (signing, verification):
        monkeypatch.setattr(module, "LARGEST_ENVELOPE", len(envelopes[0]))
    put(str(tmp_path), f"promoted/{ID}", [envelopes[0], envelopes[1] + b" " * 100])
    found = verify(find_model(ID, str(tmp_path)), trust)
    assert found.digest == digest(envelopes[0])


def test_no_more_than_some_attestations_are_read(tmp_path, trust, monkeypatch):
    monkeypatch.setattr(verification, "MOST_ATTESTATIONS", 3)
    put(str(tmp_path), f"promoted/{ID}", [b"%d" % number for number in range(5)])
    with pytest.raises(EvidenceError, match="and 2 more attestations are refused"):
        verify(find_model(ID, str(tmp_path)), trust)


def test_the_headline_has_intervals_and_survives_a_report_of_another_version():
    lines = headline(statement_about())
    assert lines[0] == "128 sealed songs, 5,234 chart rows of them"
    assert any(line.startswith("log loss (nats) 4.0000 [3.99") for line in lines)
    assert headline(statement_about(reports={"evaluation": {"schema": "jukebox.evaluation/v9"}})) == []
    assert headline(statement_about(reports={})) == []
