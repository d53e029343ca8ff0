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
PLAIN = functional(DENSE, WHERE)


@pytest.fixture
def path(tmp_path):
    return write_keras(tmp_path / "model.keras", PLAIN)


@pytest.fixture
def keras(path):
    """Return a function that writes a Keras file and checks it."""
    return lambda model=PLAIN, members={}: check_keras(write_keras(path, model, members))


def refused(check, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(GateBlocked) as caught:
        check(*args, **kwargs)
    line = str(caught.value)
    assert line.startswith("model.keras: ")
    assert "\n" not in line
    return line


def test_layers_and_operations_of_a_plain_network_are_allowed_and_nothing_that_runs_models_imported(path):
    code = """
import pathlib, sys
from ml.judge.allowed import check_candidate
from ml.judge.allowed_keras import check_keras
check_keras(pathlib.Path(sys.argv[1]))
print(sorted({"keras", "onnxruntime", "openvino", "tensorflow"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_it_was_trained_with_is_not_loaded_and_not_looked_at(keras):
    keras({**functional(DENSE), "compile_config": {"loss": {"class_name": "Mine", "config": {}}}})


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
DEEP = DENSE
for _ in range(allowed_keras.DEEPEST):
    DEEP = {**DENSE, "config": {"inner": DEEP}}


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (layer("Lambda", function=CODE), "layer 'lambda' uses keras.layers.Lambda, which the judge does not"),
        *((layer(name), f"uses keras.layers.{name}") for name in ("TFSMLayer", "TorchModuleWrapper",
         "StringLookup")),
        *((layer(name), f"uses keras.layers.{name}") for name in ("TextVectorization", "RandomFlip")),
        (layer("Map", "keras.src.ops.core"), "uses keras.src.ops.core.Map"),
        (layer("Dense", "keras.src.layers.core.dense"), "uses keras.src.layers.core.dense.Dense"),
        (layer("Dense", "my.package"), "uses my.package.Dense"),
        (layer("get_file", "keras.utils"), "uses keras.utils.get_file"),
        (layer("system", "os"), "uses os.system"),
        # Keras takes such a description for one of an older version, and looks elsewhere for the class.
        ({"class_name": "Dense", "config": {"name": "old", "units": 4}}, "layer 'old' uses Dense"),
        ({**DENSE, "registered_name": "my_package>Dense"}, "the registered object 'my_package>Dense'"),
        (layer("Dense", activation="my_package>phone"), "activation 'my_package>phone'"),
        (layer("Dense", activation="get_file"), "activation 'get_file'"),
        *((layer("Dense", **{key: "mine"}), f"{key} 'mine'") for key in ("recurrent_activation",
         "kernel_initializer")),
        *((layer("Dense", **{key: "mine"}), f"{key} 'mine'") for key in ("bias_regularizer",
         "kernel_constraint")),
        # In a model within it would be loaded.
        ({**functional(DENSE), "compile_config": {"loss": "mine"}}, "save it uncompiled"),
        (DEEP, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_is_named(keras, inner, message):
    assert message in refused(keras, functional(DENSE, inner))


def nested(inner: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Put a description where others hold one."""
    sequential = {**layer("Sequential", "keras", layers=[inner]), "registered_name": None}
    plain = {**DENSE, "dtype": {"class_name": "__slice__", "config": {"start": inner}}}
    return {
        "a model in a model": functional(functional(inner)),
        "a sequential in a model": functional(sequential),
        "a wrapper": functional(layer("TimeDistributed", layer=inner)),
        "an initializer": functional(layer("Dense", kernel_initializer=inner)),
        "an argument": functional({**WHERE, "inbound_nodes": [{"args": [inner], "kwargs": {}}]}),
        "a keyword": functional({**WHERE, "inbound_nodes": [{"args": [], "kwargs": {"x": inner}}]}),
        "a build config": functional({**DENSE, "build_config": {"shape": [inner]}}),
        "a plain value": functional(plain),
    }


@pytest.mark.parametrize("where", nested({}))
@pytest.mark.parametrize(
    "evil",
    [
        {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        {"class_name": "__typespec__", "spec_name": "x", "module": "os", "registered_name": None,
         "config": []},
        {"class_name": "function", "config": "system", "module": "builtins", "registered_name": "system"},
        {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "x"},
         "registered_name": None},
        {"class_name": ["Dense"], "module": "keras.layers", "config": {}, "registered_name": None},
    ],
    ids=["lambda", "typespec", "function", "layer", "list"],
)  # fmt: skip
def test_however_deep_code_lies_it_is_refused(keras, where, evil):
    assert "which the judge does not load" in refused(keras, nested(evil)[where])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape=(4,))
    file.create_virtual_dataset("virtual", layout)


def elsewhere(file):
    file.create_dataset("out", (10,), "float32", external=[("/etc/passwd", 0, 40)])


def bomb(file):
    file.create_dataset("bomb", (1 << 40,), "float32", chunks=(1 << 20,), compression="gzip")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "has the link 'x'"),
        (lambda file: file.__setitem__("x", h5py.SoftLink("/layers/dense")), "has the link 'x'"),
        (elsewhere, "keeps 'out' in another file"),
        (virtual, "keeps 'virtual' in another file"),
        (lambda file: file.__setitem__("names", ["a", "b"]), "'names', which is not an array of numbers"),
        (bomb, "unpacks to 4,398,046,511,312 bytes"),
    ],
)
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(keras, fill, message):
    assert message in refused(keras, members={"model.weights.h5": weights(fill)})


def test_a_group_that_contains_itself_ends(keras):
    keras(
        members={"model.weights.h5": weights(lambda file: file.__setitem__("layers/again", file["layers"]))}
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        *(("config.json", text, "") for text in (b"", b"[]", b"{}", b"{", b"\xff", b'{"a": 1, "a": 2}',
         b"[" * 99_999)),
        ("model.weights.h5", b"no weights", "is not an HDF5 file"),
        *((name, b"x", repr(name)) for name in ("assets/vocabulary.txt", "../../etc/cron.d/job",
         "/etc/passwd", "x.py")),
    ],
)  # fmt: skip
def test_a_file_of_the_archive_that_is_none_of_keras_is_refused(keras, name, data, message):
    assert message in refused(keras, members={name: data})


def test_a_file_that_is_missing_or_there_twice_or_a_link_is_refused(path):
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    assert "'config.json'" in refused(check_keras, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert "'metadata.json'" in refused(check_keras, path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK if name == "config.json" else stat.S_IFREG) << 16
            archive.writestr(entry, content)
    assert "config.json is a link" in refused(check_keras, path)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_refused(path, data):
    path.write_bytes(data)
    assert "not a Keras file" in refused(check_keras, path)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(path, monkeypatch):
    monkeypatch.setitem(allowed_keras.MEMBERS, "config.json", 10)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    assert "config.json has" in refused(check_keras, path)
    monkeypatch.setattr(allowed_keras, "MEMBERS", dict.fromkeys(allowed_keras.MEMBERS, 1))
    assert "bytes, and 3 are allowed" in refused(check_keras, path)
