"""Which attestation is taken for which bytes: in folders and stores, among several, and without any."""

import datetime

import pytest
from attestations import AT, FILES, make_attestation, statement_about, trust_file
from candidates import overwrite
from promotions import release_attested

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.gate.candidate import manifest_of
from ml.release import signing, verification
from ml.release.attestations import statement_of
from ml.release.model_files import find_model
from ml.release.verification import headline, verify

DAY = datetime.timedelta(days=1)
ID = manifest_of(FILES).id
OTHER = {**FILES, "model.onnx": b"GRAPH"}


@pytest.fixture(scope="module")
def envelopes(keys):
    """Attestations about one model, by the days after the first."""
    return [make_attestation(key=keys[0], at=AT + days * DAY) for days in range(3)]


@pytest.fixture
def put(store):
    """Put files and attestations into a folder of the store."""

    def put(attestations=(), files=FILES, prefix=f"promoted/{ID}"):
        attested = {f"attestations/{digest(envelope)[7:]}.json": envelope for envelope in attestations}
        for name, data in {**files, **attested}.items():
            overwrite(store.uri, f"{prefix}/{name}", data)

    return put


@pytest.fixture
def verified(store, keys):
    return lambda named=ID, attestation=None: verify(find_model(str(named), store.uri), keys[1], attestation)


def test_the_newest_attestation_of_a_promoted_candidate_counts(store, put, verified, envelopes):
    put([envelopes[1], envelopes[2], envelopes[0]])
    put(files=OTHER, prefix=f"candidates/{ID}")
    for beginning in (ID[:8], ID):
        found = verified(beginning)
        assert (found.where, found.digest) == (f"{store.uri}/promoted/{ID}", digest(envelopes[2]))
        assert (found.unchecked, found.age(AT + 3 * DAY)) == ((), DAY)
        assert [line.partition(": ")[2] for line in found.passed_over] == ["it is older"] * 2


def test_a_candidate_that_is_not_promoted_takes_a_named_attestation(put, verified, tmp_path, envelopes):
    put(prefix=f"candidates/{ID}")
    (tmp_path / "given.json").write_bytes(envelopes[0])
    assert verified(attestation=tmp_path / "given.json").name == str(tmp_path / "given.json")
    with pytest.raises(EvidenceError, match="has no attestation; name one"):
        verified()
    with pytest.raises(UsageError, match=r"^--attestation .*none: No such file"):
        verified(attestation=tmp_path / "none")


@pytest.mark.parametrize("name", FILES)
def test_a_candidate_in_a_store_has_all_its_files(put, verified, envelopes, name):
    put([envelopes[0]], {other: data for other, data in FILES.items() if other != name})
    with pytest.raises(EvidenceError, match=f"{name} is missing in .*promoted"):
        verified()


def test_what_names_no_candidate_or_several_is_refused(put, verified, store, tmp_path):
    with pytest.raises(EvidenceError, match=r"no candidate in .* starts with abcdef01"):
        verified("abcdef01")
    for end in "23":
        put(prefix=f"promoted/abcdef01{end * 56}")
    with pytest.raises(EvidenceError, match=r"2 candidates in .*promoted start with abcdef01"):
        verified("abcdef01")
    assert find_model("abcdef012", store.uri).prefix == f"promoted/abcdef01{'2' * 56}/"
    for named in ("abcdef0", "nowhere1"):
        with pytest.raises(UsageError, match="is no file, no folder, and no candidate's id of 8"):
            verified(named)
    (tmp_path / "model.keras").touch()
    with pytest.raises(UsageError, match=r"has no model.onnx"):
        verified(tmp_path)


def test_other_attestations_are_passed_over_and_so_many_are_read(
    put, verified, keys, envelopes, tmp_path, monkeypatch
):
    stranger = make_attestation(key=trust_file(tmp_path / "other")[0], at=AT + 9 * DAY)
    another = make_attestation(OTHER, key=keys[0], at=AT + DAY)
    for module in (signing, verification):
        monkeypatch.setattr(module, "LARGEST_ENVELOPE", max(map(len, (*envelopes, stranger, another))))
    put([envelopes[0], stranger, another, b"garbage", b"", envelopes[2] + b" " * 100])
    found = verified()
    assert found.digest == digest(envelopes[0])
    reasons = "\n".join(found.passed_over)
    assert len(found.passed_over) == 5
    for reason in ("does not hold", "that was measured", "bytes, more than"):
        assert reasons.count(reason) == 1
    monkeypatch.setattr(verification, "MOST_ATTESTATIONS", 3)
    put([b"%d" % number for number in range(5)], prefix=f"promoted/{'a' * 64}")
    with pytest.raises(EvidenceError, match="and 2 more attestations are refused"):
        verified("a" * 64)


@pytest.mark.parametrize("data", [b"graph" + b"!" * 10_000_000, b"", FILES["model.onnx"][:-1], b"GRAPH"])
def test_other_bytes_than_the_measured_ones_are_refused(put, verified, envelopes, data):
    put([envelopes[0]], {**FILES, "model.onnx": data})
    with pytest.raises(EvidenceError, match=r"model.onnx in .* is not the model.onnx that was measured"):
        verified()


@pytest.mark.parametrize("name", ["model.onnx", "what I found (2).onnx", "a%20#b", "served.json"])
def test_one_file_is_compared_alone_and_a_folder_without_the_keras_model(verified, tmp_path, envelopes, name):
    kind = name if name == "served.json" else "model.onnx"
    (tmp_path / name).write_bytes(FILES[kind])
    (tmp_path / "attestation.json").write_bytes(envelopes[0])
    assert verified(tmp_path / name).checked == (kind,)
    (tmp_path / name).write_bytes(FILES[kind][::-1])
    with pytest.raises(EvidenceError, match="that was measured"):
        verified(tmp_path / name)
    for file in ("model.onnx", "served.json"):
        (tmp_path / file).write_bytes(FILES[file])
    found = verified(tmp_path)
    assert (found.checked, found.unchecked) == (("model.onnx", "served.json"), ("model.keras",))


def test_the_headline_has_intervals_and_survives_a_report_of_another_version():
    lines = headline(statement_about())
    assert lines[0] == "128 sealed images, 5,234 views of them"
    assert any(line.startswith("log loss (nats) 4.0000 [3.99") for line in lines)
    for reports in ({}, {"evaluation": {"schema": "jukebox.evaluation/v9"}}):
        assert headline(statement_about(reports=reports)) == []


def test_the_attestation_of_an_entry_of_the_log_is_read_back(store, keys):
    entry = release_attested(store, "A", keys).promotion
    assert statement_of(store, entry).candidate == entry.candidate
    folder, other = f"promoted/{entry.candidate}/attestations", digest(b"changed")
    for name in (entry.attestation, other):
        overwrite(store.uri, f"{folder}/{name[7:]}.json", b"changed")
    with pytest.raises(EvidenceError, match=rf"{entry.attestation[7:]}.json is missing or was changed"):
        statement_of(store, entry)
    with pytest.raises(EvidenceError, match=r"Expecting value.*; restore it"):
        statement_of(store, entry.model_copy(update={"attestation": other}))
