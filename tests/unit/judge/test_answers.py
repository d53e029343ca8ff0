"""Arrays of a process that is not trusted: just those that are asked for, or one line."""

import zipfile

import numpy as np
import pytest

from ml.core.errors import EvidenceError, GateBlocked
from ml.judge.answers import read_arrays, write_arrays

ARRAYS = {"one": np.arange(6, dtype="float32").reshape(2, 3), "two.10": np.ones((4, 1), "float32")}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / "some.npz", ARRAYS)
    return tmp_path / "some.npz"


def refused(kind, message, path, shapes=SHAPES):
    with pytest.raises(kind, match=message) as caught:
        read_arrays(path, shapes)
    assert "\n" not in str(caught.value)


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def write_members(path, files) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in files.items():
            archive.writestr(entry, data)


def test_what_was_written_is_read_whatever_the_memory_layout_and_the_numbers(path):
    odd = np.array([[np.nan, np.inf, -np.inf]] * 2, "float32")
    for arrays in (ARRAYS, {**ARRAYS, "one": np.asfortranarray(ARRAYS["one"])}, {**ARRAYS, "one": odd}):
        write_arrays(path, arrays)
        found = read_arrays(path, SHAPES)
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[name], arrays[name], equal_nan=True) for name in arrays)


def test_a_missing_file_is_told(path):
    path.unlink()
    refused(EvidenceError, "some.npz: No such file", path)


@pytest.mark.parametrize("data", [b"", b"0.5, 0.5\n", b"PK\3\4" + bytes(50)])
def test_what_is_no_archive_is_refused(path, data):
    path.write_bytes(data)
    refused(EvidenceError, "some.npz: ", path)


@pytest.mark.parametrize("names", [["one"], ["one", "two.10", "extra"], ["two.10", "three"], []])
def test_other_arrays_than_asked_for_are_refused(path, names):
    write_arrays(path, dict.fromkeys(names, ARRAYS["one"]))
    refused(EvidenceError, "does not hold the arrays that were asked for", path)


def test_an_array_that_is_there_twice_or_compressed_or_in_fortrans_order_is_refused(path):
    np.savez_compressed(path, **ARRAYS)
    refused(EvidenceError, "compressed", path)
    np.savez(path, **{**ARRAYS, "one": np.asfortranarray(ARRAYS["one"])})
    refused(EvidenceError, "not in C's order", path)
    write_arrays(path, ARRAYS)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("one.npy", b"")
    refused(EvidenceError, "each once", path)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 2), "float32"), np.zeros(6, "float32"), np.zeros((2, 3)), np.zeros((2, 3), ">f4")]
)
def test_another_shape_or_type_is_the_models_doing(path, array):
    write_arrays(path, {**ARRAYS, "one": array})
    refused(GateBlocked, r"the model answers .* where float32 \[2, 3\] is due: one", path)


def test_a_pickle_is_not_loaded(path, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("loaded").mkdir, ())

    with open(path, "wb") as file:
        np.savez(file, **{**ARRAYS, "one": np.array([[Evil()] * 3] * 2, dtype=object)})
    refused(GateBlocked, "the model answers object", path)
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4], "fewer or more bytes"),
        (lambda data: data + bytes(4), "fewer or more bytes"),
        (lambda data: data + bytes(99_999), "more bytes than its shape"),
        (lambda data: b"", "some.npz: "),
        (lambda data: b"text" * 40, "some.npz: "),
        (lambda data: data[:6] + b"\x09" + data[7:], "format"),
        (lambda data: data.replace(b"'shape'", b"'shame'"), "some.npz: "),
        (lambda data: data.replace(b"'descr'", b"__import__('os')"), "some.npz: "),
    ],
)
def test_bytes_that_are_no_such_array_are_refused(path, change, message):
    files = members(path)
    write_members(path, {**files, "one.npy": change(files["one.npy"])})
    refused(EvidenceError, message, path)


def test_nothing_is_allocated_for_what_an_array_only_claims(path):
    files = members(path)
    claims = files["one.npy"].replace(b"(2, 3), }" + 15 * b" ", b"(2000000000, 3000000), }")
    assert claims != files["one.npy"]
    write_members(path, {**files, "one.npy": claims})
    refused(GateBlocked, "2000000000", path)
