"""Beside the champion: aligned by name, compared example by example, or incomparable for a stated reason."""

import numpy as np
import pytest
from onnx_models import softmax

from ml.gate.nouns import Nouns
from ml.gate.resampling import Resampling
from ml.gate.subjects.champion import Comparison
from ml.measure.champion import Champion, Incomparable, checked_probabilities, compare_answers, headline
from ml.measure.resampling import RESAMPLING

ID, DIGEST = "c0ffee" + 58 * "1", "sha256:" + 64 * "0"
CLASSES = list("ABCDEFGH")
FEW = Resampling(resamples=200, alpha=0.05, seed=7)
RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(200, 8), scale=3).astype("float32")
GOOD = softmax(LOGITS)
COUNTS = np.stack([RNG.multinomial(30, row / row.sum()) for row in GOOD.astype("float64")]).astype("int32")
"""Rows that follow the good model's answers."""

FLAT = np.full_like(GOOD, 1 / 8)
NOUNS = Nouns(example="image", examples="images", class_="digit", classes="digits", row="view", rows="views")


def compare(challenger=GOOD, champion=GOOD, labels=CLASSES, classes=CLASSES, counts=COUNTS) -> Comparison:
    found = Champion(["width", "ink"], list(labels), champion.astype("float64"))
    compared = compare_answers(ID, DIGEST, found, counts, classes, challenger, FEW)
    assert (compared.champion, compared.onnx_digest) == (ID, DIGEST)
    assert compared == Comparison.load(compared.to_json())
    return compared


def differences(found: Comparison) -> dict[str, float]:
    return {name: standing.difference.value for name, standing in found.shared.standings.items()}


def reason(found: Comparison) -> str:
    assert found.shared is None
    assert headline(found, NOUNS) == f"not comparable with champion {ID[:12]}: {found.incomparable}"
    return found.incomparable


def test_no_comparison_is_said_and_so_is_why_there_is_none():
    assert headline(None, NOUNS) == "no champion: absolute checks only"
    found = compare_answers(ID, DIGEST, "its model is empty", COUNTS, CLASSES, GOOD)
    assert reason(found) == "its model is empty"


def test_the_same_model_is_neither_worse_nor_better_than_itself():
    shared = compare().shared
    assert [standing.difference.value for standing in shared.standings.values()] == [0, 0, 0]
    assert not any(standing.superior for standing in shared.standings.values())
    assert (shared.examples, shared.rows) == (200, COUNTS.sum())
    assert (shared.examples_left_out, shared.rows_left_out) == (0, 0)
    assert (shared.champion_labels, shared.challenger_labels, shared.shared_labels) == (8, 8, 8)
    assert shared.features == 2


def test_a_difference_is_positive_where_the_challenger_is_better():
    worse, better = compare(FLAT), compare(GOOD, FLAT)
    for name in ("log_loss", "top5_mass"):
        assert differences(worse)[name] < -0.05 < 0.05 < differences(better)[name]
        assert better.shared.standings[name].superior
        assert not worse.shared.standings[name].superior
    assert differences(worse) == pytest.approx({name: -value for name, value in differences(better).items()})
    gain = better.shared.log_loss.difference
    told = f"{gain.value:+.4f} nats beside champion c0ffee111111 (at least {gain.low:+.4f})"
    assert headline(better, NOUNS).startswith(f"{told}, better in log_loss, top5_mass")
    assert headline(better, NOUNS).endswith(", on 200 images in 8 digits")
    assert "better in" not in headline(worse, NOUNS)


def test_the_numbers_are_those_of_a_plain_computation():
    found = compare(FLAT).shared
    loss = -(COUNTS * np.log(GOOD.astype("float64"))).sum() / COUNTS.sum()
    assert found.log_loss.champion == pytest.approx(loss, abs=1e-6)
    assert found.log_loss.challenger == pytest.approx(np.log(8), abs=1e-6)
    assert found.log_loss.difference.value == pytest.approx(loss - np.log(8), abs=1e-6)
    top = np.argsort(-GOOD, axis=1)[:, :5]
    mass = np.take_along_axis(COUNTS, top, axis=1).sum() / COUNTS.sum()
    assert found.top5_mass.champion == pytest.approx(mass)
    # A challenger that is sure of nothing has the first five classes for its best.
    assert found.top5_mass.challenger == pytest.approx(COUNTS[:, :5].sum() / COUNTS.sum())
    assert found.hit_at_5.challenger == pytest.approx((COUNTS[:, :5].sum(axis=1) > 0).mean())


def test_bounds_are_paired_by_example_made_as_asked_and_the_same_each_time():
    """Two models with the same faults differ by little, whatever the examples: no spread of their own."""
    assert (
        compare(softmax(LOGITS + 0.001 * RNG.normal(size=8))).shared.log_loss.difference.standard_error < 1e-3
    )
    first = compare(FLAT)
    assert first.shared.log_loss.difference.standard_error > 1e-2
    assert compare(FLAT) == first
    assert (first.shared.resamples, first.shared.alpha, first.shared.seed) == (200, 0.05, 7)
    assert (RESAMPLING.resamples, RESAMPLING.alpha) == (10_000, 0.05)


def test_few_examples_that_are_won_or_lost_widen_the_bounds_of_the_hits():
    counts = np.zeros((100, 8), dtype="int32")
    counts[:, 0] = 1
    champion = np.tile(np.linspace(0.2, 0.05, 8), (100, 1))
    challenger = champion.copy()
    challenger[:2, 0] = 0
    found = compare(challenger, champion, counts=counts).shared.hit_at_5.difference
    assert found.value == -0.02
    # By the bootstrap alone it would be above the margin.
    assert found.low < -0.05


def test_classes_are_taken_by_name_whatever_their_order():
    order = np.random.default_rng(3).permutation(8)
    found = compare(FLAT, GOOD[:, order], [CLASSES[index] for index in order])
    assert differences(found) == pytest.approx(differences(compare(FLAT)))
    assert found.shared.shared_labels == 8


def test_only_shared_classes_count_and_what_is_left_out_is_counted():
    """The champion knows neither G nor H, but X; one example has rows of H only."""
    counts = COUNTS + 1
    counts[0] = [0, 0, 0, 0, 0, 0, 0, 9]
    labels = ["X", *reversed(CLASSES[:6])]
    theirs = softmax(np.random.default_rng(3).normal(size=(200, 7)))
    shared = compare(champion=theirs, labels=labels, counts=counts).shared
    assert (shared.champion_labels, shared.challenger_labels, shared.shared_labels) == (7, 8, 6)
    assert (shared.examples, shared.examples_left_out) == (199, 1)
    assert (shared.rows, shared.rows_left_out) == (counts[:, :6].sum(), counts[:, 6:].sum())
    for answers, stated in ((GOOD[:, :6], "challenger"), (theirs[:, ::-1][:, :6], "champion")):
        alone = answers.astype("float64") / answers.sum(axis=1, keepdims=True)
        expected = -(counts[1:, :6] * np.log(alone[1:])).sum() / counts[1:, :6].sum()
        assert getattr(shared.log_loss, stated) == pytest.approx(expected, abs=1e-6)


def test_a_class_that_only_the_champion_knows_costs_it_nothing():
    found = compare(champion=softmax(np.column_stack([LOGITS, LOGITS[:, 0] + 1])), labels=[*CLASSES, "X"])
    assert differences(found)["log_loss"] == pytest.approx(0, abs=1e-6)
    assert found.shared.rows_left_out == 0


@pytest.mark.parametrize(
    ("labels", "columns"),
    [(["A", "B"], [0, 1]), (["B", "A"], [1, 0]), (["X", "B", "A"], [2, 1, 0])],
    ids=["same", "other order", "one more"],
)
def test_two_classes_that_both_models_know_are_enough(labels, columns):
    """The top five of two classes are one class: all of them would always be right."""
    answers, counts = softmax(LOGITS[:, :2]), COUNTS[:, :2] + np.arange(200)[:, None] % 2
    counts[counts.sum(axis=1) == 0, 0] = 1
    found = compare(answers, softmax(LOGITS[:, columns]), labels, ["A", "B"], counts).shared
    assert (found.shared_labels, found.examples_left_out, found.rows_left_out) == (2, 0, 0)
    best = np.take_along_axis(counts, answers.argmax(axis=1)[:, None], axis=1)
    for share, standing in (
        (best.sum() / counts.sum(), found.top5_mass),
        ((best > 0).mean(), found.hit_at_5),
    ):
        assert 0.5 < share < 1
        assert standing.champion == standing.challenger == pytest.approx(share)
    assert found.log_loss.difference.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "told"),
    [(["A", *"STUVWXY"], 1), (list("STUVWXYZ"), 0)],
)
def test_models_that_share_fewer_than_two_classes_are_incomparable(labels, told):
    assert (
        reason(compare(labels=labels)) == f"classes that the two models share: {told}; at least 2 are needed"
    )


def test_examples_without_a_row_of_a_shared_class_are_incomparable():
    counts = np.zeros_like(COUNTS)
    counts[:, 7] = 1
    found = compare(champion=softmax(LOGITS[:, :7]), labels=CLASSES[:7], counts=counts)
    assert reason(found) == "no test example has a row of a class that both models know"


def test_a_model_that_gives_shared_classes_no_probability_is_incomparable():
    sure = np.eye(9)[np.full(200, 8)]
    sure[0] = 1 / 9
    found = compare(champion=sure, labels=[*CLASSES, "X"])
    assert reason(found) == "it gives no probability to any shared class, for 199 examples"
    found = compare(np.eye(8)[np.full(200, 7)], labels=[*CLASSES[:7], "X"], counts=COUNTS + 1)
    assert reason(found) == "the challenger gives no probability to any shared class, for 200 examples"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (GOOD[1:], r"it gives float32 \[199, 8\] for 200 examples and 8 classes"),
        (GOOD[:, 1:], r"it gives float32 \[200, 7\] for 200"),
        (COUNTS, r"it gives int32 \[200, 8\] for 200"),
        (np.where(GOOD > 0.5, np.nan, GOOD), "probabilities that are not numbers"),
        (2 * GOOD, "its answers are negative or do not sum to one, so they are not probabilities"),
    ],
)
def test_answers_that_are_no_probabilities_are_incomparable(answers, message):
    with pytest.raises(Incomparable, match=message):
        checked_probabilities(answers, 200, 8)
    assert checked_probabilities(GOOD, 200, 8).dtype == np.float64
