"""Many schedules side by side: most of their time is waiting."""

import collections
import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chaos import submitter
from chaos.invariants import violations
from chaos.schedules import schedule
from chaos.world import live_through

SCHEDULES = int(os.environ.get("JUKEBOX_CHAOS", "500"))
AT_ONCE = 8
BATCH = 50
AGAIN = "cd tests && python -m chaos"


@dataclass
class Tally:
    """What came of many schedules."""

    ends: collections.Counter = field(default_factory=collections.Counter)
    faults: collections.Counter = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    several: int = 0
    """Schedules in which there was more than one run."""
    killed: int = 0
    slowest: float = 0


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Shorten the constant pauses of this process, and hush the libraries."""
    before, log = submitter.hurry(), logging.getLogger("urllib3.connectionpool")
    level = log.level
    log.setLevel(logging.ERROR)  # it would tell of every fault
    try:
        yield
    finally:
        log.setLevel(level)
        submitter.restore(before)


def live_through_all(seeds: Iterable[int], at_once: int = AT_ONCE) -> Tally:
    """Live through the schedules of some seeds, and judge each."""
    tally = Tally()
    with hurried(), ThreadPoolExecutor(at_once) as pool:
        for told in pool.map(_one, seeds):
            ends, hit, wrong, runs, slowest = told
            tally.ends[ends[-1]] += 1
            tally.faults.update(hit)
            tally.wrong += wrong
            tally.several += runs > 1
            tally.killed += ends.count("killed")
            tally.slowest = max(tally.slowest, slowest)
    return tally


def _one(seed: int) -> tuple[list[str], set[str], list[str], int, float]:
    try:
        world = live_through(schedule(seed))
        wrong = [f"seed {seed}: {text} ({AGAIN} {seed})" for text in violations(world)]
    except Exception as error:
        return ["double failed"], set(), [f"seed {seed}: the double: {error!r} ({AGAIN} {seed})"], 0, 0
    ends = [outcome.name for outcome in world.outcomes]
    return ends, world.hit, wrong, len(world.runs()), max(outcome.seconds for outcome in world.outcomes)


def batches(seeds: range) -> list[range]:
    """Divide seeds into batches, each a test."""
    return [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]


def assert_all_hold(seeds: range) -> None:
    """Live through the schedules of a batch, and fail with every violation and how to see it again."""
    tally = live_through_all(seeds)
    print(f"{len(seeds)} schedules: {dict(tally.ends)}; {tally.several} with several runs,")
    print(
        f"{tally.killed} kills, {sum(tally.faults.values())} kinds of faults, slowest {tally.slowest:.1f} s"
    )
    assert not tally.wrong, "\n".join(["", *tally.wrong])
    # Otherwise the schedules would be too hard to say anything about a pass. A busy machine turns some of the
    # verdicts into deadlines, so verdicts are counted, and not passes alone.
    assert tally.ends["pass"]
    assert tally.ends["pass"] + tally.ends["GateBlocked"] > len(seeds) / 3, tally.ends
