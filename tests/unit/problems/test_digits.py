"""The example of scikit-learn's digits: its contract, its examples, and a model that ONNX repeats."""

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from examples.digits import definition, solution
from ml.data.preprocess import make_splits
from ml.data.splits import SPLITS, read_examples
from ml.onnx.inputs import UNANSWERED, input_families
from ml.problem import INPUT, OUTPUT


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, Path]:
    paths = {"digits": tmp_path_factory.mktemp("digits") / "digits.parquet"}
    definition.write_sample("sample:", paths)
    return paths


@pytest.fixture(scope="module")
def splits(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    targets = {name: folder / name for name in SPLITS}
    make_splits(definition, tables, targets, folder / "labels.json")
    return {name: read_examples(path) for name, path in targets.items()}


def test_there_is_one_sample():
    assert definition.describe_sample("sample:") == {"sample": "sklearn.datasets.load_digits"}
    with pytest.raises(ValueError, match="there is one sample, and its URI is sample:"):
        definition.describe_sample("sample:2")


def test_the_sample_keeps_to_the_contract_and_a_pixel_that_is_too_bright_does_not(tables, tmp_path):
    checks, aside = definition.check_contents(tables)
    assert (len(checks), aside) == (4, {})
    assert all(check.passed for check in checks)
    broken = {"digits": tmp_path / "digits.parquet"}
    table = pd.read_parquet(tables["digits"])[:499]
    table.loc[3, "pixel_7_7"] = 17
    table.to_parquet(broken["digits"], index=False)
    failed = {
        check.name: check.detail for check in definition.check_contents(broken).checks if not check.passed
    }
    assert failed == {
        "digits.rows": "only 499 rows",
        "digits.in_range": "column pixel_7_7: 1 rows, e.g. 17.0 (image image-0003, row 4)",
    }


def test_each_image_is_an_example_of_one_digit(tables):
    examples = definition.make_examples(tables, definition.read_entries(tables), None)
    assert (examples.features.shape, examples.classes) == ((1797, 64), tuple("0123456789"))
    labels = pd.read_parquet(tables["digits"])["label"]
    assert [examples.classes[row] for row in examples.counts.argmax(axis=1)] == labels.tolist()
    assert examples.counts.sum() == 1797


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_model_is_trained_exported_and_repeated_by_onnx(splits, tmp_path):
    model, exported = tmp_path / f"model{solution.SUFFIX}", tmp_path / "model.onnx"
    hyper = solution.Hyperparameters(units=32, epochs=25)
    trained = solution.train(splits["train"], splits["val"], hyper, model)
    share = float(trained.headline.partition("%")[0])
    assert share > 70
    assert trained.headline.endswith(f"% of {len(splits['val'].ids)} validation images right")
    assert len(trained.losses["loss"]) == 25
    assert trained.losses["loss"][-1] < trained.losses["loss"][0] / 2
    solution.export(model, exported)
    session = onnxruntime.InferenceSession(exported)
    for name, rows in input_families(splits["test"].features).items():
        (found,) = session.run([OUTPUT], {INPUT: rows})
        expected = solution.predict(model, rows)
        assert found.shape == expected.shape == (len(rows), 10)
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5, err_msg=name)
        assert np.isnan(found).all() if name in UNANSWERED else np.abs(found.sum(axis=1) - 1).max() < 1e-5
