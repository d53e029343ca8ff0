"""Parity passes on a real run's model, and sees every way in which a model can differ from Keras."""

import json
import shutil

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper

from ml.core.files import read_json, write_json
from ml.data.splits import Examples, read_examples, write_examples
from policies import default_policy
from ml.gate.served import Served
from ml.gate.subjects.parity import Parity, RuntimeParity, parity_checks
from ml.onnx.conversion import OPSET
from ml.onnx.parity import check_parity
from ml.onnx.runtimes import AS_SERVED


@pytest.fixture
def files(finished_run, tmp_path):
    """Copies of what parity reads."""
    sources = {
        "model.onnx": finished_run.artifact("convert", "onnx_model.onnx"),
        "reference.parquet": finished_run.artifact("convert", "reference.parquet"),
        "test.parquet": finished_run.artifact("preprocess", "test_split.parquet"),
        "labels.json": finished_run.artifact("preprocess", "labels.json"),
        "served.json": finished_run.artifact("convert", "served.json"),
    }
    for name, path in sources.items():
        shutil.copy(path, tmp_path / name)
    return tmp_path


def run_parity(files) -> Parity:
    names = ("model.onnx", "reference.parquet", "test.parquet", "labels.json", "served.json")
    check_parity(*(files / name for name in names), files / "parity.json")
    return Parity.load(read_json(files / "parity.json"))


def exact(report: Parity) -> list[RuntimeParity]:
    """Return the runtimes that compute in float32 on every CPU."""
    return [runtime for runtime in report.runtimes if runtime.name != "openvino"]


def verdict_on(report: Parity) -> set[str]:
    """Return which checks of parity the gate blocks for."""
    return {check.name for check in parity_checks(report, default_policy().parity) if check.blocks}


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
    policy = default_policy().parity
    assert [runtime.name for runtime in report.runtimes] == ["served", "onnxruntime", "openvino"]
    for runtime in report.runtimes:
        assert tuple(family.name for family in runtime.families) == policy.required_families
        assert runtime.families[0].rows == len(read_examples(files / "test.parquet").ids)
        assert set(runtime.families[0].batch_sizes) >= {1, 7, 64, 10_000}
        assert {*runtime.layouts.to_json().values()} == {"same"}
        assert runtime.threads.different == 0
    for runtime in exact(report):
        assert all(family.violations == 0 and family.worst_ratio < 0.1 for family in runtime.families)
    assert report.served == AS_SERVED
    assert verdict_on(report) == set()
    assert report.interface_problems == ()
    assert report.opset == OPSET
    assert report.model_bytes == (files / "model.onnx").stat().st_size


def test_the_model_says_what_it_is(files, finished_run):
    model = onnx.load(files / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    evidence = read_json(finished_run.evidence)["subject"]
    assert metadata["data_version"] == evidence["data_version"]
    # The same model of another commit has the same bytes, and so the same id.
    assert evidence["commit"] not in metadata.values()
    assert json.loads(metadata["labels"]) == read_json(files / "labels.json")["countries"]
    assert json.loads(metadata["features"])[0] == "is_explicit"


def test_a_changed_weight_is_a_violation(files):
    change_model(files, lambda model: scale_last_bias(model, 0.5))
    report = run_parity(files)
    for runtime in report.runtimes:
        for family in runtime.families:
            # To nonsense it still gives no answer.
            assert (family.violations > 0) == (family.worst_ratio > 1) == (family.name != "nonfinite")
    blocked = verdict_on(report)
    assert {"parity.served.test.worst_ratio", "parity.onnxruntime.zeros.worst_ratio"} <= blocked


def test_another_most_probable_country_is_a_flip(files):
    change_model(files, lambda model: scale_last_bias(model, 20.0))
    report = run_parity(files)
    for runtime in report.runtimes:
        assert runtime.families[0].top1_disagreements > 0.9 * runtime.families[0].rows
    assert {f"parity.{name}.test.top1_flips" for name in ("served", "onnxruntime")} <= verdict_on(report)


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
    for runtime in exact(run_parity(files)):
        families = {family.name: family for family in runtime.families}
        assert families["zeros"].nonfinite == families["zeros"].violations > 72 * 3
        assert families["test"].nonfinite == 0


def test_a_model_that_answers_nonsense_is_blocked(files):
    """As a conversion would leave it that takes the guard for something that can never be."""

    def unguard(model):
        (where,) = [node for node in model.graph.node if node.op_type == "Where"]
        (probabilities,) = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
        where.op_type = "Identity"
        where.input[:] = [probabilities]

    change_model(files, unguard)
    blocked = verdict_on(run_parity(files))
    assert blocked == {
        f"parity.{name}.nonfinite.{check}"
        for name in ("served", "onnxruntime")
        for check in ("nonfinite", "worst_ratio")
    }


def test_a_candidate_without_the_setting_is_blocked_on_every_cpu(files):
    """What picks bfloat16 is the CPU that serves, and the one that measures may have none."""
    write_json(files / "served.json", Served(runtime="openvino", settings={}))
    report = run_parity(files)
    assert "parity.served.unpinned" in verdict_on(report)
    if report.runtimes[0].precision == "bfloat16":
        assert {"parity.served.other_precision", "parity.served.test.worst_ratio"} <= verdict_on(report)


def test_weights_of_three_digits_are_blocked_on_every_cpu(files):
    """What bfloat16 does to a model, done to its weights: seen in runtimes that compute in float32 too."""

    def shorten(model):
        for entry in model.graph.initializer:
            values = numpy_helper.to_array(entry)
            if values.dtype == np.float32 and values.size > 100:
                short = (values.view("uint32") & 0xFFFF0000).view("float32")
                entry.CopyFrom(numpy_helper.from_array(short, entry.name))

    change_model(files, shorten)
    blocked = verdict_on(run_parity(files))
    assert {f"parity.{name}.test.worst_ratio" for name in ("served", "onnxruntime")} <= blocked


def test_where_openvino_picks_bfloat16_the_report_says_so_and_the_gate_warns(files):
    report = run_parity(files)
    itself = report.runtimes[2]
    if itself.precision != "bfloat16":
        pytest.skip("OpenVINO picks bfloat16 only on a CPU that has it")
    checks = list(parity_checks(report, default_policy().parity))
    (warning,) = [check for check in checks if check.name == "parity.openvino.worst_ratio"]
    assert (warning.passed, warning.level) == (False, "warn")
    assert "bfloat16" in warning.reason
    # Were it what serves, it would be blocked.
    binding = default_policy().parity.model_copy(update={"binding_runtimes": ("openvino",)})
    found = {check.name for check in parity_checks(report, binding) if check.blocks}
    assert "parity.openvino.test.worst_ratio" in found


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
