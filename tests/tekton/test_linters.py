"""shellcheck over each script of a Task, and IBM's tekton-lint over the objects of an overlay."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tekton.manifests import OVERLAYS, ROOT, TEKTON, edit, files, rendered

SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
OPTIONS = ("--enable=all", "--exclude=SC2154,SC2250,SC2292,SC2310,SC2312", "-")
SCRIPTS = {
    f"{task['metadata']['name']}/{step['name']}": step["script"]
    for task in files("tasks")
    for step in task["spec"]["steps"]
}
EXAMPLE = (TEKTON / "senders" / "bucket-notification.sh").read_text()
NO_SHELLCHECK = "no shellcheck; its wheel is not for Linux on arm64: apt-get install shellcheck"
FALSE_ALARMS = {
    ("no-invalid-name", "Invalid name for PipelineRun '$(tt.params.name)'"),
    ("no-missing-workspace", "no workspace for 'git-credentials'"),
    ("no-missing-workspace", "no workspace for 'pip-settings'"),
}
"""tekton-lint knows neither names that are filled in nor optional workspaces."""


def shellcheck(script: str) -> str:
    if not SHELLCHECK:
        pytest.skip(NO_SHELLCHECK)
    return subprocess.run(
        [SHELLCHECK, *OPTIONS], input=script, capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_finding(name):
    assert SCRIPTS[name].startswith(("#!/bin/sh\nset -eu", "#!/bin/bash\nset -euo pipefail"))
    assert shellcheck(SCRIPTS[name]) == ""


def test_the_example_for_buckets_has_no_finding():
    assert shellcheck(EXAMPLE) == ""


@pytest.mark.parametrize("broken", ['cd "$SOURCE', "rm -rf $SOURCE/x", 'if [ "$A" == b ]; then :; fi'])
def test_a_broken_script_is_found(broken):
    assert shellcheck(f"#!/bin/sh\nset -eu\n{broken}\n") != ""


@pytest.fixture(scope="module")
def tekton_lint(tmp_path_factory):
    """Install the linter from the lock file, once for a machine; gives what it says of objects."""
    if not shutil.which("npm"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("install Node.js with npm")
    home, here = ROOT / ".jukebox" / "tekton-lint", Path(__file__).parent
    home.mkdir(parents=True, exist_ok=True)
    lock = (here / "package-lock.json").read_text()
    with (home / "installing").open("w") as file:
        # One worker of the tests installs it, the others wait.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (home / "done").exists() or (home / "done").read_text() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(here / name, home / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (home / "done").write_text(lock)

    def lint(objects: list[dict]) -> list[str]:
        folder = tmp_path_factory.mktemp("lint")
        (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
        command = [home / "node_modules" / ".bin" / "tekton-lint", "--format", "json", "all.yaml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        told = [(found["rule"], found["message"]) for found in json.loads(done.stdout)]
        known = [any(rule == each and part in said for each, part in FALSE_ALARMS) for rule, said in told]
        return [said for (_, said), expected in zip(told, known, strict=True) if not expected]

    return lint


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_finding(tekton_lint, overlay):
    assert tekton_lint(rendered(overlay)) == []


@pytest.mark.slow
def test_a_mistake_is_found(tekton_lint):
    objects = rendered("openshift")
    edit(objects, "Pipeline/jukebox-train spec tasks toolchain params +", {"name": "x", "value": "y"})
    (found,) = tekton_lint(objects)
    assert "'x'" in found
