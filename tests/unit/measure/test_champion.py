"""Beside the champion: aligned by name, compared example by example, or incomparable for a stated reason."""

import numpy as np
import pytest
from onnx_models import softmax
from policies import default_policy
from scipy.stats import beta, binom

from ml.gate.nouns import Nouns
from ml.gate.resampling import Estimate, Resampling
from ml.measure.champion import Champion, Incomparable, checked_probabilities, compare_answers, headline
from ml.measure.paired import FEW, widen

ID, DIGEST = "c0ffee" + 58 * "1", "sha256:" + 64 * "0"
CLASSES = list("ABCDEFGH")
RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(200, 8), scale=3).astype("float32")
GOOD = softmax(LOGITS)
COUNTS = np.stack([RNG.multinomial(30, row / row.sum()) for row in GOOD.astype("float64")]).astype("int32")
"""Rows that follow the good model's answers."""
FLAT = np.full_like(GOOD, 1 / 8)
LAST_ONLY = np.eye(8, dtype="int32")[np.full(200, 7)]
NOUNS = Nouns(examples="images", classes="digits")


def compare(challenger=GOOD, champion=GOOD, labels=CLASSES, counts=COUNTS):
    theirs = Champion(["width", "ink"], list(labels), champion.astype("float64"))
    few = Resampling(resamples=200, alpha=0.05, seed=7)
    return compare_answers(ID, DIGEST, theirs, counts, CLASSES, challenger, few)


def test_a_difference_is_positive_where_the_challenger_is_better():
    worse, better, same = compare(FLAT), compare(GOOD, FLAT), compare()
    differences, superior = (
        [{name: get(each) for name, each in one.shared.standings.items()} for one in (worse, better, same)]
        for get in (lambda each: each.difference.value, lambda each: each.superior)
    )
    for name in ("log_loss", "top5_mass"):
        assert differences[0][name] < -0.05 < 0.05 < differences[1][name]
        assert [each[name] for each in superior] == [False, True, False]
    assert {*differences[2].values()} == {0}
    gain = better.shared.log_loss.difference
    names = ", ".join(name for name, is_better in superior[1].items() if is_better)
    told = f"{gain.value:+.4f} nats beside champion c0ffee111111 (at least {gain.low:+.4f})"
    assert headline(better, NOUNS) == f"{told}, better in {names}, on 200 images in 8 digits"
    assert "better in" not in headline(worse, NOUNS)


def test_the_numbers_are_those_of_a_plain_computation_made_as_asked():
    compared = compare(FLAT)
    shared = compared.shared
    loss = -(COUNTS * np.log(GOOD.astype("float64"))).sum() / COUNTS.sum()
    mass = np.take_along_axis(COUNTS, np.argsort(-GOOD, axis=1)[:, :5], axis=1).sum() / COUNTS.sum()
    log_loss = (shared.log_loss.champion, shared.log_loss.challenger, shared.log_loss.difference.value)
    assert log_loss == pytest.approx((loss, np.log(8), loss - np.log(8)), abs=1e-6)
    assert shared.top5_mass.champion == pytest.approx(mass)
    # A challenger that is sure of nothing has the first five classes for its best.
    assert shared.top5_mass.challenger == pytest.approx(COUNTS[:, :5].sum() / COUNTS.sum())
    assert shared.hit_at_5.challenger == pytest.approx((COUNTS[:, :5].sum(axis=1) > 0).mean())
    about = (
        compared.champion,
        compared.onnx_digest,
        shared.features,
        shared.resamples,
        shared.alpha,
        shared.seed,
    )
    assert about == (ID, DIGEST, 2, 200, 0.05, 7)
    # Two models with the same faults differ by little, whatever the examples: bounds are paired.
    assert shared.log_loss.difference.standard_error > 1e-2
    alike = compare(softmax(LOGITS + 0.001 * np.random.default_rng(5).normal(size=8))).shared
    assert alike.log_loss.difference.standard_error < 1e-3


def test_only_shared_classes_count_by_name_and_what_is_left_out_is_counted():
    """The champion knows neither G nor H, but X; one example has rows of H only."""
    counts = COUNTS + 1
    counts[0] = [0, 0, 0, 0, 0, 0, 0, 9]
    theirs = softmax(np.random.default_rng(3).normal(size=(200, 7)))
    shared = compare(champion=theirs, labels=["X", *reversed(CLASSES[:6])], counts=counts).shared
    assert (shared.champion_labels, shared.challenger_labels, shared.shared_labels) == (7, 8, 6)
    assert (shared.examples, shared.examples_left_out) == (199, 1)
    assert (shared.rows, shared.rows_left_out) == (counts[:, :6].sum(), counts[:, 6:].sum())
    for answers, stated in ((GOOD[:, :6], "challenger"), (theirs[:, ::-1][:, :6], "champion")):
        alone = answers.astype("float64") / answers.sum(axis=1, keepdims=True)
        expected = -(counts[1:, :6] * np.log(alone[1:])).sum() / counts[1:, :6].sum()
        assert getattr(shared.log_loss, stated) == pytest.approx(expected, abs=1e-6)
    assert compare(labels=[*"AB", *"STUVWX"]).shared.shared_labels == 2


SURE = np.where(np.arange(200)[:, None] == 0, 1 / 9, np.eye(9)[np.full(200, 8)])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ["A", *"STUVWXY"]}, "classes that the two models share: 1; at least 2 are needed"),
        ({"champion": softmax(LOGITS[:, :7]), "labels": CLASSES[:7], "counts": LAST_ONLY},
         "no test example has a row of a class that both models know"),
        ({"champion": SURE, "labels": [*CLASSES, "X"]},
         "it gives no probability to any shared class, for 199 examples"),
        ({"challenger": LAST_ONLY.astype("float64"), "labels": [*CLASSES[:7], "X"], "counts": COUNTS + 1},
         "the challenger gives no probability to any shared class, for 200 examples"),
    ],
)  # fmt: skip
def test_models_that_say_nothing_of_two_shared_classes_are_incomparable(changes, told):
    for compared, reason in (
        (compare(**changes), told),
        (compare_answers(ID, DIGEST, "its model is empty", COUNTS, CLASSES, GOOD), "its model is empty"),
    ):
        assert (compared.shared, compared.incomparable) == (None, reason)
        assert headline(compared, NOUNS) == f"not comparable with champion {ID[:12]}: {reason}"
    assert headline(None, NOUNS) == "no champion: absolute checks only"


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


MARGIN = default_policy().champion.margin_hit_at_5


def widened(won, lost, of, reach=0.0):
    """Return bounds that lie ``reach`` beside the mean, and what they are widened to."""
    examples = np.repeat([1.0, -1.0, 0.0], [won, lost, of - won - lost])
    mean = float(examples.mean())
    given = Estimate(value=mean, standard_error=0.1, low=mean - reach, high=mean + reach)
    return given, widen(given, examples, 0.05)


def test_few_examples_that_are_won_or_lost_widen_the_bounds_of_the_hits():
    champion = np.tile(np.linspace(0.2, 0.05, 8), (100, 1))
    challenger = champion.copy()
    challenger[:2, 0] = 0
    hits = compare(challenger, champion, counts=LAST_ONLY[:100, ::-1]).shared.hit_at_5.difference
    # By the bootstrap alone it would be above the margin.
    assert (hits.value, hits.low < -MARGIN) == (-0.02, True)
    assert hits.low == pytest.approx(widened(0, 2, 100)[1].low)


@pytest.mark.parametrize("of", [90, 110, 150, 400])
def test_a_model_that_only_loses_passes_with_alpha_at_most(of):
    passing = [lost for lost in range(FEW) if widened(0, lost, of)[1].low >= -MARGIN]
    assert passing == list(range(len(passing))) != []
    assert binom.cdf(passing[-1], of, MARGIN) <= 0.05


@pytest.mark.parametrize(("won", "lost", "of"), [(0, 0, 30), (5, 9, 30), (5, 0, 5), (0, 5, 5), (0, 29, 99)])
def test_the_ends_are_differences_of_clopper_and_pearsons(won, lost, of):
    low = {0: 0.0} | {count: beta.ppf(0.025, count, of - count + 1) for count in range(1, of + 1)}
    high = {of: 1.0} | {count: beta.ppf(0.975, count + 1, of - count) for count in range(of)}
    bounds = widened(won, lost, of)[1]
    assert (bounds.low, bounds.high) == pytest.approx(
        (low[won] - high[lost], high[won] - low[lost]), abs=1e-12
    )


@pytest.mark.parametrize(("won", "lost", "reach"), [(2, 3, 0.9), (0, FEW, 0.0)])
def test_bounds_that_are_wider_stay_and_so_do_those_of_many_examples(won, lost, reach):
    given, bounds = widened(won, lost, 100, reach)
    assert bounds == given
