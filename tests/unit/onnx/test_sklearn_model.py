"""Classifiers of scikit-learn: saved without pickles, exported, and the same in every runtime."""

import io

import numpy as np
import onnx
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.core.files import write_bytes
from ml.judge.allowed_onnx import check_onnx
from ml.onnx.inputs import UNANSWERED, input_families
from ml.onnx.runtime_comparison import compare_family
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.onnx.sklearn_model import ask_classifier, export_classifier, save_classifier

RNG = np.random.default_rng(1)
FEATURES = (RNG.normal(size=(300, 5)) * [1, 10, 100, 0.1, 1] + [0, 5, 0, 0, -3]).astype("float32")
SCORE = FEATURES[:, 0] + FEATURES[:, 1] / 10
LABELS = np.where(SCORE + RNG.normal(size=300) > 0.5, "späm", "not spam")


def test_a_classifier_exports_and_agrees_in_every_runtime(tmp_path):
    model, exported = tmp_path / "model.skops", tmp_path / "model.onnx"
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(FEATURES, LABELS)
    save_classifier(classifier, FEATURES, model)
    answers = ask_classifier(model, FEATURES)
    assert (answers.shape, answers.dtype) == ((300, 2), np.float32)
    assert answers == pytest.approx(classifier.predict_proba(FEATURES), abs=1e-6)
    export_classifier(model, exported)
    check_onnx(exported)
    first = exported.read_bytes()
    proto = onnx.load_from_string(first)
    assert [entry.name for entry in proto.graph.input] == ["features"]
    assert {node.domain for node in proto.graph.node} == {""}
    export_classifier(model, exported)
    assert exported.read_bytes() == first
    served, onnxruntime, _ = open_runtimes(first, AS_SERVED)
    for family, rows in input_families(FEATURES).items():
        reference = ask_classifier(model, rows)
        assert np.isnan(reference).all() if family in UNANSWERED else np.isfinite(reference).all()
        for runtime in (served, onnxruntime):
            found = compare_family(runtime.run, family, rows, reference, [*classifier.classes_])
            assert (found.violations, found.top1_disagreements, found.nonfinite) == (0, 0, 0)


class Other:
    """A class that is not scikit-learn's."""

    def predict_proba(self, rows):
        raise AssertionError("it was loaded and asked")


def test_a_file_that_holds_another_class_is_refused(tmp_path):
    hidden = make_pipeline(StandardScaler(), LogisticRegression())
    hidden.steps.append(("last", io.StringIO))
    model, exported = tmp_path / "model.skops", tmp_path / "m.onnx"
    for classifier, told in ((Other(), "Other"), (hidden, "StringIO")):
        parts = {"classifier": classifier, "low": FEATURES.min(axis=0), "high": FEATURES.max(axis=0)}
        write_bytes(model, skops.io.dumps(parts))
        refused = rf"^model\.skops holds .*{told}, which is not of scikit-learn$"
        with pytest.raises(ValueError, match=refused):
            ask_classifier(model, FEATURES)
        with pytest.raises(ValueError, match=refused):
            export_classifier(model, exported)
    assert not exported.exists()
