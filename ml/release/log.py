"""The promotion log: an append-only list of entries, each with the digest of the one before.

promotions/00000017.json           create-if-absent: two promotions cannot both win
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
    """One entry of the log: from here on, this candidate is in production.

    ``kind`` says what it was promoted on: an attestation of the trusted side, whose envelope has the digest
    ``attestation``, or what its own run reported. ``evidence_digest`` is that of the attestation's statement,
    or of the run's evidence. ``previous`` is the digest of the entry before ("" in the first).
    ``replaces`` is the number of the promotion that was in force before (0: none). A rollback also
    ``restores`` the number of an earlier promotion. ``champion`` is the candidate that it was measured
    beside ("": none). ``waived`` are the checks that it failed and that the policy waives. ``commit`` is
    what the candidate was made from, as its run says, and ``dirty`` whether the work tree had changes;
    ``who`` promoted it, and ``why`` if they said so. Entries of earlier versions say nothing of kind,
    attestation and previous; those before the third nothing of commit, dirty, who and why; those of the
    first nothing of waived.
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
        """Whether the entry is of the version that is written now."""
        return self.schema_ == CURRENT

    @property
    def promoted_as(self) -> Literal["attested", "self-checked"]:
        """What the model was promoted on; before there were attestations it was the run's own word."""
        return self.kind or "self-checked"

    @property
    def is_sound(self) -> bool:
        """Whether it refers to earlier promotions only, and says of its kind what its version says."""
        earlier = max(self.replaces, self.restores) < self.number
        restores = (self.restores > 0) == (self.action == "rollback")
        if not self.is_current:
            told = not (self.previous or self.attestation or self.kind)
        else:
            attested = bool(self.attestation) == (self.kind == "attested")
            told = bool(self.kind) and attested and bool(self.previous) == (self.number > 1)
        return earlier and restores and told

    def to_bytes(self) -> bytes:
        """Return the canonical bytes as they are stored: an earlier version has fewer fields."""
        return canonical_bytes(self.model_dump(mode="json", exclude_unset=not self.is_current))

    @property
    def digest(self) -> str:
        """The digest of the stored bytes: what the next entry is chained to."""
        return digest(self.to_bytes())


def path_of(number: int) -> str:
    """Return where an entry of the log lies."""
    return f"promotions/{number:08}.json"


def read_log(objects: Objects) -> list[Promotion]:
    """Return all entries, oldest first.

    Raises:
        EvidenceError: the log has a gap, an entry is damaged, or it is not the one that the next entry names.
        PlatformError: the store cannot be read.
    """
    found = objects.listed("promotions", MOST_ENTRIES)
    names = sorted(entry["path"].rpartition("/")[2] for entry in found.entries)
    strange = [name for name in names if not ENTRY.fullmatch(name)]
    if strange or found.stopped:
        what = f"{strange[0]} is no promotion" if strange else found.stopped
        raise EvidenceError(f"{objects.uri}/promotions: {what}; remove it")
    numbers = [int(name.removesuffix(".json")) for name in names]
    if numbers != list(range(1, len(numbers) + 1)):
        missing = next(number for number, there in enumerate([*numbers, 0], 1) if number != there)
        raise EvidenceError(f"{objects.uri}: the promotion log has a gap: {missing} is missing; {RESTORE}")
    log = [_read(objects, number) for number in numbers]
    for before, entry in pairwise(log):
        if before.is_current and not entry.is_current:
            raise EvidenceError(
                f"{objects.uri}: promotion {entry.number} does not fit into the log: it was written by an "
                f"older jukebox after promotion {before.number}; {RESTORE}"
            )
        if entry.is_current and entry.previous != before.digest:
            raise EvidenceError(
                f"{objects.uri}: promotion {before.number} is not the one that promotion {entry.number} "
                f"follows: one of them was changed; {RESTORE}"
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
