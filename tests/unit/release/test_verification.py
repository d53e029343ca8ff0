"""Which attestation is taken for which bytes: in folders and stores, among several, and without any."""

import datetime

import pytest
from attestations import AT, FILES, make_attestation, statement_about, trust_file
from candidates import overwrite
from promotions import release_attested

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.gate.candidate import manifest_of
from ml.release import verification
from ml.release.attestations import statement_of
from ml.release.model_files import find_model
from ml.release.verification import headline, verify

DAY = datetime.timedelta(days=1)
ID = manifest_of(FILES).id
OTHER = {**FILES, "model.onnx": b"GRAPH"}
PARTS = {name: FILES[name] for name in ("model.onnx", "served.json")}


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
    taken = verified(ID[:8])
    assert (taken.where, taken.digest) == (f"{store.uri}/promoted/{ID}", digest(envelopes[2]))
    assert (taken.unchecked, taken.age(AT + 3 * DAY)) == ((), DAY)
    assert [line.partition(": ")[2] for line in taken.passed_over] == ["it is older"] * 2


def test_a_candidate_that_is_not_promoted_takes_a_named_attestation(put, verified, tmp_path, envelopes):
    put(prefix=f"candidates/{ID}")
    (tmp_path / "given.json").write_bytes(envelopes[0])
    assert verified(attestation=tmp_path / "given.json").name == str(tmp_path / "given.json")
    with pytest.raises(EvidenceError, match="has no attestation; name one"):
        verified()
    with pytest.raises(UsageError, match=r"^--attestation .*none: No such file"):
        verified(attestation=tmp_path / "none")


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ("abcdef02", EvidenceError, r"no candidate in .* starts with abcdef02"),
        ("abcdef01", EvidenceError, r"2 candidates in .*promoted start with abcdef01"),
        *((named, UsageError, f"^'{named}' is no file, no folder,") for named in ("abcdef0", "nowhere1")),
        ("ml", UsageError, r"^ml has no model.onnx"),
    ],
)
def test_what_names_no_candidate_or_several_is_refused(put, verified, named, error, message):
    for end in "23":
        put(prefix=f"promoted/abcdef01{end * 56}")
    with pytest.raises(error, match=message):
        verified(named)


def test_others_are_passed_over_and_so_many_are_read(put, verified, keys, envelopes, tmp_path, monkeypatch):
    stranger = make_attestation(key=trust_file(tmp_path)[0], at=AT + 9 * DAY)
    another = make_attestation(OTHER, key=keys[0], at=AT + DAY)
    put([envelopes[0], stranger, another, b"garbage"])
    taken = verified()
    assert (taken.digest, len(taken.passed_over)) == (digest(envelopes[0]), 3)
    for reason in ("does not hold", "that was measured", "not a DSSE envelope"):
        assert "\n".join(taken.passed_over).count(reason) == 1
    monkeypatch.setattr(verification, "MOST_ATTESTATIONS", 3)
    put([b"%d" % number for number in range(5)], prefix=f"promoted/{'a' * 64}")
    with pytest.raises(EvidenceError, match="and 2 more attestations are refused"):
        verified("a" * 64)


@pytest.mark.parametrize(
    ("files", "attested", "message"),
    [
        (OTHER, FILES, "not the model.onnx that was measured"),
        ({**FILES, "model.onnx": b"x" * 10**7}, FILES, "not the model.onnx that was measured"),
        (PARTS, FILES, "model.keras is missing in .*promoted"),
        (FILES, PARTS, "model.keras in .*promoted.* is not covered by the attestation"),
    ],
    ids=["changed", "huge", "missing", "more"],
)
def test_other_bytes_than_the_measured_ones_are_refused(put, verified, keys, files, attested, message):
    put([make_attestation(attested, key=keys[0])], files)
    with pytest.raises(EvidenceError, match=message):
        verified()


@pytest.mark.parametrize("name", ["a%20#b (2).onnx", "served.json"])
def test_one_file_is_compared_alone_and_a_folder_without_the_keras_model(verified, tmp_path, envelopes, name):
    kind = name if name == "served.json" else "model.onnx"
    (tmp_path / name).write_bytes(FILES[kind])
    (tmp_path / "attestation.json").write_bytes(envelopes[0])
    assert verified(tmp_path / name).checked == (kind,)
    (tmp_path / name).write_bytes(FILES[kind][::-1])
    with pytest.raises(EvidenceError, match="that was measured"):
        verified(tmp_path / name)
    for file, data in PARTS.items():
        (tmp_path / file).write_bytes(data)
    taken = verified(tmp_path)
    assert (taken.checked, taken.unchecked) == (tuple(PARTS), ("model.keras",))


def test_the_headline_has_intervals_and_survives_a_report_of_another_version():
    lines = headline(statement_about())
    assert lines[0] == "128 sealed images, 5,234 views of them"
    assert any(line.startswith("log loss (nats) 4.0000 [3.99") for line in lines)
    assert headline(statement_about(reports={"evaluation": {"schema": "jukebox.evaluation/v9"}})) == []


def test_the_attestation_of_an_entry_of_the_log_is_read_back(store, keys):
    entry = release_attested(store, "A", keys).promotion
    assert statement_of(store, entry).candidate == entry.candidate
    changed = entry.model_copy(update={"attestation": digest(b"changed")})
    for one, message in ((entry, "is missing or was changed"), (changed, r"Expecting value.*; restore it")):
        path = f"promoted/{entry.candidate}/attestations/{one.attestation[7:]}.json"
        overwrite(store.uri, path, b"changed")
        with pytest.raises(EvidenceError, match=f"{path}:? {message}"):
            statement_of(store, one)
