"""What is in the images: what they need, nothing else, and it says where it comes from."""

import json
import re
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from image.conftest import PASSWORD
from image.workshop import BASE, manifest

LIMITS = {"component": 2_000_000_000, "tools": 300_000_000}
SURPRISES = re.compile(
    r"(^|/)(\.git|\.env|\.netrc|\.ssh|\.aws|\.docker|\.cache|\.pypirc|pip\.conf|id_[a-z0-9]+|tests?|include"
    r"|pip|ensurepip|cc|gcc|g\+\+|clang|ld)(/|$)|\.(key|p12|pfx|jks|pem|h|hpp|a|c|cc|pyx|whl|orig|rej)$"
)
EXPECTED = re.compile(
    r"/(certifi/cacert\.pem|grpc/_cython/_credentials/roots\.pem|tensorflow/_api/.*test(/.*)?|mypy/typeshed/stdlib/ensurepip(/.*)?)$"
)
"""The roots of TLS, a part of TensorFlow's API that is called test, and a module's types for mypy."""

KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
INSTALLED = (
    "import json, importlib.metadata as m;"
    "print(json.dumps({d.metadata['Name'].lower().replace('_', '-').replace('.', '-'): d.version "
    "for d in m.distributions()}))"
)

both = pytest.mark.parametrize("target", ["component", "tools"])


@pytest.fixture(scope="module")
def added(workshop, images) -> dict:
    """By target, the files beyond the base: path to mode and digest; and the base's that differ."""
    with workshop.mounted(BASE) as root:
        base = manifest(root)
    found = {}
    for target, image in images.items():
        with workshop.mounted(image["reference"]) as root:
            here = manifest(root)
        found[target] = {path: text for path, text in here.items() if base.get(path) != text}
        assert base.keys() <= here.keys()
    return found


@both
def test_everything_beyond_the_base_lies_in_the_environments(added, target):
    ours = ("opt/jukebox", "opt/server") if target == "component" else ("opt/jukebox",)
    outside = {path for path in added[target] if not path.startswith(ours)}
    assert outside == set()


@both
def test_no_file_is_a_surprise(added, target):
    surprises = [path for path in added[target] if SURPRISES.search(path) and not EXPECTED.search(path)]
    assert surprises == []


@both
def test_nobody_but_root_may_change_a_file(added, target):
    loose = [path for path, text in added[target].items() if text[0] != "l" and "w" in text[5] + text[8]]
    assert loose == []


@both
def test_bytecode_goes_by_no_date(workshop, images, added, target):
    compiled = [path for path in added[target] if path.endswith(".pyc")]
    assert len(compiled) > 500
    with workshop.mounted(images[target]["reference"]) as root:
        assert {(root / path).read_bytes()[4:8] for path in compiled} == {b"\x01\0\0\0"}


@both
def test_no_secret_is_in_a_file_or_in_the_history(workshop, images, checkout, added, target):
    known = json.dumps(workshop.inspect(images[target]["reference"]))
    history = workshop.podman("history", "--no-trunc", images[target]["reference"])
    log = (checkout / images[target]["bill"]).with_name("build.log").read_text()
    for text in (known, history, log):
        assert PASSWORD not in text
        assert "s3cr3t" not in text
    with workshop.mounted(images[target]["reference"]) as root:
        for path, text in added[target].items():
            if text[0] == "-":
                content = (root / path).read_bytes()
                assert PASSWORD.encode() not in content, path
                assert not KEY.search(content), path


@both
def test_the_size_is_within_its_limit(workshop, images, target):
    size = workshop.inspect(images[target]["reference"])["Size"] - workshop.inspect(BASE)["Size"]
    print(f"{target}: {size / 1e6:.0f} MB beyond the base")
    assert 1_000_000 < size < LIMITS[target]


@both
def test_the_labels_say_where_it_comes_from(workshop, images, checkout, target):
    def git(*arguments):
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=checkout, check=True, capture_output=True, text=True
        ).stdout.strip()

    config = workshop.inspect(images[target]["reference"])["Config"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["source"] == "https://git.example/team/jukebox"
    head = git("rev-parse", "HEAD")
    if target == "component":
        # Commits with the same package have the same component.
        assert head not in json.dumps(workshop.inspect(images[target]["by_digest"])["Config"])
        return
    assert labels["revision"] == head
    assert labels["created"] == git("log", "-1", "--format=%cI")
    assert f"JUKEBOX_COMMIT={head}" in config["Env"]


@both
def test_the_bill_lists_what_is_installed(workshop, images, checkout, target):
    text = (checkout / images[target]["bill"]).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    installed = json.loads(workshop.run(images[target]["by_digest"], "python3", "-c", INSTALLED).out)
    listed = {
        item["name"].lower().replace("_", "-").replace(".", "-"): item["version"]
        for item in bill["components"]
    }
    assert listed == installed
    assert "jukebox" in listed
    assert ("tensorflow-cpu" in listed) == (target == "component")
    assert not {"pip", "setuptools", "pytest", "cyclonedx-bom", "matplotlib", "numba"} & set(listed)


def test_the_component_holds_the_model_server_with_a_bill_and_the_tools_do_not(workshop, images, checkout):
    python = "/opt/server/bin/python"
    image = images["component"]
    installed = json.loads(workshop.run(image["by_digest"], python, "-c", INSTALLED).out)
    bill = json.loads((checkout / image["bill"]).with_name("server.cdx.json").read_text())
    names = {item["name"].lower().replace("_", "-").replace(".", "-") for item in bill["components"]}
    assert names == set(installed) >= {"kserve", "onnxruntime"}
    with workshop.mounted(images["tools"]["reference"]) as root:
        assert not (root / "opt/server").exists()


def test_the_tools_hold_no_tensorflow_and_the_component_no_linter(workshop, images):
    for target, module in (("tools", "tensorflow"), ("component", "ruff"), ("component", "kubernetes")):
        ended = workshop.run(images[target]["by_digest"], "python3", "-c", f"import {module}")
        assert f"No module named '{module}'" in ended.err


def test_what_the_tests_call_a_surprise_is_caught():
    """The pattern finds what must not be there, so that its silence means something."""
    for path in (
        "opt/jukebox/.git/config",
        "opt/jukebox/x/tests/a.py",
        "opt/id_ed25519",
        "a/server.key",
        "usr/bin/gcc",
    ):
        assert SURPRISES.search(path)
    key = subprocess.run(
        [sys.executable, "-c", "import trustme; print(trustme.CA().private_key_pem.bytes().decode())"],
        check=True,
        capture_output=True,
    ).stdout
    assert KEY.search(key)
