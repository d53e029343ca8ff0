"""Checks beside the champion: it is the right one, it could be compared, and the model is not worse.

A model must be shown not to be worse by the margin in *every* metric. Letting a worse one through then takes
a wrong bound in the very metric in which it is worse: its probability is at most alpha, however many metrics
there are (Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
"""

from collections.abc import Iterator
from statistics import NormalDist

from ml.gate.checks.check import Check, beside, compare, readable
from ml.gate.records import ROUNDING
from ml.gate.reports.champion import NOISE, Comparison, Shared, Standing
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.resampling import JUDGED_AT
from ml.gate.thresholds import ChampionPolicy

LOWER_IS_BETTER = ("log_loss",)


def champion_checks(report: Evaluation, bounds: ChampionPolicy, champion: str | None) -> Iterator[Check]:
    """Check the comparison with the champion of the run: a candidate's id, "" for none, None for unknown."""
    found = report.champion
    yield _subject(found, champion)
    if found is None:
        return
    yield readable(
        "champion.comparable", "incomparable" if found.incomparable else "readable", found.incomparable
    )
    if found.shared:
        yield from _coverage(found.shared, report, bounds)
        margins = {
            "log_loss": bounds.margin_log_loss_nats,
            "top5_mass": bounds.margin_top5_mass,
            "hit_at_5": bounds.margin_hit_at_5,
        }
        for name, standing in found.shared.standings.items():
            yield from _standing(name, standing, margins[name], found.shared, bounds)
            yield _same_challenger(name, standing, found.shared, report)


def _subject(found: Comparison | None, champion: str | None) -> Check:
    compared = found.champion if found else ""
    against = compared[:12] or "no champion"
    production = "an unknown champion" if champion is None else champion[:12] or "nothing"
    return beside(
        "champion.subject", compared, champion, f"compared with {against}, and {production} was in production"
    )


def _coverage(shared: Shared, report: Evaluation, bounds: ChampionPolicy) -> Iterator[Check]:
    """Check that the comparison is about all test songs, or nearly, and was made as the policy asks."""
    for name, counted in (
        ("songs", shared.songs + shared.songs_left_out),
        ("rows", shared.rows + shared.rows_left_out),
    ):
        yield compare(f"champion.{name}.adds_up", counted, "==", getattr(report, name))
    yield compare("champion.rows", shared.rows, ">=", shared.songs, "fewer chart rows than songs")
    yield compare(
        "champion.rows_left_out",
        shared.rows_left_out,
        ">=",
        shared.songs_left_out,
        "fewer chart rows than songs were left out",
    )
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
    yield compare(
        "champion.labels",
        shared.challenger_labels,
        "==",
        report.labels,
        f"{shared.challenger_labels} countries are compared, and the model evaluated knows {report.labels}",
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
    """Check one metric: its difference adds up, and is not below the margin; warn where none could tell."""
    more = standing.challenger - standing.champion
    gain = -more if name in LOWER_IS_BETTER else more
    difference = standing.difference
    yield compare(
        f"champion.{name}.adds_up",
        abs(difference.value - gain),
        "<=",
        ROUNDING,
        f"the stated difference {difference.value:.6g} is not that of the two models, {gain:.6g}",
    )
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


def _same_challenger(name: str, standing: Standing, shared: Shared, report: Evaluation) -> Check:
    """Make the check that the challenger scores here what it scores alone, where nothing was left out."""
    alone = getattr(report.model, name).value
    whole = shared.rows_left_out == 0 and shared.shared_labels == shared.challenger_labels
    return compare(
        f"champion.{name}.challenger",
        abs(standing.challenger - alone) if whole else 0.0,
        "<=",
        NOISE,
        f"beside the champion the model scores {standing.challenger:.9g}, and alone {alone:.9g}",
    )
