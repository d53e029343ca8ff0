"""Take out of a Python environment what no program reads, and compile what is left.

Runs while an image is built, with nothing but the standard library: ``python slim.py /opt/jukebox``. Two
runs on the same packages leave the same bytes.
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
"""Folders of headers and of packages' own tests."""

KEPT = ("tensorflow/_api/",)
"""Folders below which a name above is part of an API."""

SOURCES = {".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".pxd", ".pxi", ".pyx"}
"""Static libraries, and the sources of extensions."""

DEVICES = re.compile(
    r"openvino/libs/(libopenvino_intel_[gn]pu_plugin\.so|cache\.json"
    r"|libopenvino_(gguf|jax|paddle|pytorch|tensorflow|tensorflow_lite)_frontend\.so\.\d+)"
)
"""OpenVINO's plugins for devices that the steps have none of, the kernels of one, and its readers of other
formats than ONNX and its own: it loads each when it is asked for."""

SHELL = ("Activate.ps1", "activate", "activate.csh", "activate.fish")
"""What a virtual environment offers to a person's shell."""


def slim(environment: Path) -> None:
    """Make an environment as small as its programs let it be.

    Args:
        environment: a virtual environment; nothing outside of it is touched.

    Raises:
        ValueError: it holds no site-packages, or a module that does not compile.
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
                path.write_bytes(loaded(path.read_bytes()))
    if not compile_all(packages):
        raise ValueError(f"a module in {packages} does not compile")


def loaded(library: bytes) -> bytes:
    """Return a shared library without what the loader never reads: symbol tables and section headers.

    The loader goes by the program headers alone (System V ABI, "Program Header"); what lies behind the last
    byte that one of them covers is for linkers and debuggers. Anything but a 64-bit little-endian ELF file
    is returned as it is.
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
    # No section headers: their offset, and behind it their number and the index of their names, are zero.
    kept = bytearray(library[:end])
    struct.pack_into("<Q", kept, 40, 0)
    struct.pack_into("<HH", kept, 60, 0, 0)
    return bytes(kept)


def compile_all(packages: Path) -> bool:
    """Compile every module; Python trusts the bytecode without asking for dates, which images lose."""
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
