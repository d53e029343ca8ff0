"""Bounds of a ratio of sums over examples, by the studentised bootstrap: what the gate's error rates rest on.

Examples are the sampling unit, because all rows of an example share its one prediction. A metric is a ratio
of two sums over examples, a difference of two models has the difference of their terms on top. Rows by
example are heavy-tailed, so a bound from the normal distribution is wrong more often than it says, on one
side; the bootstrap-t (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5) learns the
skew from the resamples. It still errs a little too often where few examples carry most of the rows, so two
things make it stricter, and `tests/bench/bench_gate.py` shows that they suffice:

- a bound is never closer to the value than Student's t with N - 1 degrees of freedom has it;
- both are taken at ``JUDGED_AT`` times alpha.

The intervals of one model's own metrics come from the same resamples, by percentiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from ml.core.records import LARGEST
from ml.gate.resampling import JUDGED_AT, Estimate, Resampling
from ml.gate.subjects.evaluation import Bootstrap, Interval
from ml.measure.draws import Columns, draw

RESAMPLING = Resampling(resamples=10_000, alpha=0.05, seed=7)
"""How models are compared."""

BOOTSTRAP = Bootstrap(resamples=2000, confidence=0.95, seed=7)
"""How the intervals of one model's metrics are made."""

Ratio = tuple[np.ndarray, np.ndarray]


def compare_ratios(ratios: Mapping[str, Ratio], settings: Resampling) -> dict[str, Estimate]:
    """Bound the true value of each ratio of sums, all on the same resamples of examples.

    The standard error is that of the linearised ratio (Cochran, Sampling Techniques, 1977, section 2.11). The
    same seed gives the same bounds on any number of threads. Without any variation (all terms of the
    numerator are zero, say) the bounds are the value, and the standard error is 0. One example says
    nothing: its bounds are the largest numbers that a report holds.

    Args:
        ratios: numerator and denominator by example, float64 [N] each; N is the same for all.
        settings: resamples, alpha and seed.

    Raises:
        ValueError: there is no example, lengths differ, a denominator does not sum to more than 0, or the
            resamples are too few for alpha.
    """
    rank = _rank(settings)
    results = {}
    for name, sample in _resampled(ratios, settings).items():
        if sample.examples == 1:
            results[name] = Estimate(value=sample.value, standard_error=LARGEST, low=-LARGEST, high=LARGEST)
            continue
        ordered = np.partition(sample.t, (rank - 1, settings.resamples - rank))
        student = float(stdtrit(sample.examples - 1, 1 - JUDGED_AT * settings.alpha))
        above = max(student, float(ordered[settings.resamples - rank]))
        below = max(student, -float(ordered[rank - 1]))
        results[name] = Estimate(
            value=sample.value,
            standard_error=sample.error,
            low=max(sample.value - above * sample.error, -LARGEST),
            high=min(sample.value + below * sample.error, LARGEST),
        )
    return results


@dataclass(frozen=True)
class Measured:
    """A ratio's value, its standard error, and the p-value of "the true ratio is at least a bound"."""

    value: float
    standard_error: float
    p_value: float


def p_below(ratio: Ratio, bound: float, settings: Resampling) -> Measured:
    """Test "the true ratio is at least ``bound``" against "it is below", one-sided.

    The p-value is at most alpha exactly where ``compare_ratios({"x": ratio}, settings)["x"].high`` is below
    the bound. It is `Resampling.smallest_p` at least, and 1 where the value is not below the bound; nothing
    is drawn then. One example gives 1 and a standard error of 0.

    Raises:
        ValueError: as `compare_ratios`, but for the resamples.
    """
    value, rest = _centred("ratio", *ratio)
    error = _standard_error(rest, ratio[1])
    examples = len(rest)
    if examples == 1 or value >= bound:
        return Measured(value, error, 1.0)
    if error == 0:
        return Measured(value, error, settings.smallest_p)
    t = (value - bound) / error
    sample = _resampled({"ratio": ratio}, settings)["ratio"]
    resampled = (1 + np.count_nonzero(sample.t <= t)) / (settings.resamples + 1)
    return Measured(value, error, float(min(1.0, max(resampled, stdtr(examples - 1, t)) / JUDGED_AT)))


def percentile_intervals(ratios: Mapping[str, Ratio], settings: Bootstrap) -> dict[str, Interval]:
    """Return the percentile interval of each ratio of sums, all on the same resamples of examples.

    See Efron and Tibshirani, chapter 13. On small tables they block fewer sound models than studentised ends
    would, at nearly the same error: docs/explanation/gate.md has the numbers.

    Args:
        ratios: as `compare_ratios` takes them.
        settings: resamples, confidence and seed.
    """
    columns = Columns()
    plans = {name: (columns.add(top), columns.add(bottom)) for name, (top, bottom) in ratios.items()}
    sums = draw(columns.matrix, settings.resamples, settings.seed)
    tail = (1 - settings.confidence) / 2
    intervals = {}
    for name, (top, bottom) in plans.items():
        low, high = np.quantile(columns.sums(sums, top) / columns.sums(sums, bottom), [tail, 1 - tail])
        value = float(ratios[name][0].sum() / ratios[name][1].sum())
        intervals[name] = Interval(value=value, low=float(low), high=float(high))
    return intervals


@dataclass(frozen=True)
class _Sample:
    """A ratio's value, linearised standard error, and Student's t of each resample, float64 [resamples]."""

    examples: int
    value: float
    error: float
    t: np.ndarray


def _rank(settings: Resampling) -> int:
    """Return which of the ordered resamples is the bound: (1 + #{as extreme}) / (B + 1), inverted."""
    rank = int(JUDGED_AT * settings.alpha * (settings.resamples + 1) * (1 + 1e-12))
    if rank < 1:
        raise ValueError(f"{settings.resamples} resamples are too few for an alpha of {settings.alpha}")
    return rank


def _centred(name: str, top: np.ndarray, bottom: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a ratio's value, and its terms around it, which sum to 0."""
    if top.shape != bottom.shape or top.ndim != 1 or not len(top) or bottom.sum() <= 0:
        raise ValueError(f"{name}: not a ratio of sums over examples: {top.shape} over {bottom.shape}")
    value = float(top.sum() / bottom.sum())
    rest = top - value * bottom
    rest[np.abs(rest) <= 1e-14 * np.abs(top)] = 0.0
    return value, rest


def _standard_error(rest: np.ndarray, bottom: np.ndarray) -> float:
    spread = len(rest) / max(1, len(rest) - 1)
    return float(np.sqrt(spread * (rest @ rest)) / bottom.sum())


def _resampled(ratios: Mapping[str, Ratio], settings: Resampling) -> dict[str, _Sample]:
    """Compute each ratio on the examples, and on examples drawn with replacement."""
    columns = Columns()
    plans = {}
    for name, (top, bottom) in ratios.items():
        # Around the value, so that no difference of large sums is taken below.
        value, rest = _centred(name, top, bottom)
        parts = (rest, bottom, rest * rest, rest * bottom, bottom * bottom)
        plans[name] = value, rest, [columns.add(part) for part in parts]
    sums = draw(columns.matrix, settings.resamples, settings.seed)
    return {
        name: _studentised(value, rest, ratios[name][1], [columns.sums(sums, index) for index in where])
        for name, (value, rest, where) in plans.items()
    }


def _studentised(value: float, rest: np.ndarray, bottom: np.ndarray, sums: list[np.ndarray]) -> _Sample:
    examples, error = len(rest), _standard_error(rest, bottom)
    if error == 0:
        return _Sample(examples, value, 0.0, np.zeros_like(sums[0]))
    top, weight, squares, products, weights = sums
    # Examples without the denominator may be all that a resample drew: it then says nothing.
    weight = np.where(weight > 0, weight, np.inf)
    off = top / weight
    variance = (
        examples / (examples - 1) * (squares - 2 * off * products + off * off * weights) / (weight * weight)
    )
    # A resample without variation has no error of its own: it gets the sample's.
    own = np.sqrt(np.maximum(variance, 0))
    return _Sample(examples, value, error, off / np.where(own > 1e-6 * error, own, error))
