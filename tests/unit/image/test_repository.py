"""Pushing to a registry and reading from it: what is sent, to whom, and which answers are errors."""

import json

import pytest
from registries import assert_no_secret, encoded, serving_registry

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.image.registry import Registry
from ml.image.repository import Repository

DATA = b"a layer" * 1000
BLOB = digest(DATA)
ROOT = "/v2/team/component"
MANIFEST = json.dumps({"mediaType": "application/vnd.oci.image.manifest.v1+json"}).encode()


def repository(double) -> Repository:
    registry = Registry(insecure=True, logins={double.host: encoded()})
    return Repository(registry, f"{double.host}/team/component", "push it")


def push(double, source="") -> bool:
    return repository(double).push(BLOB, len(DATA), lambda: iter([DATA[:9], DATA[9:]]), source)


def failure(function, *arguments) -> str:
    with pytest.raises(PlatformError, match=r"^cannot push it: ") as caught:
        function(*arguments)
    assert_no_secret(str(caught.value))
    return str(caught.value)


def test_a_blob_is_sent_once_with_its_size(double):
    assert push(double) is True
    assert double.held[f"{ROOT}/blobs/{BLOB}"] == DATA
    asked, headers = double.asked[-1], double.headers[-1]
    assert asked == f"PUT {ROOT}/blobs/uploads/1?state=x&digest={BLOB}"
    assert (headers["content-length"], headers.get("transfer-encoding")) == (str(len(DATA)), None)
    assert push(double) is False
    assert double.asked[-1].startswith("HEAD ")


@pytest.mark.parametrize(("mounts", "registry"), [(True, ""), (False, ""), (True, "r.example")])
def test_a_blob_of_another_repository_of_the_registry_is_mounted(double, mounts, registry):
    double.mounts, sent = mounts, not mounts or bool(registry)
    assert push(double, f"{registry or double.host}/team/below") is sent
    assert (f"{ROOT}/blobs/{BLOB}" in double.held) is sent
    mount = f"POST {ROOT}/blobs/uploads/?mount={BLOB}&from=team%2Fbelow"
    assert (mount in double.asked) is not bool(registry)


@pytest.mark.parametrize("location", ["/up/1?", "https://{host}/up/1?a=b&"])
def test_an_upload_goes_to_the_location_on_the_same_host_only(double, location):
    double.location = location.format(host=double.host).removesuffix("&").removesuffix("?")
    assert push(double) is True
    assert double.asked[-1] == f"PUT /up/1?{location.partition('?')[2]}digest={BLOB}"
    with serving_registry() as other:
        double.location, double.held = f"http://{other.host}/v2/up/1", {}
        assert "the registry redirects to 127.0.0.1" in failure(push, double)
        assert other.asked == []


REFUSALS = [(verb, status) for verb in ("HEAD", "POST", "PUT") for status in (302, 403)]


@pytest.mark.parametrize(("verb", "status"), [*REFUSALS, ("POST", 201), ("PUT", 202)])
def test_every_other_answer_is_an_error(double, verb, status):
    double.faults = {verb: (status, {}, b"")}
    assert failure(push, double).endswith(f"the registry answers {status}")


def test_a_manifest_is_sent_with_its_type(double):
    assert repository(double).push_manifest("tag", MANIFEST) == digest(MANIFEST)
    assert double.held[f"{ROOT}/manifests/tag"] == MANIFEST
    assert double.headers[-1]["content-type"] == "application/vnd.oci.image.manifest.v1+json"
    double.faults = {"PUT .*manifests": (400, {}, b"")}
    assert "answers 400" in failure(repository(double).push_manifest, "tag", MANIFEST)


def test_content_is_checked_against_its_digest(double):
    ours, name = repository(double), digest(b'{"a": 1}')
    paths = [f"{ROOT}/{kind}/{name}" for kind in ("manifests", "blobs")]
    for read in (ours.manifest, ours.config, lambda name: json.loads(b"".join(ours.stream(name)))):
        double.held = dict.fromkeys(paths, b'{"a": 1}')
        assert read(name) == {"a": 1}
        double.held = dict.fromkeys(paths, b'{"a": 2}')
        assert f"the content of {name} has another digest" in failure(read, name)
        double.held = {}
        assert "the registry answers 404" in failure(read, name)
    double.faults = {"GET .*blobs": (200, {"Content-Length": "9"}, b"half")}
    assert "the download of blobs/" in failure(lambda: list(ours.stream(name)))
    for data, said in ((b"[]", "is not a"), (b"<>", "is not a"), (b"x" * (5 << 20), "has more than")):
        double.held[f"{ROOT}/manifests/tag"] = data
        assert f"tag {said}" in failure(ours.manifest, "tag")
