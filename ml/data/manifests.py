"""The manifests of one data version: of the training snapshot, which runs read, and of the sealed holdout.

Both are written by `jukebox judge holdout` for the same source tables, ledger position and splitter, and have
the same version. The snapshot's manifest is for everybody; the holdout's is for the judge.
"""

from typing import Annotated, Literal

from pydantic import Field

from ml.core.records import Count, Digest, Record, Text
from ml.gate.candidate import FileEntry
from ml.gate.statement import DataVersion, HoldoutRef

TableFile = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}\.parquet$")]
"""A file of the training snapshot: a table without sealed recordings. That of the examples has two columns
more: ``recording``, an opaque id that examples of one recording share, and ``share``, one of `SHARES`."""

HOLDOUT_FILES = ("examples.parquet", "labels.json", "data_report.json", "profile.json", "baselines.parquet")
"""The sealed holdout: examples (`ml.data.splits`), labels, the data report and profile of all tables, and the
baselines' probabilities on the sealed examples (columns ``prior`` and ``logistic``, lists [K], in the
examples' order)."""

Share = Literal["train", "validation", "self-test"]
SHARES: tuple[Share, ...] = ("train", "validation", "self-test")
"""What a run may do with the open examples; the sealed ones are in no snapshot."""


class Amount(Record):
    """How many examples, and rows of them."""

    examples: Count
    rows: Count


class LeftOut(Record):
    """Examples in neither part: of recordings that span both sides, and near copies of sealed recordings."""

    both_sides: Count
    near_copies: Count


class Snapshot(Record):
    """The training snapshot. ``version`` is the data version of every run on it."""

    schema_: Literal["jukebox.snapshot/v2"] = Field("jukebox.snapshot/v2", alias="schema")
    version: DataVersion
    source_version: Text
    synthetic: bool
    definition: Text
    splitter: Text
    ledger: Count
    classes: tuple[Text, ...]
    shares: dict[Share, Amount]
    left_out: LeftOut
    files: dict[TableFile, FileEntry]


class Holdout(Record):
    """The sealed holdout of the same data version.

    ``ledger`` is the number of its newest entry that was used, ``ledger_digest`` that entry's digest, and
    ``key_id`` names the secret key that decided for new recordings.
    """

    schema_: Literal["jukebox.holdout/v2"] = Field("jukebox.holdout/v2", alias="schema")
    version: DataVersion
    source_version: Text
    synthetic: bool
    definition: Text
    splitter: Text
    ledger: Count
    ledger_digest: Digest
    key_id: Text
    snapshot_digest: Digest
    sealed: Amount
    left_out: LeftOut
    files: dict[
        Literal["examples.parquet", "labels.json", "data_report.json", "profile.json", "baselines.parquet"],
        FileEntry,
    ]

    @property
    def reference(self) -> HoldoutRef:
        """What a statement says of this holdout."""
        return HoldoutRef(**{name: getattr(self, name) for name in HoldoutRef.model_fields})
