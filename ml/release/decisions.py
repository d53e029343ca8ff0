"""What was decided before, by what it followed from: a push that changes none of that is answered at once.

    decisions/<key>.json        <key> is the digest of the inputs; only the key that promotes writes here

A pass answers as long as its candidate is in production, a block as long as the same model is that it was
decided beside. Nothing is promoted on a decision: it only saves training what is known already.
"""

import datetime
from typing import Annotated, Literal

from pydantic import Field

from ml.errors import EvidenceError
from ml.gate.canonical import digest, parse
from ml.gate.policy import Policy
from ml.gate.records import Digest, Record, Text
from ml.gate.statement import DataVersion
from ml.release.store import ModelStore

LARGEST = 1 << 16
"""Bytes of a decision."""

KEY = r"^[0-9a-f]{64}$"


class Inputs(Record):
    """What the verdict on a commit follows from: what runs, on which data, judged by whom and by what.

    ``image`` is the digest of the component image; with it stand code, dependencies and the defaults of the
    hyperparameters, of which ``hyperparameters`` are those that were given otherwise, as they were typed.
    ``code`` is the digest of the package that submits and decides (`ml.version.code_digest`).
    """

    image: Digest
    data_version: DataVersion
    model_name: Text
    model_version: Text
    hyperparameters: dict[str, str]
    policy_digest: Digest
    judge_image: Text
    code: Digest

    @property
    def key(self) -> str:
        """The inputs as 64 hexadecimal digits."""
        return digest(self.to_bytes()).removeprefix("sha256:")


class Decision(Record):
    """What was decided. ``beside`` is the candidate that was in production then, "" for none.

    ``candidate`` is what passed, "" for a block, and ``reason`` why it was blocked, "" for a pass.
    """

    schema_: Literal["jukebox.decision/v1"] = Field("jukebox.decision/v1", alias="schema")
    inputs: Annotated[str, Field(pattern=KEY)]
    verdict: Literal["pass", "block"]
    candidate: str
    beside: str
    run_id: str
    link: str
    at: Text
    reason: str


def in_force(store: ModelStore) -> str:
    """Return the candidate in production, "" for none.

    Raises:
        EvidenceError, PlatformError: as `ModelStore.log`.
    """
    log = store.log()
    return log[-1].candidate if log else ""


def keep_decision(store: ModelStore, decision: Decision) -> None:
    """Keep a decision, in place of an earlier one of the same inputs.

    Raises:
        PlatformError: the store cannot be written.
    """
    store.objects.put(_path(decision.inputs), decision.to_bytes(), mode="overwrite")


def find_decision(store: ModelStore, inputs: Inputs) -> Decision | None:
    """Return what was decided of some inputs, None where nothing was.

    Raises:
        EvidenceError: what is there is no decision about them.
        PlatformError: the store cannot be read.
    """
    data = store.objects.get(_path(inputs.key), LARGEST)
    if data is None:
        return None
    where = f"{store.uri}/{_path(inputs.key)}"
    try:
        decision = Decision.load(parse(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{where} is no decision: {error}; remove it") from error
    if decision.inputs != inputs.key:
        raise EvidenceError(f"{where} is about other inputs; remove it")
    return decision


def still_holds(store: ModelStore, decision: Decision, policy: Policy, today: datetime.date) -> bool:
    """Tell whether a decision answers for now: what it rests on is in production, and its waivers last.

    Raises:
        EvidenceError, PlatformError: as `ModelStore.log`.
    """
    log = store.log()
    if decision.verdict == "block":
        return (log[-1].candidate if log else "") == decision.beside
    lasting = {waiver.check for waiver in policy.waivers if today <= waiver.until}
    return bool(
        log
        and log[-1].candidate == decision.candidate
        and lasting.issuperset(log[-1].waived)
        and store.is_served(log[-1])
    )


def _path(key: str) -> str:
    return f"decisions/{key}.json"
