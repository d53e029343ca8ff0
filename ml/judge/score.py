"""Score what a candidate answered about the sealed examples: with the labels, and without the model.

What infer wrote is not trusted: every array must have its shape and type, every record its schema. The
functions that compare are those of the run's steps. What comes out are aggregate numbers: no row of the
holdout, and no number about one example or a handful (`ml.judge.aggregates`).
"""

from pathlib import Path

import numpy as np

from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import write_json
from ml.judge.aggregates import aggregate, shortened
from ml.judge.answered import ANSWERED, Answered
from ml.judge.holdout_data import read_data_report
from ml.judge.scoring import RUNTIMES, Scoring
from ml.judge.work import AGAIN, MEASURED, Measurement, read_asked, read_record, require_files
from ml.onnx.requests_v2 import bad_requests

ANY_EXAMPLE = np.zeros((1, 2), "float32")


def score(work: Path, expected: str = "") -> str:
    """Write ``measured.json``, and say how good the served model is.

    Args:
        work: the work folder; of it ``asked.json``, labels and answers are read.
        expected: the digest that ``asked.json`` must have; "" for any.

    Raises:
        EvidenceError: a file is missing, was changed, or is not what infer writes.
        GateBlocked: the model gives something else than probabilities of the labels.
    """
    asked, asked_digest = read_asked(work, expected)
    require_files(work, asked, "labels")
    answered, _ = read_record(work, ANSWERED, Answered)
    if answered.asked != asked_digest or answered.served.digest != asked.model["served.json"].digest:
        raise EvidenceError(f"{work / ANSWERED} is about another candidate or holdout; {AGAIN}")
    if tuple(runtime.name for runtime in answered.runtimes) != RUNTIMES:
        raise EvidenceError(f"{work / ANSWERED} is not about {', '.join(RUNTIMES)}; {AGAIN}")
    _require_known(work, answered)
    scoring = Scoring.of(work, asked, answered)
    try:
        reports = {
            "data_report": read_data_report(work / "labels", asked.champion if asked.is_compared else ""),
            "evaluation": scoring.evaluation(),
            "parity": scoring.parity(),
            "serving": scoring.serving(),
        }
    except ValueError as error:
        raise GateBlocked(f"the candidate's answers cannot be scored: {error}") from error
    aggregates = aggregate(reports)
    isolation = shortened(answered.isolation)
    write_json(work / MEASURED, Measurement(asked=asked_digest, isolation=isolation, reports=aggregates))
    loss = aggregates["evaluation"]["model"]["log_loss"]["value"]
    return f"log loss {loss:.3f} on {len(scoring.test.ids):,} sealed {scoring.labels.nouns.examples}"


def _require_known(work: Path, answered: Answered) -> None:
    """Make sure that infer names nothing that is not known: a list of texts could hold the sealed examples.

    Raises:
        EvidenceError: it does.
    """
    settings = [runtime.settings for runtime in answered.runtimes]
    named = [bad.name for bad in answered.server.bad_requests]
    if settings != [answered.served.settings, {}, {}] or named != list(bad_requests(ANY_EXAMPLE)):
        raise EvidenceError(f"{work / ANSWERED} names settings or requests that infer does not make; {AGAIN}")
