"""Seeded schedules of faults. JUKEBOX_CHAOS says how many there are, `make chaos` takes 5,000."""

import pytest
from tiers import SLOW

from chaos.batches import SCHEDULES, assert_all_hold, batches


def test_invariants_hold_in_a_few_schedules():
    assert_all_hold(range(24))


@SLOW
@pytest.mark.parametrize("seeds", batches(range(SCHEDULES)), ids=str)
def test_invariants_hold_whatever_goes_wrong(seeds):
    assert_all_hold(seeds)
