"""What Tekton's Tasks do with the tools image: lint, compile, name the key, promote."""

import shutil

from base_image import PYTHON
from command import jukebox
from dspa_command import PLACES, TOKEN
from dspa_server import Dspa, serving
from servers import s3_server

CHECKS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["mypy", "--cache-dir=/tmp/mypy"],
    "imports": ["lint-imports", "--no-logo", "--no-cache"],
    "yaml": ["yamllint", "--strict", "."],
}


def in_checkout(workshop, image, checkout, command):
    volumes = {str(checkout): {"bind": "/workspace", "mode": "ro"}}
    return workshop.run(image, *command, volumes=volumes, working_dir="/workspace")


def test_the_linters_find_this_checkout_clean(workshop, images, checkout):
    for name, command in CHECKS.items():
        ended = in_checkout(workshop, images["tools"]["by_digest"], checkout, command)
        assert ended.code == 0, f"{name}: {ended.out}{ended.err}"


def test_the_linters_find_what_is_wrong(workshop, images, checkout, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(checkout, broken, ignore=shutil.ignore_patterns(".git", ".jukebox"))
    with open(broken / "ml" / "version.py", "a") as module:
        module.write('\n\nfrom ml import cli\n\ndef f( a: int ) -> str:\n    """F."""\n    return a\n')
    with open(broken / "ml" / "gate" / "verdict.py", "a") as module:
        module.write("\n\nimport requests\n")
    (broken / "broken.yaml").write_text("a: [1,\n")
    for name, command in CHECKS.items():
        ended = in_checkout(workshop, images["tools"]["by_digest"], broken, command)
        assert ended.code == 1, f"{name}: {ended.out}{ended.err}"


def test_the_ir_compiled_inside_is_the_one_compiled_outside(workshop, images, tmp_path):
    image = images["component"]["by_digest"]
    script = f"jukebox compile -o /tmp/p.yaml --image {image} >&2 && cat /tmp/p.yaml"
    ended = workshop.run(images["tools"]["by_digest"], "sh", "-c", script)
    assert ended.code == 0, ended.err
    assert jukebox("compile", "-o", "p.yaml", "--image", image, cwd=tmp_path).returncode == 0
    assert ended.out == (tmp_path / "p.yaml").read_text()


def test_the_key_named_inside_is_the_one_that_was_built(workshop, images, checkout):
    base = workshop.inspect("localhost/base:bookworm")["Digest"]
    command = ["jukebox", "image-key", "--base", f"localhost/base@{base}", "--python", PYTHON]
    ended = in_checkout(workshop, images["tools"]["by_digest"], checkout, command)
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
    """As far as the DSPA: whose double accepts the run, which then fails."""
    image = images["component"]["by_digest"]
    dspa = Dspa(tokens={TOKEN}, executor=None)
    with s3_server() as s3, serving(dspa):
        data = "--data sample: --timeout 20"
        where = f"--host {dspa.url} --namespace music {' '.join(PLACES)}"
        script = (
            f"jukebox compile -o /tmp/p.yaml --image {image} && jukebox submit /tmp/p.yaml {where} {data}"
        )
        ended = workshop.run(
            images["tools"]["by_digest"],
            "sh",
            "-c",
            script,
            network_mode="host",
            environment={**s3, "JUKEBOX_TOKEN": TOKEN},
        )
    (run,) = dspa.runs.values()
    assert (
        run.parameters["commit"]
        == workshop.inspect(images["tools"]["reference"])["Config"]["Labels"][
            "org.opencontainers.image.revision"
        ]
    )
    assert run.parameters["dirty"] is False
    assert ended.code in (20, 30, 40), ended.out + ended.err
    assert TOKEN not in ended.out + ended.err
