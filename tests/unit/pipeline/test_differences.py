"""Two runs side by side: what differs is told, and only what can be compared is compared."""

import pytest
from local_runs import BLOCKED, FIRST, SECOND, events, make_run
from reports import OTHER_DIGEST

from ml.pipeline.differences import compare_runs
from ml.pipeline.runs import find_run

WORSE = {"evaluation.model.log_loss": {"value": 4.125, "low": 4.0, "high": 4.25}}


@pytest.fixture
def compare(tmp_path):
    """Compare two runs, each made by what it is given."""

    def compared(first, second):
        for name, how in ((FIRST, first), (SECOND, second)):
            make_run(tmp_path, name, **how)
        return compare_runs(find_run(FIRST, tmp_path), find_run(SECOND, tmp_path))

    return compared


def test_equal_runs_differ_in_nothing(compare):
    found = compare({"evidence": {}}, {"evidence": {}})
    assert (found.changed, found.checks, found.note) == ({}, {}, "")
    assert {"commit", "epochs", "image", "policy", "data version", "test examples"} <= set(found.same)


def test_settings_code_and_results_that_differ_are_told(compare):
    found = compare(
        {"evidence": {}, "hyperparameters": {"epochs": 5}},
        {"evidence": {"broken": "budget.model_bytes", "edits": WORSE}, "told": BLOCKED, "dirty": True},
    )
    assert set(found.changed) == {"epochs", "verdict", "commit", "model bytes"}
    assert (found.changed["epochs"], found.changed["verdict"]) == ((5, 300), ("pass", "blocked"))
    assert found.changed["commit"] == ("01b945fae5ea", "01b945fae5ea+dirty")
    assert (found.checks["budget.model_bytes"], found.comparable) == (("pass", "BLOCK"), True)
    assert "data.rankings.columns" not in found.checks
    first, second = found.metrics["log_loss"]
    assert (first.value, second.value, second.low, second.high) == (4.0, 4.125, 4.0, 4.25)
    assert set(found.metrics) >= {"top1_mass", "top5_mass", "hit_at_5", "gain_over_prior"}


@pytest.mark.parametrize(
    ("edits", "about", "why"),
    [
        ({"data_report.data_version": "another"}, {"data_version": "another"}, "another data version"),
        ({"evaluation.test_digest": OTHER_DIGEST}, {}, "another split"),
    ],
)
def test_other_data_or_another_split_is_other_test_examples(compare, edits, about, why):
    found = compare({"evidence": {}}, {"evidence": {"edits": edits}, **about})
    assert (f"different test examples ({why})" in found.note, found.comparable) == (True, False)


def test_of_a_run_that_failed_early_what_is_known_is_compared(compare):
    told = events(("train", "error"), message="out of memory", blocked=False, permanent=True)
    found = compare({"evidence": {}}, {"told": told, "hyperparameters": {"epochs": 5}})
    assert found.note == f"run {SECOND} has no metrics (failed: train); what is known of it is compared"
    assert found.changed["epochs"] == (300, 5)
    assert [pair[1] for name, pair in found.changed.items() if name.startswith("rows of ")] == [None, None]
    assert found.metrics["log_loss"][1] is None
    assert found.checks == {}


def test_checks_that_only_one_run_made_are_told_where_they_failed(compare):
    found = compare({}, {"evidence": {"broken": "budget.model_bytes"}, "told": BLOCKED})
    assert found.checks == {"budget.model_bytes": (None, "BLOCK")}
