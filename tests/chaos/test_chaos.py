"""Seeded schedules of faults. JUKEBOX_CHAOS is their number; `make chaos` takes 5,000."""

import collections
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiers import SLOW

from chaos.invariants import violations
from chaos.schedules import schedule
from chaos.submitter import hurried
from chaos.world import live_through

SCHEDULES = int(os.environ.get("JUKEBOX_CHAOS", "500"))
BATCH = 50


def outcome_of(seed: int) -> tuple[str, list[str]]:
    """Run a schedule, and return how its last submitter ended and what does not hold."""
    again = f"(cd tests && python -m chaos {seed})"
    try:
        world = live_through(schedule(seed))
        return world.outcomes[-1].name, [f"seed {seed}: {text} {again}" for text in violations(world)]
    except Exception as error:
        return "double failed", [f"seed {seed}: the double: {error!r} {again}"]


def assert_all_hold(seeds: range) -> None:
    # Most of the time of a schedule is waiting: several run at once.
    with hurried(), ThreadPoolExecutor(8) as pool:
        results = list(pool.map(outcome_of, seeds))
    assert [text for _, wrong in results for text in wrong] == []
    ends = collections.Counter(name for name, _ in results)
    print(f"{len(seeds)} schedules: {dict(ends)}")
    # Without enough verdicts the schedules would say nothing about passes. A busy machine turns some of them
    # into deadlines.
    assert ends["pass"]
    assert ends["pass"] + ends["GateBlocked"] > len(seeds) / 3, ends


def test_invariants_hold_in_a_few_schedules():
    assert_all_hold(range(24))


@SLOW
@pytest.mark.parametrize("start", range(0, SCHEDULES, BATCH))
def test_invariants_hold_whatever_goes_wrong(start):
    assert_all_hold(range(start, min(start + BATCH, SCHEDULES)))
