"""The inputs on which runtimes are compared with the reference, by family.

The first four are examples and what lies near them. The other three are what floating point has beside plain
numbers; what the model makes of them is its own doing, so that no runtime decides it.
"""

import numpy as np

TINY = (1e-37, 1e-38, 1e-40, 1e-45)
"""About the smallest normal float32 (1.2e-38), and two below it: some runtimes take those for zero."""

HUGE = (1e6, 1e9, 1e12, 1e14)
"""Far beyond any feature, and below `ml.problem.LARGEST`."""

NOTHING = (np.nan, np.inf, 1e16, 1e25, 3.4e38)
"""What no feature can be: NaN, infinity, and more than `ml.problem.LARGEST`."""

UNANSWERED = ("nonfinite",)
"""The families to whose every row the model gives NaN; in the others it gives it to none."""


def input_families(features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs by family, each float32 [N, F].

    ``test`` is the whole test split; ``extremes`` puts each feature at its smallest and largest value, the
    others at their median; ``zeros`` is one row; ``out_of_range`` goes a tenth of the range beyond.
    ``denormals``, ``huge`` and ``nonfinite`` put `TINY`, `HUGE` and `NOTHING`, of both signs, into each
    feature by itself and into all at once.

    Args:
        features: raw features of the test split, float32 [N, F].
    """
    low, high = features.min(axis=0), features.max(axis=0)
    beyond = 0.1 * (high - low)
    middle = np.median(features, axis=0).astype("float32")

    def one_at_a_time(values: np.ndarray | float) -> np.ndarray:
        rows = np.tile(middle, (len(middle), 1))
        np.fill_diagonal(rows, values)
        return rows

    def each_and_all(values: tuple[float, ...]) -> np.ndarray:
        signed = [sign * value for value in values for sign in (1, -1)]
        return np.concatenate(
            [
                *(one_at_a_time(value) for value in signed),
                *(np.full((1, len(middle)), value, dtype="float32") for value in signed),
            ]
        )

    return {
        "test": features,
        "extremes": np.concatenate([one_at_a_time(low), one_at_a_time(high)]),
        "zeros": np.zeros((1, features.shape[1]), dtype="float32"),
        "out_of_range": np.concatenate([one_at_a_time(low - beyond), one_at_a_time(high + beyond)]),
        "denormals": each_and_all(TINY),
        "huge": each_and_all(HUGE),
        "nonfinite": each_and_all(NOTHING),
    }
