"""Score the champion's ONNX model on the test songs, and compare the challenger with it, song by song.

Both see the same songs, none of which either trained on: the hash of a song's id decides its split for ever.
What differs between the two models is aligned by these rules:

- *Features* go by name, as the champion's metadata lists them. One that we do not have: not comparable.
- *Labels* go by name. What both know is compared: each model's probabilities are divided by their sum over
  the shared countries, and chart rows elsewhere, and songs without any other, are left out and counted.
- *Anything else* (a model that does not load, has no metadata, gives something else than probabilities, or
  shares no more than five countries): not comparable, with the reason, and the gate blocks.
"""

from pathlib import Path
from typing import TypeVar

import numpy as np

from ml.core.files import file_digest
from ml.data.splits import Examples
from ml.gate.resampling import Resampling
from ml.gate.subjects.champion import NOISE, TOP, Comparison, Shared, ShareStanding, Standing
from ml.model.metrics import score_songs
from ml.model.paired import widen
from ml.model.production import Champion, Incomparable, ask_champion
from ml.model.resampling import RESAMPLING, compare_ratios

S = TypeVar("S", bound=Standing)


def compare_with_champion(
    champion: str,
    onnx_model: str | Path,
    test: Examples,
    countries: list[str],
    probabilities: np.ndarray,
    settings: Resampling = RESAMPLING,
) -> Comparison | None:
    """Compare the challenger's probabilities with the champion's on the test songs.

    Args:
        champion: the champion's candidate id; "" when there is none.
        onnx_model: its ONNX file; an empty file when there is none.
        test: the test songs.
        countries: the challenger's labels.
        probabilities: the challenger's, [N, K].
        settings: how the bounds are made.

    Returns:
        The comparison, which may say that there cannot be one; None without a champion.

    Raises:
        ValueError: there is a model, and no champion that it belongs to.
    """
    if not champion:
        if Path(onnx_model).stat().st_size:
            raise ValueError("a champion's model, and no champion that it belongs to")
        return None
    found: Champion | str
    try:
        found = ask_champion(onnx_model, test.features)
    except Incomparable as error:
        found = str(error)
    return compare_answers(
        champion, file_digest(onnx_model), found, test.counts, countries, probabilities, settings
    )


def compare_answers(
    champion: str,
    onnx_digest: str,
    found: Champion | str,
    counts: np.ndarray,
    countries: list[str],
    probabilities: np.ndarray,
    settings: Resampling = RESAMPLING,
) -> Comparison:
    """Compare the challenger's probabilities with the champion's answers to the same songs.

    Args:
        champion: the champion's candidate id.
        onnx_digest: the digest of its ONNX file.
        found: its answers; or why there are none.
        counts: chart rows of the songs by the challenger's labels, [N, K].
        countries: the challenger's labels.
        probabilities: the challenger's, [N, K].
        settings: how the bounds are made.
    """
    incomparable, shared = "", None
    if isinstance(found, str):
        incomparable = found
    else:
        try:
            shared = _compare(found, probabilities, countries, counts, settings)
        except Incomparable as error:
            incomparable = str(error)
    return Comparison(champion=champion, onnx_digest=onnx_digest, incomparable=incomparable, shared=shared)


def _compare(
    theirs: Champion, ours: np.ndarray, countries: list[str], counts: np.ndarray, settings: Resampling
) -> Shared:
    """Compare on the shared countries: positive differences say that ours are better."""
    names = [name for name in countries if name in theirs.labels]
    if len(names) <= TOP:
        raise Incomparable(f"the two models share {len(names)} countries; the top {TOP} of them say nothing")
    mine = [countries.index(name) for name in names]
    kept = counts[:, mine].sum(axis=1) > 0
    if not kept.any():
        raise Incomparable("no test song charts in a country that both models know")
    charts = counts[:, mine][kept]
    challenger = score_songs(_renormalised(ours[kept][:, mine], "the challenger"), charts)
    index = [theirs.labels.index(name) for name in names]
    champion = score_songs(_renormalised(theirs.probabilities[kept][:, index], "it"), charts)
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
        challenger_labels=len(countries),
        shared_labels=len(names),
        songs=int(kept.sum()),
        songs_left_out=int((~kept).sum()),
        rows=int(charts.sum()),
        rows_left_out=int(counts.sum() - charts.sum()),
        log_loss=standing(Standing, "log_loss"),
        top5_mass=standing(ShareStanding, "top5_mass"),
        hit_at_5=standing(ShareStanding, "hit_at_5"),
        resamples=settings.resamples,
        alpha=settings.alpha,
        seed=settings.seed,
    )


def _renormalised(probabilities: np.ndarray, whose: str) -> np.ndarray:
    """Divide probabilities [N, K] by their sums, so that they are probabilities of the K countries."""
    sums = probabilities.astype("float64").sum(axis=1, keepdims=True)
    if (sums <= 0).any():
        raise Incomparable(
            f"{whose} gives no probability to any shared country, for {(sums <= 0).sum()} songs"
        )
    return np.asarray(probabilities / sums)


def headline(found: Comparison | None) -> str:
    """Say in a few words how the challenger stands beside the champion."""
    if found is None:
        return "no champion: absolute checks only"
    short = found.champion[:12]
    if not found.shared:
        return f"not comparable with champion {short}: {found.incomparable}"
    gain = found.shared.log_loss.difference
    superior = [name for name, standing in found.shared.standings.items() if standing.superior]
    better = f", better in {', '.join(superior)}" if superior else ""
    return (
        f"{gain.value:+.4f} nats beside champion {short} (at least {gain.low:+.4f}){better}, on "
        f"{found.shared.songs:,} songs in {found.shared.shared_labels} countries"
    )
