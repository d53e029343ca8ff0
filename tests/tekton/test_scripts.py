"""Every script of a Task through shellcheck, in the shell that its first line names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tekton.manifests import TEKTON, load

SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
SCRIPTS = {
    f"{file.stem}/{step['name']}": step["script"]
    for file in sorted((TEKTON / "tasks").glob("*.yaml"))
    for found in load(file)
    for step in found.get("spec", {"steps": []})["steps"]
}
pytestmark = pytest.mark.skipif(
    not SHELLCHECK, reason="no shellcheck; its wheel is not for Linux on arm64: apt-get install shellcheck"
)
EXAMPLE = TEKTON / "senders" / "bucket-notification.sh"


def shellcheck(script: str) -> str:
    done = subprocess.run(
        [SHELLCHECK, "--enable=all", "--exclude=SC2154,SC2250,SC2292,SC2310,SC2312", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_finding(name):
    assert SCRIPTS[name].startswith(("#!/bin/sh\nset -eu", "#!/bin/bash\nset -euo pipefail"))
    assert shellcheck(SCRIPTS[name]) == ""


def test_all_tasks_have_scripts():
    assert len(SCRIPTS) == 19


def test_the_example_for_buckets_has_no_finding():
    assert shellcheck(EXAMPLE.read_text()) == ""


@pytest.mark.parametrize("broken", ['cd "$SOURCE', "rm -rf $SOURCE/x", 'if [ "$A" == b ]; then :; fi'])
def test_a_broken_script_is_found(broken):
    assert shellcheck(f"#!/bin/sh\nset -eu\n{broken}\n") != ""
