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
from ml.core.errors import DataError
from ml.core.files import read_json
from ml.data.examples import count_charts, make_examples
from ml.data.manifests import Amount
from ml.data.profile import Profile
from ml.data.splits import SPLIT_OF_SHARE, Examples, Share, read_examples, read_labels, write_examples
from ml.gate.subjects.data import DataReport
from ml.judge.splitter import Split

BATCH = 1 << 17
"""Chart rows that are in memory at once."""


@dataclass(frozen=True)
class Tables:
    """The source tables in a folder, and what `ml.data.contract.validate` has written about them."""

    folder: Path

    @property
    def rankings(self) -> Path:
        """The chart rows."""
        return self.folder / "rankings.parquet"

    @property
    def songs(self) -> Path:
        """The songs."""
        return self.folder / "songs.parquet"

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

    files: dict[str, bytes]
    countries: tuple[str, ...]
    shares: dict[Share, Amount]
    sealed: Amount


def make_parts(tables: Tables, songs: pd.DataFrame, decided: Split, version: str) -> Parts:
    """Make all files but the manifests.

    Args:
        tables: the source tables.
        songs: as `ml.data.recordings.read_songs` returns them.
        decided: what becomes of each song.
        version: the data version.

    Raises:
        DataError: there are too few songs for each share and the sealed part to have one.
    """
    snapshot = Tables(tables.folder / "snapshot")
    snapshot.folder.mkdir()
    opened = decided.place == "open"
    marks = pd.DataFrame(
        {
            "spotify_id": songs["spotify_id"][opened],
            "recording": [_opaque(recording) for recording in decided.recording[opened]],
            "share": decided.share[opened],
        }
    )
    _copy_songs(tables.songs, marks, snapshot.songs)
    _copy_rows(tables.rankings, marks["spotify_id"], snapshot.rankings)
    splits = {split: snapshot.folder / f"{split}.parquet" for split in SPLIT_OF_SHARE.values()}
    labels = snapshot.folder / "labels.json"
    make_examples(snapshot.rankings, snapshot.songs, splits, labels)
    countries = read_labels(labels)
    sealed, _ = count_charts(tables.rankings, songs[decided.place == "sealed"], countries)
    examples = tables.folder / "examples.parquet"
    write_examples(examples, sealed)
    report = DataReport.load(read_json(tables.report)).model_copy(
        update={
            "data_version": version,
            "both_sides": decided.count("both_sides"),
            "near_copies": decided.count("near_copies"),
        }
    )
    return Parts(
        files={
            "rankings.parquet": snapshot.rankings.read_bytes(),
            "songs.parquet": snapshot.songs.read_bytes(),
            "examples.parquet": examples.read_bytes(),
            "labels.json": labels.read_bytes(),
            "data_report.json": report.to_bytes(),
            "profile.json": _profile(tables.profile, version),
            "baselines.parquet": _baselines(read_examples(splits["train"]), sealed),
        },
        countries=tuple(countries),
        shares={share: _amount(read_examples(splits[split])) for share, split in SPLIT_OF_SHARE.items()},
        sealed=_amount(sealed),
    )


def _opaque(recording: str) -> str:
    """Return what a snapshot calls a recording: nobody reads a title's digest out of it."""
    return digest(f"recording:{recording}".encode()).removeprefix("sha256:")[:16]


def _amount(examples: Examples) -> Amount:
    return Amount(songs=len(examples.ids), rows=int(examples.counts.sum()))


def _copy_songs(source: Path, marks: pd.DataFrame, target: Path) -> None:
    """Write the songs that have marks, with them, in the order of the source."""
    table = pq.read_table(source, use_threads=False).replace_schema_metadata(None)
    ids = pd.Index(table["spotify_id"].to_pandas().astype(object))
    place = pd.Index(marks["spotify_id"].astype(object)).get_indexer(ids)
    kept = table.filter(pa.array(place >= 0))
    for name in ("recording", "share"):
        values = marks[name].to_numpy("object")[place[place >= 0]]
        kept = kept.append_column(name, pa.array(values, pa.string()))
    pq.write_table(kept, target)


def _copy_rows(source: Path, ids: pd.Series, target: Path) -> None:
    """Write the chart rows of some songs, in the order of the source."""
    known = pa.array(ids.to_numpy("object"), pa.string())
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow.remove_metadata()
        with pq.ParquetWriter(target, schema) as writer:
            for batch in file.iter_batches(BATCH, use_threads=False):
                songs = batch.column("spotify_id").cast(pa.string())
                kept = batch.filter(pc.is_in(songs, value_set=known))
                writer.write_table(pa.Table.from_batches([kept]).cast(schema))


def _profile(path: Path, version: str) -> bytes:
    """Return the profile of all tables under the data version.

    Raises:
        DataError: there is none, as no song charts in a country.
    """
    data = path.read_bytes()
    if not data:
        raise DataError("rankings: none of the songs charts in a country; give the charts of some countries")
    profile = Profile.load(read_json(path)).model_copy(update={"data_version": version})
    return profile.to_bytes()


def _baselines(training: Examples, sealed: Examples) -> bytes:
    """Return the baselines' probabilities on the sealed songs as a parquet file, float64 [N, K] each."""
    from ml.model.evaluation import country_prior, logistic

    prior = country_prior(training)
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
