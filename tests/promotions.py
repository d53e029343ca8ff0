"""Promotions into any store, on the report of the run or on an attestation."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attestations import make_attestation
from candidates import candidate_files, paths, put
from reports import POLICY, policy_with

from ml.core.errors import EvidenceError
from ml.gate.policy import parse_policy
from ml.release.production import LogChange
from ml.release.promotion import champion_of, production_of, promote
from ml.release.store import ModelStore
from ml.release.trust import Trust

EVERYWHERE = parse_policy(policy_with({"promotion.self_checked": "always"})).text
"""A policy that allows self-checked models in buckets, too."""


def release(store: ModelStore, name: str = "A") -> str:
    """Promote a model on its own report, made beside the champion; return its candidate."""
    candidate = put(store, name, champion=champion_of(store.log()))
    assert promote(store, candidate, EVERYWHERE).new
    return candidate


def ago(**span: float) -> datetime.datetime:
    """Return a time in the past."""
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(**span)


def attestation_of(store: ModelStore, name: str, key: Path, **about: Any) -> bytes:
    """Attest a candidate as `candidate_files` makes it, beside the one in production."""
    production = production_of(store.log())
    known = {"champion": production.champion, "champion_kind": production.kind, "at": ago()}
    return make_attestation(candidate_files(name), key=key, **{**known, **about})


def release_attested(store: ModelStore, name: str, keys: tuple[Path, Trust], **about: Any) -> LogChange:
    """Promote a model on an attestation, made beside the one in production."""
    envelope = attestation_of(store, name, keys[0], **about)
    return promote(store, put(store, name), POLICY, attestation=envelope, trust=keys[1])


def refused(
    store: ModelStore,
    message: str,
    work: Callable[..., Any],
    *given: Any,
    error: type[Exception] = EvidenceError,
    **options: Any,
) -> None:
    """Check that work in a store fails with a message of one line, and changes nothing."""
    before = paths(store.uri)
    with pytest.raises(error, match=message) as caught:
        work(store, *given, **options)
    assert "\n" not in str(caught.value)
    assert paths(store.uri) == before
