"""The data contract: what the two tables must be before anything is trained on them.

Each check of `ml.data.checks` lands in the data report with its bound, whether it passes or not.
"""

from pathlib import Path

import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.core.files import read_json, write_bytes, write_json
from ml.data.checks import DEFAULT_BOUNDS, ContractBounds, check_contents, check_structure
from ml.data.columns import RANKING_COLUMNS, SONG_COLUMNS, is_broken
from ml.data.drift import drift_from
from ml.data.profile import Profile, make_profile
from ml.data.tables import read_columns
from ml.gate.subjects.data import DataReport
from ml.gate.subjects.drift import Drift


def validate(
    rankings: str | Path,
    songs: str | Path,
    source: str | Path,
    champion_profile: str | Path,
    champion: str,
    report: str | Path,
    profile: str | Path,
    bounds: ContractBounds = DEFAULT_BOUNDS,
) -> str:
    """Check both tables against the contract, write report and profile, and say how many checks passed.

    Drift from the champion's training data is measured; whether it is too much, the gate decides.

    Args:
        rankings: parquet file.
        songs: parquet file.
        source: ``source.json`` of `ml.data.sources.fetch` or `ml.data.snapshots.fetch_snapshot`.
        champion_profile: ``profile.json`` of the champion; empty where there is no champion, or it has none.
        champion: the candidate in production, "" for none.
        report: the `DataReport` to write, also when the contract is broken.
        profile: the `Profile` of these tables to write; empty where the contract is broken.
        bounds: the numbers of the contract.

    Raises:
        DataError: the contract is broken; the message names column, count and an example.
    """
    checks = [
        *check_structure("rankings", rankings, RANKING_COLUMNS),
        *check_structure("songs", songs, SONG_COLUMNS),
    ]
    broken = without_country = 0
    origin = read_json(source)
    ours = None
    if all(check.passed for check in checks):
        chart = read_columns("rankings", rankings, RANKING_COLUMNS, encoded=("spotify_id", "country"))
        song = read_columns("songs", songs, SONG_COLUMNS)
        broken, without_country = int(is_broken(song).sum()), int(chart["country"].isna().sum())
        checks += check_contents(chart, song, rankings, bounds)
        if all(check.passed for check in checks):
            ours = make_profile(chart, song, origin["data_version"], synthetic=origin["synthetic"])
    left_out = origin.get("left_out", {})
    found = DataReport(
        data_version=origin["data_version"],
        synthetic=origin["synthetic"],
        tables="snapshot" if "snapshot" in origin else "source",
        rankings_rows=pq.read_metadata(rankings).num_rows,
        global_rows=without_country,
        songs_rows=pq.read_metadata(songs).num_rows,
        broken_songs=broken,
        both_sides=left_out.get("both_sides", 0),
        near_copies=left_out.get("near_copies", 0),
        checks=tuple(checks),
        drift=_drift(champion_profile, champion, ours),
    )
    write_json(report, found)
    write_bytes(profile, ours.to_bytes() if ours else b"")
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        remedy = "correct the tables, or leave out what is wrong in them, and run again"
        raise DataError(f"the data contract is broken: {'; '.join(failed)}; {remedy}")
    aside = f"{without_country:,} Global rows set aside, {broken} broken songs dropped"
    return f"{len(checks)} checks passed, {aside}{_drift_in_brief(found.drift)}"


def _drift(champion_profile: str | Path, champion: str, ours: Profile | None) -> Drift | None:
    """Compare with the champion's profile; None without a champion."""
    if not champion:
        return None
    data = Path(champion_profile).read_bytes()
    return drift_from(champion, data, ours, "the champion has no profile of its training data")


def _drift_in_brief(drift: Drift | None) -> str:
    """Say the worst of the drift in a few words."""
    if drift is None:
        return ""
    if drift.measured is None:
        return f"; {drift.not_compared}"
    name, worst = max(drift.measured.features.items(), key=lambda item: item[1].psi)
    return f"; drift at most {worst.psi:.3f} (PSI of {name})"
