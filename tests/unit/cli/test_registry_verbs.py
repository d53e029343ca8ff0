"""`jukebox registry`, and what promote and rollback say of the registry."""

import pytest
from candidates import put
from registry_double import Registry, registry_server
from reports import POLICY

from ml.release.promotion import champion_of, promote
from ml.release.registry import client
from ml.release.store import ModelStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "PAUSES", ())
    opened = ModelStore(str(tmp_path / ".jukebox" / "store"), create=True)
    promote(opened, put(opened, "A"), POLICY)
    return opened


@pytest.fixture
def registry():
    with registry_server(Registry()) as served:
        yield served


def test_what_is_pending_is_shown_synced_and_shown_as_registered(store, registry, jukebox):
    there = "--registry", registry.url
    done = jukebox("registry", "status", *there)
    assert "pending" in done.out
    again = f"`jukebox registry sync --store {store.uri} --registry {registry.url}` registers them"
    assert f"1 pending; {again}" in done.out
    done = jukebox("registry", "sync", *there)
    assert (done.code, done.err) == (0, "")
    assert "shown: promotion 1 as version 2 of model 1\n" in done.out
    registry.objects.clear()
    assert "1 promotions, none pending" in jukebox("registry", "sync", *there).out
    assert len(registry.objects) == 3
    assert jukebox("registry", "status", *there, "--json").json["pending"] == []


def test_promote_and_rollback_register_and_a_registry_that_is_down_does_not_undo_them(
    store, registry, jukebox, monkeypatch
):
    monkeypatch.setenv("MODEL_REGISTRY_URL", registry.url)
    second = put(store, "B", champion=champion_of(store.log()))
    assert f"registry:  shown at {registry.url}\n" in jukebox("promote", second).out
    registry.fault = lambda *_: True
    done = jukebox("rollback")
    assert done.code == 0
    assert f"registry:  pending: {registry.url}: GET /v1/registered_models: no answer" in done.out
    assert jukebox("registry", "status", "--json").json["pending"] == [3]
    assert store.log()[-1].action == "rollback"
    refused = jukebox("registry", "sync")
    assert refused.code == 30
    assert "no answer" in refused.refusal


def test_an_address_that_cannot_be_used_is_refused_before_anything_is_promoted(store, jukebox):
    second = put(store, "B", champion=champion_of(store.log()))
    for words in (("promote", second), ("rollback",), ("registry", "sync")):
        done = jukebox(*words, "--registry", "https://ada:s3cret@registry")
        assert done.code == 2
        assert "--registry: give an address" in done.refusal
        assert "s3cret" not in done.refusal
    assert len(store.log()) == 1
