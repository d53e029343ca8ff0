"""What score reads of the sealed holdout beside the examples: baselines, data report, profiles."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ml.core.errors import EvidenceError
from ml.core.files import read_json
from ml.data.drift import drift_from
from ml.data.profile import Profile
from ml.gate.subjects.data import DataReport

CHAMPION_PROFILE = "champion_profile.json"
"""The profile of the holdout that the champion was attested on; empty where it is not known."""

SEAL_AGAIN = "seal the holdout again with `jukebox judge holdout`"


def read_baselines(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the class prior, [K], and the logistic regression's probabilities, [N, K].

    Args:
        path: ``baselines.parquet``: columns ``prior`` and ``logistic``, lists [K], in the examples' order.
        shape: of the examples' counts, (N, K).

    Raises:
        EvidenceError: it has other columns, or another shape.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["prior", "logistic"], use_threads=False)
        prior, logistic = (
            np.from_dlpack(table[name].combine_chunks().flatten()).astype("float64").reshape(shape)
            for name in ("prior", "logistic")
        )
    except (KeyError, ValueError, OSError) as error:
        raise EvidenceError(f"{path}: not the baselines of these examples: {error}; {SEAL_AGAIN}") from error
    return prior[0], logistic


def read_data_report(labels: Path, champion: str) -> DataReport:
    """Return the holdout's data report, with the drift from the champion's holdout.

    Args:
        labels: holds ``data_report.json``, ``profile.json`` and `CHAMPION_PROFILE`.
        champion: the candidate that is compared with; "" for none.

    Raises:
        EvidenceError: report or profile cannot be read.
    """
    try:
        report = DataReport.load(read_json(labels / "data_report.json"))
        ours = Profile.load(read_json(labels / "profile.json"))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{labels}: {error}; {SEAL_AGAIN}") from error
    lost = "the holdout that the champion was attested on is not there any more"
    profile = (labels / CHAMPION_PROFILE).read_bytes()
    drift = drift_from(champion, profile, ours, lost) if champion else None
    return report.model_copy(update={"drift": drift})
