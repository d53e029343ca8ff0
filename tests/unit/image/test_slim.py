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
SOURCE = """
#include <math.h>
static double twice(double x) { return x + x; }
const char *name = "it";
double play(double x) { return twice(sqrt(x)); }
"""
PLAY = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.play.argtypes, library.play.restype = [ctypes.c_double], ctypes.c_double
print(library.play(16.0), ctypes.c_char_p.in_dll(library, "name").value.decode())
"""


def make_environment(folder, step=1):
    """Make an environment with files in an order, and return its site-packages."""
    packages = folder / "lib/python3.11/site-packages"
    for name in [*MODULES, *KEPT, *REMOVED][::step]:
        append(packages / name, MODULES.get(name, "text"))
    for name in ("bin/activate", "bin/activate.fish", "bin/python3", "include/python3.11/Python.h"):
        append(folder / name)
    return packages


@pytest.fixture
def packages(tmp_path):
    return make_environment(tmp_path / "env")


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


def test_another_order_and_another_hash_seed_leave_the_same_bytes(tmp_path):
    left = []
    for seed, step in (("0", 1), ("1", -1), ("4711", 1)):
        make_environment(tmp_path / "env", step)
        command = [sys.executable, str(ROOT / "ml/image/slim.py"), str(tmp_path / "env")]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        left.append(files_in(tmp_path / "env"))
        shutil.rmtree(tmp_path / "env")
    assert left[0] == left[1] == left[2]


def test_what_is_not_an_environment_or_does_not_compile_is_an_error(packages, tmp_path, capfd):
    with pytest.raises(ValueError, match="unpack"):
        slim(tmp_path)
    append(packages / "pkg/broken.py", "def (:\n")
    with pytest.raises(ValueError, match="does not compile"):
        slim(tmp_path / "env")
    assert "broken.py" in capfd.readouterr().out


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A shared library with symbols and debugging information."""
    if not shutil.which("gcc"):
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("library")
    (folder / "play.c").write_text(SOURCE)
    command = ["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", "play.so", "play.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "play.so"


def test_links_are_not_followed(packages, tmp_path, library):
    outside = tmp_path / "outside"
    for name in ("tests/x.h", "module.py"):
        append(outside / name)
    shutil.copyfile(library, outside / "linked.so")
    before = files_in(outside)
    for name, target in (("linked", "."), ("linked.so", "linked.so"), ("play.h", "tests/x.h")):
        (packages / name).symlink_to(outside / target)
    slim(tmp_path / "env")
    assert files_in(outside) == before


@pytest.mark.parametrize("name", ["play.so", "libplay.so.1.2"])
def test_a_library_gets_smaller_and_still_computes(packages, tmp_path, library, name):
    place = packages / name
    shutil.copyfile(library, place)
    place.chmod(0o755)
    slim(tmp_path / "env")
    after = place.read_bytes()
    assert len(after) < library.stat().st_size
    assert b".debug_info" not in after
    assert stripped(after) == after
    assert place.stat().st_mode & 0o777 == 0o755
    # In another process: a library that was cut wrongly can end it.
    done = subprocess.run([sys.executable, "-c", PLAY, place], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8.0 it\n"), done.stderr


@pytest.mark.parametrize("start", [b"", b"INPUT(x.so.1)\n", b"\x7fELF\1\1", b"\x7fELF\2\2"])
def test_a_file_that_is_not_a_64_bit_little_endian_library_is_unchanged(start):
    assert stripped(start + bytes(200)) == start + bytes(200)
