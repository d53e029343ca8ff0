"""The promotion log: an append-only list of entries, each with the digest of the one before it.

promotions/00000017.json           created only if absent, so that only one of two promotions can succeed
"""

import re
from itertools import pairwise
from typing import Literal

from pydantic import Field

from ml.core.canonical import canonical_bytes, digest, parse
from ml.core.errors import EvidenceError
from ml.core.records import Count, Digest, Record
from ml.gate.evidence import ModelName
from ml.release.objects import Objects

RESTORE = "restore the entry from a backup of the store"
ENTRY = re.compile("[0-9]{8}[.]json")
LARGEST_ENTRY = 1 << 20
MOST_ENTRIES = 10**6
CURRENT: Literal["jukebox.promotion/v4"] = "jukebox.promotion/v4"


class Promotion(Record):
    """One entry of the log: it puts a candidate into production.

    ``kind`` is the basis of the promotion: an attestation of the trusted side, whose envelope has the digest
    ``attestation``, or the report of the candidate's own run. ``evidence_digest`` is the digest of the
    attestation's statement, or of the run's evidence. ``previous`` is the digest of the entry before ("" in
    the first). ``replaces`` is the number of the promotion that was in force before (0: none). ``restores``
    is, in a rollback, the number of the earlier promotion. ``champion`` is the candidate that was in
    production ("": none). ``waived`` are the failed checks that the policy waives. ``commit`` is the commit
    of the run, as the run says, and ``dirty`` whether its work tree had changes. ``who`` promoted it, and
    ``why`` is the reason, if one was given. Entries of versions 1 to 3 have no kind, attestation and
    previous; those of versions 1 and 2 no commit, dirty, who and why; those of version 1 no waived.
    """

    schema_: Literal[
        "jukebox.promotion/v1", "jukebox.promotion/v2", "jukebox.promotion/v3", "jukebox.promotion/v4"
    ] = Field(CURRENT, alias="schema")
    number: Count
    action: Literal["promote", "rollback"]
    candidate: str
    model_name: ModelName
    synthetic: bool
    model_digest: Digest
    evidence_digest: Digest
    policy_digest: Digest
    champion: str
    replaces: Count
    restores: Count
    at: str
    waived: tuple[str, ...] = ()
    commit: str = ""
    dirty: bool = False
    who: str = ""
    why: str = ""
    previous: Digest | Literal[""] = ""
    attestation: Digest | Literal[""] = ""
    kind: Literal["", "attested", "self-checked"] = ""

    @property
    def is_current(self) -> bool:
        """Whether the entry has the current version."""
        return self.schema_ == CURRENT

    @property
    def promoted_as(self) -> Literal["attested", "self-checked"]:
        """The basis of the promotion; entries without a kind are older than attestations."""
        return self.kind or "self-checked"

    @property
    def is_sound(self) -> bool:
        """Whether the entry refers only to earlier promotions, and has the fields of its version and kind."""
        earlier = max(self.replaces, self.restores) < self.number
        restores = (self.restores > 0) == (self.action == "rollback")
        if not self.is_current:
            complete = not (self.previous or self.attestation or self.kind)
        else:
            attested = bool(self.attestation) == (self.kind == "attested")
            complete = bool(self.kind) and attested and bool(self.previous) == (self.number > 1)
        return earlier and restores and complete

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are stored; earlier versions have fewer fields."""
        return canonical_bytes(self.model_dump(mode="json", exclude_unset=not self.is_current))

    @property
    def digest(self) -> str:
        """The digest of the stored bytes, which the next entry has as ``previous``."""
        return digest(self.to_bytes())


def path_of(number: int) -> str:
    """Return the path of an entry of the log."""
    return f"promotions/{number:08}.json"


def read_log(objects: Objects) -> list[Promotion]:
    """Return all entries, oldest first.

    Raises:
        EvidenceError: an entry is missing, is damaged, or has another digest than the next entry says.
        PlatformError: the store cannot be read.
    """
    listed = objects.listed("promotions", MOST_ENTRIES)
    names = sorted(entry["path"].rpartition("/")[2] for entry in listed.entries)
    strange = [name for name in names if not ENTRY.fullmatch(name)]
    if strange or listed.stopped:
        what = f"{strange[0]} is no promotion" if strange else listed.stopped
        raise EvidenceError(f"{objects.uri}/promotions: {what}; remove it")
    numbers = [int(name.removesuffix(".json")) for name in names]
    if numbers != list(range(1, len(numbers) + 1)):
        missing = next(number for number, there in enumerate([*numbers, 0], 1) if number != there)
        raise EvidenceError(f"{objects.uri}: promotion {missing} is missing in the promotion log; {RESTORE}")
    log = [_read(objects, number) for number in numbers]
    for before, entry in pairwise(log):
        if before.is_current and not entry.is_current:
            raise EvidenceError(
                f"{objects.uri}: promotion {entry.number} does not fit into the log: an older jukebox wrote "
                f"it after promotion {before.number}; {RESTORE}"
            )
        if entry.is_current and entry.previous != before.digest:
            raise EvidenceError(
                f"{objects.uri}: promotion {before.number} has another digest than promotion {entry.number} "
                f"says: one of them was changed; {RESTORE}"
            )
    return log


def _read(objects: Objects, number: int) -> Promotion:
    data = objects.get(path_of(number), LARGEST_ENTRY) or b""
    try:
        promotion = Promotion.load(parse(data))
        if promotion.to_bytes() != data:
            raise ValueError("the bytes are not in canonical form")
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{objects.uri}: promotion {number} is damaged: {error}; {RESTORE}") from error
    if promotion.number != number or not promotion.is_sound:
        raise EvidenceError(f"{objects.uri}: promotion {number} does not fit into the log; {RESTORE}")
    return promotion
