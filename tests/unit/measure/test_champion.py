"""Beside the champion: aligned by name, compared song by song, or incomparable for a reason that is said."""

import json
import re

import numpy as np
import pytest
from onnx import helper
from onnx_models import softmax, write_model

from ml.core.files import file_digest
from ml.problems.songs.columns import FEATURES
from ml.data.splits import Examples
from ml.gate.resampling import Resampling
from ml.gate.subjects.champion import Comparison
from ml.measure.champion import compare_with_champion, headline
from ml.measure.resampling import RESAMPLING

ID = "c0ffee" + 58 * "1"
COUNTRIES = ["AR", "BR", "DE", "FR", "IN", "JP", "SE", "US"]
FEW = Resampling(resamples=200, alpha=0.05, seed=7)
SONGS = 200
BOTH = {"features": list(FEATURES), "labels": COUNTRIES}
RNG = np.random.default_rng(11)
WEIGHTS = RNG.normal(size=(len(FEATURES), len(COUNTRIES))).astype("float32")
INPUTS = RNG.normal(size=(SONGS, len(FEATURES))).astype("float32")
GOOD = softmax(INPUTS @ WEIGHTS)
"""What the model of WEIGHTS answers."""

CHARTS = np.stack([RNG.multinomial(30, row / row.sum()) for row in GOOD.astype("float64")]).astype("int32")
"""Charts that follow what that model answers."""

FLAT = np.full_like(GOOD, 1 / len(COUNTRIES))
TEST = Examples([f"song{index}" for index in range(SONGS)], INPUTS, CHARTS, np.zeros(SONGS, "int16"))


@pytest.fixture
def model(tmp_path):
    """Return a function that writes a champion and compares the challenger with it."""

    def compare(
        challenger=GOOD, countries=COUNTRIES, weights=WEIGHTS, test=TEST, metadata=BOTH, **graph
    ) -> Comparison:
        path = write_model(tmp_path / "champion.onnx", weights, metadata, **graph)
        found = compare_with_champion(ID, path, test, countries, challenger, FEW)
        assert (found.champion, found.onnx_digest) == (ID, file_digest(path))
        assert found == Comparison.load(found.to_json())
        return found

    return compare


def differences(found: Comparison) -> dict[str, float]:
    return {name: standing.difference.value for name, standing in found.shared.standings.items()}


def reason(found: Comparison) -> str:
    assert found.shared is None
    assert found.incomparable in headline(found)
    return found.incomparable


def test_no_champion_is_no_comparison_and_is_said(tmp_path):
    (tmp_path / "empty.onnx").write_bytes(b"")
    found = compare_with_champion("", tmp_path / "empty.onnx", TEST, COUNTRIES, GOOD)
    assert found is None
    assert headline(found) == "no champion: absolute checks only"


def test_a_model_without_a_champion_is_an_error(tmp_path):
    path = write_model(tmp_path / "m.onnx", WEIGHTS, BOTH)
    with pytest.raises(ValueError, match="no champion that it belongs to"):
        compare_with_champion("", path, TEST, COUNTRIES, GOOD)


def test_the_same_model_is_neither_worse_nor_better_than_itself(model):
    found = model()
    assert differences(found) == pytest.approx({"log_loss": 0, "top5_mass": 0, "hit_at_5": 0}, abs=1e-6)
    assert not any(standing.superior for standing in found.shared.standings.values())
    assert (found.shared.songs, found.shared.rows) == (SONGS, CHARTS.sum())
    assert (found.shared.songs_left_out, found.shared.rows_left_out) == (0, 0)
    assert (found.shared.champion_labels, found.shared.challenger_labels) == (8, 8)
    assert found.shared.shared_labels == 8
    assert found.shared.features == 13


def test_a_difference_is_positive_where_the_challenger_is_better(model):
    worse = model(FLAT)
    better = model(GOOD, weights=0 * WEIGHTS)
    for name in ("log_loss", "top5_mass"):
        assert differences(worse)[name] < -0.05 < 0.05 < differences(better)[name]
        assert better.shared.standings[name].superior
        assert not worse.shared.standings[name].superior
    assert differences(worse) == pytest.approx({name: -value for name, value in differences(better).items()})
    assert "better in log_loss, top5_mass" in headline(better)
    assert "better in" not in headline(worse)


def test_the_numbers_are_those_of_a_plain_computation(model):
    found = model(FLAT).shared
    loss = {
        name: -(CHARTS * np.log(p.astype("float64"))).sum() / CHARTS.sum()
        for name, p in (("champion", GOOD), ("challenger", FLAT))
    }
    assert found.log_loss.champion == pytest.approx(loss["champion"], abs=1e-6)
    assert found.log_loss.challenger == pytest.approx(loss["challenger"], abs=1e-6)
    assert found.log_loss.difference.value == pytest.approx(loss["champion"] - loss["challenger"], abs=1e-6)
    top = np.argsort(-GOOD, axis=1)[:, :5]
    mass = np.take_along_axis(CHARTS, top, axis=1).sum() / CHARTS.sum()
    assert found.top5_mass.champion == pytest.approx(mass)
    # A challenger that is sure of nothing has the first five labels for its best.
    assert found.top5_mass.challenger == pytest.approx(CHARTS[:, :5].sum() / CHARTS.sum())
    assert found.hit_at_5.challenger == pytest.approx((CHARTS[:, :5].sum(axis=1) > 0).mean())


def test_bounds_are_paired_by_song(model):
    """Two models with the same faults differ by little, whatever the songs: no spread of the songs' own."""
    close = softmax(INPUTS @ (WEIGHTS + 0.001))
    assert model(close).shared.log_loss.difference.standard_error < 1e-4
    assert model(FLAT).shared.log_loss.difference.standard_error > 1e-2


def test_bounds_are_made_as_asked_and_the_same_each_time(model):
    first, second = model(FLAT), model(FLAT)
    assert first == second
    assert (first.shared.resamples, first.shared.alpha, first.shared.seed) == (200, 0.05, 7)
    assert (RESAMPLING.resamples, RESAMPLING.alpha) == (10_000, 0.05)


def test_features_are_taken_by_name_in_the_champions_order(model):
    names = ["tempo", "energy"]
    weights = np.random.default_rng(3).normal(size=(2, 8)).astype("float32")
    inputs = INPUTS[:, [FEATURES.index(name) for name in names]]
    found = model(softmax(inputs @ weights), weights=weights, metadata={**BOTH, "features": names})
    assert found.shared.features == 2
    assert differences(found)["log_loss"] == pytest.approx(0, abs=1e-6)


def test_labels_are_taken_by_name_whatever_their_order(model):
    order = np.random.default_rng(3).permutation(8)
    metadata = {**BOTH, "labels": [COUNTRIES[index] for index in order]}
    found = model(FLAT, weights=WEIGHTS[:, order], metadata=metadata)
    assert differences(found) == pytest.approx(differences(model(FLAT)))
    assert found.shared.shared_labels == 8


def test_only_shared_countries_count_and_what_is_left_out_is_counted(model):
    """The champion knows no US and no SE, but CL; one song charts in the US only."""
    charts = CHARTS + 1
    charts[0] = [0, 0, 0, 0, 0, 0, 0, 9]
    test = Examples(TEST.ids, INPUTS, charts, TEST.released)
    labels = ["CL", "JP", "IN", "FR", "DE", "BR", "AR"]
    weights = np.random.default_rng(3).normal(size=(13, 7)).astype("float32")
    found = model(test=test, weights=weights, metadata={**BOTH, "labels": labels})
    shared = found.shared
    assert (shared.champion_labels, shared.challenger_labels, shared.shared_labels) == (7, 8, 6)
    assert (shared.songs, shared.songs_left_out) == (199, 1)
    assert (shared.rows, shared.rows_left_out) == (charts[:, :6].sum(), charts[:, 6:].sum())
    theirs = softmax(INPUTS @ weights)[:, ::-1][:, :6].astype("float64")
    for probabilities, stated in (
        (GOOD[:, :6], shared.log_loss.challenger),
        (theirs, shared.log_loss.champion),
    ):
        alone = probabilities / probabilities.sum(axis=1, keepdims=True)
        expected = -(charts[1:, :6] * np.log(alone[1:])).sum() / charts[1:, :6].sum()
        assert stated == pytest.approx(expected, abs=1e-6)


def test_a_country_that_only_the_champion_knows_costs_it_nothing(model):
    """It loses no more to a label that is gone than the challenger gained by not having it."""
    found = model(
        weights=np.column_stack([WEIGHTS, 0 * WEIGHTS[:, :1] + 1]),
        metadata={**BOTH, "labels": [*COUNTRIES, "CL"]},
    )
    assert differences(found)["log_loss"] == pytest.approx(0, abs=1e-6)
    assert found.shared.rows_left_out == 0


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": COUNTRIES}, "its model's metadata has no features"),
        ({"features": list(FEATURES)}, "its model's metadata has no labels"),
        ({}, "has no features"),
        ({**BOTH, "features": "tempo, energy"}, "has features that are not JSON"),
        ({**BOTH, "labels": "[" * 100_000}, "has labels that are not JSON"),
        ({**BOTH, "features": []}, "no list of different names"),
        ({**BOTH, "features": {"tempo": 1}}, "no list of different names"),
        ({**BOTH, "labels": [*COUNTRIES[:7], "AR"]}, "labels that are no list of different names"),
        ({**BOTH, "labels": [*COUNTRIES[:7], 1]}, "labels that are no list of different names"),
        (
            {**BOTH, "features": [*FEATURES[:12], "beauty"]},
            "it takes features that the test songs do not have: beauty",
        ),
        ({**BOTH, "features": list(FEATURES[:12])}, "does not run on the test songs"),
        ({**BOTH, "labels": COUNTRIES[:7]}, r"it gives float32 \[200, 8\] for 200 songs and 7 labels"),
        ({**BOTH, "labels": ["A", "B", "C", *COUNTRIES[:5]]}, "the two models share 5 countries"),
        ({**BOTH, "labels": list("ABCDEFGH")}, "the two models share 0 countries"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_metadata_that_does_not_fit_makes_it_incomparable(model, metadata, message):
    found = model(metadata=metadata)
    assert re.search(message, reason(found))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("MatMul", ["features", "weights"], ["probabilities"])], "are no probabilities"),
        (
            [
                helper.make_node("MatMul", ["features", "weights"], ["logits"]),
                helper.make_node("Sqrt", ["logits"], ["probabilities"]),
            ],
            "probabilities that are not numbers",
        ),
        (
            [
                helper.make_node("MatMul", ["features", "weights"], ["logits"]),
                helper.make_node("ArgMax", ["logits"], ["best"], axis=1),
                helper.make_node("Cast", ["best"], ["probabilities"], to=1),
            ],
            r"it gives float32 \[200, 1\]",
        ),
    ],
)
def test_answers_that_are_no_probabilities_make_it_incomparable(model, nodes, message):
    assert re.search(message, reason(model(nodes=nodes)))


def test_a_model_of_several_inputs_or_outputs_is_incomparable(model):
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Identity", ["logits"], ["more"]),
    ]
    found = model(nodes=nodes, outputs=("probabilities", "more"))
    assert reason(found) == "its model has 1 inputs and 2 outputs, not one of each"
    found = model(inputs=("features", "unused"))
    assert reason(found) == "its model has 2 inputs and 1 outputs, not one of each"


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "its model is empty"), (b"no model", "its model does not load: ")],
)
def test_a_file_that_is_no_model_is_incomparable_and_its_digest_is_kept(tmp_path, data, message):
    (tmp_path / "m.onnx").write_bytes(data)
    found = compare_with_champion(ID, tmp_path / "m.onnx", TEST, COUNTRIES, GOOD)
    assert reason(found).startswith(message)
    assert "\n" not in found.incomparable
    assert found.onnx_digest == file_digest(tmp_path / "m.onnx")


def test_test_songs_that_chart_in_no_shared_country_are_incomparable(model):
    charts = np.zeros_like(CHARTS)
    charts[:, 7] = 1
    found = model(
        test=Examples(TEST.ids, INPUTS, charts, TEST.released),
        weights=WEIGHTS[:, :7],
        metadata={**BOTH, "labels": COUNTRIES[:7]},
    )
    assert reason(found) == "no test song charts in a country that both models know"


def test_a_champion_that_gives_shared_countries_no_probability_is_incomparable(model):
    weights = np.zeros((13, 9), dtype="float32")
    weights[0, 8] = 1000
    inputs = np.abs(INPUTS) + 1
    found = model(
        test=Examples(TEST.ids, inputs, CHARTS, TEST.released),
        weights=weights,
        metadata={**BOTH, "labels": [*COUNTRIES, "CL"]},
    )
    assert reason(found) == "it gives no probability to any shared country, for 200 songs"


def test_the_report_is_json_that_the_gate_reads(model):
    for found in (model(), model(metadata={})):
        assert Comparison.load(json.loads(json.dumps(found.to_json()))) == found
