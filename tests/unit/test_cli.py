"""What the command says where the place that it runs in lacks something."""

import json
import subprocess
import sys

from processes import assert_one_line

SCRIPT = """
import sys
sys.modules["kfp"] = None
from ml.cli import main
main()
"""


def run(*arguments, cwd):
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_package_that_is_not_installed_is_named_in_one_line(tmp_path):
    line = assert_one_line(run("compile", "-o", "p.yaml", cwd=tmp_path), 2)
    assert "this needs kfp, which is not installed here" in line
    assert not (tmp_path / "p.yaml").exists()


def test_a_machine_is_told_so_too(tmp_path):
    done = run("run", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2


def test_a_module_of_ours_that_is_missing_is_a_defect_and_shows_as_one(tmp_path):
    script = SCRIPT.replace('"kfp"', '"ml.pipeline.compiler"')
    command = [sys.executable, "-c", script, "compile", "-o", "p.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
