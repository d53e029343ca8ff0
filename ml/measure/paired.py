"""Exact bounds of the difference of two shares of the same examples, for where few examples make it.

An example is won, lost, or the same for both models. Where few are won or lost, all of them on one side, the
standard error of a sample is too small, and any bound made of it is wrong too often: a model that loses one
example of twenty loses two of 100 at most in one test set of eight.
"""

import numpy as np
from scipy.stats import binomtest

from ml.gate.resampling import Estimate

FEW = 30
"""With fewer examples than this won or lost, bounds are the exact ones where these are wider."""


def widen(bounds: Estimate, differences: np.ndarray, alpha: float) -> Estimate:
    """Widen the bounds of a mean of wins and losses to the exact ones where few examples are won or lost.

    Each end is a difference of two bounds by Clopper and Pearson (Biometrika 26, 1934), of the share that is
    won and of the share that is lost. Each of these is wrong with probability alpha / 2 at most, so that an
    end is wrong with alpha at most, whatever the shares (Bonferroni).

    Args:
        bounds: of the mean of ``differences``.
        differences: 1 for an example that is won, -1 for one that is lost, else 0: float64 [N].
        alpha: the probability with which each end may be wrong.
    """
    examples, won, lost = len(differences), int((differences > 0).sum()), int((differences < 0).sum())
    if won + lost >= FEW:
        return bounds
    wins, losses = (binomtest(count, examples).proportion_ci(1 - alpha, "exact") for count in (won, lost))
    low, high = float(wins.low - losses.high), float(wins.high - losses.low)
    return bounds.model_copy(update={"low": min(bounds.low, low), "high": max(bounds.high, high)})
