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
BASE, EXTRAS = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]
OVERRIDES = "-overrides.txt"
TEXTS = {path.stem: path.read_text() for path in FOLDER.glob("*.txt") if not path.name.endswith(OVERRIDES)}
ASKED = {
    **PROJECT["dependency-groups"],
    "all": [*BASE, *chain(*EXTRAS.values())],
    "component": [*BASE, *EXTRAS["pipeline"], *EXTRAS["steps"]],
    "tools": [*BASE, *EXTRAS["pipeline"], *EXTRAS["lint"]],
}
"""What each lock is made of."""

PARTS = ("component", "tools")
"""Locks that hold nothing but what `all` holds, too."""

SYSTEMS = {"linux x86_64": "Linux", "linux aarch64": "Linux", "darwin arm64": "Darwin"}
PLATFORMS = [f"{system} {python}" for system, python in product(SYSTEMS, ("3.11", "3.12"))]
PINNED = re.compile(r"[a-z\d]+(-[a-z\d]+)*==[\w.+!]+( ; [^#@]+?)?( +--hash=sha256:[\da-f]{64})+")
HASH = f"--hash=sha256:{'0' * 64}"


def entries(text: str) -> list[str]:
    """Return the lines of a lock without comments, each with its continuations."""
    lines = text.replace("\\\n", "").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def unpinned(text: str) -> list[str]:
    return [line for line in entries(text) if not PINNED.fullmatch(line)]


def asked(requirements: list[str], platform: str) -> dict[str, Requirement]:
    """Return the requirements that count on a platform, as `linux x86_64 3.12`, by name; none comes twice."""
    system, machine, python = platform.split()
    environment = {"platform_machine": machine, "platform_system": SYSTEMS[f"{system} {machine}"]}
    environment |= {"sys_platform": system, "python_version": python, "python_full_version": f"{python}.7"}
    counting = [
        each
        for each in map(Requirement, requirements)
        if not each.marker or each.marker.evaluate(environment)
    ]
    assert len({str(each) for each in counting}) == len({each.name for each in counting})
    return {canonicalize_name(each.name): each for each in counting}


def versions(text: str, platform: str) -> dict[str, str]:
    """Return what a lock installs on a platform, by name."""
    pins = asked([line.split(" --hash")[0] for line in entries(text)], platform)
    return {name: next(iter(pin.specifier)).version for name, pin in pins.items()}


def lacking(lock: str, text: str, platform: str) -> list[str]:
    """Return what pyproject.toml asks for and a lock does not install on a platform, in that version."""
    path = FOLDER / f"{lock}{OVERRIDES}"
    overridden = entries(path.read_text()) if path.exists() else []
    # An override whose marker does not hold leaves its package out.
    left_out = {Requirement(line).name for line in overridden} - asked(overridden, platform).keys()
    held, needed = versions(text, platform), asked(ASKED[lock], platform)
    return [n for n in needed.keys() - left_out if n not in held or not needed[n].specifier.contains(held[n])]


@pytest.mark.parametrize("lock", TEXTS)
def test_a_lock_has_hashed_pins_of_what_pyproject_asks_for_and_nothing_else(lock):
    assert set(TEXTS) == set(ASKED)
    assert unpinned(TEXTS[lock]) == []
    assert "://" not in TEXTS[lock]
    assert [(each, told) for each in PLATFORMS if (told := lacking(lock, TEXTS[lock], each))] == []


# fmt: off
NO_PINS = [
    "numpy==2.4.6", f"numpy {HASH}", f"numpy>=2.4.6 {HASH}", f"numpy==2.4.* {HASH}", "-e .",
    f"numpy==2.4.6 \\\n    {HASH[:-1]}", f"numpy==2.4.6 {HASH.replace('sha256', 'md5')}",
    f"numpy @ https://example.org/numpy.whl {HASH}", f"numpy==2.4.6 {HASH} # https://example.org",
    "--index-url https://example.org/simple",
]
# fmt: on


@pytest.mark.parametrize("line", NO_PINS)
def test_what_is_no_hashed_pin_is_told(line):
    pinned = f"# a comment\nscipy==1.17.1 ; python_full_version < '3.12' \\\n    {HASH} \\\n    {HASH}\n"
    assert unpinned(pinned) == []
    assert len(unpinned(f"{pinned}{line}\n")) == 1


@pytest.mark.parametrize(
    ("there", "instead"), [("obstore==", "obstores=="), ("tf2onnx==1.17.0", "tf2onnx==1.16.0")]
)
def test_a_lock_that_lacks_something_is_told(there, instead):
    text = TEXTS["component"].replace(f"\n{there}", f"\n{instead}")
    assert lacking("component", text, PLATFORMS[0]) == [there.partition("==")[0]]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_there_is_one_tensorflow_on_each_platform(platform):
    one = "tensorflow-cpu" if platform.startswith("linux x86_64") else "tensorflow"
    for lock in ("all", "component"):
        assert {"tensorflow", "tensorflow-cpu"} & versions(TEXTS[lock], platform).keys() == {one}


def test_two_versions_of_one_package_are_told():
    text = f"numpy==2.4.6 {HASH}\nnumpy==2.5.5 ; python_full_version >= '3.12' {HASH}\n"
    assert versions(text, "linux x86_64 3.11") == {"numpy": "2.4.6"}
    with pytest.raises(AssertionError):
        versions(text, "linux x86_64 3.12")


@pytest.mark.parametrize("lock", PARTS)
def test_what_an_image_has_is_what_is_tested(lock):
    def pins(name: str) -> set[str]:
        return {re.sub(r"( ;.*?)? +--", " --", line, count=1) for line in entries(TEXTS[name])}

    assert pins(lock) <= pins("all")


FAILURE = "requirements/server.txt does not serve Python 3.12 on aarch64-apple-darwin\n"


@pytest.mark.parametrize(
    ("fails_at", "pythons", "stderr"),
    [("-", ["3.11", "3.12"], ""), ("*aarch64-apple-darwin*server.txt", ["3.12"], FAILURE)],
)
def test_every_lock_is_downloaded_for_every_platform(tmp_path, fails_at, pythons, stderr):
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" >> \'{tmp_path}/calls\'\ncase "$*" in {fails_at}) exit 1;; esac\n')
    uv.chmod(0o755)
    # Without a Python, all are downloaded.
    command = [FOLDER / "download", uv, *(pythons if stderr else [])]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert {path.name for path in tmp_path.iterdir()} == {"uv", "calls"}
    assert (done.returncode, done.stderr) == (1 if stderr else 0, stderr)
    assert len(done.stdout.splitlines()) == len(SYSTEMS) * len(pythons) - bool(stderr)
    assert all("--require-hashes" in call and "--only-binary :all:" in call for call in calls)
    assert {call.rsplit(" ", 1)[1].removesuffix(".txt") for call in calls} == set(TEXTS) - set(PARTS)
    if not stderr:
        assert len(calls) == len(set(calls)) == (len(TEXTS) - len(PARTS)) * len(PLATFORMS)
    assert all(any(f" {python}" in call for python in pythons) for call in calls)
