"""How often the comparison with the production model is wrong: false promotions, false blocks, power.

Test sets are drawn from populations of songs (`populations.py`) in which the challenger is better than the
champion, equal to it, or worse by exactly the margin or twice that, in each metric. Each is decided by the
functions that decide on a candidate, metric by metric: an error rate that holds for each metric alone
holds all the more for the three together, which all have to pass.

    python tests/bench/bench_gate.py [--quick] --docs docs/explanation

It writes the tables and numbers of gate-errors.md, whose prose stays as it is, and gate-power.svg.
"""

import argparse
import functools
import os
import platform
import re
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
from populations import SONGS, Population, population
from scipy.stats import binomtest

from ml.gate.policy import default_text, parse_policy
from ml.gate.resampling import Resampling
from ml.measure import draws
from ml.measure.resampling import RESAMPLING, compare_ratios
from ml.problems.songs.policy import THRESHOLDS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "gate-errors.md"
POLICY = parse_policy(default_text(THRESHOLDS)).champion
LIMITS = (POLICY.margin_log_loss_nats, POLICY.margin_top5_mass, POLICY.margin_hit_at_5)
MARGINS = dict(zip(("log loss", "top-5 mass", "hit@5"), LIMITS, strict=True))
COLOURS = {"log loss": "#1f77b4", "top-5 mass": "#ff7f0e", "hit@5": "#2ca02c", "all three": "#444444"}
"""The columns of the tables, and how each is drawn."""

SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
# fmt: off
CHALLENGERS = {
    "worse by the margin": (1.0, 4_000_000, True), "worse by two margins": (2.0, 500_000, True),
    "equal": (0.0, 1_000_000, False), "better by the margin": (-1.0, 500_000, False),
}
# fmt: on
"""In the order of the page: by how many margins each is worse in each metric, the songs to draw in all test
sets of one size, and whether the table shows promotions (else blocks)."""

TRIALS, BATCH = (150, 2_000), 50
"""The fewest and the most test sets of one size, and those of one job."""


class Cell(NamedTuple):
    """Of so many test sets of one size, how many promote by each metric, and by all three."""

    songs: int
    trials: int
    promoted: dict[str, int]


@functools.cache
def challenger(name: str) -> Population:
    """Return the population of a kind of challenger, made once a process."""
    return population({metric: -CHALLENGERS[name][0] * margin for metric, margin in MARGINS.items()})


def trials(name: str, size: int, seed: int, resamples: int) -> dict[str, int]:
    """Count the promotions in a batch: those shown to be within the margin, as the gate decides."""
    # The processors are busy with other test sets.
    draws.os.cpu_count = lambda: 1
    rng = np.random.default_rng([seed, size, int(10 * CHALLENGERS[name][0]) + 100])
    songs, totals = challenger(name), dict.fromkeys(COLOURS, 0)
    for _ in range(BATCH):
        settings = Resampling(resamples=resamples, alpha=POLICY.alpha, seed=int(rng.integers(2**31)))
        bounds = compare_ratios(songs.ratios(rng.integers(0, SONGS, size)), settings)
        passed = {metric: bounds[metric].low > -margin for metric, margin in MARGINS.items()}
        for metric, promoted in {**passed, "all three": all(passed.values())}.items():
            totals[metric] += promoted
    return totals


def simulate(resamples: int, effort: float, sizes: tuple[int, ...]) -> dict[str, list[Cell]]:
    """Decide on test sets of every size and challenger; ``effort`` scales how many."""
    cells: dict[str, list[Cell]] = {name: [] for name in CHALLENGERS}
    fewest, most = (max(BATCH, int(effort * bound)) for bound in TRIALS)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, size in product(CHALLENGERS, sizes):
            sets = min(max(int(effort * CHALLENGERS[name][1] / size), fewest), most)
            jobs = [pool.submit(trials, name, size, seed, resamples) for seed in range(-(-sets // BATCH))]
            counts = [job.result() for job in jobs]
            promoted = {metric: sum(part[metric] for part in counts) for metric in COLOURS}
            cells[name].append(Cell(size, BATCH * len(jobs), promoted))
            print(name, cells[name][-1], flush=True)
    return cells


def clock() -> float:
    """Return the seconds of a comparison of 20,000 songs with 10,000 resamples: the best of five."""
    ratios = challenger("equal").ratios(np.random.default_rng(1).integers(0, SONGS, 20_000))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        compare_ratios(ratios, RESAMPLING)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def rate(hits: int, trials: int) -> tuple[float, float, float]:
    """Return a rate with its 95 % interval by Clopper and Pearson, in per cent."""
    interval = binomtest(hits, trials).proportion_ci(0.95, "exact")
    return 100 * hits / trials, 100 * interval.low, 100 * interval.high


def page(text: str, cells: dict[str, list[Cell]], told: dict[str, str]) -> str:
    """Return the page with new tables and numbers: ``told`` has a pattern for each sentence with numbers."""
    wrong = product(cells["worse by the margin"], MARGINS)
    rates, lows, _ = zip(*(rate(cell.promoted[name], cell.trials) for cell, name in wrong), strict=True)
    alpha, mean = 100 * POLICY.alpha, sum(rates) / len(rates)
    above = sum(low > alpha for low in lows)
    told[r"Over these .*?lies above [\d.]+ %\."] = (
        f"Over these {len(rates)} cells the rate is {mean:.1f} % on average, and {max(rates):.1f} % at most; "
        f"the\ninterval of {above} of them lies above {alpha:g} %."
    )
    tables = (table(cells[name], promoted) for name, (*_, promoted) in CHALLENGERS.items())
    for pattern, new in told.items():
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.DOTALL)
        assert count == 1, f"{PAGE.name} has {count} times {pattern}"
    return re.sub(r"^\| songs .*?(?=\n\n)", lambda _: next(tables), text, flags=re.DOTALL | re.MULTILINE)


def table(cells: list[Cell], promoted: bool) -> str:
    lines = [f"| songs | test sets | {' | '.join(f'{name}, %' for name in COLOURS)} |", "|" + "--:|" * 6]
    for cell in cells:
        hits = [count if promoted else cell.trials - count for count in cell.promoted.values()]
        rates = ("{:.1f} [{:.1f}, {:.1f}]".format(*rate(count, cell.trials)) for count in hits)
        lines.append(f"| {cell.songs:,} | {cell.trials:,} | {' | '.join(rates)} |")
    return "\n".join(lines)


def curve(equal: list[Cell]) -> str:
    """Return the picture: the share of equal challengers that are promoted, against songs on a log axis."""
    first, last = log(equal[0].songs), log(equal[-1].songs)

    def x(songs: int) -> float:
        return 60 + 450 * (log(songs) - first) / (last - first)

    def y(share: float) -> float:
        return 30 + 270 * (1 - share)

    def text(x: float, y: float, words: str, how: str = "") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}"{how}>{words}</text>'

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="640" height="360" fill="white"/>',
        text(60, 18, f"Share of equal challengers promoted (alpha {100 * POLICY.alpha:g} %)"),
        text(60, 348, "test songs (log scale)"),
    ]
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(f'<path d="M60 {y(share):.1f}H{x(equal[-1].songs):.1f}" stroke="#ddd"/>')
        parts.append(text(52, y(share) + 4, f"{100 * share:.0f} %", ' text-anchor="end"'))
    parts += [text(x(cell.songs), y(0) + 18, f"{cell.songs:,}", ' text-anchor="middle"') for cell in equal]
    for index, (name, colour) in enumerate(COLOURS.items()):
        points = [(x(cell.songs), y(cell.promoted[name] / cell.trials)) for cell in equal]
        line = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>' for across, up in points]
        parts.append(text(525, 50 + 18 * index, name, f' fill="{colour}"'))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the test sets, up to 1,000 songs")
    parser.add_argument("--docs", type=Path, required=True, help="the folder to write to")
    given = parser.parse_args()
    start = time.perf_counter()
    seconds = clock()
    # A run takes 10,000 resamples.
    resamples, effort, sizes = (400, 0.02, SIZES[:3]) if given.quick else (2_000, 1.0, SIZES)
    cells = simulate(resamples, effort, sizes)
    minutes = (time.perf_counter() - start) / 60
    machine = f"{os.cpu_count()} processors ({platform.machine()})"
    policy = [*MARGINS.values(), 100 * POLICY.alpha]
    told = {
        r"in \d+ minutes on [^;]*;": f"in {minutes:.0f} minutes on {machine};",
        r"[\d.]+ nats of log loss, .*? at alpha [\d.]+ %": (
            "{:g} nats of log loss, {:g} of top-5 mass, {:g} of hit@5, at alpha {:g} %".format(*policy)
        ),
        r"has [\d,]+ resamples here": f"has {resamples:,} resamples here",
        r"take [\d.]+ s for three": f"take {seconds:.2f} s for three",
    }
    (given.docs / PAGE.name).write_text(page(PAGE.read_text(), cells, told))
    (given.docs / "gate-power.svg").write_text(curve(cells["equal"]))


if __name__ == "__main__":
    main()
