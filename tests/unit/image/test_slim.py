"""An environment without what no program reads, on a made-up one and on a library that gcc has made."""

import os
import shutil
import subprocess
import sys

import pytest
from checkouts import ROOT

from ml.image.slim import slim, stripped

KEPT = {
    "song/__init__.py": "NAMES = {'la', 'le', 'lu'}\n",
    "song/play.py": "def play(note):\n    return note in {'c', 'd', 'e', 'f'}\n",
    "song/latest.txt": "kept",
    "song/test.py": "",
    "tensorflow/_api/v2/test/__init__.py": "from song import NAMES\n",
    "tensorflow/_api/v2/include/__init__.py": "",
    "openvino/libs/libopenvino_intel_cpu_plugin.so": "not a library",
    "openvino/libs/libopenvino_onnx_frontend.so.2641": "not a library",
    "openvino/libs/libopenvino_ir_frontend.so.2641": "not a library",
    "song/libs/libopenvino_intel_gpu_plugin.so": "not a library",
}
REMOVED = (
    "song/tests/test_play.py",
    "song/test/data.txt",
    "song/deep/include/x.hpp",
    "tensorflow/test/test_x.py",
    "tensorflow/libx.a",
    "song/play.h",
    "song/play.pyx",
    "openvino/libs/libopenvino_intel_gpu_plugin.so",
    "openvino/libs/libopenvino_intel_npu_plugin.so",
    "openvino/libs/libopenvino_tensorflow_frontend.so.2641",
    "openvino/libs/cache.json",
)

PLAY = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.play.argtypes, library.play.restype = [ctypes.c_double], ctypes.c_double
print(library.play(16.0), ctypes.c_char_p.in_dll(library, "name").value.decode())
"""
"""In a process of its own: a library that was cut wrongly may end it."""


def make_environment(folder, names):
    """Make an environment with files in the given order, and return its site-packages."""
    packages = folder / "lib/python3.11/site-packages"
    for name in names:
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KEPT.get(name, "removed"))
    (folder / "bin").mkdir()
    for name in ("activate", "activate.fish", "python3"):
        (folder / "bin" / name).touch()
    (folder / "include/python3.11").mkdir(parents=True)
    return packages


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def packages(tmp_path):
    return make_environment(tmp_path / "env", [*KEPT, *REMOVED])


def test_headers_tests_and_sources_go_and_the_rest_stays(packages, tmp_path):
    slim(tmp_path / "env")
    left = {name for name in files(packages) if not name.endswith(".pyc")}
    assert left == set(KEPT)
    assert not (packages / "song/tests").exists()
    assert not (tmp_path / "env/include").exists()
    assert (tmp_path / "env/bin/python3").exists()
    assert not list((tmp_path / "env/bin").glob("activate*"))


def test_every_module_has_bytecode_that_is_trusted_without_its_date(packages, tmp_path):
    slim(tmp_path / "env")
    compiled = list(packages.rglob("*.pyc"))
    assert len(compiled) == len([name for name in KEPT if name.endswith(".py")])
    for path in compiled:
        assert int.from_bytes(path.read_bytes()[4:8], "little") == 1, path


def test_another_order_and_another_hash_seed_leave_the_same_bytes(tmp_path):
    left = []
    for seed, step in (("0", 1), ("1", -1), ("4711", 1)):
        folder = tmp_path / "env"
        make_environment(folder, [*KEPT, *REMOVED][::step])
        command = [sys.executable, str(ROOT / "ml/image/slim.py"), str(folder)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        left.append(files(folder))
        shutil.rmtree(folder)
    assert left[0] == left[1] == left[2]


def test_a_module_that_does_not_compile_fails_the_build(packages, tmp_path, capfd):
    (packages / "song/broken.py").write_text("def (:\n")
    with pytest.raises(ValueError, match="does not compile"):
        slim(tmp_path / "env")
    assert "broken.py" in capfd.readouterr().out


def test_a_folder_without_packages_is_no_environment(tmp_path):
    with pytest.raises(ValueError, match="unpack"):
        slim(tmp_path)


def test_links_are_not_followed(packages, tmp_path, library):
    outside = tmp_path / "outside"
    (outside / "tests").mkdir(parents=True)
    (outside / "tests/x.h").write_text("a header")
    (outside / "module.py").write_text("x = 1\n")
    shutil.copyfile(library, outside / "song.so")
    before = files(outside)
    (packages / "linked").symlink_to(outside)
    (packages / "song.so").symlink_to(outside / "song.so")
    (packages / "play.h").symlink_to(outside / "tests/x.h")
    slim(tmp_path / "env")
    assert files(outside) == before


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A shared library with symbols and debugging information."""
    if not shutil.which("gcc"):
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("library")
    (folder / "play.c").write_text(
        '#include <math.h>\nstatic double twice(double x) { return x + x; }\nconst char *name = "la";\n'
        "double play(double x) { return twice(sqrt(x)); }\n"
    )
    command = ["gcc", "-g", "-O0", "-shared", "-fPIC", "-o", "play.so", "play.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "play.so"


@pytest.mark.parametrize("name", ["play.so", "libplay.so.1.2"])
def test_a_library_gets_smaller_and_still_computes(packages, tmp_path, library, name):
    before = library.read_bytes()
    place = packages / name
    place.write_bytes(before)
    place.chmod(0o755)
    slim(tmp_path / "env")
    assert place.stat().st_size < len(before)
    assert b".debug_info" not in place.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o755
    done = subprocess.run([sys.executable, "-c", PLAY, place], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8.0 la\n"), done.stderr


def test_what_was_done_once_is_not_done_again(library):
    once = stripped(library.read_bytes())
    assert stripped(once) == once


@pytest.mark.parametrize(
    "content",
    [b"", b"INPUT(libplay.so.1)\n", b"\x7fELF\x01\x01" + bytes(200), b"\x7fELF\x02\x02" + bytes(200)],
)
def test_what_is_no_64_bit_little_endian_library_is_left_alone(content):
    assert stripped(content) == content
