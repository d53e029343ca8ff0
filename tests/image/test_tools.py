"""What Tekton's Tasks do with the tools image."""

import shutil

import pytest
from base_image import PYTHON
from command import jukebox
from dspa_command import PLACES, TOKEN
from dspa_server import Dspa, serving
from image.workshop import BASE
from servers import s3_server

CHECKS = [["ruff", "check", "--no-cache", "."], ["ruff", "format", "--no-cache", "--check", "."]]
CHECKS += [["mypy", "--cache-dir=/tmp/mypy"], ["lint-imports", "--no-logo", "--no-cache"]]
CHECKS += [["yamllint", "--strict", "."]]


@pytest.fixture
def tools(workshop, images):
    def run(*command, place=None, **options):
        """Run a command in the tools image, in a folder of this machine that it may only read."""
        if place:
            volumes = {str(place): {"bind": "/workspace", "mode": "ro"}}
            options |= {"volumes": volumes, "working_dir": "/workspace"}
        return workshop.run(images["tools"]["by_digest"], *command, **options)

    return run


def test_the_linters_pass_this_checkout_and_fail_a_broken_one(tools, checkout, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(checkout, broken, ignore=shutil.ignore_patterns(".git", ".jukebox"))
    with open(broken / "ml/core/version.py", "a") as module:
        module.write('\n\nfrom ml import cli\n\ndef f( a: int ) -> str:\n    """F."""\n    return a\n')
    (broken / "broken.yaml").write_text("a: [1,\n")
    for command in CHECKS:
        for place, code in ((checkout, 0), (broken, 1)):
            ended = tools(*command, place=place)
            assert ended.returncode == code, f"{command}: {ended.stdout}{ended.stderr}"


def test_pipeline_and_key_are_the_same_inside_and_outside(tools, workshop, images, checkout, tmp_path):
    image = images["component"]["by_digest"]
    ended = tools("sh", "-c", f"jukebox compile -o /tmp/p.yaml --image {image} >&2 && cat /tmp/p.yaml")
    assert jukebox("compile", "-o", "p.yaml", "--image", image, cwd=tmp_path).returncode == 0
    assert ended.stdout == (tmp_path / "p.yaml").read_text(), ended.stderr
    base = f"localhost/base@{workshop.inspect(BASE)['Digest']}"
    ended = tools("jukebox", "image-key", "--base", base, "--python", PYTHON, place=checkout)
    assert ended.stdout.strip() == images["component"]["key"], ended.stderr


def test_a_candidate_is_promoted_with_the_tools(tools, workshop, finished_run):
    folder = workshop.folder / "promoting"
    shutil.copytree(finished_run.store, folder / "store")
    shutil.copy(finished_run.home / "unhurried.yaml", folder / "policy.yaml")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o775 if path.is_dir() else 0o664)
    command = ["jukebox", "promote", finished_run.result["candidate"], "--store", str(folder / "store")]
    volumes = {str(folder): {"bind": str(folder), "mode": "rw"}}
    ended = tools(*command, "--policy", str(folder / "policy.yaml"), volumes=volumes)
    assert "promoted:  number 1" in ended.stdout, ended.stderr


def test_a_run_is_submitted_with_the_tools(tools, workshop, images):
    """The double of the DSPA accepts the run, which then fails."""
    compiled = f"jukebox compile -o /tmp/p.yaml --image {images['component']['by_digest']}"
    dspa = Dspa(tokens={TOKEN}, executor=None)
    with s3_server() as s3, serving(dspa):
        where = f"--host {dspa.url} --namespace music {' '.join(PLACES)}"
        submit = f"jukebox submit /tmp/p.yaml {where} --data sample: --timeout 20"
        options = {"network_mode": "host", "environment": {**s3, "JUKEBOX_TOKEN": TOKEN}}
        ended = tools("sh", "-c", f"{compiled} && {submit}", **options)
    (run,) = dspa.runs.values()
    labels = workshop.inspect(images["tools"]["reference"])["Config"]["Labels"]
    assert run.parameters["commit"] == labels["org.opencontainers.image.revision"]
    assert run.parameters["dirty"] is False
    assert ended.returncode in (20, 30, 40), ended.stdout + ended.stderr
    assert TOKEN not in ended.stdout + ended.stderr
