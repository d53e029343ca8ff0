"""Checks beside the champion: it could be compared, and the model is not worse.

A model must be shown not to be worse by the margin in *every* metric. Letting a worse one through then takes
a wrong bound in the very metric in which it is worse: its probability is at most alpha, however many metrics
there are (Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
"""

from collections.abc import Iterator
from statistics import NormalDist

from ml.gate.checks.check import Check, Level, compare, readable
from ml.gate.reports.champion import Shared, Standing
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.resampling import JUDGED_AT
from ml.gate.thresholds import ChampionPolicy


def champion_checks(report: Evaluation, bounds: ChampionPolicy, level: Level) -> Iterator[Check]:
    """Check the comparison with the champion, at a level; without a champion there is nothing to check."""
    for check in _champion_checks(report, bounds):
        yield check.model_copy(update={"level": level}) if level == "warn" else check


def _champion_checks(report: Evaluation, bounds: ChampionPolicy) -> Iterator[Check]:
    found = report.champion
    if found is None:
        return
    yield readable(
        "champion.comparable", "incomparable" if found.incomparable else "readable", found.incomparable
    )
    if found.shared:
        yield from _coverage(found.shared, bounds)
        margins = {
            "log_loss": bounds.margin_log_loss_nats,
            "top5_mass": bounds.margin_top5_mass,
            "hit_at_5": bounds.margin_hit_at_5,
        }
        for name, standing in found.shared.standings.items():
            yield from _standing(name, standing, margins[name], found.shared, bounds)


def _coverage(shared: Shared, bounds: ChampionPolicy) -> Iterator[Check]:
    """Check that the comparison is about all test songs, or nearly, and was made as the policy asks."""
    yield compare(
        "champion.shared_rows",
        shared.rows / max(shared.rows + shared.rows_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        "the countries that both models know hold too few of the test songs' chart rows",
    )
    yield compare(
        "champion.shared_songs",
        shared.songs / max(shared.songs + shared.songs_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        "too few of the test songs chart in the countries that both models know",
    )
    yield compare("champion.resamples", shared.resamples, ">=", bounds.min_resamples)
    yield compare(
        "champion.alpha",
        shared.alpha,
        "<=",
        bounds.alpha,
        f"the bounds are wrong with probability {shared.alpha:g}, and the policy allows {bounds.alpha:g}",
    )


def _standing(
    name: str, standing: Standing, margin: float, shared: Shared, bounds: ChampionPolicy
) -> Iterator[Check]:
    """Check that one metric is not below its margin; warn where the test songs are too few to tell."""
    difference = standing.difference
    yield compare(
        f"champion.{name}.not_worse",
        difference.low,
        ">=",
        -margin,
        f"not shown to be within {margin:g} of the champion: the difference is {difference.value:.4g}, and "
        f"its lower bound {difference.low:.4g}",
    )
    # An equal model fails in each metric with its share of the probability that it may fail in any. It passes
    # in this one with the rest if the margin is so many standard errors wide (normal theory).
    power = 1 - (1 - bounds.min_power) / len(shared.standings)
    widths = -NormalDist().inv_cdf(JUDGED_AT * shared.alpha) + NormalDist().inv_cdf(power)
    needed = widths * difference.standard_error
    takes = "no number of songs tells a margin of 0"
    if margin:
        # Not a power: what is too large a number for one is infinity here.
        times = needed / margin
        takes = f"to tell the margin of {margin:g} takes {shared.songs * times * times:.0f} or so"
    yield compare(
        f"champion.{name}.power",
        needed,
        "<=",
        margin,
        f"an equal model would be blocked too often: {shared.songs} test songs can tell {needed:.3g}, and "
        f"{takes}",
        level="warn",
    )
