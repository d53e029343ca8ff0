"""Parity passes on a faithful model, and sees every way in which a model can differ from the trained one."""

import shutil

import onnx
import pyarrow.parquet as pq
import pytest
from made_model import CLASSES
from onnx import numpy_helper
from policies import default_policy

from ml.core.files import file_digest, read_json
from ml.data.splits import Labels
from ml.gate.nouns import Nouns
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
    assert told.startswith("served (openvino, ")
    return Parity.load(read_json(files / "parity.json"))


def blocked(report):
    return {check.name for check in parity_checks(report, POLICY) if check.blocks}


def changed(files, change) -> Parity:
    """Run parity on a changed model."""
    model = onnx.load(files / "model.onnx")
    change(model)
    onnx.save(model, files / "model.onnx")
    return run_parity(files)


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
        if runtime.name in EXACT:
            assert all(one.violations == 0 and one.worst_ratio < 0.1 for one in runtime.families)
    assert blocked(report) == set()
    assert (report.reference, report.served, report.opset) == ("native", AS_SERVED, OPSET)
    assert report.interface_problems == ()
    assert report.model_bytes == (files / "model.onnx").stat().st_size
    digests = [file_digest(made.folder / name) for name in ("model.keras", "model.onnx", "test.parquet")]
    assert [report.model_digest, report.onnx_digest, report.test_digest] == digests
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms


def test_a_changed_weight_is_a_violation_and_another_class_a_flip_whoever_has_asked_the_reference(files):
    table = pq.read_table(files / "reference.parquet")
    source = {**table.schema.metadata, b"reference": b"self-reported"}
    pq.write_table(table.replace_schema_metadata(source), files / "reference.parquet")
    report = changed(files, shift_last_bias(20.0))
    assert report.reference == "self-reported"
    for runtime in report.runtimes[:2]:
        for family in runtime.families:
            # To nonsense it still gives no answer.
            assert (family.violations > 0) == (family.worst_ratio > 1) == (family.name != "nonfinite")
    names = {f"parity.{name}.test.{check}" for name in EXACT for check in ("worst_ratio", "top1_flips")}
    assert names <= blocked(report)


def test_a_model_that_answers_nonsense_is_blocked(files):
    """As a conversion would leave it that takes the guard for something that can never be."""

    def unguard(model):
        (where,) = [node for node in model.graph.node if node.op_type == "Where"]
        (probabilities,) = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
        where.op_type = "Identity"
        where.input[:] = [probabilities]

    checks = {f"parity.{name}.nonfinite.{check}" for name in EXACT for check in ("nonfinite", "worst_ratio")}
    assert blocked(changed(files, unguard)) == checks


def test_nan_on_the_test_examples_ends_the_step(files):
    with pytest.raises(ValueError, match="not numbers"):
        changed(files, shift_last_bias(float("nan")))
    assert not (files / "parity.json").exists()


def test_a_reference_of_other_rows_is_refused(files):
    table = pq.read_table(files / "reference.parquet")
    order = [1, 0, *range(2, len(table))]
    for other in (table.slice(0, len(table) - 1), table.take(order)):
        pq.write_table(other, files / "reference.parquet")
        with pytest.raises(ValueError, match="other rows"):
            run_parity(files)


LABELS = Labels(definition="glyphs/v1", nouns=Nouns(), features=("width", "ink"), classes=("A", "B"))
IN, OUT = (Tensor(name=name, type="tensor(float)", shape=(2,)) for name in ("features", "probabilities"))
METADATA = {"features": '["width", "ink"]', "labels": '["A", "B"]', "definition": "glyphs/v1"}
LATENCY = Latency(p50_ms=1, p99_ms=1, calls=1)
FACTS = ModelFacts(opset=18, inputs=(IN,), outputs=(OUT,), metadata=METADATA, model_bytes=1, latency=LATENCY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": ()}, "inputs: [] instead of [('features', 'tensor(float)', [2])]"),
        ({"outputs": (IN,)}, "outputs: [('features', 'tensor(float)', [2])] instead"),
        ({"labels": '["B", "A"]'}, "metadata labels: ['B', 'A'] instead of ['A', 'B']"),
        ({"features": None}, "metadata features: None instead of ['width', 'ink']"),
        ({"features": "width"}, "metadata features: width instead of"),
        ({"features": "[" * 100_000}, "metadata features: [["),
        ({"definition": None}, "metadata definition:  instead of glyphs/v1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_client_would_trip_over_is_told(change, told):
    assert interface_problems(FACTS, LABELS) == []
    sides = {key: value for key, value in change.items() if key in ("inputs", "outputs")}
    metadata = {key: text for key, text in {**METADATA, **change}.items() if text and key in METADATA}
    (problem,) = interface_problems(FACTS.model_copy(update={**sides, "metadata": metadata}), LABELS)
    assert problem.startswith(told)
