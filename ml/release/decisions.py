"""Stored decisions by their inputs: a push with the same inputs needs no new run.

    decisions/<key>.json        <key> is the digest of the inputs; only the promotion's key may write here

A pass is valid while its candidate is in production. A block is valid while the model that was in production
when it was decided still is. A decision promotes nothing.
"""

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError
from ml.core.records import Digest, Record, Text
from ml.core.version import code_digest
from ml.gate.evidence import policy_digest
from ml.gate.policy import Policy
from ml.gate.statement import DataVersion
from ml.release.promotion import champion_of
from ml.release.store import ModelStore

LARGEST = 1 << 16
"""Bytes of a decision."""

KEY = r"^[0-9a-f]{64}$"


class Inputs(Record):
    """Everything that determines the verdict on a commit.

    ``image`` is the digest of the component image, which determines the code, its dependencies and the
    default hyperparameters. ``hyperparameters`` are those that were given, as text. ``code`` is
    the digest of the package that submits and decides (`ml.core.version.code_digest`).
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
        """The digest of the inputs: 64 hexadecimal digits."""
        return digest(self.to_bytes()).removeprefix("sha256:")


def make_inputs(
    image: str,
    data_version: str,
    model: tuple[str, str],
    policy_text: str,
    judge_image: str,
    hyperparameters: Mapping[str, str],
) -> Inputs:
    """Return the inputs of a run that this package submits and decides on.

    Args:
        image: the component image by digest, or the digest alone.
        data_version: the version of the tables.
        model: its name and its version.
        policy_text: the policy that decides.
        judge_image: the image of the judge, by digest.
        hyperparameters: those that were given, as text.
    """
    return Inputs(
        image=image.rpartition("@")[2],
        data_version=data_version,
        model_name=model[0],
        model_version=model[1],
        hyperparameters=dict(hyperparameters),
        policy_digest=policy_digest(policy_text),
        judge_image=judge_image,
        code=code_digest(),
    )


class Decision(Record):
    """A verdict on inputs. ``beside`` is the candidate that was in production then, "" for none.

    ``candidate`` is the candidate that passed, "" for a block. ``reason`` says why it was blocked, "" for a
    pass.
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


def keep_decision(store: ModelStore, decision: Decision) -> None:
    """Store a decision; it replaces an earlier one about the same inputs.

    Raises:
        PlatformError: the store cannot be written.
    """
    store.objects.put(_path(decision.inputs), decision.to_bytes(), mode="overwrite")


def find_decision(store: ModelStore, inputs: Inputs) -> Decision | None:
    """Return the decision about inputs, None if there is none.

    Raises:
        EvidenceError: the stored object is not a decision about these inputs.
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
    """Return whether a decision is still valid, given the model in production and the policy's waivers.

    Raises:
        EvidenceError, PlatformError: as `ModelStore.log`.
    """
    log = store.log()
    if decision.verdict == "block":
        return champion_of(log) == decision.beside
    valid = {waiver.check for waiver in policy.waivers if today <= waiver.until}
    return bool(
        log
        and champion_of(log) == decision.candidate
        and valid.issuperset(log[-1].waived)
        and store.is_served(log[-1])
    )


def _path(key: str) -> str:
    return f"decisions/{key}.json"
