"""What is in the images: what they need, nothing else, and where it comes from."""

import json
import re
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from image.conftest import PASSWORD
from image.workshop import BASE, manifest

TOOLS = {"pip", "setuptools", "pytest", "cyclonedx-bom", "matplotlib", "numba"}
"""What builds and tests, and what other packages would like to have."""

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
    "print(json.dumps([{'name': d.metadata['Name'], 'version': d.version} for d in m.distributions()]))"
)

both = pytest.mark.parametrize("target", ["component", "tools"])


def versions(items: list[dict]) -> dict[str, str]:
    """Return versions by normalised name."""
    return {re.sub(r"[_.]", "-", item["name"].lower()): item["version"] for item in items}


@pytest.fixture(scope="module")
def base(workshop) -> dict[str, str]:
    with workshop.mounted(BASE) as root:
        return manifest(root)


@both
def test_added_files_are_expected_without_a_secret_and_writable_by_root_only(workshop, images, base, target):
    with workshop.mounted(images[target]["reference"]) as root:
        here = manifest(root)
        added = {path: text for path, text in here.items() if base.get(path) != text}
        assert base.keys() <= here.keys()
        ours = ("opt/jukebox", "opt/server") if target == "component" else ("opt/jukebox",)
        assert [path for path in added if not path.startswith(ours)] == []
        assert [path for path in added if SURPRISES.search(path) and not EXPECTED.search(path)] == []
        modes = {path: text for path, text in added.items() if text[0] != "l"}
        assert [path for path, text in modes.items() if "w" in text[5] + text[8]] == []
        files = {path: (root / path).read_bytes() for path, text in added.items() if text[0] == "-"}
    assert [path for path, data in files.items() if PASSWORD.encode() in data or KEY.search(data)] == []
    compiled = [data[4:8] for path, data in files.items() if path.endswith(".pyc")]
    assert len(compiled) > 500
    assert set(compiled) == {b"\x01\0\0\0"}, "bytecode is loaded without a check of dates"


@both
def test_no_secret_is_in_the_history_and_the_size_is_within_its_limit(workshop, images, checkout, target):
    reference = images[target]["reference"]
    log = (checkout / images[target]["bill"]).with_name("build.log").read_text()
    history = workshop.podman("history", "--no-trunc", reference)
    for text in (json.dumps(workshop.inspect(reference)), history, log):
        assert PASSWORD not in text
        assert "s3cr3t" not in text
    size = workshop.inspect(reference)["Size"] - workshop.inspect(BASE)["Size"]
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


@pytest.mark.parametrize(
    ("target", "bill", "python", "has", "lacks"),
    [
        ("component", "component", "python3", {"jukebox", "tensorflow-cpu"}, {"ruff", "kubernetes", *TOOLS}),
        ("component", "server", "/opt/server/bin/python", {"kserve", "onnxruntime"}, {"tensorflow-cpu"}),
        ("tools", "tools", "python3", {"jukebox", "ruff"}, {"tensorflow-cpu", *TOOLS}),
    ],
)
def test_the_bill_lists_what_is_installed(workshop, images, checkout, target, bill, python, has, lacks):
    path = (checkout / images[target]["bill"]).with_name(f"{bill}.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text()) is None
    names = versions(json.loads(path.read_text())["components"])
    ended = workshop.run(images[target]["by_digest"], python, "-c", INSTALLED)
    assert names == versions(json.loads(ended.stdout))
    assert has <= set(names)
    assert not lacks & set(names)
