"""What Tekton's Tasks do with the tools image, and the one line that says what an image cannot do."""

import shutil

import pytest
import yaml
from base_image import PYTHON
from command import jukebox
from dspa_command import PLACES, TOKEN
from dspa_server import Dspa, serving
from image.workshop import BASE
from servers import s3_server

CHECKS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy", "--cache-dir=/tmp/mypy"],
    "imports": ["lint-imports", "--no-logo", "--no-cache"],
    "yaml": ["yamllint", "--strict", "."],
}
READ_ONLY = {"tmpfs": {"/tmp": "ro", "/var/tmp": "ro", "/run": "ro"}}


def in_checkout(workshop, images, checkout, command):
    volumes = {str(checkout): {"bind": "/workspace", "mode": "ro"}}
    image = images["tools"]["by_digest"]
    return workshop.run(image, *command, volumes=volumes, working_dir="/workspace")


def test_the_linters_pass_this_checkout_and_fail_a_broken_one(workshop, images, checkout, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(checkout, broken, ignore=shutil.ignore_patterns(".git", ".jukebox"))
    with open(broken / "ml/core/version.py", "a") as module:
        module.write('\n\nfrom ml import cli\n\ndef f( a: int ) -> str:\n    """F."""\n    return a\n')
    (broken / "broken.yaml").write_text("a: [1,\n")
    for name, command in CHECKS.items():
        for folder, code in ((checkout, 0), (broken, 1)):
            ended = in_checkout(workshop, images, folder, command)
            assert ended.code == code, f"{name}: {ended.out}{ended.err}"


def test_pipeline_and_key_are_the_same_inside_and_outside(workshop, images, checkout, tmp_path):
    image = images["component"]["by_digest"]
    script = f"jukebox compile -o /tmp/p.yaml --image {image} >&2 && cat /tmp/p.yaml"
    ended = workshop.run(images["tools"]["by_digest"], "sh", "-c", script)
    assert ended.code == 0, ended.err
    assert jukebox("compile", "-o", "p.yaml", "--image", image, cwd=tmp_path).returncode == 0
    assert ended.out == (tmp_path / "p.yaml").read_text()
    base = f"localhost/base@{workshop.inspect(BASE)['Digest']}"
    command = ["jukebox", "image-key", "--base", base, "--python", PYTHON]
    ended = in_checkout(workshop, images, checkout, command)
    assert ended.out.strip() == images["component"]["key"], ended.err


def test_a_candidate_is_promoted_with_the_tools(workshop, images, finished_run):
    folder = workshop.folder / "promoting"
    shutil.copytree(finished_run.store, folder / "store")
    shutil.copy(finished_run.home / "unhurried.yaml", folder / "policy.yaml")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o775 if path.is_dir() else 0o664)
    volumes = {str(folder): {"bind": str(folder), "mode": "rw"}}
    command = ["jukebox", "promote", finished_run.result["candidate"], "--store", str(folder / "store")]
    command += ["--policy", str(folder / "policy.yaml")]
    ended = workshop.run(images["tools"]["by_digest"], *command, volumes=volumes)
    assert ended.code == 0, ended.err
    assert "promoted:  number 1" in ended.out


def test_a_run_is_submitted_with_the_tools(workshop, images):
    """The double of the DSPA accepts the run, which then fails."""
    compiled = f"jukebox compile -o /tmp/p.yaml --image {images['component']['by_digest']}"
    dspa = Dspa(tokens={TOKEN}, executor=None)
    with s3_server() as s3, serving(dspa):
        where = f"--host {dspa.url} --namespace music {' '.join(PLACES)}"
        submit = f"jukebox submit /tmp/p.yaml {where} --data sample: --timeout 20"
        options = {"network_mode": "host", "environment": {**s3, "JUKEBOX_TOKEN": TOKEN}}
        command = ("sh", "-c", f"{compiled} && {submit}")
        ended = workshop.run(images["tools"]["by_digest"], *command, **options)
    (run,) = dspa.runs.values()
    labels = workshop.inspect(images["tools"]["reference"])["Config"]["Labels"]
    assert run.parameters["commit"] == labels["org.opencontainers.image.revision"]
    assert run.parameters["dirty"] is False
    assert ended.code in (20, 30, 40), ended.out + ended.err
    assert TOKEN not in ended.out + ended.err


def one_line(ended) -> str:
    assert ended.code != 0
    (line,) = ended.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("target", "command", "said", "changes"),
    [
        ("tools", ["compile", "-o", "/tmp/x.yaml"], "cannot write /tmp/x.yaml", READ_ONLY),
        ("component", ["compile", "-o", "/tmp/x.yaml"], "not installed here", {}),
        ("tools", ["sample", "--out", "/tmp/x"], "not installed here", {}),
    ],
)
def test_a_verb_that_cannot_run_says_so(workshop, images, target, command, said, changes):
    ended = workshop.run(images[target]["by_digest"], "jukebox", *command, **changes)
    assert (ended.code, said in one_line(ended)) == (2, True), ended.err


def test_a_step_without_a_writable_tmp_says_so(workshop, images, tmp_path):
    """KFP's own command comes first, and needs the folder too."""
    assert jukebox("compile", "-o", "p.yaml", cwd=tmp_path).returncode == 0
    spec = next(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))
    command = spec["deploymentSpec"]["executors"]["exec-gate"]["container"]["command"]
    line = one_line(workshop.run(images["component"]["by_digest"], *command, **READ_ONLY))
    assert "/tmp" in line
    assert "Read-only file system" in line
