"""Remove the files from a Python environment that no program reads, and compile the modules that remain.

The image build runs it with the standard library only: ``python slim.py /opt/jukebox``. Two runs on the same
packages give the same bytes.
"""

import compileall
import os
import py_compile
import re
import shutil
import struct
import sys
from pathlib import Path

UNREAD = {"include", "test", "tests"}
"""The folders of headers and of packages' own tests."""

KEPT = ("tensorflow/_api/",)
"""Folders in which the names in `UNREAD` are part of an API."""

SOURCES = {".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".pxd", ".pxi", ".pyx"}
"""The suffixes of static libraries and of the sources of extensions."""

DEVICES = re.compile(
    r"openvino/libs/(libopenvino_intel_[gn]pu_plugin\.so|cache\.json"
    r"|libopenvino_(gguf|jax|paddle|pytorch|tensorflow|tensorflow_lite)_frontend\.so\.\d+)"
)
"""OpenVINO's plugins for devices that the steps do not have, the kernels of one of them, and the readers of
formats other than ONNX and OpenVINO's own. OpenVINO loads each of them on demand only."""

SHELL = ("Activate.ps1", "activate", "activate.csh", "activate.fish")
"""The activation scripts of a virtual environment, for interactive shells."""


def slim(environment: Path) -> None:
    """Remove unread files from an environment, strip its libraries, and compile its modules.

    Args:
        environment: a virtual environment; nothing outside of it is changed.

    Raises:
        ValueError: it has no site-packages, or a module that does not compile.
    """
    (packages,) = environment.glob("lib/python3.*/site-packages")
    for name in SHELL:
        (environment / "bin" / name).unlink(missing_ok=True)
    shutil.rmtree(environment / "include", ignore_errors=True)
    for folder, folders, files in os.walk(packages, topdown=True):
        place = Path(folder)
        inside = place.relative_to(packages).as_posix() + "/"
        for name in UNREAD & set(folders):
            if not inside.startswith(KEPT):
                shutil.rmtree(place / name)
                folders.remove(name)
        for name in files:
            path = place / name
            if path.suffix in SOURCES or DEVICES.fullmatch(inside + name):
                path.unlink()
            elif ".so" in path.suffixes and not path.is_symlink():
                path.write_bytes(stripped(path.read_bytes()))
    if not compile_all(packages):
        raise ValueError(f"a module in {packages} does not compile")


def stripped(library: bytes) -> bytes:
    """Return a shared library without the parts that the loader never reads: symbol tables, section headers.

    The loader reads the program headers only (System V ABI, "Program Header"); the bytes behind the last one
    that they cover are for linkers and debuggers. Only a 64-bit little-endian ELF file is changed.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        return library
    (start,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    end = start + size * count
    for header in range(start, end, size):
        (offset,) = struct.unpack_from("<Q", library, header + 8)
        (length,) = struct.unpack_from("<Q", library, header + 32)
        end = max(end, offset + length)
    # No section headers: their offset, their number and the index of their names are zero.
    kept = bytearray(library[:end])
    struct.pack_into("<Q", kept, 40, 0)
    struct.pack_into("<HH", kept, 60, 0, 0)
    return bytes(kept)


def compile_all(packages: Path) -> bool:
    """Compile every module to bytecode that Python loads without a check of dates, which images do not keep.

    Returns:
        whether every module compiled.
    """
    return bool(
        compileall.compile_dir(
            packages,
            maxlevels=99,
            quiet=1,
            force=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    )


if __name__ == "__main__":
    slim(Path(sys.argv[1]))
