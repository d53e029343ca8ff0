"""The schedules of all even seeds. JUKEBOX_CHAOS says how many there are, `make chaos` takes 5,000."""

import pytest

from chaos.batches import SCHEDULES, assert_all_hold, batches


@pytest.mark.parametrize("seeds", batches(range(0, SCHEDULES, 2)), ids=str)
def test_invariants_hold_whatever_goes_wrong(seeds):
    assert_all_hold(seeds)
