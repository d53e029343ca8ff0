"""The simulation of the gate's error rates: it differs by what it says, and its quick version runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.gate_docs import interval
from bench.populations import chart_rows, population
from tiers import SLOW

BENCH = Path(__file__).parents[1] / "bench" / "bench_gate.py"


@pytest.mark.parametrize("margins", [-1, 0, 1, 2])
def test_the_true_difference_is_exactly_what_it_says(margins):
    wanted = {"log_loss": -0.02 * margins, "top5_mass": -0.01 * margins, "hit_at_5": -0.02 * margins}
    songs = population(wanted, songs=20_000)
    assert songs.differences() == pytest.approx(wanted, abs=1e-12)


def test_a_song_changes_by_what_a_song_can():
    """Five countries of six days are the most that a top five can win or lose; a hit is one song."""
    songs = population({"log_loss": -0.02, "top5_mass": -0.01, "hit_at_5": -0.02}, songs=20_000)
    assert np.isin(np.round(songs.hit_at_5, 9), (-1, 0, 1)).mean() > 0.9999
    assert np.abs(songs.top5_mass).max() <= 5 * 10
    assert (np.abs(songs.top5_mass) <= songs.rows + 1e-9).all()


def test_rows_are_as_skewed_as_the_real_charts():
    rows = chart_rows(np.random.default_rng(1), 100_000)
    assert np.percentile(rows, [25, 50, 75]).tolist() == pytest.approx([4, 5, 6], abs=1)
    assert 60 < np.percentile(rows, 99) < 130
    assert 4 < (rows**2).mean() / rows.mean() ** 2 < 8


def test_the_interval_of_a_rate_is_clopper_and_pearsons():
    # R: binom.test(5, 100)
    assert interval(5, 100) == pytest.approx((1.64, 11.28), abs=0.01)
    assert interval(0, 100)[0] == 0


@SLOW
def test_the_quick_version_runs_and_writes_its_page(tmp_path):
    command = [sys.executable, str(BENCH), "--quick", "--docs", str(tmp_path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    page = (tmp_path / "gate-errors.md").read_text()
    assert page in text
    assert "| 1,000 | 50 |" in page
    assert (tmp_path / "gate-power.svg").read_text().count("<polyline") == 4
