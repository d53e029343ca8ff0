"""The slices: which examples and rows each holds, what is gained there; a class that is lost is caught."""

import json

import numpy as np
import pytest
from policies import default_policy

from ml.core.canonical import canonical_bytes
from ml.gate.multiple import rejected
from ml.gate.nouns import Nouns
from ml.gate.subjects.slices import slice_checks
from ml.measure.metrics import score_examples
from ml.measure.resampling import RESAMPLING
from ml.measure.slices import FLOOR, NAMED_FROM, measure_slices, worst_slices
from ml.problem import Examples

CLASSES = ("A", "B", "C")
POLICY = default_policy().slices.model_copy(update={"required": ("*",)})
NOUNS = Nouns(class_="digit", examples="images")
PRIOR = np.full(3, 1 / 3)


def made(count=200, seed=1):
    """Examples of which two in three have rows of one class, the others of two; a few have no size."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((count, 3), dtype="int32")
    counts[np.arange(count), rng.integers(0, 3, count)] = rng.integers(1, 7, count)
    counts[: count // 3, 1] += 2
    sizes = np.array(["large", "small", "small", "", "tiny"], dtype=object)[np.arange(count) % 5]
    return Examples(
        [str(index) for index in range(count)],
        np.zeros((count, 2), "float32"),
        counts,
        CLASSES,
        {"size": sizes, "ink": np.where(np.arange(count) % 3, "red", "blue").astype(object)},
    )


def model(test, skill=0.3, seed=2):
    """Probabilities that lean to the classes of which an example has rows."""
    shares = test.counts / test.counts.sum(axis=1, keepdims=True)
    noise = np.random.default_rng(seed).dirichlet(np.ones(shares.shape[1]) * 20, len(shares))
    return skill * shares + (1 - skill) * noise


def lost(test, seed=2):
    """Probabilities that beat the prior on average by far, and are near zero for class C."""
    probabilities = model(test, 0.6, seed) * [1, 1, 0.05]
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def measured(probabilities, test, prior=PRIOR):
    return {part.name: part for part in measure_slices(probabilities, prior, test, NOUNS).slices}


def test_each_slice_holds_its_examples_and_rows():
    test = made()
    expected = {f"digit={name}": test.counts[:, [index]] for index, name in enumerate(CLASSES)}
    for family, parts in (("size", ("large", "small", "tiny")), ("ink", ("blue", "red"))):
        expected |= {f"{family}={part}": test.counts[test.slices[family] == part] for part in parts}
    assert {name: (part.examples, part.rows) for name, part in measured(model(test), test).items()} == {
        name: (int((rows.sum(axis=1) > 0).sum()), int(rows.sum())) for name, rows in expected.items()
    }


def test_the_gain_is_the_difference_of_the_log_losses_on_the_slices_rows():
    test = made()
    probabilities = model(test)
    found = measured(probabilities, test)
    chosen = test.slices["size"] == "tiny"
    losses = [
        score_examples(values[chosen], test.counts[chosen]).points()["log_loss"]
        for values in (np.tile(PRIOR, (len(chosen), 1)), probabilities)
    ]
    assert found["size=tiny"].gain == pytest.approx(losses[0] - losses[1])
    rows = test.counts[:, 0]
    gain = (rows * np.log(probabilities[:, 0] * 3)).sum() / rows.sum()
    assert found["digit=A"].gain == pytest.approx(gain)
    assert found["digit=A"].standard_error > 0


def test_two_classes_are_two_slices_and_without_families_there_are_no_others():
    test = made()
    two = Examples(test.ids, test.features, test.counts[:, :2] + 1, ("not spam", "späm"))
    found = measured(model(two), two, np.full(2, 0.5))
    assert [*found] == ["digit=not spam", "digit=späm"]
    assert all(part.examples == 200 and part.gain > 0 for part in found.values())


def test_a_class_without_test_rows_has_no_slice():
    test = made()
    counts = np.column_stack([test.counts, np.zeros(200, "int32")])
    wider = Examples(test.ids, test.features, counts, (*CLASSES, "D"))
    probabilities = np.column_stack([model(test) * 0.9, np.full(200, 0.1)])
    assert [*measured(probabilities, wider, np.full(4, 0.25))] == [f"digit={name}" for name in CLASSES]


def test_one_example_is_a_slice_that_proves_nothing():
    test = made()
    test.slices["size"][0] = "lone"
    lone = measured(np.full((200, 3), 1e-9), test)["size=lone"]
    assert (lone.examples, lone.standard_error, lone.p_value) == (1, 0.0, 1.0)
    assert lone.gain < -10
    impossible = measured(np.zeros((200, 3)), test)["size=lone"]
    assert impossible.gain == pytest.approx(np.log(1e-12 * 3))


@pytest.mark.parametrize("seed", range(4))
def test_a_model_that_is_terrible_in_one_class_only_is_caught_there_and_one_that_is_the_prior_is_not(seed):
    test = made(seed=seed)
    found = [part for part in measured(lost(test, seed), test).values() if part.family == "digit"]
    values = [part.p_value for part in found]
    assert [found[index].name for index in rejected(values, POLICY.alpha, POLICY.method)] == ["digit=C"]
    noise = measured(model(test, skill=0, seed=seed), test).values()
    assert rejected([part.p_value for part in noise], POLICY.alpha, POLICY.method) == []


def test_the_gate_blocks_it_and_names_the_class():
    test = made()
    checks = slice_checks(measure_slices(lost(test), PRIOR, test, NOUNS), POLICY, NOUNS)
    failed = {check.name: check.reason for check in checks if check.blocks}
    assert {*failed} == {"slices.floor"}
    assert "digit=C -" in failed["slices.floor"]
    assert "digit=A" not in failed["slices.floor"]


def test_the_worst_slices_have_enough_examples_and_come_worst_first():
    test = made()
    test.slices["size"][: NAMED_FROM - 1] = "few"
    slices = measure_slices(lost(test), PRIOR, test, NOUNS)
    worst = worst_slices(slices)
    enough = sorted(part.gain for part in slices.slices if part.name != "size=few")
    assert [part.gain for part in worst] == enough[:3]
    test.slices["size"][NAMED_FROM - 1] = "few"
    names = {part.name for part in worst_slices(measure_slices(lost(test), PRIOR, test, NOUNS), 99)}
    assert "size=few" in names


def test_the_floor_and_the_resamples_are_what_the_policy_asks_for_and_can_be_written_down():
    slices = measure_slices(model(made()), PRIOR, made(), NOUNS)
    assert slices.floor == FLOOR == POLICY.floor_gain_over_prior_nats
    assert slices.resampling == RESAMPLING
    # As many slices as 73 classes, a dozen parts, and some more.
    assert RESAMPLING.smallest_p <= POLICY.alpha / (73 + 14)
    assert json.loads(canonical_bytes(slices.to_json()))["slices"][0]["name"] == "digit=A"
