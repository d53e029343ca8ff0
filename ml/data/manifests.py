"""The manifests of one data version: of the training snapshot, which runs read, and of the sealed holdout.

Both are written by `jukebox judge holdout` for the same source tables, ledger position and splitter, and have
the same version. The snapshot's manifest is for everybody; the holdout's is for the judge.
"""

from typing import Literal

from pydantic import Field

from ml.core.records import Count, Digest, Record, Text
from ml.gate.candidate import FileEntry
from ml.gate.statement import DataVersion, HoldoutRef

SNAPSHOT_FILES = ("rankings.parquet", "songs.parquet")
"""The training snapshot: the two tables without sealed recordings. The songs have two columns more:
``recording``, an opaque id that songs of one recording share, and ``share``, one of `SHARES`."""

HOLDOUT_FILES = ("examples.parquet", "labels.json", "data_report.json", "profile.json", "baselines.parquet")
"""The sealed holdout: examples (`ml.data.splits`), labels, the data report and profile of all tables, and the
baselines' probabilities on the sealed songs (columns ``prior`` and ``logistic``, lists [K], in the examples'
order)."""

Share = Literal["train", "validation", "self-test"]
SHARES: tuple[Share, ...] = ("train", "validation", "self-test")
"""What a run may do with the open songs; the sealed ones are in no snapshot."""


class Amount(Record):
    """How many songs that chart in a country, and chart rows of them there."""

    songs: Count
    rows: Count


class LeftOut(Record):
    """Songs in neither part: of recordings that span both sides, and near copies of sealed recordings."""

    both_sides: Count
    near_copies: Count


class Snapshot(Record):
    """The training snapshot. ``version`` is the data version of every run on it."""

    schema_: Literal["jukebox.snapshot/v1"] = Field("jukebox.snapshot/v1", alias="schema")
    version: DataVersion
    source_version: Text
    synthetic: bool
    definition: Text
    splitter: Text
    ledger: Count
    countries: tuple[Text, ...]
    shares: dict[Share, Amount]
    left_out: LeftOut
    files: dict[Literal["rankings.parquet", "songs.parquet"], FileEntry]


class Holdout(Record):
    """The sealed holdout of the same data version.

    ``ledger`` is the number of its newest entry that was used, ``ledger_digest`` that entry's digest, and
    ``key_id`` names the secret key that decided for new recordings.
    """

    schema_: Literal["jukebox.holdout/v1"] = Field("jukebox.holdout/v1", alias="schema")
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
