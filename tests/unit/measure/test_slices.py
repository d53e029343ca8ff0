"""The slices: which songs and rows each holds, what is gained there, and a country that is lost is caught."""

import json

import numpy as np
import pytest
from reports import evaluation

from ml.core.canonical import canonical_bytes
from ml.data.splits import Examples
from ml.gate.multiple import rejected
from policies import default_policy
from ml.gate.subjects.evaluation import Evaluation, Interval
from ml.gate.subjects.slices import slice_checks
from ml.measure.evaluation import _by_country
from ml.measure.metrics import score_songs
from ml.measure.resampling import RESAMPLING
from ml.measure.slices import FLOOR, measure_slices, worst_slices

COUNTRIES = ["BR", "DE", "SE"]
POLICY = default_policy().slices


def songs(count=200, seed=1):
    """Songs of which two in three chart in one country, the others in two; a third is explicit."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 13)).astype("float32")
    features[:, 0] = np.arange(count) % 3 == 0
    counts = np.zeros((count, 3), dtype="int32")
    counts[np.arange(count), rng.integers(0, 3, count)] = rng.integers(1, 7, count)
    counts[: count // 3, 1] += 2
    released = np.full(count, 2023, dtype="int16")
    released[::2], released[::5], released[::7] = 2019, 1987, 0
    return Examples([str(index) for index in range(count)], features, counts, released)


def model(test, skill=0.3, seed=2):
    """Probabilities that lean to the countries where a song charts."""
    rng = np.random.default_rng(seed)
    shares = test.counts / test.counts.sum(axis=1, keepdims=True)
    noise = rng.dirichlet(np.ones(3) * 20, len(shares))
    return skill * shares + (1 - skill) * noise


PRIOR = np.full(3, 1 / 3)


def named(slices):
    return {part.name: part for part in slices.slices}


def test_each_slice_holds_its_songs_and_rows():
    test = songs()
    found = named(measure_slices(model(test), PRIOR, test, COUNTRIES))
    counts, explicit = test.counts, test.features[:, 0] == 1
    expected = {f"country={name}": counts[:, [index]] for index, name in enumerate(COUNTRIES)}
    expected |= {"explicit=yes": counts[explicit], "explicit=no": counts[~explicit]}
    expected |= {f"decade={year}s": counts[test.released // 10 == year // 10] for year in (1980, 2010, 2020)}
    expected["released=this year"] = counts[test.released == 2023]
    expected["released=earlier"] = counts[(test.released > 0) & (test.released < 2023)]
    assert {name: (part.songs, part.rows) for name, part in found.items()} == {
        name: (int((rows.sum(axis=1) > 0).sum()), int(rows.sum())) for name, rows in expected.items()
    }


def test_the_gain_is_the_difference_of_the_log_losses_on_the_slices_rows():
    test = songs()
    probabilities = model(test)
    found = named(measure_slices(probabilities, PRIOR, test, COUNTRIES))
    chosen = test.released // 10 == 198
    losses = [
        score_songs(values[chosen], test.counts[chosen]).points()["log_loss"]
        for values in (np.tile(PRIOR, (len(chosen), 1)), probabilities)
    ]
    assert found["decade=1980s"].gain == pytest.approx(losses[0] - losses[1])
    brazil = test.counts[:, 0]
    gain = (brazil * np.log(probabilities[:, 0] * 3)).sum() / brazil.sum()
    assert found["country=BR"].gain == pytest.approx(gain)
    assert found["country=BR"].standard_error > 0


def test_without_years_there_are_no_slices_by_year():
    test = songs()
    unknown = Examples(test.ids, test.features, test.counts, np.zeros(len(test.ids), "int16"))
    families = {part.family for part in measure_slices(model(test), PRIOR, unknown, COUNTRIES).slices}
    assert families == {"country", "explicit"}


def test_a_country_without_test_songs_has_no_slice():
    test = songs()
    counts = np.column_stack([test.counts, np.zeros(len(test.ids), "int32")])
    wider = Examples(test.ids, test.features, counts, test.released)
    probabilities = np.column_stack([model(test) * 0.9, np.full(len(counts), 0.1)])
    found = named(measure_slices(probabilities, np.full(4, 0.25), wider, [*COUNTRIES, "TR"]))
    assert "country=TR" not in found
    assert "country=SE" in found


def test_one_song_is_a_slice_that_proves_nothing():
    test = songs()
    test.released[:] = 2023
    test.released[0] = 1950
    hopeless = np.full((len(test.ids), 3), 1e-9)
    lone = named(measure_slices(hopeless, PRIOR, test, COUNTRIES))["decade=1950s"]
    assert (lone.songs, lone.standard_error, lone.p_value) == (1, 0.0, 1.0)
    assert lone.gain < -10


@pytest.mark.parametrize("seed", range(4))
def test_a_model_that_is_terrible_in_one_country_only_is_caught_there(seed):
    """It beats the prior on average by far, and answers near zero in Sweden."""
    test = songs(seed=seed)
    probabilities = model(test, skill=0.6, seed=seed)
    probabilities[:, 2] *= 0.05
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = measure_slices(probabilities, PRIOR, test, COUNTRIES).slices
    judged = [part for part in found if part.family == "country" and part.songs >= POLICY.min_songs]
    values = [part.p_value for part in judged]
    assert [judged[index].name for index in rejected(values, POLICY.alpha, POLICY.method)] == ["country=SE"]


def test_the_gate_blocks_it_and_names_the_country():
    test = songs()
    probabilities = model(test, skill=0.6)
    probabilities[:, 2] *= 0.05
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    gains = (test.counts * np.log(probabilities * 3)).sum(), test.counts.sum()
    report = Evaluation.load(evaluation()).model_copy(
        update={
            "songs": len(test.ids),
            "rows": int(gains[1]),
            "countries": _by_country(probabilities, PRIOR, test.counts, COUNTRIES),
            "slices": measure_slices(probabilities, PRIOR, test, COUNTRIES),
            "gain_over_prior": Interval(value=gains[0] / gains[1], low=0.1, high=1),
        }
    )
    failed = {check.name: check.reason for check in slice_checks(report.slices, POLICY) if check.blocks}
    assert report.gain_over_prior.value > 0.2
    assert set(failed) == {"slices.floor"}
    assert "country=SE -" in failed["slices.floor"]
    assert "country=BR" not in failed["slices.floor"]


@pytest.mark.parametrize("seed", range(4))
def test_a_model_that_is_the_prior_with_noise_is_not_blamed(seed):
    test = songs(seed=seed)
    found = measure_slices(model(test, skill=0, seed=seed), PRIOR, test, COUNTRIES).slices
    assert rejected([part.p_value for part in found], POLICY.alpha, POLICY.method) == []


def test_the_worst_slices_have_enough_songs_and_come_worst_first():
    test = songs()
    test.released[:5] = 1950
    slices = measure_slices(model(test), PRIOR, test, COUNTRIES)
    worst = worst_slices(slices)
    assert len(worst) == 3
    assert [part.gain for part in worst] == sorted(part.gain for part in worst)
    assert all(part.songs >= 10 for part in worst)
    assert worst[0].gain == min(part.gain for part in slices.slices if part.songs >= 10)


def test_the_floor_and_the_resamples_are_what_the_policy_asks_for():
    slices = measure_slices(model(songs()), PRIOR, songs(), COUNTRIES)
    assert slices.floor == FLOOR == POLICY.floor_gain_over_prior_nats
    assert slices.resampling == RESAMPLING
    # As many slices as 73 charts, a century of decades, explicit or not, and new or not.
    assert RESAMPLING.smallest_p <= POLICY.alpha / (73 + 10 + 4)


def test_what_is_measured_can_be_written_down():
    slices = measure_slices(model(songs()), PRIOR, songs(), COUNTRIES)
    assert json.loads(canonical_bytes(slices.to_json()))["slices"][0]["name"] == "country=BR"
