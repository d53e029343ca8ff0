"""The judge's keys: what is made, who can read it, and that nothing is replaced."""

import os
import stat

import pytest
import yaml
from attestations import statement_about
from judged import refused

from ml.core.errors import UsageError
from ml.judge.holdout_key import read_key
from ml.judge.keys import HOLDOUT, MANIFEST, SIGNING, TRUST, make_keys, manifests
from ml.release.signing import open_envelope, sign
from ml.release.trust import read_trust

FILES = (HOLDOUT, SIGNING, TRUST, MANIFEST)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


def texts(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_keys_are_two_new_ones_that_work_and_only_the_owner_reads_them(folder, tmp_path):
    before = os.umask(0)
    try:
        made, other = make_keys(folder, "trusted"), make_keys(tmp_path / "other")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {HOLDOUT: 0o600, SIGNING: 0o600, MANIFEST: 0o600, TRUST: 0o644}
    assert made.files == FILES
    assert len(read_key(folder / HOLDOUT).secret) == 32
    signed = open_envelope(sign(statement_about(), folder / SIGNING), read_trust(folder / TRUST))
    assert (signed.key_id, signed.key_name[:8]) == (made.key_id, "made on ")
    held = texts(folder)
    assert not set(held.values()) & set(texts(other.folder).values())
    assert held[MANIFEST] == manifests(held[HOLDOUT], held[SIGNING], held[TRUST], "trusted")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_there_is_not_replaced_and_nothing_else_is_made(folder, tmp_path, name):
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    told = f"{name} is there already, and a key is not replaced; name another folder with --out"
    refused(UsageError, told, make_keys, folder)
    assert not (tmp_path / "elsewhere").exists()
    (folder / name).unlink()
    (folder / name).write_text("precious")
    refused(UsageError, told, make_keys, folder)
    assert texts(folder) == {name: "precious"}


def test_a_full_disk_leaves_nothing_and_a_folder_or_a_namespace_that_is_none_is_refused(folder, monkeypatch):
    for namespace in ("Judge", "a\n", "a: b", "x" * 64):
        refused(UsageError, "not a valid namespace", make_keys, folder, namespace)
    assert not folder.exists()
    synced = os.fsync

    def full(handle):
        if os.fstat(handle).st_size > 500:
            raise OSError(28, "No space left on device")
        synced(handle)

    monkeypatch.setattr("os.fsync", full)
    refused(UsageError, "--out .*: No space left on device", make_keys, folder)
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.touch()
    refused(UsageError, r"--out .*/keys/x: Not a directory", make_keys, folder / "x")


@pytest.mark.parametrize("key", ["0" * 64, "12e4" * 16, "0x12" * 16])
def test_the_manifests_are_immutable_secrets_and_a_key_that_looks_like_a_number_is_text(key):
    secrets = ("jukebox-holdout-key", {"key": key}), ("jukebox-signing-key", {"key.pem": "signing"})
    # Without a namespace kubectl chooses it.
    for namespace in ("", "trusted"):
        *made, trust = yaml.safe_load_all(manifests(key, "signing", "trust", namespace))
        assert {each["metadata"].get("namespace", "") for each in (*made, trust)} == {namespace}
        assert (trust["kind"], trust["metadata"]["name"]) == ("ConfigMap", "jukebox-trust")
        assert (trust["data"], trust.get("immutable")) == ({"trust.pem": "trust"}, None)
        assert {(each["kind"], each["immutable"]) for each in made} == {("Secret", True)}
        assert [(each["metadata"]["name"], each["stringData"]) for each in made] == list(secrets)
