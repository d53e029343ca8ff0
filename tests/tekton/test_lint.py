"""IBM's tekton-lint over all objects of an overlay in one call, as it is pinned in package-lock.json."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tekton.manifests import OVERLAYS, ROOT, find, rendered

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
FOUND_FOR_NOTHING = {
    ("no-invalid-name", "Invalid name for PipelineRun '$(tt.params.name)'"),
    ("no-missing-workspace", "no workspace for 'git-credentials'"),
    ("no-missing-workspace", "no workspace for 'pip-settings'"),
}
"""What it says though all is well: it knows neither names that are filled in nor optional workspaces."""


@pytest.fixture(scope="module")
def lint():
    """Give the linter, installed from the lock file, once for a machine."""
    if not shutil.which("npm"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("install Node.js with npm")
    home = ROOT / ".jukebox" / "tekton-lint"
    home.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_text()
    with (home / "installing").open("w") as file:
        # One worker of the tests installs it, the others wait.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (home / "done").exists() or (home / "done").read_text() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(HERE / name, home / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (home / "done").write_text(lock)
    return home / "node_modules" / ".bin" / "tekton-lint"


def findings(lint: Path, folder: Path, objects: list[dict]) -> set[tuple[str, str]]:
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    command = [str(lint), "--format", "json", "all.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = {(found["rule"], found["message"]) for found in json.loads(done.stdout)}
    expected = {
        (rule, said)
        for rule, said in told
        for known, part in FOUND_FOR_NOTHING
        if rule == known and part in said
    }
    return told - expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_finding(lint, tmp_path, overlay):
    assert findings(lint, tmp_path, rendered(overlay)) == set()


def test_a_mistake_is_found(lint, tmp_path):
    objects = rendered("openshift")
    find(objects, "Pipeline", "jukebox-train")["spec"]["tasks"][2]["params"].append(
        {"name": "x", "value": "y"}
    )
    (found,) = findings(lint, tmp_path, objects)
    assert "'x'" in found[1]
