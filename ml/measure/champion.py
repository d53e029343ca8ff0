"""Compare the challenger with the champion, example by example, on what both have answered.

Both saw the same examples, none of which either trained on: a recording's split is decided for ever. What
differs between the two models is aligned by these rules:

- *Features* go by name, as the champion's metadata lists them (`ml.onnx.production`).
- *Classes* go by name. What both know is compared: each model's probabilities are divided by their sum over
  the shared classes, and rows of others, and examples without any other, are left out and counted.
- *Anything else* (a model that does not load, has no metadata, gives something else than probabilities, or
  shares no two classes): not comparable, with the reason, and the gate blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ml.gate.nouns import Nouns
from ml.gate.resampling import Resampling
from ml.gate.subjects.champion import FEWEST, NOISE, Comparison, Shared, ShareStanding, Standing
from ml.measure.metrics import flaw_of, score_examples
from ml.measure.paired import widen
from ml.measure.resampling import RESAMPLING, compare_ratios

S = TypeVar("S", bound=Standing)


class Incomparable(Exception):
    """The champion cannot be compared with; the message says why, in words that follow "not comparable"."""


class Champion(NamedTuple):
    """A champion that has answered.

    Attributes:
        features: the features that it takes, in its order.
        labels: its classes, in its order.
        probabilities: its probabilities, float64 [N, K].
    """

    features: list[str]
    labels: list[str]
    probabilities: np.ndarray


def checked_probabilities(answers: np.ndarray, examples: int, labels: int) -> np.ndarray:
    """Return a champion's answers, float64 [N, K], once they are known to be probabilities.

    Raises:
        Incomparable: they are not.
    """
    if answers.shape != (examples, labels) or answers.dtype.kind != "f":
        raise Incomparable(
            f"it gives {answers.dtype} {list(answers.shape)} for {examples} examples and {labels} classes"
        )
    if not np.isfinite(answers).all():
        raise Incomparable("it gives probabilities that are not numbers")
    if flaw := flaw_of(answers):
        raise Incomparable(f"its answers {flaw}, so they are not probabilities")
    return answers.astype("float64")


def compare_answers(
    champion: str,
    onnx_digest: str,
    answered: Champion | str,
    counts: np.ndarray,
    classes: Sequence[str],
    probabilities: np.ndarray,
    settings: Resampling = RESAMPLING,
) -> Comparison:
    """Compare the challenger's probabilities with the champion's answers to the same examples.

    Args:
        champion: the champion's candidate id.
        onnx_digest: the digest of its ONNX file.
        answered: its answers; or why there are none.
        counts: rows of the examples by the challenger's classes, [N, K].
        classes: the challenger's.
        probabilities: the challenger's, [N, K].
        settings: how the bounds are made.
    """
    incomparable, shared = "", None
    if isinstance(answered, str):
        incomparable = answered
    else:
        try:
            shared = _compare(answered, probabilities, classes, counts, settings)
        except Incomparable as error:
            incomparable = str(error)
    return Comparison(champion=champion, onnx_digest=onnx_digest, incomparable=incomparable, shared=shared)


def _compare(
    theirs: Champion, ours: np.ndarray, classes: Sequence[str], counts: np.ndarray, settings: Resampling
) -> Shared:
    """Compare on the shared classes: positive differences say that ours are better."""
    names = [name for name in classes if name in theirs.labels]
    if len(names) < FEWEST:
        raise Incomparable(f"classes that the two models share: {len(names)}; at least {FEWEST} are needed")
    mine = [classes.index(name) for name in names]
    kept = counts[:, mine].sum(axis=1) > 0
    if not kept.any():
        raise Incomparable("no test example has a row of a class that both models know")
    rows = counts[:, mine][kept]
    challenger = score_examples(_renormalised(ours[kept][:, mine], "the challenger"), rows)
    index = [theirs.labels.index(name) for name in names]
    champion = score_examples(_renormalised(theirs.probabilities[kept][:, index], "it"), rows)
    ratios = {
        "log_loss": (champion.loss - challenger.loss, challenger.rows),
        "top5_mass": (challenger.top5 - champion.top5, challenger.rows),
        "hit_at_5": (challenger.hit5 - champion.hit5, np.ones_like(challenger.rows)),
    }
    bounds = compare_ratios(ratios, settings)
    bounds["hit_at_5"] = widen(bounds["hit_at_5"], ratios["hit_at_5"][0], settings.alpha)

    def standing(kind: type[S], name: str) -> S:
        return kind(
            champion=champion.points()[name],
            challenger=challenger.points()[name],
            difference=bounds[name],
            superior=bounds[name].low > NOISE,
        )

    return Shared(
        features=len(theirs.features),
        champion_labels=len(theirs.labels),
        challenger_labels=len(classes),
        shared_labels=len(names),
        examples=int(kept.sum()),
        examples_left_out=int((~kept).sum()),
        rows=int(rows.sum()),
        rows_left_out=int(counts.sum() - rows.sum()),
        log_loss=standing(Standing, "log_loss"),
        top5_mass=standing(ShareStanding, "top5_mass"),
        hit_at_5=standing(ShareStanding, "hit_at_5"),
        resamples=settings.resamples,
        alpha=settings.alpha,
        seed=settings.seed,
    )


def _renormalised(probabilities: np.ndarray, whose: str) -> np.ndarray:
    """Divide probabilities [N, K] by their sums, so that they are probabilities of the K classes."""
    sums = probabilities.astype("float64").sum(axis=1, keepdims=True)
    if (sums <= 0).any():
        raise Incomparable(
            f"{whose} gives no probability to any shared class, for {(sums <= 0).sum()} examples"
        )
    return np.asarray(probabilities / sums)


def headline(comparison: Comparison | None, nouns: Nouns) -> str:
    """Say in a few words how the challenger compares with the champion."""
    if comparison is None:
        return "no champion: absolute checks only"
    short = comparison.champion[:12]
    if not comparison.shared:
        return f"not comparable with champion {short}: {comparison.incomparable}"
    gain = comparison.shared.log_loss.difference
    superior = [name for name, standing in comparison.shared.standings.items() if standing.superior]
    better = f", better in {', '.join(superior)}" if superior else ""
    return (
        f"{gain.value:+.4f} nats beside champion {short} (at least {gain.low:+.4f}){better}, on "
        f"{comparison.shared.examples:,} {nouns.examples} in {comparison.shared.shared_labels} "
        f"{nouns.classes}"
    )
