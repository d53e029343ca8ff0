"""What a user sees where an image cannot do what it was asked: one line that says what to change."""

import struct
import subprocess

import pytest
from image.workshop import copy_of

READ_ONLY = {"tmpfs": {"/tmp": "ro", "/var/tmp": "ro", "/run": "ro"}}


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_without_a_writable_tmp_the_command_says_so(workshop, images):
    ended = workshop.run(images["tools"]["by_digest"], "jukebox", "compile", "-o", "/tmp/x.yaml", **READ_ONLY)
    assert ended.code == 2
    assert "cannot write /tmp/x.yaml" in one_line(ended.err)


def test_without_a_writable_tmp_a_step_says_so(workshop, images, tmp_path):
    """KFP's own command comes first, and needs the folder too."""
    import yaml
    from command import jukebox

    assert jukebox("compile", "-o", "p.yaml", cwd=tmp_path).returncode == 0
    spec = next(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))
    command = spec["deploymentSpec"]["executors"]["exec-gate"]["container"]["command"]
    ended = workshop.run(images["component"]["by_digest"], *command, **READ_ONLY)
    assert ended.code != 0
    line = one_line(ended.err)
    assert "/tmp" in line
    assert "Read-only file system" in line


@pytest.mark.parametrize("target", ["component", "tools"])
def test_a_verb_of_the_other_image_says_so(workshop, images, target):
    verb = {"component": ["compile", "-o", "/tmp/x.yaml"], "tools": ["sample", "--out", "/tmp/x"]}[target]
    ended = workshop.run(images[target]["by_digest"], "jukebox", *verb)
    assert ended.code == 2
    assert "not installed here" in one_line(ended.err)


def test_an_image_for_another_architecture_does_not_start(workshop, tmp_path):
    """A program for arm64 in an image that says so: the kernel refuses it, and the engine says why."""
    header = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 0, 0, 0, 64, 56, 0, 0, 0, 0)
    )
    (tmp_path / "python3").write_bytes(header)
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY python3 /python3\n")
    workshop.podman("build", "--quiet", "--arch", "arm64", "--tag", "localhost/arm", tmp_path)
    assert workshop.inspect("localhost/arm")["Architecture"] == "arm64"
    ended = workshop.run("localhost/arm", "/python3")
    assert ended.code != 0
    assert "exec format error" in one_line(ended.err)


def test_dependencies_take_nothing_that_their_key_does_not_see(workshop, checkout, tmp_path):
    """Whatever the spelling: the file is not there while they are built."""
    copy = copy_of(checkout, tmp_path / "copy")
    text = (copy / "Containerfile").read_text()
    taken = 'FROM build AS component-build\nRUN --mount=target=/x,"source"=ml \\\n  cat /x/version.py\n'
    (copy / "Containerfile").write_text(text.replace("FROM build AS component-build\n", taken))
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qam", "x"]
    subprocess.run(commit, cwd=copy, check=True)
    with pytest.raises(AssertionError, match="building component-dependencies failed"):
        workshop.build(copy, "--target", "component")


def test_a_base_for_another_architecture_is_refused(workshop, checkout, tmp_path):
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /\n")
    workshop.podman("build", "--quiet", "--arch", "arm64", "--tag", "localhost/armbase", tmp_path)
    with pytest.raises(AssertionError, match="is for arm64, this machine is"):
        workshop.build(checkout, "--base", "localhost/armbase:latest")
