"""The slices: which examples and rows each holds, what is gained there, and which are named."""

import numpy as np
import pytest
from policies import default_policy

from ml.gate.nouns import Nouns
from ml.measure.resampling import RESAMPLING
from ml.measure.slices import FLOOR, NAMED_FROM, measure_slices, worst_slices
from ml.problem import Examples

NOUNS = Nouns(class_="digit", examples="images")
PRIOR = np.array([0.5, 0.3, 0.2])
ANSWERS = np.random.default_rng(1).dirichlet(np.ones(3), 200)
SIZES = np.array(["large", "small", "small", "", "tiny"])[np.arange(200) % 5]
INKS = np.where(np.arange(200) % 3, "red", "blue")


@pytest.fixture
def examples() -> Examples:
    """Examples with rows of A or C or both, and none of B; a few have no size."""
    counts = (
        np.random.default_rng(2).integers(0, 4, (200, 3)).astype("int32") * [1, 0, 1]
        + np.eye(3, dtype="int32")[0]
    )
    counts[:50, 0] = 0
    counts[:50, 2] += 1
    families = {"size": SIZES.astype(object), "ink": INKS.astype(object)}
    return Examples([*map(str, range(200))], np.zeros((200, 2), "float32"), counts, ("A", "B", "C"), families)


def test_each_slice_holds_its_examples_and_rows_and_their_gain(examples):
    slices = measure_slices(ANSWERS, PRIOR, examples, NOUNS)
    policy = default_policy().slices
    assert (
        (slices.floor, slices.resampling)
        == (FLOOR, RESAMPLING)
        == (policy.floor_gain_over_prior_nats, RESAMPLING)
    )
    # As many slices as 73 classes, a dozen parts, and some more.
    assert RESAMPLING.smallest_p <= policy.alpha / (73 + 14)
    chosen = {
        f"digit={name}": (examples.counts[:, index] > 0, [index]) for name, index in (("A", 0), ("C", 2))
    }
    for family, parts in (("size", ("large", "small", "tiny")), ("ink", ("blue", "red"))):
        chosen |= {f"{family}={part}": (examples.slices[family] == part, [0, 1, 2]) for part in parts}
    assert [part.name for part in slices.slices] == [*chosen]
    for part, (those, classes) in zip(slices.slices, chosen.values(), strict=True):
        rows = examples.counts[those][:, classes]
        gain = (rows * np.log(ANSWERS / PRIOR)[those][:, classes]).sum() / rows.sum()
        assert (part.examples, part.rows, part.gain) == (those.sum(), rows.sum(), pytest.approx(gain))
        assert (part.standard_error > 0, 0 < part.p_value <= 1) == (True, True)


def test_one_example_is_a_slice_that_proves_nothing(examples):
    examples.slices["size"][0] = "lone"
    slices = measure_slices(np.zeros((200, 3)), PRIOR, examples, NOUNS).slices
    (lone,) = (part for part in slices if part.name == "size=lone")
    assert (lone.examples, lone.standard_error, lone.p_value) == (1, 0.0, 1.0)
    assert lone.gain == pytest.approx(np.log(1e-12 / 0.2))
    assert {part.p_value for part in slices if part.name != "size=lone"} == {RESAMPLING.smallest_p}


def test_the_worst_slices_have_enough_examples_and_come_worst_first(examples):
    examples.slices["size"][: NAMED_FROM - 1] = "few"
    examples.slices["size"][-NAMED_FROM:] = "enough"
    slices = measure_slices(ANSWERS, PRIOR, examples, NOUNS)
    gains = {part.name: part.gain for part in slices.slices if part.name != "size=few"}
    ordered = sorted(gains, key=gains.__getitem__)
    assert "size=enough" in ordered
    assert [part.name for part in worst_slices(slices)] == ordered[:3]
    assert [part.name for part in worst_slices(slices, 99)] == ordered
