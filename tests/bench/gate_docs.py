"""The page and the picture of `bench_gate.py`: rates with their intervals, and power against songs."""

from collections.abc import Sequence
from math import log
from typing import Any, NamedTuple

from scipy.stats import binomtest

TITLES = {"log_loss": "log loss", "top5_mass": "top-5 mass", "hit_at_5": "hit@5", "all three": "all three"}
COLOURS = {"log_loss": "#1f77b4", "top5_mass": "#ff7f0e", "hit_at_5": "#2ca02c", "all three": "#444444"}
WIDTH, HEIGHT, LEFT, TOP = 640, 360, 60, 30


class How(NamedTuple):
    """What was simulated with: margins by metric, alpha, resamples; what it took."""

    margins: dict[str, float]
    alpha: float
    resamples: int
    seconds: float
    minutes: float
    machine: str


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by Clopper and Pearson, in per cent."""
    found = binomtest(hits, trials).proportion_ci(0.95, "exact")
    return 100 * found.low, 100 * found.high


def page(cells: Sequence[Any], how: How) -> str:
    """Return docs/explanation/gate-errors.md."""
    margins = how.margins
    of_three = [
        (cell.promoted[metric], cell.trials)
        for cell in cells
        if cell.challenger == "worse by the margin"
        for metric in margins
    ]
    rates = [100 * hits / trials for hits, trials in of_three]
    lows = [interval(*pair)[0] for pair in of_three]
    alpha = 100 * how.alpha
    return f"""# How often the comparison with the production model is wrong

Measured by `tests/bench/bench_gate.py` in {how.minutes:.0f} minutes on {how.machine}; it writes this page.
A challenger is promoted by a metric when the lower bound of its difference to the champion, by the
studentised bootstrap over songs (`ml/measure/resampling.py`), is above minus the margin:
{margins["log_loss"]:g} nats of log loss, {margins["top5_mass"]:g} of top-5 mass, {margins["hit_at_5"]:g} of \
hit@5, at alpha {alpha:g} %.

Test sets are drawn from synthetic populations in which the difference is exactly what is stated. Chart rows
by song are as skewed as on the real charts of December 2023: a median of 5, and 90 for one song in a hundred.
In brackets stand 95 % intervals by Clopper and Pearson. Each decision has {how.resamples:,} resamples here;
10,000 in a run take {how.seconds:.2f} s for three metrics on 20,000 songs.

## False promotions

The challenger is worse by exactly the margin; promoting it is wrong, and may happen in {alpha:g} % at most.
Over these {len(rates)} cells the rate is {sum(rates) / len(rates):.1f} % on average, and {max(rates):.1f} % \
at most; the
interval of {sum(low > alpha for low in lows)} of them lies above {alpha:g} %.

{_table(cells, "worse by the margin", promoted=True)}

At two margins:

{_table(cells, "worse by two margins", promoted=True)}

## False blocks

The challenger is equal to the champion; blocking it is wrong, and is the price of a small test set.

{_table(cells, "equal", promoted=False)}

It is better by the margin:

{_table(cells, "better by the margin", promoted=False)}

## Power

The share of equal challengers that are promoted, against the number of test songs:

![Power against songs](gate-power.svg)

A bound lies about 2 standard errors from the value, so an equal challenger passes a metric in four cases of
five when the standard error of the difference is below the margin divided by 2.8. Half the margin needs four
times the songs.

## What this does not say

The populations are models of the real charts. Where one song in some thousands could lose a hundred times
what others do, no test set of a thousand songs shows it, and no bound that is computed from one knows it.

How far two models differ from song to song decides how many songs are needed. For 474 songs the standard
error of the difference is 0.019 nats, 0.012 and 0.017 here. Two networks that were each trained on nine
tenths of the real training songs gave 0.024, 0.011 and 0.016 on the 474 real test songs. On the 370 of the
embedded sample it was 0.005, 0.004 and 0.009: it needs a third of the songs, or fewer.
"""


def _table(cells: Sequence[Any], challenger: str, promoted: bool) -> str:
    lines = [
        "| songs | test sets | " + " | ".join(f"{TITLES[name]}, %" for name in TITLES) + " |",
        "|" + "--:|" * 6,
    ]
    for cell in cells:
        if cell.challenger != challenger:
            continue
        hits = [cell.promoted[name] if promoted else cell.trials - cell.promoted[name] for name in TITLES]
        parts = [(100 * count / cell.trials, *interval(count, cell.trials)) for count in hits]
        text = " | ".join(f"{rate:.1f} [{low:.1f}, {high:.1f}]" for rate, low, high in parts)
        lines.append(f"| {cell.songs:,} | {cell.trials:,} | {text} |")
    return "\n".join(lines)


def curve(cells: Sequence[Any], how: How) -> str:
    """Return the picture beside it: the share of equal challengers that are promoted, songs on a log axis."""
    equal = [cell for cell in cells if cell.challenger == "equal"]
    first, last = log(equal[0].songs), log(equal[-1].songs)

    def x(songs: int) -> float:
        return LEFT + (WIDTH - LEFT - 130) * (log(songs) - first) / (last - first)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - 60) * (1 - share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">Share of equal challengers promoted (alpha {100 * how.alpha:g} %)</text>',
        f'<text x="{x(equal[0].songs):.0f}" y="{HEIGHT - 12}">test songs (log scale)</text>',
    ]
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{x(equal[-1].songs):.1f}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:.0f} %</text>'
        )
    for cell in equal:
        parts.append(
            f'<text x="{x(cell.songs):.1f}" y="{y(0) + 18:.1f}" text-anchor="middle">{cell.songs:,}</text>'
        )
    for index, (name, colour) in enumerate(COLOURS.items()):
        points = [(x(cell.songs), y(cell.promoted[name] / cell.trials)) for cell in equal]
        line = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>' for across, up in points]
        parts.append(
            f'<text x="{WIDTH - 115}" y="{TOP + 20 + 18 * index}" fill="{colour}">{TITLES[name]}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
