"""The champion's model is asked by its metadata; whatever is not as it should be makes it incomparable."""

import numpy as np
import pytest
from onnx import helper
from onnx_models import softmax, write_model

from ml.measure.champion import Champion, Incomparable
from ml.onnx.production import ask_champion

FEATURES = ("width", "height", "ink")
CLASSES = ["A", "B", "C", "D"]
BOTH = {"features": list(FEATURES), "labels": CLASSES}
RNG = np.random.default_rng(11)
WEIGHTS = RNG.normal(size=(3, 4)).astype("float32")
ROWS = RNG.normal(size=(50, 3)).astype("float32")


@pytest.fixture
def ask(tmp_path):
    """Return a function that writes a champion and asks it."""

    def ask(weights=WEIGHTS, metadata=BOTH, **graph) -> Champion:
        return ask_champion(write_model(tmp_path / "m.onnx", weights, metadata, **graph), FEATURES, ROWS)

    return ask


def test_it_answers_as_probabilities_of_its_classes_and_takes_features_by_name_in_its_order(ask):
    found = ask(WEIGHTS[:2], {**BOTH, "features": ["ink", "width"]})
    assert (found.features, found.labels) == (["ink", "width"], CLASSES)
    assert found.probabilities.dtype == np.float64
    assert found.probabilities == pytest.approx(softmax(ROWS[:, [2, 0]] @ WEIGHTS[:2]), abs=1e-6)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": CLASSES}, "its model's metadata has no features"),
        ({"features": list(FEATURES)}, "its model's metadata has no labels"),
        ({**BOTH, "features": "width, ink"}, "has features that are not JSON"),
        ({**BOTH, "labels": "[" * 100_000}, "has labels that are not JSON"),
        ({**BOTH, "features": []}, "has features that are no list of different names"),
        ({**BOTH, "features": {"ink": 1}}, "no list of different names"),
        ({**BOTH, "labels": ["A", "B", "C", "A"]}, "labels that are no list of different names"),
        ({**BOTH, "labels": ["A", "B", "C", 1]}, "labels that are no list of different names"),
        ({**BOTH, "features": ["ink", "beauty"]}, "features that the test examples do not have: beauty"),
        ({**BOTH, "features": ["ink"]}, "its model does not run on the test examples: "),
        ({**BOTH, "labels": CLASSES[:3]}, r"it gives float32 \[50, 4\] for 50 examples and 3 classes"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_metadata_that_does_not_fit_makes_it_incomparable(ask, metadata, message):
    with pytest.raises(Incomparable, match=message) as caught:
        ask(metadata=metadata)
    assert "\n" not in str(caught.value)


def test_a_model_of_several_inputs_or_outputs_is_incomparable(ask):
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    with pytest.raises(Incomparable, match="has 1 inputs and 2 outputs, not one of each"):
        ask(nodes=nodes, outputs=("probabilities", "logits"))
    with pytest.raises(Incomparable, match="has 2 inputs and 1 outputs, not one of each"):
        ask(inputs=("features", "unused"))


@pytest.mark.parametrize(("data", "told"), [(b"", "is empty"), (b"no model", "does not load: ")])
def test_a_file_that_is_no_model_is_incomparable(tmp_path, data, told):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(Incomparable, match=f"^its model {told}") as caught:
        ask_champion(tmp_path / "m.onnx", FEATURES, ROWS)
    assert "\n" not in str(caught.value)
