"""Arrays of a process that is not trusted: just those that are asked for, or one line."""

import zipfile

import numpy as np
import pytest
from judged import refused

from ml.core.errors import EvidenceError, GateBlocked
from ml.judge.answers import read_arrays, write_arrays

ONE = np.arange(6, dtype="float32").reshape(2, 3)
ODD = np.array([[np.nan, np.inf, -np.inf]] * 2, "float32")
SHAPES = {"one": (2, 3)}


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / "some.npz", {"one": ONE})
    return tmp_path / "some.npz"


@pytest.mark.parametrize("array", [ONE, np.asfortranarray(ONE), ODD])
def test_what_was_written_is_read_whatever_the_memory_layout_and_the_numbers(path, array):
    write_arrays(path, {"one": array})
    np.testing.assert_equal(read_arrays(path, SHAPES), {"one": array})


def saved(**arrays):
    return lambda path: np.savez(path, **arrays)


def member(change):
    """Return a function that changes the bytes of the array in its archive."""

    def spoil(path):
        with zipfile.ZipFile(path) as archive:
            data = archive.read("one.npy")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.npy", change(data))

    return spoil


def twice(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("one.npy", b"")


CLAIM = b"(2, 3), }" + 15 * b" ", b"(2000000000, 3000000), }"


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lambda path: path.unlink(), EvidenceError, "some.npz: No such file or directory; attest again"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(50)), EvidenceError, "some.npz: .*; attest again"),
        (saved(), EvidenceError, "does not hold the arrays that were asked for"),
        (saved(one=ONE, extra=ONE), EvidenceError, "does not hold the arrays that were asked for"),
        (twice, EvidenceError, "each once"),
        (lambda path: np.savez_compressed(path, one=ONE), EvidenceError, "one is compressed"),
        (saved(one=np.asfortranarray(ONE)), EvidenceError, "not in C's order"),
        (saved(one=ONE.T), GateBlocked, r"the model answers .* where float32 \[2, 3\] is due: one"),
        (saved(one=ONE.astype("float64")), GateBlocked, r"answers float64 \[2, 3\] where float32"),
        (saved(one=ONE.astype(">f4")), GateBlocked, r"answers >f4 \[2, 3\] where float32"),
        # Nothing is allocated for what an array only claims.
        (member(lambda data: data.replace(*CLAIM)), GateBlocked, "answers .*2000000000"),
        (member(lambda data: data[:-4]), EvidenceError, "fewer or more bytes"),
        (member(lambda data: data + bytes(4)), EvidenceError, "fewer or more bytes"),
        (member(lambda data: data + bytes(99_999)), EvidenceError, "one has more bytes than its shape"),
        (member(lambda data: b"text" * 40), EvidenceError, "some.npz: "),
        (member(lambda data: data[:6] + b"\x09" + data[7:]), EvidenceError, "an array of format"),
        (member(lambda data: data.replace(b"'shape'", b"'shame'")), EvidenceError, "header cannot be read"),
    ],
)
def test_what_is_no_such_archive_of_such_arrays_is_refused_in_one_line(path, spoil, kind, message):
    spoil(path)
    refused(kind, message, read_arrays, path, SHAPES)


def test_a_pickle_is_not_loaded(path, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("loaded").mkdir, ())

    np.savez(path, one=np.array([[Evil()] * 3] * 2, dtype=object))
    refused(GateBlocked, "the model answers object", read_arrays, path, SHAPES)
    assert not (tmp_path / "loaded").exists()
