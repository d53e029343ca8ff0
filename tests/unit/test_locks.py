"""The locks: hashed pins and nothing else, of what pyproject.toml asks for, on each platform and Python."""

import os
import re
import subprocess
import tomllib
from itertools import chain, product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
OVERRIDES = "-overrides.txt"
TEXTS = {path.stem: path.read_text() for path in FOLDER.glob("*.txt") if not path.name.endswith(OVERRIDES)}

ASKED = {
    **PROJECT["dependency-groups"],
    "all": [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values())],
    "component": [*PROJECT["project"]["dependencies"], *EXTRAS["pipeline"], *EXTRAS["steps"]],
    "tools": [*PROJECT["project"]["dependencies"], *EXTRAS["pipeline"], *EXTRAS["lint"]],
}
"""What each lock is made of."""

PARTS = ("component", "tools")
"""Locks that hold nothing but what `all` holds, too."""

SYSTEMS = {"linux x86_64": "Linux", "linux aarch64": "Linux", "darwin arm64": "Darwin"}
PLATFORMS = [f"{system} {python}" for system, python in product(SYSTEMS, ("3.11", "3.12"))]

PINNED = re.compile(r"[a-z\d]+(-[a-z\d]+)*==[\w.+!]+( ; [^#@]+?)?( +--hash=sha256:[\da-f]{64})+")


def entries(text: str) -> list[str]:
    """Return the lines of a lock without comments, each with its continuations."""
    lines = text.replace("\\\n", "").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def unpinned(text: str) -> list[str]:
    return [line for line in entries(text) if not PINNED.fullmatch(line)]


def environment(platform: str) -> dict[str, str]:
    """Return what markers are evaluated with on a platform, as `linux x86_64 3.12`."""
    system, machine, python = platform.split()
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": SYSTEMS[f"{system} {machine}"],
        "python_full_version": f"{python}.7",
        "python_version": python,
        "sys_platform": system,
    }


def asked(requirements: list[str], platform: str) -> list[Requirement]:
    """Return the requirements that count on a platform."""
    found = [Requirement(text) for text in requirements]
    return [each for each in found if not each.marker or each.marker.evaluate(environment(platform))]


def versions(text: str, platform: str) -> dict[str, str]:
    """Return what a lock installs on a platform, by name; none has two versions."""
    found = asked([line.split(" --hash")[0] for line in entries(text)], platform)
    assert len({each.name for each in found}) == len(found)
    return {each.name: next(iter(each.specifier)).version for each in found}


def left_out(lock: str, platform: str) -> set[str]:
    """Return the names that a lock's overrides leave out on a platform."""
    path = FOLDER / f"{lock}{OVERRIDES}"
    lines = entries(path.read_text()) if path.exists() else []
    return {Requirement(line).name for line in lines} - {each.name for each in asked(lines, platform)}


def lacking(lock: str, text: str, platform: str) -> list[str]:
    """Return what pyproject.toml asks for and a lock does not install on a platform, in that version."""
    held = versions(text, platform)
    needed = {canonicalize_name(each.name): each for each in asked(ASKED[lock], platform)}
    return [
        str(each)
        for name, each in needed.items()
        if name not in left_out(lock, platform) and not (name in held and each.specifier.contains(held[name]))
    ]


def test_each_lock_is_made_of_something_in_pyproject():
    assert set(TEXTS) == set(ASKED)


@pytest.mark.parametrize("lock", TEXTS)
def test_a_lock_has_hashed_pins_and_nothing_else(lock):
    assert unpinned(TEXTS[lock]) == []
    assert "://" not in TEXTS[lock]


HASH = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.4.6",
        f"numpy {HASH}",
        f"numpy>=2.4.6 {HASH}",
        f"numpy==2.4.* {HASH}",
        f"numpy==2.4.6 \\\n    {HASH[:-1]}",
        f"numpy==2.4.6 {HASH.replace('sha256', 'md5')}",
        f"numpy @ https://example.org/numpy.whl {HASH}",
        "--index-url https://example.org/simple",
        "--no-binary numpy",
        "-e .",
        "-r other.txt",
        f"numpy==2.4.6 {HASH} # https://example.org",
    ],
)
def test_what_is_no_hashed_pin_is_found(line):
    pinned = f"# a comment\nscipy==1.17.1 ; python_full_version < '3.12' \\\n    {HASH} \\\n    {HASH}\n"
    assert unpinned(pinned) == []
    assert len(unpinned(f"{pinned}{line}\n")) == 1


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_has_what_pyproject_asks_for(lock, platform):
    assert lacking(lock, TEXTS[lock], platform) == []


@pytest.mark.parametrize(
    ("there", "instead"),
    [("keras==", "others=="), ("tf2onnx==1.17.0", "tf2onnx==1.16.0"), ("obstore==", "obstores==")],
)
def test_a_lock_that_lacks_something_is_found(monkeypatch, there, instead):
    monkeypatch.setitem(ASKED, "component", [*ASKED["component"], "keras"])
    (fault,) = lacking("component", TEXTS["component"].replace(f"\n{there}", f"\n{instead}"), PLATFORMS[0])
    assert fault.startswith(there.split("==")[0])


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", ["all", "component"])
def test_there_is_one_tensorflow_on_each_platform(lock, platform):
    found = {"tensorflow", "tensorflow-cpu"} & set(versions(TEXTS[lock], platform))
    assert found == {"tensorflow-cpu" if platform.startswith("linux x86_64") else "tensorflow"}


def test_two_versions_of_one_package_are_found():
    text = f"numpy==2.4.6 {HASH}\nnumpy==2.5.5 ; python_full_version >= '3.12' {HASH}\n"
    assert versions(text, "linux x86_64 3.11") == {"numpy": "2.4.6"}
    with pytest.raises(AssertionError):
        versions(text, "linux x86_64 3.12")


@pytest.mark.parametrize("lock", PARTS)
def test_what_an_image_has_is_what_is_tested(lock):
    every = {line.split(" ;")[0].split(" --")[0]: line.split(" --", 1)[1] for line in entries(TEXTS["all"])}
    for line in entries(TEXTS[lock]):
        assert every[line.split(" ;")[0].split(" --")[0]] == line.split(" --", 1)[1]


def download(folder: Path, fails_at: str, *arguments: str) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run requirements/download with a uv that only notes what it is asked for."""
    uv = folder / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" >> \'{folder}/calls\'\ncase "$*" in {fails_at}) exit 1;; esac\n')
    uv.chmod(0o755)
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        [FOLDER / "download", uv, *arguments], env=env, capture_output=True, text=True, check=False
    )
    calls = (folder / "calls").read_text().splitlines()
    assert {path.name for path in folder.iterdir()} == {"uv", "calls"}
    return done, calls


def test_every_lock_is_downloaded_for_every_platform(tmp_path):
    done, calls = download(tmp_path, "-")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", len(PLATFORMS))
    locks = {call.rsplit(" ", 1)[1].removesuffix(".txt") for call in calls}
    assert locks == set(TEXTS) - set(PARTS)
    assert len(calls) == len(set(calls)) == len(locks) * len(PLATFORMS)
    assert all("--require-hashes" in call and "--only-binary :all:" in call for call in calls)


def test_a_lock_that_does_not_serve_a_platform_fails_the_check(tmp_path):
    done, calls = download(tmp_path, "*aarch64-apple-darwin*server.txt", "3.12")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert done.stderr == "requirements/server.txt does not serve Python 3.12 on aarch64-apple-darwin\n"
    assert not any("3.11" in call for call in calls)
