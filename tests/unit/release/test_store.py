"""The store: content addresses, a manifest that comes last, and not one byte that may change."""

import pytest
from candidates import candidate_files, delete, overwrite, paths, put, read

from ml.errors import EvidenceError, PlatformError, UsageError
from ml.gate.canonical import canonical_bytes, digest, parse
from ml.release.store import ModelStore

FILES = candidate_files()


def test_what_is_put_is_read_back(store):
    candidate = store.put_candidate(FILES)
    assert store.read_candidate(candidate) == FILES
    assert store.candidates() == [candidate]


def test_the_id_is_the_digest_of_the_manifest_which_holds_every_files_digest(store):
    candidate = store.put_candidate(FILES)
    manifest = read(store.uri, f"candidates/{candidate}/manifest.json")
    assert digest(manifest) == f"sha256:{candidate}"
    stated = {name: (entry["digest"], entry["size"]) for name, entry in parse(manifest)["files"].items()}
    assert stated == {name: (digest(data), len(data)) for name, data in FILES.items()}


def test_the_same_content_has_the_same_id_and_may_be_put_twice(store):
    candidate = store.put_candidate(FILES)
    before = paths(store.uri)
    assert store.put_candidate(dict(reversed(FILES.items()))) == candidate
    assert paths(store.uri) == before
    assert store.read_candidate(candidate) == FILES


def test_other_content_has_another_id(store):
    candidates = {put(store, "A"), put(store, "B"), store.put_candidate({**FILES, "more.txt": b""})}
    assert len(candidates) == 3
    assert set(store.candidates()) == candidates


def test_a_candidate_that_could_not_be_stored_whole_is_none(tmp_path):
    files = {**FILES, "extra/notes.txt": b"x"}
    candidate = ModelStore(str(tmp_path / "elsewhere"), create=True).put_candidate(files)
    store = ModelStore(str(tmp_path / "store"), create=True)
    blocked = tmp_path / "store" / "candidates" / candidate / "extra"
    blocked.parent.mkdir(parents=True)
    blocked.write_bytes(b"a file where a folder should be")
    with pytest.raises(PlatformError, match="cannot write"):
        store.put_candidate(files)
    assert store.candidates() == []
    with pytest.raises(EvidenceError, match="no candidate"):
        store.read_candidate(candidate)


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGE = {
    "flipped": flip,
    "truncated": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_changed_file_is_refused_by_name(store, name, damage):
    candidate = store.put_candidate(FILES)
    path = f"candidates/{candidate}/{name}"
    overwrite(store.uri, path, DAMAGE[damage](read(store.uri, path)))
    with pytest.raises(EvidenceError, match=f"{candidate}.*{name.removesuffix('.json')}"):
        store.read_candidate(candidate)


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_refused_by_name(store, name):
    candidate = store.put_candidate(FILES)
    delete(store.uri, f"candidates/{candidate}/{name}")
    with pytest.raises(EvidenceError, match=f"{name} is missing"):
        store.read_candidate(candidate)


def test_a_file_and_the_manifest_changed_together_are_refused(store):
    candidate, other = store.put_candidate(FILES), put(store, "B")
    for path in paths(store.uri):
        if other in path:
            overwrite(store.uri, path.replace(other, candidate), read(store.uri, path))
    with pytest.raises(EvidenceError, match="manifest was changed"):
        store.read_candidate(candidate)


def test_a_manifest_in_another_form_is_refused(store):
    candidate = store.put_candidate(FILES)
    path = f"candidates/{candidate}/manifest.json"
    manifest = read(store.uri, path)
    overwrite(store.uri, path, manifest.replace(b":", b": ", 1))
    with pytest.raises(EvidenceError, match="manifest was changed"):
        store.read_candidate(candidate)
    overwrite(store.uri, path, canonical_bytes({**parse(manifest), "colour": "red"}))
    with pytest.raises(EvidenceError, match="colour: unknown key"):
        store.read_candidate(candidate)


def test_a_file_that_the_manifest_does_not_name_is_not_read(store):
    candidate = store.put_candidate(FILES)
    overwrite(store.uri, f"candidates/{candidate}/extra.bin", b"x")
    assert store.read_candidate(candidate) == FILES


def test_candidates_are_found_by_the_beginning_of_their_id(store):
    first, second = put(store, "A"), put(store, "B")
    assert store.find_candidate(first[:12]) == first
    assert store.find_candidate(second) == second
    with pytest.raises(EvidenceError, match="0 candidates"):
        store.find_candidate("0" * 12)
    for short in ("", first[:7]):
        with pytest.raises(EvidenceError, match="give 8 characters"):
            store.find_candidate(short)


def test_candidates_are_found_by_their_evidence(store):
    put(store, "A")
    candidate = put(store, "B")
    assert store.find_by_evidence(candidate_files("B")["evidence.json"]) == candidate
    with pytest.raises(EvidenceError, match="no candidate"):
        store.find_by_evidence(b"other evidence")


def test_a_folder_that_is_not_there_is_only_made_on_demand(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        ModelStore(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="scheme"):
        ModelStore("ftp://models/store")


def test_a_bucket_that_does_not_answer_is_a_platform_error(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(PlatformError, match="cannot list s3://models/store/promotions"):
        ModelStore("s3://models/store").log()
