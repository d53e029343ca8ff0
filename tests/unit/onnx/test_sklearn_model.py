"""Classifiers of scikit-learn: saved without pickles, exported, and the same in every runtime."""

import io

import numpy as np
import onnx
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from ml.core.files import write_bytes
from ml.judge.allowed_onnx import check_onnx
from ml.onnx.inputs import UNANSWERED, input_families
from ml.onnx.runtime_comparison import compare_family
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.onnx.sklearn_model import ask_classifier, export_classifier, save_classifier

RNG = np.random.default_rng(1)
FEATURES = (RNG.normal(size=(300, 5)) * [1, 10, 100, 0.1, 1] + [0, 5, 0, 0, -3]).astype("float32")
SCORE = FEATURES[:, 0] + FEATURES[:, 1] / 10
LABELS = {
    2: np.where(SCORE + RNG.normal(size=300) > 0.5, "späm", "not spam"),
    3: np.digitize(SCORE, [0, 1]).astype(str),
}
"""Labels by how many classes there are: text, with a space and an umlaut."""

CLASSIFIERS = {
    "logistic": LogisticRegression,
    "scaled logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "network": lambda: make_pipeline(
        MinMaxScaler(), MLPClassifier((8,), max_iter=50, tol=0.01, random_state=7)
    ),
}


@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_classifier_exports_and_agrees_in_every_runtime(tmp_path, name, classes):
    model, exported = tmp_path / "model.skops", tmp_path / "model.onnx"
    classifier = CLASSIFIERS[name]().fit(FEATURES, LABELS[classes])
    save_classifier(classifier, FEATURES, model)
    answers = ask_classifier(model, FEATURES)
    assert answers.shape == (300, classes)
    assert answers.dtype == np.float32
    assert answers == pytest.approx(classifier.predict_proba(FEATURES), abs=1e-6)
    export_classifier(model, exported)
    check_onnx(exported)
    first = exported.read_bytes()
    export_classifier(model, exported)
    assert exported.read_bytes() == first
    served, onnxruntime, _ = open_runtimes(first, AS_SERVED)
    for family, rows in input_families(FEATURES).items():
        reference = ask_classifier(model, rows)
        assert np.isnan(reference).all() if family in UNANSWERED else np.isfinite(reference).all()
        for runtime in (served, onnxruntime):
            found = compare_family(runtime.run, family, rows, reference, [*classifier.classes_])
            assert (found.violations, found.top1_disagreements, found.nonfinite) == (0, 0, 0)


def test_the_export_has_one_input_one_output_and_standard_operators(tmp_path):
    save_classifier(LogisticRegression().fit(FEATURES, LABELS[2]), FEATURES, tmp_path / "m.skops")
    export_classifier(tmp_path / "m.skops", tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["features"]
    assert [entry.name for entry in model.graph.output] == ["probabilities"]
    assert {node.domain for node in model.graph.node} == {""}


class Other:
    """A class that is not scikit-learn's."""

    def predict_proba(self, rows):
        raise AssertionError("it was loaded and asked")


def test_a_file_that_holds_another_class_is_refused(tmp_path):
    parts = {"classifier": Other(), "low": FEATURES.min(axis=0), "high": FEATURES.max(axis=0)}
    model = tmp_path / "model.skops"
    write_bytes(model, skops.io.dumps(parts))
    refused = r"^model\.skops holds .*Other, which is not of scikit-learn$"
    for use in (
        lambda: ask_classifier(model, FEATURES),
        lambda: export_classifier(model, tmp_path / "m.onnx"),
    ):
        with pytest.raises(ValueError, match=refused):
            use()
    assert not (tmp_path / "m.onnx").exists()
    hidden = make_pipeline(StandardScaler(), LogisticRegression())
    hidden.steps.append(("last", io.StringIO))
    write_bytes(model, skops.io.dumps({**parts, "classifier": hidden}))
    with pytest.raises(ValueError, match="which is not of scikit-learn"):
        ask_classifier(model, FEATURES)
