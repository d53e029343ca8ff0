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
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = {key: json.loads(metadata.pop(key)) for key in ("features", "labels")}
    assert names == {"features": [*FEATURES], "labels": [*CLASSES]}
    assert metadata == {"definition": "glyphs/v1", "model_name": "made", "data_version": "1"}
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    assert Served.load(read_json(made.folder / "served.json")) == AS_SERVED


def test_the_reference_holds_what_the_trained_model_answers_to_each_family(made):
    reference = read_reference(made.folder / "reference.parquet")
    families = input_families(made.features)
    assert [*dict.fromkeys(reference.families)] == [*families]
    rows = np.concatenate([*families.values()])
    assert np.array_equal(reference.features, rows, equal_nan=True)
    assert np.allclose(reference.answers, made.keras(rows), atol=1e-6, equal_nan=True)
    digests = (file_digest(made.folder / name) for name in ("model.keras", "test.parquet"))
    source = dict(zip(("model_digest", "test_digest"), digests, strict=True))
    assert reference.source == {"reference": "native", **source}


def test_the_same_network_is_saved_as_the_same_bytes(made, tmp_path):
    path = tmp_path / "model.keras"
    written = []
    for _ in range(2):
        # With other addresses in memory, and at another time.
        save_network(load_network(made.folder / "model.keras"), path)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert json.loads(archive.read("metadata.json")).keys() == {"keras_version"}
    assert load_network(path).output_shape == (None, len(CLASSES))


def test_the_reference_of_a_format_that_the_judge_does_not_load_is_self_reported(made, tmp_path):
    told = made.convert(tmp_path, other(SUFFIX=".skops"))
    size = (tmp_path / "model.onnx").stat().st_size
    reference = read_reference(tmp_path / "reference.parquet")
    assert told == f"opset {OPSET}, {size:,} bytes, {len(reference.families):,} reference answers"
    assert reference.source["reference"] == "self-reported"


def test_another_shape_of_answers_and_an_export_that_is_no_onnx_are_refused(made, tmp_path):
    def export(model, onnx_model):
        proto = onnx.load(made.folder / "model.onnx")
        proto.graph.node[0].op_type = "NoSuchOperator"
        onnx.save(proto, onnx_model)

    solution = other(predict=lambda model, features: np.zeros((len(features), len(CLASSES) - 1)))
    with pytest.raises(ValueError, match=rf"the solution predicts \(.* rows of {len(CLASSES)} classes"):
        made.convert(tmp_path, solution)
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        made.convert(tmp_path, other(export=export))
    assert not (tmp_path / "reference.parquet").exists()
