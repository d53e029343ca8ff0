"""A slim environment: on made-up files, and on a library that gcc compiled."""

import os
import shutil
import subprocess
import sys

import pytest
from checkouts import ROOT, append, files_in

from ml.image.slim import slim, stripped

MODULES = {
    "pkg/__init__.py": "NAMES = {'a', 'b', 'c'}\n",
    "pkg/play.py": "def play(note):\n    return note in {'c', 'd', 'e', 'f'}\n",
    "pkg/test.py": "",
    "tensorflow/_api/v2/test/__init__.py": "from pkg import NAMES\n",
    "tensorflow/_api/v2/include/__init__.py": "",
}
KEPT = """
pkg/latest.txt openvino/libs/libopenvino_intel_cpu_plugin.so openvino/libs/libopenvino_onnx_frontend.so.2641
openvino/libs/libopenvino_ir_frontend.so.2641 pkg/libs/libopenvino_intel_gpu_plugin.so
""".split()
REMOVED = """
pkg/tests/test_play.py pkg/test/data.txt pkg/deep/include/x.hpp tensorflow/test/test_x.py tensorflow/libx.a
pkg/play.h pkg/play.pyx openvino/libs/libopenvino_intel_gpu_plugin.so openvino/libs/cache.json
openvino/libs/libopenvino_intel_npu_plugin.so openvino/libs/libopenvino_tensorflow_frontend.so.2641
""".split()
SOURCE = '#include <math.h>\nconst char *name = "it";\ndouble play(double x) { return 2 * sqrt(x); }\n'
PLAY = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.play.argtypes, library.play.restype = [ctypes.c_double], ctypes.c_double
print(library.play(16.0), ctypes.c_char_p.in_dll(library, "name").value.decode())
"""


@pytest.fixture
def packages(tmp_path):
    return make_environment(tmp_path / "env", [*MODULES, *KEPT, *REMOVED])


def make_environment(folder, names):
    """Make an environment with files in an order, and return its site-packages."""
    packages = folder / "lib/python3.11/site-packages"
    for name in names:
        append(packages / name, MODULES.get(name, "text"))
    for name in ("bin/activate", "bin/activate.fish", "bin/python3", "include/python3.11/Python.h"):
        append(folder / name)
    return packages


def test_unread_files_are_removed_and_every_module_has_bytecode_without_a_date(packages, tmp_path):
    slim(tmp_path / "env")
    left = files_in(packages)
    compiled = {name: data for name, data in left.items() if name.endswith(".pyc")}
    assert left.keys() - compiled.keys() == {*MODULES, *KEPT}
    assert len(compiled) == len(MODULES)
    assert {data[4:8] for data in compiled.values()} == {b"\x01\0\0\0"}
    assert not (packages / "pkg/tests").exists()
    assert not (tmp_path / "env/include").exists()
    assert [path.name for path in (tmp_path / "env/bin").iterdir()] == ["python3"]
    # Another order and another hash seed leave the same bytes.
    before = files_in(tmp_path / "env")
    shutil.rmtree(tmp_path / "env")
    make_environment(tmp_path / "env", [*REMOVED, *KEPT, *reversed(MODULES)])
    command = [sys.executable, str(ROOT / "ml/image/slim.py"), str(tmp_path / "env")]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "4711"}, check=True)
    assert files_in(tmp_path / "env") == before


def test_what_is_not_an_environment_or_does_not_compile_is_an_error(packages, tmp_path):
    with pytest.raises(ValueError, match="unpack"):
        slim(tmp_path)
    append(packages / "pkg/broken.py", "def (:\n")
    with pytest.raises(ValueError, match="does not compile"):
        slim(tmp_path / "env")


def test_links_are_not_followed_and_libraries_get_smaller_and_still_compute(packages, tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    outside, place = tmp_path / "outside", packages / "libplay.so.1.2"
    append(outside / "tests/x.h")
    (outside / "play.c").write_text(SOURCE)
    command = ["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", "play.so", "play.c", "-lm"]
    subprocess.run(command, cwd=outside, check=True)
    shutil.copyfile(outside / "play.so", place)
    place.chmod(0o755)
    before = files_in(outside)
    for name, target in (("linked", "."), ("linked.so", "play.so"), ("play.h", "tests/x.h")):
        (packages / name).symlink_to(outside / target)
    slim(tmp_path / "env")
    assert files_in(outside) == before
    after = place.read_bytes()
    assert len(after) < len(before["play.so"])
    assert b".debug_info" not in after
    assert stripped(after) == after
    assert place.stat().st_mode & 0o777 == 0o755
    # In another process: a library that was cut wrongly can end it.
    done = subprocess.run([sys.executable, "-c", PLAY, place], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8.0 it\n"), done.stderr


@pytest.mark.parametrize("start", [b"INPUT(x.so.1)\n", b"\x7fELF\1\1", b"\x7fELF\2\2"])
def test_a_file_that_is_not_a_64_bit_little_endian_library_is_unchanged(start):
    assert stripped(start + bytes(200)) == start + bytes(200)
