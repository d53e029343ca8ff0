"""shellcheck over each script of a Task, and IBM's tekton-lint over the objects of an overlay."""

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
FALSE_ALARMS = (
    "Invalid name for PipelineRun '$(tt.params.name)'",
    "no workspace for 'git-credentials'",
    "no workspace for 'pip-settings'",
)
"""tekton-lint knows neither names that are filled in nor optional workspaces."""


@pytest.mark.skipif(not SHELLCHECK, reason="its wheel is not for Linux on arm64: apt-get install shellcheck")
@pytest.mark.parametrize("name", [*SCRIPTS, "the example for buckets"])
def test_a_script_is_sound(name):
    script = SCRIPTS.get(name) or (TEKTON / "senders" / "bucket-notification.sh").read_text()
    if name in SCRIPTS:
        assert script.startswith(("#!/bin/sh\nset -eu", "#!/bin/bash\nset -euo pipefail"))
    command = [str(SHELLCHECK), *OPTIONS]
    assert subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout == ""


def tekton_lint(home: Path, objects: list[dict]) -> list[str]:
    (home / "all.yaml").write_text(yaml.safe_dump_all(objects))
    command = [home / "node_modules" / ".bin" / "tekton-lint", "--format", "json", "all.yaml"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    said = [each["message"] for each in json.loads(done.stdout)]
    return [each for each in said if not any(known in each for known in FALSE_ALARMS)]


@pytest.mark.slow
def test_tekton_lint_says_nothing_of_the_overlays_and_sees_a_mistake():
    """The linter is installed from the lock file, once for a machine."""
    if not shutil.which("npm"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("install Node.js with npm")
    home, here = ROOT / ".jukebox" / "tekton-lint", Path(__file__).parent
    home.mkdir(parents=True, exist_ok=True)
    lock, kept = (here / "package-lock.json").read_text(), home / "done"
    if not kept.exists() or kept.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(here / name, home / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=home, check=True)
        kept.write_text(lock)
    kubernetes, openshift = (rendered(overlay) for overlay in OVERLAYS)
    assert tekton_lint(home, kubernetes) == tekton_lint(home, openshift) == []
    edit(openshift, "Pipeline/jukebox-train spec tasks toolchain params +", {"name": "x", "value": "y"})
    (said,) = tekton_lint(home, openshift)
    assert "'x'" in said
