"""How well probabilities fit the rows: per example, so that examples can be weighed and resampled.

Every headline metric is a ratio of two sums over examples. `ExampleScores` holds the terms, which
`ml.measure.resampling` resamples. The values equal scikit-learn's log_loss, accuracy_score and
top_k_accuracy_score with rows as sample weights (the tests show it); those functions take one label a
row and give no terms to resample.
"""

from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-12
"""Probabilities are clipped here, so that one impossible row costs 27.6 nats, not infinity."""

ROW_SUM_ERROR = 1e-3
"""How far the probabilities for an example may be from summing to one."""


@dataclass(frozen=True)
class ExampleScores:
    """The terms of each metric by example, float64 [N]; ``rows`` is the number of rows.

    Attributes:
        rows: rows.
        loss: summed log loss of those rows, in nats.
        top1: rows of the most probable class.
        top5: rows of the most probable classes, so many as `most_probable` says.
        hit5: 1 where ``top5`` is above 0.
    """

    rows: np.ndarray
    loss: np.ndarray
    top1: np.ndarray
    top5: np.ndarray
    hit5: np.ndarray

    @property
    def ratios(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Numerator and denominator of each metric of `ml.gate.subjects.evaluation.Metrics`, by example."""
        return {
            "log_loss": (self.loss, self.rows),
            "top1_mass": (self.top1, self.rows),
            "top5_mass": (self.top5, self.rows),
            "hit_at_5": (self.hit5, np.ones_like(self.rows)),
        }

    def points(self) -> dict[str, float]:
        """Return the value of each metric."""
        return {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in self.ratios.items()}


def most_probable(classes: int) -> int:
    """Return how many of the most probable classes the top-5 metrics count: five, but never all of them."""
    return max(1, min(5, classes - 1))


def flaw_of(probabilities: np.ndarray) -> str:
    """Return why finite numbers [N, K] are not probabilities, "" where they are.

    The scores below reward large numbers: a model that gave one to every class would have no loss.
    """
    sums = probabilities.astype("float64").sum(axis=1)
    wrong = (probabilities < 0).any() or (np.abs(sums - 1) > ROW_SUM_ERROR).any()
    return "are negative or do not sum to one" if wrong else ""


def score_examples(probabilities: np.ndarray, counts: np.ndarray) -> ExampleScores:
    """Score probabilities [N, K] against rows by class [N, K].

    Raises:
        ValueError: the shapes differ, or a probability is not finite.
    """
    if probabilities.shape != counts.shape:
        raise ValueError(f"probabilities {probabilities.shape} for counts {counts.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("the model gives probabilities that are not numbers")
    clipped = np.maximum(probabilities.astype("float64"), SMALLEST)
    # A stable sort breaks ties by the order of the labels, the same for every model and machine.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, : most_probable(counts.shape[1])]
    hits = np.take_along_axis(counts, best, axis=1)
    return ExampleScores(
        rows=counts.sum(axis=1).astype("float64"),
        loss=-(counts * np.log(clipped)).sum(axis=1),
        top1=hits[:, 0].astype("float64"),
        top5=hits.sum(axis=1).astype("float64"),
        hit5=(hits.sum(axis=1) > 0).astype("float64"),
    )


def calibration_error(probabilities: np.ndarray, counts: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error of the most probable class, weighted by rows.

    Examples are sorted by confidence into bins of about equal weight; the error is the mean distance
    between a bin's confidence and the share of its rows in the predicted classes (Naeini et al.,
    AAAI 2015, with bins of equal mass since a model of many classes is rarely sure of one).
    """
    rows = counts.sum(axis=1).astype("float64")
    best = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype("float64")
    right = counts[np.arange(len(counts)), best].astype("float64")
    order = np.argsort(confidence, kind="stable")
    position = (rows[order].cumsum() - rows[order] / 2) / rows.sum()
    which = np.minimum((position * bins).astype(int), bins - 1)
    claimed = np.bincount(which, weights=(confidence * rows)[order], minlength=bins)
    correct = np.bincount(which, weights=right[order], minlength=bins)
    return float(np.abs(claimed - correct).sum() / rows.sum())
