"""The judge's keys: what is made, who can read it, and that nothing is replaced."""

import os
import stat

import pytest
import yaml
from attestations import statement_about

from ml.core.errors import UsageError
from ml.judge.keys import HOLDOUT, MANIFEST, SIGNING, TRUST, make_keys, manifests
from ml.release.signing import open_envelope, sign
from ml.release.trust import read_trust

FILES = (HOLDOUT, SIGNING, TRUST, MANIFEST)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


def texts(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_keys_are_two_new_ones_that_work(folder, tmp_path):
    made, other = make_keys(folder), make_keys(tmp_path / "other")
    assert made.files == FILES
    assert set(texts(folder)) == set(FILES)
    holdout = texts(folder)[HOLDOUT]
    assert len(bytes.fromhex(holdout)) == 32
    assert len(holdout) == 64
    trust = read_trust(folder / TRUST)
    signed = open_envelope(sign(statement_about(), folder / SIGNING), trust)
    assert (signed.key_id, signed.key_name[:8]) == (made.key_id, "made on ")
    for name in (HOLDOUT, SIGNING, TRUST):
        assert texts(folder)[name] != texts(other.folder)[name]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_owner_reads_the_secret_files(folder, umask):
    before = os.umask(umask)
    try:
        make_keys(folder)
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in FILES}
    assert modes == {HOLDOUT: 0o600, SIGNING: 0o600, MANIFEST: 0o600, TRUST: 0o644 & ~umask}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("symlink", [False, True], ids=["file", "dangling link"])
def test_a_file_that_is_there_is_not_replaced_and_nothing_else_is_made(folder, tmp_path, name, symlink):
    folder.mkdir()
    if symlink:
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / name).write_text("precious")
    with pytest.raises(UsageError, match=f"{name} is there already, and a key is not replaced"):
        make_keys(folder)
    assert [path.name for path in folder.iterdir()] == [name]
    assert not (tmp_path / "elsewhere").exists()
    assert symlink or (folder / name).read_text() == "precious"


def test_a_disk_that_is_full_leaves_nothing(folder, monkeypatch):
    synced = os.fsync

    def full(handle):
        if os.fstat(handle).st_size > 500:
            raise OSError(28, "No space left on device")
        synced(handle)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        make_keys(folder)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_and_a_namespace_that_is_none_are_refused(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--out .*/file/keys: Not a directory"):
        make_keys(tmp_path / "file" / "keys")
    for namespace in ("Judge", "a b", "-a", "a\n", "a: b", "x" * 64):
        with pytest.raises(UsageError, match="not a valid namespace"):
            make_keys(folder, namespace)
    assert not folder.exists()


def test_the_manifests_hold_what_the_files_hold(folder):
    make_keys(folder, "trusted")
    made = texts(folder)
    found = {each["metadata"]["name"]: each for each in yaml.safe_load_all(made[MANIFEST])}
    assert {name: each["kind"] for name, each in found.items()} == {
        "jukebox-holdout-key": "Secret",
        "jukebox-signing-key": "Secret",
        "jukebox-trust": "ConfigMap",
    }
    assert {each["metadata"]["namespace"] for each in found.values()} == {"trusted"}
    assert found["jukebox-holdout-key"]["stringData"] == {"key": made[HOLDOUT]}
    assert found["jukebox-signing-key"]["stringData"] == {"key.pem": made[SIGNING]}
    assert found["jukebox-trust"]["data"] == {"trust.pem": made[TRUST]}
    assert [each.get("immutable", False) for each in found.values()] == [True, True, False]
    # Without one kubectl chooses it.
    for each in yaml.safe_load_all(manifests(made[HOLDOUT], "signing", "trust", "")):
        assert "namespace" not in each["metadata"]


@pytest.mark.parametrize("key", ["0" * 64, "1" * 64, "12e4" * 16, "0x12" * 16])
def test_a_key_that_looks_like_a_number_stays_text(key):
    first, *_ = yaml.safe_load_all(manifests(key, "signing", "trust", ""))
    assert first["stringData"]["key"] == key
