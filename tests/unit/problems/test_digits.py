"""The example of scikit-learn's digits: its contract, its examples, and a model that ONNX repeats."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from examples.digits import definition, solution
from ml.data.preprocess import make_splits
from ml.data.splits import SPLITS, read_examples


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    paths = {"digits": tmp_path_factory.mktemp("digits") / "digits.parquet"}
    definition.write_sample("sample:", paths)
    return paths


def test_there_is_one_sample_that_keeps_to_the_contract_and_a_pixel_that_is_too_bright_does_not(
    tables, tmp_path
):
    assert definition.describe_sample("sample:") == {"sample": "sklearn.datasets.load_digits"}
    with pytest.raises(ValueError, match="there is one sample, and its URI is sample:"):
        definition.describe_sample("sample:2")
    checks, aside = definition.check_contents(tables)
    assert ([check.passed for check in checks], aside) == ([True] * 4, {})
    table = pd.read_parquet(tables["digits"])[:499]
    table.loc[3, "pixel_7_7"] = 17
    table.to_parquet(tmp_path / "digits.parquet", index=False)
    checks, _ = definition.check_contents({"digits": tmp_path / "digits.parquet"})
    assert {check.name: check.detail for check in checks if not check.passed} == {
        "digits.rows": "only 499 rows",
        "digits.in_range": "column pixel_7_7: 1 rows, e.g. 17.0 (image image-0003, row 4)",
    }


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_model_is_trained_exported_and_repeated_by_onnx(tables, tmp_path):
    targets = {name: tmp_path / name for name in SPLITS}
    make_splits(definition, tables, targets, tmp_path / "labels.json")
    examples = definition.make_examples(tables, definition.read_entries(tables), None)
    assert (examples.features.shape, examples.classes) == ((1797, 64), tuple("0123456789"))
    train, validation, test = (read_examples(path) for path in targets.values())
    model, exported = tmp_path / f"model{solution.SUFFIX}", tmp_path / "model.onnx"
    trained = solution.train(train, validation, solution.Hyperparameters(units=32, epochs=25), model)
    share, _, rest = trained.headline.partition("%")
    assert (float(share) > 70, rest) == (True, f" of {len(validation.ids)} validation images right")
    assert trained.losses["loss"][24] < trained.losses["loss"][0] / 2
    solution.export(model, exported)
    (answers,) = onnxruntime.InferenceSession(exported).run(None, {"features": test.features})
    np.testing.assert_allclose(
        answers, solution.predict(model, test.features), rtol=1e-3, atol=1e-5, strict=True
    )
