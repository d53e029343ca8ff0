"""What reaches Keras is a plain archive of known layers; anything else is one line that names it.

Without TensorFlow: the description of a model is JSON, here as Keras 3 writes it.
"""

import stat
import subprocess
import sys
import zipfile
from typing import Any

import h5py
import pytest
from keras_files import DENSE, functional, layer, weights, write_keras

from ml.core.errors import GateBlocked
from ml.judge import allowed_keras
from ml.judge.allowed_keras import check_keras

WHERE = layer("Where", "keras.src.ops.numpy")
WHERE["inbound_nodes"][0]["args"] += [1e15, float("nan")]


@pytest.fixture
def keras(tmp_path):
    """Return a function that writes a Keras file and checks it."""

    def write(model: Any = None, members: dict[str, bytes] | None = None) -> None:
        path = write_keras(tmp_path / "model.keras", model or functional(DENSE, WHERE), members or {})
        check_keras(path)

    return write


def refused(check, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(GateBlocked) as caught:
        check(*args, **kwargs)
    line = str(caught.value)
    assert line.startswith("model.keras: ")
    assert "\n" not in line
    return line


def test_layers_and_operations_of_a_plain_network_are_allowed(keras):
    keras()


def test_nothing_that_runs_models_is_imported_for_it(keras, tmp_path):
    keras()
    code = """
import pathlib, sys
from ml.judge.allowed import check_candidate
from ml.judge.allowed_keras import check_keras
check_keras(pathlib.Path(sys.argv[1]))
print(sorted({"keras", "onnxruntime", "openvino", "tensorflow"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_lambda_is_named_with_its_layer(keras):
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    line = refused(keras, functional(DENSE, layer("Lambda", function=code)))
    assert "layer 'lambda' uses keras.layers.Lambda, which the judge does not load" in line


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("TFSMLayer", "keras.layers"),
        ("TorchModuleWrapper", "keras.layers"),
        ("StringLookup", "keras.layers"),
        ("TextVectorization", "keras.layers"),
        ("RandomFlip", "keras.layers"),
        ("Map", "keras.src.ops.core"),
        ("Dense", "keras.src.layers.core.dense"),
        ("Dense", "my.package"),
        ("get_file", "keras.utils"),
        ("system", "os"),
    ],
)
def test_what_is_not_on_the_list_is_named(keras, name, module):
    assert f"uses {module}.{name}" in refused(keras, functional(layer(name, module)))


def test_a_class_without_its_module_is_refused(keras):
    """Keras takes such a description for one of an older version, and looks elsewhere for the class."""
    old = {"class_name": "Dense", "config": {"name": "old", "units": 4}}
    assert "layer 'old' uses Dense" in refused(keras, functional(old))


def nested(inner: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Put a description where others hold one."""
    sequential = {**layer("Sequential", "keras", layers=[inner]), "registered_name": None}
    return {
        "a model in a model": functional(functional(inner)),
        "a sequential in a model": functional(sequential),
        "a wrapper": functional(layer("TimeDistributed", layer=inner)),
        "an initializer": functional(layer("Dense", kernel_initializer=inner)),
        "an argument of an operation": functional(
            {**WHERE, "inbound_nodes": [{"args": [inner], "kwargs": {}}]}
        ),
        "a keyword of an operation": functional(
            {**WHERE, "inbound_nodes": [{"args": [], "kwargs": {"x": inner}}]}
        ),
        "a build config": functional({**DENSE, "build_config": {"shape": [inner]}}),
        "a plain value": functional(
            {**DENSE, "dtype": {"class_name": "__slice__", "config": {"start": inner}}}
        ),
    }


@pytest.mark.parametrize("where", nested({}))
@pytest.mark.parametrize(
    "evil",
    [
        {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        {
            "class_name": "__typespec__",
            "spec_name": "x",
            "module": "os",
            "registered_name": None,
            "config": [],
        },
        {"class_name": "function", "config": "system", "module": "builtins", "registered_name": "system"},
        {
            "class_name": "Lambda",
            "module": "keras.layers",
            "config": {"function": "x"},
            "registered_name": None,
        },
        {"class_name": ["Dense"], "module": "keras.layers", "config": {}, "registered_name": None},
    ],
    ids=["lambda", "typespec", "function", "layer", "list"],
)
def test_however_deep_code_lies_it_is_refused(keras, where, evil):
    assert "which the judge does not load" in refused(keras, nested(evil)[where])


def test_a_registered_object_is_refused_whatever_it_calls_itself(keras):
    custom = {**DENSE, "registered_name": "my_package>Dense"}
    assert "the registered object 'my_package>Dense'" in refused(keras, functional(custom))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("activation", "my_package>phone"),
        ("activation", "get_file"),
        ("recurrent_activation", "system"),
        ("kernel_initializer", "mine"),
        ("bias_regularizer", "mine"),
        ("kernel_constraint", "mine"),
    ],
)
def test_the_name_of_an_unknown_function_is_refused(keras, key, name):
    assert f"{key} {name!r}" in refused(keras, functional(layer("Dense", **{key: name})))


def test_what_it_was_trained_with_is_not_loaded_and_not_looked_at(keras):
    keras({**functional(DENSE), "compile_config": {"loss": {"class_name": "Mine", "config": {}}}})


def test_but_in_a_model_within_it_would_be_loaded(keras):
    inner = {**functional(DENSE), "compile_config": {"loss": "mine"}}
    assert "save it uncompiled" in refused(keras, functional(inner))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"{", b"\xff", b'{"a": 1, "a": 2}', b"[" * 99_999])
def test_a_description_that_is_none_is_refused(keras, text):
    refused(keras, members={"config.json": text})


def test_a_description_that_is_nested_too_deeply_is_refused(keras):
    deep = DENSE
    for _ in range(allowed_keras.DEEPEST):
        deep = {**DENSE, "config": {"inner": deep}}
    assert "nested too deeply" in refused(keras, functional(deep))


@pytest.mark.parametrize("name", ["assets/vocabulary.txt", "../../etc/cron.d/job", "/etc/passwd", "evil.py"])
def test_another_file_in_the_archive_is_refused(keras, name):
    assert repr(name) in refused(keras, members={name: b"x"})


def test_a_file_that_is_missing_or_there_twice_is_refused(keras, tmp_path):
    keras()
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    assert "'config.json'" in refused(check_keras, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert "'metadata.json'" in refused(check_keras, path)


def test_a_link_in_the_archive_is_refused(keras, tmp_path):
    keras()
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK if name == "config.json" else stat.S_IFREG) << 16
            archive.writestr(entry, content)
    assert "config.json is a link" in refused(check_keras, path)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "model.keras").write_bytes(data)
    assert "not a Keras file" in refused(check_keras, tmp_path / "model.keras")


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(keras, tmp_path, monkeypatch):
    monkeypatch.setitem(allowed_keras.MEMBERS, "config.json", 10)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    assert "config.json has" in refused(keras)
    monkeypatch.setattr(allowed_keras, "MEMBERS", dict.fromkeys(allowed_keras.MEMBERS, 1))
    assert "bytes, and 3 are allowed" in refused(check_keras, tmp_path / "model.keras")


def linked(file):
    file["layers/elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file):
    file["layers/soft"] = h5py.SoftLink("/layers/dense")


def outside(file):
    file.create_dataset("out", (10,), "float32", external=[("/etc/passwd", 0, 40)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape=(4,))
    file.create_virtual_dataset("virtual", layout)


def text(file):
    file["names"] = ["a", "b"]


def bomb(file):
    file.create_dataset("bomb", (1 << 40,), "float32", chunks=(1 << 20,), compression="gzip")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (linked, "has the link 'layers/elsewhere'"),
        (soft, "has the link 'layers/soft'"),
        (outside, "keeps 'out' in another file"),
        (virtual, "keeps 'virtual' in another file"),
        (text, "'names', which is not an array of numbers"),
        (bomb, "unpacks to 4,398,046,511,312 bytes"),
    ],
)
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(keras, fill, message):
    assert message in refused(keras, members={"model.weights.h5": weights(fill)})


def test_weights_that_are_no_hdf5_are_refused(keras):
    assert "is not an HDF5 file" in refused(keras, members={"model.weights.h5": b"no weights"})


def test_a_group_that_contains_itself_ends(keras):
    def circle(file):
        file["layers/again"] = file["layers"]

    keras(members={"model.weights.h5": weights(circle)})
