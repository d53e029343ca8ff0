"""Many tests at once: which of them may be believed, when each could be wrong by chance.

Of seventy slices three or four have a p-value below 5 % though nothing is wrong. Holm's procedure keeps the
chance of any false rejection at alpha; Benjamini and Hochberg's keeps the expected share of false ones
among all rejections there, and so rejects more.
"""

from collections.abc import Sequence
from typing import Literal

Method = Literal["holm", "benjamini-hochberg"]


def rejected(p_values: Sequence[float], alpha: float, method: Method) -> list[int]:
    """Return the indices of the rejected hypotheses, the smallest p-value first.

    Holm, A simple sequentially rejective multiple test procedure (Scandinavian Journal of Statistics, 1979);
    Benjamini and Hochberg, Controlling the false discovery rate (Journal of the Royal Statistical
    Society B, 1995).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    return order[
        : {"holm": _holm, "benjamini-hochberg": _benjamini_hochberg}[method](
            [p_values[index] for index in order], alpha
        )
    ]


def _holm(ordered: Sequence[float], alpha: float) -> int:
    """Step down: the k-th smallest of m may be alpha / (m - k + 1), until the first that is not."""
    count = len(ordered)
    return next((k for k, p in enumerate(ordered) if p > alpha / (count - k)), count)


def _benjamini_hochberg(ordered: Sequence[float], alpha: float) -> int:
    """Step up: all up to the last k whose p-value is at most k / m times alpha."""
    count = len(ordered)
    return max((k for k, p in enumerate(ordered, 1) if p <= alpha * k / count), default=0)
