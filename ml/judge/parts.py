"""Make the files of a data version from the source tables and what was decided: the same bytes every time."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.core.canonical import digest
from ml.core.files import read_json
from ml.data.manifests import Amount
from ml.data.preprocess import make_splits
from ml.data.profile import Profile
from ml.data.splits import SPLIT_OF_SHARE, Share, read_examples, read_labels, write_examples
from ml.data.uris import table_paths
from ml.gate.subjects.data import DataReport
from ml.judge.splitter import Split
from ml.problem import Definition, Examples

BATCH = 1 << 17
"""rows that are in memory at once."""


@dataclass(frozen=True)
class Tables:
    """A folder with the source tables, and what `ml.data.contract.validate` has written about them."""

    folder: Path

    @property
    def source(self) -> Path:
        """Where they are from."""
        return self.folder / "source.json"

    @property
    def report(self) -> Path:
        """The data report."""
        return self.folder / "data_report.json"

    @property
    def profile(self) -> Path:
        """The profile."""
        return self.folder / "profile.json"


@dataclass(frozen=True)
class Parts:
    """The files of snapshot and holdout by name, and what their manifests say of them."""

    snapshot: dict[str, bytes]
    holdout: dict[str, bytes]
    classes: tuple[str, ...]
    shares: dict[Share, Amount]
    sealed: Amount


def make_parts(
    definition: Definition, tables: Tables, entries: pd.DataFrame, decided: Split, version: str
) -> Parts:
    """Make all files but the manifests.

    Args:
        definition: the problem's.
        tables: the source tables.
        entries: as `ml.problem.Definition.read_entries` returns them.
        decided: the decision about each entry.
        version: the data version.

    Raises:
        DataError: there are too few examples for each share and the sealed part to have one.
    """
    folder = tables.folder / "snapshot"
    folder.mkdir()
    sources, copies = (table_paths(definition.TABLES, place) for place in (tables.folder, folder))
    opened = decided.place == "open"
    marks = pd.DataFrame(
        {
            "id": entries["id"][opened],
            "recording": [_opaque(recording) for recording in decided.recording[opened]],
            "share": decided.share[opened],
        }
    )
    for name, contract in definition.TABLES.items():
        if name == definition.EXAMPLES_TABLE:
            _copy_examples(sources[name], contract.id, marks, copies[name])
        else:
            _copy_rows(sources[name], contract.id, marks["id"], copies[name])
    splits = {split: folder / f"{split}_split" for split in SPLIT_OF_SHARE.values()}
    labels = folder / "labels.json"
    make_splits(definition, copies, splits, labels)
    classes = read_labels(labels).classes
    sealed = definition.make_examples(sources, entries[decided.place == "sealed"], classes)
    examples = tables.folder / "sealed_examples"
    write_examples(examples, sealed)
    report = DataReport.load(read_json(tables.report)).model_copy(
        update={
            "data_version": version,
            "both_sides": decided.count("both_sides"),
            "near_copies": decided.count("near_copies"),
        }
    )
    profile = Profile.load(read_json(tables.profile)).model_copy(update={"data_version": version})
    return Parts(
        snapshot={path.name: path.read_bytes() for path in copies.values()},
        holdout={
            "examples.parquet": examples.read_bytes(),
            "labels.json": labels.read_bytes(),
            "data_report.json": report.to_bytes(),
            "profile.json": profile.to_bytes(),
            "baselines.parquet": _baselines(read_examples(splits["train"]), sealed),
        },
        classes=classes,
        shares={share: _amount(read_examples(splits[split])) for share, split in SPLIT_OF_SHARE.items()},
        sealed=_amount(sealed),
    )


def _opaque(recording: str) -> str:
    """Return what a snapshot calls a recording: nobody reads a title's digest out of it."""
    return digest(f"recording:{recording}".encode()).removeprefix("sha256:")[:16]


def _amount(examples: Examples) -> Amount:
    return Amount(examples=len(examples.ids), rows=int(examples.counts.sum()))


def _copy_examples(source: Path, id_column: str, marks: pd.DataFrame, target: Path) -> None:
    """Write the rows of the examples that have marks, with them, in the order of the source."""
    table = pq.read_table(source, use_threads=False).replace_schema_metadata(None)
    ids = pd.Index(table[id_column].to_pandas().astype(object))
    place = pd.Index(marks["id"].astype(object)).get_indexer(ids)
    kept = table.filter(pa.array(place >= 0))
    for name in ("recording", "share"):
        values = marks[name].to_numpy("object")[place[place >= 0]]
        kept = kept.append_column(name, pa.array(values, pa.string()))
    pq.write_table(kept, target)


def _copy_rows(source: Path, id_column: str, ids: pd.Series, target: Path) -> None:
    """Write the rows of some examples, in the order of the source."""
    known = pa.array(ids.to_numpy("object"), pa.string())
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow.remove_metadata()
        with pq.ParquetWriter(target, schema) as writer:
            for batch in file.iter_batches(BATCH, use_threads=False):
                named = batch.column(id_column).cast(pa.string())
                kept = batch.filter(pc.is_in(named, value_set=known))
                writer.write_table(pa.Table.from_batches([kept]).cast(schema))


def _baselines(training: Examples, sealed: Examples) -> bytes:
    """Return the baselines' probabilities on the sealed examples as a parquet file, float64 [N, K] each."""
    from ml.measure.evaluation import class_prior, logistic

    prior = class_prior(training)
    answers: dict[str, Any] = {
        "prior": np.tile(prior, (len(sealed.ids), 1)),
        "logistic": logistic(training, sealed.features, prior),
    }
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        for name, values in answers.items()
    }
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


def same_answers(one: bytes, other: bytes) -> bool:
    """Tell whether two files of baselines differ by rounding at most: machines sum in different orders."""
    tables = []
    for data in (one, other):
        try:
            tables.append(pq.read_table(io.BytesIO(data)))
        except (pa.ArrowException, OSError):
            return False
    if not tables[0].schema.equals(tables[1].schema) or len(tables[0]) != len(tables[1]):
        return False
    values = [
        [table[name].combine_chunks().flatten().to_numpy() for name in table.column_names] for table in tables
    ]
    return all(np.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(*values, strict=True))
