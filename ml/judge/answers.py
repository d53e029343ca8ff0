"""Arrays that one process hands to another that does not trust it: ``.npz`` files, read without pickle.

What is read must have just the arrays that are asked for, each of just one shape. Nothing is allocated before
that is known, so that a file cannot ask for more memory than its reader expects.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from ml.core.errors import EvidenceError, GateBlocked
from ml.core.files import require_plain

HEADER = 4096
"""Most bytes of an array's header."""

AGAIN = "attest again from the start"

Shape = tuple[int, ...]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an ``.npz`` file.

    Raises:
        OSError: it cannot be written.
    """
    with open(path, "wb") as file:
        np.savez(
            file, allow_pickle=False, **{name: np.ascontiguousarray(one) for name, one in arrays.items()}
        )


def read_arrays(path: Path, shapes: Mapping[str, Shape], dtype: str = "float32") -> dict[str, np.ndarray]:
    """Read arrays from an ``.npz`` file.

    Args:
        path: the file.
        shapes: the arrays that it must hold, and their shapes.
        dtype: the type of all of them.

    Raises:
        EvidenceError: it is missing, is not such a file, or holds other arrays.
        GateBlocked: an array has another shape or type: the model gives something else than was asked for.
    """
    try:
        require_plain(path)
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist()]
            if sorted(names) != sorted(f"{name}.npy" for name in shapes):
                raise ValueError("it does not hold the arrays that were asked for, each once")
            return {name: _array(archive, name, shape, np.dtype(dtype)) for name, shape in shapes.items()}
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror or error}; {AGAIN}") from error
    except (ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise EvidenceError(f"{path}: {' '.join(str(error).split())}; {AGAIN}") from error


def _array(archive: zipfile.ZipFile, name: str, shape: Shape, dtype: np.dtype) -> np.ndarray:
    entry = archive.getinfo(f"{name}.npy")
    wanted = int(np.prod(shape)) * dtype.itemsize
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"{name} is compressed or encrypted")
    with archive.open(entry) as file:
        dims, order, kind = _header(file)
        if dims != shape or kind != dtype:
            raise GateBlocked(
                f"the model answers {kind} {list(dims)} where {dtype} {list(shape)} is due: {name}"
            )
        if order:
            raise ValueError(f"{name} is not in C's order")
        if entry.file_size > wanted + HEADER:
            raise ValueError(f"{name} has more bytes than its shape")
        data = file.read(wanted + 1)
    if len(data) != wanted:
        raise ValueError(f"{name} has fewer or more bytes than its shape")
    return np.frombuffer(data, dtype).reshape(shape)


def _header(file: IO[bytes]) -> tuple[Shape, bool, np.dtype]:
    """Read the header of an array: its shape, whether it is in Fortran's order, and its type."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    try:
        shape, order, dtype = readers[version](file, max_header_size=HEADER)
    except Exception as error:
        # The header is Python's notation, and NumPy lets through what its parser makes of nonsense.
        raise ValueError("an array whose header cannot be read") from error
    return shape, order, dtype
