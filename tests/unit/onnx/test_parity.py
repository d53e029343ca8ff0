"""Parity passes on a faithful model, and sees every way in which a model can differ from the trained one."""

import shutil

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from made_model import CLASSES
from onnx import numpy_helper
from policies import default_policy

from ml.core.files import file_digest, read_json, write_json
from ml.data.splits import Labels, read_examples, write_examples
from ml.gate.nouns import Nouns
from ml.gate.served import Served
from ml.gate.subjects.parity import Latency, Parity, parity_checks
from ml.onnx.keras_model import OPSET
from ml.onnx.parity import check_parity, interface_problems
from ml.onnx.runtime_answers import ModelFacts, Tensor
from ml.onnx.runtimes import AS_SERVED

NAMES = ("model.onnx", "reference.parquet", "test.parquet", "labels.json", "served.json")
POLICY = default_policy().parity
EXACT = ("served", "onnxruntime")
"""The runtimes that compute in float32 on every CPU."""


@pytest.fixture
def files(made, tmp_path):
    """Copies of what parity reads."""
    for name in NAMES:
        shutil.copy(made.folder / name, tmp_path)
    return tmp_path


def run_parity(files) -> Parity:
    told = check_parity(*(files / name for name in NAMES), files / "parity.json")
    report = Parity.load(read_json(files / "parity.json"))
    assert told.startswith("served (openvino, ")
    return report


def families_of(report):
    """Return the families by runtime and name, of the runtimes that compute exactly."""
    exact = [runtime for runtime in report.runtimes if runtime.name in EXACT]
    return {(runtime.name, family.name): family for runtime in exact for family in runtime.families}


def blocked(report, policy=POLICY):
    return {check.name for check in parity_checks(report, policy) if check.blocks}


def change_model(files, change) -> None:
    model = onnx.load(files / "model.onnx")
    change(model)
    onnx.save(model, files / "model.onnx")


def shift_last_bias(amount: float):
    def change(model):
        bias = next(entry for entry in model.graph.initializer if [*entry.dims] == [len(CLASSES)])
        values = numpy_helper.to_array(bias).copy()
        values[5] += amount
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))

    return change


def test_a_faithful_model_has_no_violation(files, made):
    report = run_parity(files)
    assert [runtime.name for runtime in report.runtimes] == ["served", "onnxruntime", "openvino"]
    for runtime in report.runtimes:
        assert tuple(family.name for family in runtime.families) == POLICY.required_families
        assert runtime.families[0].rows == len(made.features)
        assert {*runtime.layouts.to_json().values()} == {"same"}
        assert runtime.threads.different == 0
    assert all(one.violations == 0 and one.worst_ratio < 0.1 for one in families_of(report).values())
    assert blocked(report) == set()
    assert (report.reference, report.served, report.opset) == ("native", AS_SERVED, OPSET)
    assert report.interface_problems == ()
    assert report.model_bytes == (files / "model.onnx").stat().st_size
    digests = [file_digest(made.folder / name) for name in ("model.keras", "model.onnx", "test.parquet")]
    assert [report.model_digest, report.onnx_digest, report.test_digest] == digests
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms


def test_the_report_says_of_a_reference_that_the_run_alone_has_asked_that_it_is(files):
    table = pq.read_table(files / "reference.parquet")
    source = {**table.schema.metadata, b"reference": b"self-reported"}
    pq.write_table(table.replace_schema_metadata(source), files / "reference.parquet")
    assert run_parity(files).reference == "self-reported"


def test_a_changed_weight_is_a_violation_and_another_class_a_flip(files):
    change_model(files, shift_last_bias(0.5))
    report = run_parity(files)
    for (_, name), found in families_of(report).items():
        # To nonsense it still gives no answer.
        assert (found.violations > 0) == (found.worst_ratio > 1) == (name != "nonfinite")
    assert {"parity.served.test.worst_ratio", "parity.onnxruntime.zeros.worst_ratio"} <= blocked(report)
    change_model(files, shift_last_bias(20.0))
    report = run_parity(files)
    assert families_of(report)["served", "test"].top1_disagreements > 0.9 * len(
        read_examples(files / NAMES[2]).ids
    )
    assert {f"parity.{name}.test.top1_flips" for name in EXACT} <= blocked(report)


def test_nan_on_the_test_examples_ends_the_step(files):
    change_model(files, shift_last_bias(float("nan")))
    with pytest.raises(ValueError, match="not numbers"):
        run_parity(files)
    assert not (files / "parity.json").exists()


def test_a_model_that_answers_nonsense_is_blocked(files):
    """As a conversion would leave it that takes the guard for something that can never be."""

    def unguard(model):
        (where,) = [node for node in model.graph.node if node.op_type == "Where"]
        (probabilities,) = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
        where.op_type = "Identity"
        where.input[:] = [probabilities]

    change_model(files, unguard)
    expected = {
        f"parity.{name}.nonfinite.{check}" for name in EXACT for check in ("nonfinite", "worst_ratio")
    }
    assert blocked(run_parity(files)) == expected


def test_a_candidate_without_the_setting_is_blocked_on_every_cpu(files):
    """What picks bfloat16 is the CPU that serves, and the one that measures may have none."""
    write_json(files / "served.json", Served(runtime="openvino", settings={}))
    report = run_parity(files)
    assert "parity.served.unpinned" in blocked(report)
    if report.runtimes[0].precision == "bfloat16":
        assert {"parity.served.other_precision", "parity.served.test.worst_ratio"} <= blocked(report)


def test_weights_of_three_digits_are_blocked_on_every_cpu(files):
    """What bfloat16 does to a model, done to its weights: seen in runtimes that compute in float32 too."""

    def shorten(model):
        for entry in model.graph.initializer:
            values = numpy_helper.to_array(entry)
            if values.dtype == np.float32 and values.size > 100:
                short = (values.view("uint32") & 0xFFFF0000).view("float32")
                entry.CopyFrom(numpy_helper.from_array(short, entry.name))

    change_model(files, shorten)
    assert {f"parity.{name}.test.worst_ratio" for name in EXACT} <= blocked(run_parity(files))


def test_where_openvino_picks_bfloat16_the_report_says_so_and_the_gate_warns(files):
    report = run_parity(files)
    if report.runtimes[2].precision != "bfloat16":
        pytest.skip("OpenVINO picks bfloat16 only on a CPU that has it")
    (warning,) = [one for one in parity_checks(report, POLICY) if one.name == "parity.openvino.worst_ratio"]
    assert (warning.passed, warning.level) == (False, "warn")
    assert "bfloat16" in warning.reason
    assert report.runtimes[2].families[0].worst_ratio > 5
    # Were it what serves, it would be blocked.
    binding = POLICY.model_copy(update={"binding_runtimes": ("openvino",)})
    assert "parity.openvino.test.worst_ratio" in blocked(report, binding)


SIDES = {"features": ("width", "ink"), "classes": ("A", "B")}
LABELS = Labels(definition="glyphs/v1", nouns=Nouns(), **SIDES)
IN, OUT = (Tensor(name=name, type="tensor(float)", shape=(2,)) for name in ("features", "probabilities"))
METADATA = {"features": '["width", "ink"]', "labels": '["A", "B"]', "definition": "glyphs/v1"}
LATENCY = Latency(p50_ms=1, p99_ms=1, calls=1)
FACTS = ModelFacts(opset=18, inputs=(IN,), outputs=(OUT,), metadata=METADATA, model_bytes=1, latency=LATENCY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": ()}, "inputs: [] instead of [('features', 'tensor(float)', [2])]"),
        ({"inputs": (OUT,)}, "inputs: [('probabilities', 'tensor(float)', [2])] instead"),
        ({"outputs": (IN,)}, "outputs: [('features', 'tensor(float)', [2])] instead"),
        ({"labels": '["B", "A"]'}, "metadata labels: ['B', 'A'] instead of ['A', 'B']"),
        ({"features": None}, "metadata features: None instead of ['width', 'ink']"),
        ({"features": "width"}, "metadata features: width instead of"),
        ({"features": "[" * 100_000}, "metadata features: [["),
        ({"definition": "glyphs/v2"}, "metadata definition: glyphs/v2 instead of glyphs/v1"),
        ({"definition": None}, "metadata definition:  instead of glyphs/v1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_client_would_trip_over_is_told(change, told):
    assert interface_problems(FACTS, LABELS) == []
    sides = {key: value for key, value in change.items() if key in ("inputs", "outputs")}
    metadata = {key: change.get(key, text) for key, text in METADATA.items()}
    told_metadata = {key: text for key, text in metadata.items() if text}
    (problem,) = interface_problems(FACTS.model_copy(update={**sides, "metadata": told_metadata}), LABELS)
    assert problem.startswith(told)


def test_another_input_name_is_seen(files):
    def rename(model):
        for node in model.graph.node:
            node.input[:] = ["inputs" if name == "features" else name for name in node.input]
        model.graph.input[0].name = "inputs"

    change_model(files, rename)
    with pytest.raises(Exception, match="features"):
        run_parity(files)


def test_a_reference_of_other_rows_is_refused(files):
    table = pq.read_table(files / "reference.parquet")
    pq.write_table(table.slice(0, len(table) - 1), files / "reference.parquet")
    with pytest.raises(ValueError, match="other rows"):
        run_parity(files)
    pq.write_table(table, files / "reference.parquet")
    test = read_examples(files / "test.parquet")
    write_examples(files / "test.parquet", test.take(np.arange(1, len(test.ids))))
    with pytest.raises(ValueError, match="other rows"):
        run_parity(files)
