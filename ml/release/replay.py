"""Replay a policy on the evidence of earlier runs: what would it have decided?

A document that cannot be read is reported as such, and not left out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import obstore

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.gate.evidence import decide_again, read_evidence
from ml.storage.explain import explain
from ml.storage.objects import ObjectError, open_folder

PLACE = re.compile(r"(.*/)?evidence\.json|[0-9a-f]{32}/[^/]+\.json")
"""Paths of evidence: in a candidate or a local run, or ``<nonce>/<run id>.json`` where submit put it."""

LARGEST = 16 << 20
"""Bytes of evidence; it has about a hundred thousand."""


@dataclass(frozen=True)
class Replayed:
    """One run under another policy: the verdict then and now, and the checks that differ.

    ``problem`` says why the evidence cannot be read; the other fields are then empty.
    """

    where: str
    run_id: str = ""
    day: str = ""
    policy_digest: str = ""
    passed_then: bool = False
    passes_now: bool = False
    newly_blocking: tuple[str, ...] = ()
    no_longer_blocking: tuple[str, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }


def replay(documents: Iterable[tuple[str, bytes]], policy_text: str) -> list[Replayed]:
    """Decide again on each document of evidence, under a policy, as of the day of its run.

    Args:
        documents: the URI and the bytes of each document.
        policy_text: the policy to try.
    """
    return [_replayed(where, data, policy_text) for where, data in documents]


def _replayed(where: str, data: bytes, policy_text: str) -> Replayed:
    try:
        evidence = read_evidence(data)
    except ValueError as error:
        return Replayed(where, problem=str(error))
    verdict = decide_again(evidence, policy_text, evidence.decided_on)
    then = [check.name for check in evidence.verdict.failures]
    now = [check.name for check in verdict.failures]
    return Replayed(
        where=where,
        run_id=evidence.subject.run_id,
        day=evidence.decided_on.isoformat(),
        policy_digest=evidence.policy_digest,
        passed_then=evidence.verdict.passed,
        passes_now=verdict.passed,
        newly_blocking=tuple(name for name in now if name not in then),
        no_longer_blocking=tuple(name for name in then if name not in now),
    )


def find_evidence(folders: Iterable[str], last: int) -> list[tuple[str, bytes]]:
    """Return the newest evidence below folders or prefixes, newest first; copies count once.

    Raises:
        UsageError: a folder is missing.
        PlatformError: it cannot be listed or read.
    """
    listed = []
    for folder in folders:
        objects = open_folder(folder)
        try:
            entries = [entry for page in obstore.list(objects) for entry in page]
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot list {folder}: {explain(error)}") from error
        named = [entry for entry in entries if PLACE.fullmatch(entry["path"])]
        listed += [
            (entry["last_modified"], f"{folder.rstrip('/')}/{entry['path']}", objects, entry)
            for entry in named
        ]
    newest: dict[str, tuple[str, bytes]] = {}
    for _, where, objects, entry in sorted(listed, key=lambda one: one[:2], reverse=True):
        if len(newest) == last:
            break
        try:
            data = b"" if entry["size"] > LARGEST else bytes(obstore.get(objects, entry["path"]).bytes())
        except (ObjectError, OSError) as error:
            raise PlatformError(f"cannot read {where}: {explain(error)}") from error
        newest.setdefault(digest(data), (where, data))
    return list(newest.values())
