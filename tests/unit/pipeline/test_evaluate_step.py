"""The challenger beside the champion's file: compared, incomparable, or without a champion."""

import numpy as np
import pytest
from onnx_models import softmax, write_model

from ml.core.files import file_digest
from ml.pipeline.evaluation import compare_with_champion
from ml.problem import Examples

ID = "c0ffee" + 58 * "1"
FEATURES, CLASSES = ("width", "ink"), ("A", "B")
ROWS = np.random.default_rng(7).normal(size=(40, 2)).astype("float32")
WEIGHTS = np.eye(2, dtype="float32")
TEST = Examples([str(index) for index in range(40)], ROWS, np.ones((40, 2), "int32"), CLASSES)
METADATA = {"features": list(FEATURES), "labels": list(CLASSES)}


def compare(path, champion=ID):
    return compare_with_champion(champion, path, FEATURES, TEST, softmax(ROWS @ WEIGHTS))


def test_the_champions_file_is_asked_about_the_test_examples(tmp_path):
    path = write_model(tmp_path / "m.onnx", WEIGHTS, METADATA)
    found = compare(path)
    assert (found.champion, found.onnx_digest, found.incomparable) == (ID, file_digest(path), "")
    assert found.shared.log_loss.difference.value == pytest.approx(0, abs=1e-6)
    assert (found.shared.examples, found.shared.resamples) == (40, 10_000)


def test_a_file_that_is_no_model_is_incomparable_and_its_digest_is_kept(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    found = compare(tmp_path / "m.onnx")
    assert found.onnx_digest == file_digest(tmp_path / "m.onnx")
    assert found.incomparable.startswith("its model does not load: ")


def test_without_a_champion_there_is_no_comparison_and_no_model(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    assert compare(tmp_path / "m.onnx", "") is None
    with pytest.raises(ValueError, match="no champion that it belongs to"):
        compare(write_model(tmp_path / "m.onnx", WEIGHTS, METADATA), "")
