"""How often the comparison with the production model is wrong: false promotions, false blocks, power.

Test sets are drawn from populations of songs (`populations.py`) in which the challenger is better than the
champion, equal to it, or worse by exactly the margin or twice that, in each metric. Each is decided by the
functions that decide on a candidate, metric by metric: an error rate that holds for each metric alone
holds all the more for the three together, which all have to pass.

    python tests/bench/bench_gate.py [--quick] [--docs docs]
"""

import argparse
import functools
import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import gate_docs
import numpy as np
from populations import Population, population

from ml.gate.policy import default_text, parse_policy
from ml.gate.resampling import Resampling
from ml.measure import draws
from ml.measure.resampling import RESAMPLING, compare_ratios
from ml.problems.songs.policy import THRESHOLDS

SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
WORSE_BY = {
    "better by the margin": -1.0,
    "equal": 0.0,
    "worse by the margin": 1.0,
    "worse by two margins": 2.0,
}
"""The challengers, and by how many margins each is worse than the champion, in each metric."""

SONGS_DRAWN = {"worse by the margin": 4_000_000, "equal": 1_000_000}
"""Songs to draw in all test sets of one size; other challengers get `ELSE`."""

ELSE = 500_000
TRIALS = (150, 2_000)
"""The fewest and the most test sets of one size."""

BATCH = 50


class Cell(NamedTuple):
    """Of so many test sets of one size, how many promote by each metric, and by all three."""

    challenger: str
    songs: int
    trials: int
    promoted: dict[str, int]


def defaults() -> tuple[dict[str, float], float]:
    """Return the margins by metric, and alpha, of the default policy."""
    policy = parse_policy(default_text(THRESHOLDS)).champion
    margins = {
        "log_loss": policy.margin_log_loss_nats,
        "top5_mass": policy.margin_top5_mass,
        "hit_at_5": policy.margin_hit_at_5,
    }
    return margins, policy.alpha


@functools.cache
def challenger(name: str) -> Population:
    """Return the population of a kind of challenger, made once a process."""
    margins, _ = defaults()
    return population({metric: -WORSE_BY[name] * margin for metric, margin in margins.items()})


def decide(songs: Population, drawn: np.ndarray, settings: Resampling) -> dict[str, bool]:
    """Decide on one test set as the gate does: is the challenger shown to be within the margin?"""
    margins, _ = defaults()
    bounds = compare_ratios(songs.ratios(drawn), settings)
    found = {metric: bounds[metric].low > -margin for metric, margin in margins.items()}
    return {**found, "all three": all(found.values())}


def trials(name: str, size: int, count: int, seed: int, resamples: int) -> dict[str, int]:
    """Count the promotions on ``count`` test sets of ``size`` songs."""
    # The processors are busy with other test sets.
    draws.os.cpu_count = lambda: 1
    rng = np.random.default_rng([seed, size, int(10 * WORSE_BY[name]) + 100])
    songs, (_, alpha) = challenger(name), defaults()
    totals: dict[str, int] = {}
    for _ in range(count):
        settings = Resampling(resamples=resamples, alpha=alpha, seed=int(rng.integers(2**31)))
        for metric, promoted in decide(songs, rng.integers(0, len(songs.rows), size), settings).items():
            totals[metric] = totals.get(metric, 0) + promoted
    return totals


def simulate(resamples: int, effort: float, sizes: Iterable[int] = SIZES) -> list[Cell]:
    """Decide on test sets of every size and challenger; ``effort`` scales how many."""
    cells = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in WORSE_BY:
            for size in sizes:
                fewest, most = (max(BATCH, int(effort * bound)) for bound in TRIALS)
                wanted = int(effort * SONGS_DRAWN.get(name, ELSE) / size)
                batches = -(-min(max(wanted, fewest), most) // BATCH)
                jobs = [pool.submit(trials, name, size, BATCH, seed, resamples) for seed in range(batches)]
                found = [job.result() for job in jobs]
                promoted = {metric: sum(part[metric] for part in found) for metric in found[0]}
                cells.append(Cell(name, size, BATCH * batches, promoted))
                print(f"{name:22} {size:6,} songs, {BATCH * batches:5,} test sets: {promoted}", flush=True)
    return cells


def clock(songs: int = 20_000) -> float:
    """Return the seconds of one comparison in three metrics with 10,000 resamples: the best of five.

    What else the machine does only adds to it.
    """
    everything = challenger("equal")
    ratios = everything.ratios(np.random.default_rng(1).integers(0, len(everything.rows), songs))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        compare_ratios(ratios, RESAMPLING)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a fiftieth of the test sets, 200 to 1,000 songs"
    )
    parser.add_argument("--resamples", type=int, default=2_000, help="for each decision (a run takes 10,000)")
    parser.add_argument("--docs", type=Path, help="the folder for gate-errors.md and gate-power.svg")
    given = parser.parse_args()
    start = time.perf_counter()
    seconds = clock()
    cells = simulate(400, 0.02, SIZES[:3]) if given.quick else simulate(given.resamples, 1.0)
    margins, alpha = defaults()
    how = gate_docs.How(
        margins=margins,
        alpha=alpha,
        resamples=400 if given.quick else given.resamples,
        seconds=seconds,
        minutes=(time.perf_counter() - start) / 60,
        machine=f"{os.cpu_count()} processors ({platform.machine()})",
    )
    text = gate_docs.page(cells, how)
    print(text)
    if given.docs:
        given.docs.mkdir(parents=True, exist_ok=True)
        (given.docs / "gate-errors.md").write_text(text)
        (given.docs / "gate-power.svg").write_text(gate_docs.curve(cells, how))


if __name__ == "__main__":
    main()
