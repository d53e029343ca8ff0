"""What is in the images: what they need, nothing else, and where it comes from."""

import json
import re
import subprocess

import pytest
import trustme
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from image.conftest import PASSWORD
from image.workshop import BASE, manifest

LIMITS = {"component": 2_000_000_000, "tools": 300_000_000}
SURPRISES = re.compile(
    r"(^|/)(\.git|\.env|\.netrc|\.ssh|\.aws|\.docker|\.cache|\.pypirc|pip\.conf|id_[a-z0-9]+|tests?|include"
    r"|pip|ensurepip|cc|gcc|g\+\+|clang|ld)(/|$)|\.(key|p12|pfx|jks|pem|h|hpp|a|c|cc|pyx|whl|orig|rej)$"
)
# The roots of TLS, a part of TensorFlow's API that is called test, and a module's types for mypy.
EXPECTED = re.compile(
    r"/(certifi/cacert\.pem|grpc/_cython/_credentials/roots\.pem|tensorflow/_api/.*test(/.*)?"
    r"|mypy/typeshed/stdlib/ensurepip(/.*)?)$"
)
KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
INSTALLED = (
    "import json, importlib.metadata as m;"
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)

both = pytest.mark.parametrize("target", ["component", "tools"])


def named(versions: dict[str, str]) -> dict[str, str]:
    """Return versions by normalised name."""
    return {re.sub(r"[_.]", "-", name.lower()): version for name, version in versions.items()}


def installed(workshop, image, python="python3") -> dict[str, str]:
    return named(json.loads(workshop.run(image["by_digest"], python, "-c", INSTALLED).out))


def listed(text: str) -> dict[str, str]:
    return named({item["name"]: item["version"] for item in json.loads(text)["components"]})


@pytest.fixture(scope="module")
def added(workshop, images) -> dict:
    """By target, the files that are not in the base or differ from it: path to mode and digest."""
    found = {}
    with workshop.mounted(BASE) as root:
        base = manifest(root)
    for target, image in images.items():
        with workshop.mounted(image["reference"]) as root:
            here = manifest(root)
        found[target] = {path: text for path, text in here.items() if base.get(path) != text}
        assert base.keys() <= here.keys()
    return found


@both
def test_added_files_are_expected_in_the_environments_and_writable_by_root_only(added, target):
    ours = ("opt/jukebox", "opt/server") if target == "component" else ("opt/jukebox",)
    assert [path for path in added[target] if not path.startswith(ours)] == []
    assert [path for path in added[target] if SURPRISES.search(path) and not EXPECTED.search(path)] == []
    modes = {path: text for path, text in added[target].items() if text[0] != "l"}
    assert [path for path, text in modes.items() if "w" in text[5] + text[8]] == []


@both
def test_bytecode_is_loaded_without_a_check_of_dates(workshop, images, added, target):
    compiled = [path for path in added[target] if path.endswith(".pyc")]
    assert len(compiled) > 500
    with workshop.mounted(images[target]["reference"]) as root:
        assert {(root / path).read_bytes()[4:8] for path in compiled} == {b"\x01\0\0\0"}


@both
def test_no_secret_is_in_a_file_or_in_the_history(workshop, images, checkout, added, target):
    reference = images[target]["reference"]
    log = (checkout / images[target]["bill"]).with_name("build.log").read_text()
    history = workshop.podman("history", "--no-trunc", reference)
    for text in (json.dumps(workshop.inspect(reference)), history, log):
        assert PASSWORD not in text
        assert "s3cr3t" not in text
    with workshop.mounted(reference) as root:
        for path in (path for path, text in added[target].items() if text[0] == "-"):
            content = (root / path).read_bytes()
            assert PASSWORD.encode() not in content, path
            assert not KEY.search(content), path


@both
def test_the_size_is_within_its_limit(workshop, images, target):
    size = workshop.inspect(images[target]["reference"])["Size"] - workshop.inspect(BASE)["Size"]
    print(f"{target}: {size / 1e6:.0f} MB beyond the base")
    assert 1_000_000 < size < LIMITS[target]


def test_the_labels_name_the_source_and_in_the_tools_the_commit(workshop, images, checkout):
    command = ["git", "log", "-1", "--format=%H %cI"]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    head, date = done.stdout.split()
    component, tools = (workshop.inspect(images[target]["reference"])["Config"] for target in LIMITS)
    prefix = "org.opencontainers.image."
    for config in (component, tools):
        assert config["Labels"][f"{prefix}source"] == "https://git.example/team/jukebox"
    # Commits with the same package have the same component.
    assert head not in json.dumps(component)
    assert (tools["Labels"][f"{prefix}revision"], tools["Labels"][f"{prefix}created"]) == (head, date)
    assert f"JUKEBOX_COMMIT={head}" in tools["Env"]


@both
def test_the_bill_lists_what_is_installed(workshop, images, checkout, target):
    text = (checkout / images[target]["bill"]).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = listed(text)
    assert names == installed(workshop, images[target])
    assert "jukebox" in names
    assert ("tensorflow-cpu" in names) == (target == "component")
    assert not {"pip", "setuptools", "pytest", "cyclonedx-bom", "matplotlib", "numba"} & set(names)
    server = (checkout / images[target]["bill"]).with_name("server.cdx.json")
    assert server.exists() == (target == "component")
    if target == "component":
        names = listed(server.read_text())
        assert set(names) == set(installed(workshop, images[target], "/opt/server/bin/python"))
        assert set(names) >= {"kserve", "onnxruntime"}


@pytest.mark.parametrize(
    ("target", "module"), [("tools", "tensorflow"), ("component", "ruff"), ("component", "kubernetes")]
)
def test_an_image_has_no_module_of_the_other(workshop, images, target, module):
    ended = workshop.run(images[target]["by_digest"], "python3", "-c", f"import {module}")
    assert f"No module named '{module}'" in ended.err


def test_the_patterns_match_what_must_not_be_there():
    for path in "opt/x/.git/config opt/x/tests/a.py opt/id_ed25519 a/server.key usr/bin/gcc".split():
        assert SURPRISES.search(path)
    assert KEY.search(trustme.CA().private_key_pem.bytes())
