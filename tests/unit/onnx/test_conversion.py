"""The export says what it is and is the same each time; what no solution may answer is refused."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from made_model import CLASSES, FEATURES, SOLUTION

from ml.core.files import file_digest, read_json
from ml.gate.served import Served
from ml.onnx.inputs import input_families
from ml.onnx.keras_file import load_network, save_network
from ml.onnx.keras_model import OPSET
from ml.onnx.reference import read_reference
from ml.onnx.runtimes import AS_SERVED


def other(**changes):
    return SimpleNamespace(**{**vars(SOLUTION), **changes})


def test_the_model_says_what_it_is(made):
    model = onnx.load(made.folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = {key: json.loads(metadata.pop(key)) for key in ("features", "labels")}
    assert names == {"features": [*FEATURES], "labels": [*CLASSES]}
    assert metadata == {"definition": "glyphs/v1", "model_name": "made", "data_version": "1"}
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    assert Served.load(read_json(made.folder / "served.json")) == AS_SERVED


def test_the_reference_holds_what_the_trained_model_answers_to_each_family(made):
    found = read_reference(made.folder / "reference.parquet")
    families = input_families(made.features)
    assert [*dict.fromkeys(found.families)] == [*families]
    rows = np.concatenate([*families.values()])
    assert np.array_equal(found.features, rows, equal_nan=True)
    assert np.allclose(found.answers, made.keras(rows), atol=1e-6, equal_nan=True)
    assert found.source == {
        "reference": "native",
        "model_digest": file_digest(made.folder / "model.keras"),
        "test_digest": file_digest(made.folder / "test.parquet"),
    }


def test_the_same_network_is_saved_as_the_same_bytes(made, tmp_path):
    written = []
    for name in ("first.keras", "model.keras"):
        # With other addresses in memory, and at another time.
        network = load_network(made.folder / "model.keras")
        save_network(network, tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert json.loads(archive.read("metadata.json")).keys() == {"keras_version"}
    assert load_network(tmp_path / "model.keras").output_shape == (None, len(CLASSES))


def test_the_reference_of_a_format_that_the_judge_does_not_load_is_self_reported(made, tmp_path):
    told = made.convert(tmp_path, other(SUFFIX=".skops"))
    size = (tmp_path / "model.onnx").stat().st_size
    rows = len(read_reference(tmp_path / "reference.parquet").families)
    assert told == f"opset {OPSET}, {size:,} bytes, {rows:,} reference answers"
    assert read_reference(tmp_path / "reference.parquet").source["reference"] == "self-reported"


@pytest.mark.parametrize("cut", [np.s_[:, 1:], np.s_[1:], np.s_[:, 0]], ids=str)
def test_a_solution_that_predicts_another_shape_is_refused(made, tmp_path, cut):
    solution = other(predict=lambda model, features: np.zeros((len(features), len(CLASSES)))[cut])
    with pytest.raises(ValueError, match=rf"the solution predicts \(.* rows of {len(CLASSES)} classes"):
        made.convert(tmp_path, solution)
    assert not (tmp_path / "reference.parquet").exists()


def test_an_export_that_is_no_onnx_is_refused(made, tmp_path):
    def export(model, onnx_model):
        proto = onnx.load(made.folder / "model.onnx")
        proto.graph.node[0].op_type = "NoSuchOperator"
        onnx.save(proto, onnx_model)

    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        made.convert(tmp_path, other(export=export))
