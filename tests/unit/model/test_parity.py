"""Parity passes on a real run's model, and sees every way in which a model can differ from Keras."""

import json
import shutil

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper

from ml.data.splits import Examples, read_examples, write_examples
from ml.files import read_json
from ml.gate.reports.parity import Parity
from ml.model.conversion import OPSET, input_families
from ml.model.parity import check_parity


@pytest.fixture
def files(finished_run, tmp_path):
    """Copies of what parity reads."""
    sources = {
        "model.onnx": finished_run.artifact("convert", "onnx_model.onnx"),
        "reference.parquet": finished_run.artifact("convert", "reference.parquet"),
        "test.parquet": finished_run.artifact("preprocess", "test_split.parquet"),
        "labels.json": finished_run.artifact("preprocess", "labels.json"),
    }
    for name, path in sources.items():
        shutil.copy(path, tmp_path / name)
    return tmp_path


def run_parity(files) -> Parity:
    inputs = [files / name for name in ("model.onnx", "reference.parquet", "test.parquet", "labels.json")]
    check_parity(*inputs, files / "parity.json")
    return Parity.load(read_json(files / "parity.json"))


def change_model(files, change) -> None:
    model = onnx.load(files / "model.onnx")
    change(model)
    onnx.save(model, files / "model.onnx")


def weights(model, shape):
    """Find the initializer of a shape."""
    return next(entry for entry in model.graph.initializer if list(entry.dims) == list(shape))


def scale_last_bias(model, amount: float) -> None:
    bias = weights(model, [72])
    values = numpy_helper.to_array(bias).copy()
    values[5] += amount
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))


def test_a_faithful_model_has_no_violation(files):
    report = run_parity(files)
    assert [family.name for family in report.families] == ["test", "extremes", "zeros", "out_of_range"]
    assert all(family.violations == 0 and family.worst_ratio < 0.1 for family in report.families)
    assert report.families[0].rows == len(read_examples(files / "test.parquet").ids)
    assert set(report.families[0].batch_sizes) >= {1, 7, 64}
    assert report.interface_problems == ()
    assert report.opset == OPSET
    assert report.model_bytes == (files / "model.onnx").stat().st_size


def test_the_model_says_what_it_is(files, finished_run):
    model = onnx.load(files / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    evidence = read_json(finished_run.evidence)["subject"]
    assert metadata["data_version"] == evidence["data_version"]
    assert metadata["code_version"] == evidence["commit"]
    assert json.loads(metadata["labels"]) == read_json(files / "labels.json")["countries"]
    assert json.loads(metadata["features"])[0] == "is_explicit"


def test_a_changed_weight_is_a_violation(files):
    change_model(files, lambda model: scale_last_bias(model, 0.5))
    report = run_parity(files)
    assert all(family.violations > 0 and family.worst_ratio > 1 for family in report.families)


def test_another_most_probable_country_is_a_flip(files):
    change_model(files, lambda model: scale_last_bias(model, 20.0))
    test = run_parity(files).families[0]
    assert test.top1_disagreements > 0.9 * test.rows


def test_nan_on_the_test_songs_ends_the_step(files):
    change_model(files, lambda model: scale_last_bias(model, float("nan")))
    with pytest.raises(ValueError, match="not numbers"):
        run_parity(files)
    assert not (files / "parity.json").exists()


def test_nan_at_an_edge_is_counted_and_is_a_violation(files):
    """A model that divides by the sum of its squared inputs is fine on songs, and NaN on zeros."""

    def divide(model):
        for node in model.graph.node:
            node.input[:] = ["divided" if name == "features" else name for name in node.input]
        later = list(model.graph.node)
        del model.graph.node[:]
        make = onnx.helper.make_node
        # Of each row of its own: [N, 13] to [N, 1], since one NaN must not spread through the batch.
        axis = numpy_helper.from_array(np.array([1]), "axis")
        model.graph.initializer.append(axis)
        model.graph.node.extend(
            [
                make("ReduceSumSquare", ["features", "axis"], ["size"], keepdims=1),
                make("Div", ["size", "size"], ["one"]),
                make("Mul", ["features", "one"], ["divided"]),
                *later,
            ]
        )

    change_model(files, divide)
    families = {family.name: family for family in run_parity(files).families}
    assert families["zeros"].nonfinite == 72 * 3
    assert families["zeros"].violations == 72 * 3
    assert families["test"].nonfinite == 0


def test_a_swapped_label_is_an_interface_problem(files):
    def swap(model):
        entry = next(entry for entry in model.metadata_props if entry.key == "labels")
        labels = json.loads(entry.value)
        entry.value = json.dumps([labels[1], labels[0], *labels[2:]])

    change_model(files, swap)
    assert "metadata labels" in run_parity(files).interface_problems[0]


def test_another_input_name_is_seen(files):
    def rename(model):
        for node in model.graph.node:
            node.input[:] = ["inputs" if name == "features" else name for name in node.input]
        model.graph.input[0].name = "inputs"

    change_model(files, rename)
    with pytest.raises(Exception, match="features"):
        run_parity(files)


def test_reference_of_other_rows_is_refused(files):
    test = read_examples(files / "test.parquet")
    write_examples(
        files / "test.parquet", Examples(test.ids[1:], test.features[1:], test.counts[1:], test.released[1:])
    )
    with pytest.raises(ValueError, match="other rows"):
        run_parity(files)


def test_a_reference_that_lost_a_row_is_refused(files):
    table = pq.read_table(files / "reference.parquet")
    pq.write_table(table.slice(0, len(table) - 1), files / "reference.parquet")
    with pytest.raises(ValueError, match="other rows"):
        run_parity(files)


def test_families_hold_the_edges_of_each_feature():
    features = np.random.default_rng(0).normal(size=(50, 13)).astype("float32")
    families = input_families(features)
    assert families["extremes"].min(axis=0) == pytest.approx(features.min(axis=0))
    assert families["extremes"].max(axis=0) == pytest.approx(features.max(axis=0))
    assert (families["out_of_range"].max(axis=0) > features.max(axis=0)).all()
    assert (families["out_of_range"].min(axis=0) < features.min(axis=0)).all()
    assert not families["zeros"].any()
