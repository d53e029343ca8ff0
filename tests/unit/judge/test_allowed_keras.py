"""What reaches Keras is a plain archive of known layers; anything else is one line that names it.

Without TensorFlow: the description of a model is JSON, here as Keras 3 writes it.
"""

import stat
import subprocess
import sys
import zipfile

import h5py
import pytest
from judged import refused
from keras_files import DENSE, functional, layer, weights, write_keras

from ml.core.errors import GateBlocked
from ml.judge import allowed_keras
from ml.judge.allowed_keras import check_keras

WHERE = layer("Where", "keras.src.ops.numpy")
WHERE["inbound_nodes"][0]["args"] += [1e15, float("nan")]
PLAIN = functional(DENSE, WHERE)


@pytest.fixture
def path(tmp_path):
    return write_keras(tmp_path / "model.keras", PLAIN)


def blocked(message, path, model=None, members=()) -> None:
    if model or members:
        write_keras(path, model or PLAIN, dict(members))
    assert refused(GateBlocked, message, check_keras, path).startswith("model.keras: ")


def test_a_plain_network_is_allowed_and_nothing_that_runs_models_is_imported(path):
    # What it was trained with is not loaded, so not looked at; and a group of weights may contain itself.
    model = {**PLAIN, "compile_config": {"loss": {"class_name": "Mine", "config": {}}}}
    itself = weights(lambda file: file.__setitem__("layers/again", file["layers"]))
    write_keras(path, model, {"model.weights.h5": itself})
    code = "import pathlib, sys, ml.judge.allowed as judge; judge.check_keras(pathlib.Path(sys.argv[1]));"
    code += 'print(sorted({"keras", "onnxruntime", "openvino", "tensorflow"} & set(sys.modules)))'
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


CODE = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
KEYS = ("recurrent_activation", "kernel_initializer", "bias_regularizer", "kernel_constraint")
DEEP = DENSE
for _ in range(allowed_keras.DEEPEST):
    DEEP = {**DENSE, "config": {"inner": DEEP}}


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (layer("Lambda"), "layer 'lambda' uses keras.layers.Lambda, which the judge does not load; export"),
        (layer("TFSMLayer"), "uses keras.layers.TFSMLayer"),
        (layer("Map", "keras.src.ops.core"), "uses keras.src.ops.core.Map"),
        (layer("Dense", "keras.src.layers.core.dense"), "uses keras.src.layers.core.dense.Dense"),
        (layer("Dense", "my.package"), "uses my.package.Dense"),
        ({"class_name": "__typespec__", "module": "os", "spec_name": "x"}, "uses os.__typespec__"),
        ({"class_name": ["Dense"], "module": "keras.layers", "config": {}}, r"uses keras.layers.\['Dense'\]"),
        # Keras takes such a description for one of an older version, and looks elsewhere for the class.
        ({"class_name": "Dense", "config": {"name": "old", "units": 4}}, "layer 'old' uses Dense"),
        ({**DENSE, "registered_name": "my_package>Dense"}, "the registered object 'my_package>Dense'"),
        *((layer("Dense", **{key: "mine"}), f"{key} 'mine'") for key in KEYS),
        # In a model within it would be loaded.
        ({**functional(DENSE), "compile_config": {"loss": "mine"}}, "save it uncompiled"),
        (DEEP, "nested too deeply"),
        # Wherever others hold a description.
        (functional(CODE), "uses __lambda__"),
        ({**layer("Sequential", "keras", layers=[CODE]), "registered_name": None}, "uses __lambda__"),
        (layer("Dense", kernel_initializer=CODE), "layer 'dense' uses __lambda__"),
        ({**WHERE, "inbound_nodes": [{"args": [], "kwargs": {"x": CODE}}]}, "uses __lambda__"),
        ({**DENSE, "build_config": {"shape": [CODE]}}, "uses __lambda__"),
        ({**DENSE, "dtype": {"class_name": "__slice__", "config": {"start": CODE}}}, "uses __lambda__"),
    ],
)
def test_what_is_not_on_the_list_is_named_however_deep_it_lies(path, inner, message):
    blocked(message, path, functional(DENSE, inner))


def virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape=(4,))
    file.create_virtual_dataset("virtual", layout)


NO_WEIGHTS = [
    (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "has the link 'x'"),
    (lambda file: file.__setitem__("x", h5py.SoftLink("/layers/dense")), "has the link 'x'"),
    (lambda file: file.create_dataset("x", (9,), "f4", external=[("/x", 0, 36)]), "'x' in another file"),
    (virtual, "keeps 'virtual' in another file"),
    (lambda file: file.__setitem__("names", ["a", "b"]), "'names', which is not an array of numbers"),
    (lambda file: file.create_dataset("x", (1 << 40,), "f4", chunks=True), "unpacks to 4,398,046,511,312"),
]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("config.json", b"[]", "does not describe a model"),
        ("config.json", b"{}", "does not describe a model"),
        ("config.json", b"\xff", "decode"),
        ("config.json", b'{"a": 1, "a": 2}', "has a key twice"),
        ("config.json", b"[" * 99_999, "recursion"),
        *(("model.weights.h5", weights(fill), message) for fill, message in NO_WEIGHTS),
        ("model.weights.h5", b"no weights", "is not an HDF5 file"),
        ("assets/vocabulary.txt", b"x", "or lacks one: 'assets/vocabulary.txt'"),
    ],
)
def test_a_file_not_of_keras_and_weights_that_are_not_plain_numbers_are_refused(path, name, data, message):
    blocked(message, path, members={name: data})


def test_a_file_that_is_missing_or_there_twice_or_a_link_is_refused(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    blocked("'config.json'", path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    blocked("'metadata.json'", path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in allowed_keras.MEMBERS:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK if name == "config.json" else stat.S_IFREG) << 16
            archive.writestr(entry, b"{}")
    blocked("config.json is a link", path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    blocked("not a Keras file", path)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(path, monkeypatch):
    monkeypatch.setitem(allowed_keras.MEMBERS, "config.json", 10)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    blocked("config.json has", path)
    monkeypatch.setattr(allowed_keras, "MEMBERS", dict.fromkeys(allowed_keras.MEMBERS, 1))
    blocked("bytes, and 3 are allowed", path)
