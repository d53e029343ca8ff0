"""Pushing to a registry and reading from it: what is sent, to whom, and which answers are errors."""

import json
import re

import pytest
from registries import assert_no_secret, encoded, query_of, serving_registry

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.image.registry import Registry
from ml.image.repository import Repository

DATA = b"a layer" * 1000
BLOB = digest(DATA)
PATH = f"/v2/team/component/blobs/{BLOB}"
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
    assert double.held[PATH] == DATA
    asked, headers = double.asked[-1]
    assert asked == f"PUT /v2/team/component/blobs/uploads/1?state=x&digest={BLOB}"
    assert headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in headers
    assert push(double) is False
    assert double.paths[-1].startswith("HEAD ")


@pytest.mark.parametrize(("mounts", "registry"), [(True, ""), (False, ""), (True, "r.example")])
def test_a_blob_of_another_repository_of_the_registry_is_mounted(double, mounts, registry):
    double.mounts = mounts
    assert push(double, f"{registry or double.host}/team/below") is not (mounts and not registry)
    assert (PATH in double.held) is not (mounts and not registry)
    mount = f"POST /v2/team/component/blobs/uploads/?mount={BLOB}&from=team%2Fbelow"
    assert (mount in double.paths) is not bool(registry)


@pytest.mark.parametrize("location", ["{url}/up/1", "/up/1", "https://{host}/up/1", "{url}/up/1?a=b"])
def test_the_forms_of_a_location(double, location):
    double.location = location.format(url=double.url, host=double.host)
    assert push(double) is True
    assert re.fullmatch(rf"PUT /up/1\?(a=b&)?digest={BLOB}", double.paths[-1])


def test_nothing_is_sent_to_another_host(double):
    with serving_registry() as other:
        double.location = f"{other.url}/v2/up/1"
        assert "the registry redirects to 127.0.0.1" in failure(push, double)
        assert other.asked == []


REFUSALS = [(verb, status) for verb in ("HEAD", "POST", "PUT") for status in (302, 403, 429, 500)]


@pytest.mark.parametrize(("verb", "status"), [*REFUSALS, ("POST", 201), ("PUT", 202)])
def test_every_other_answer_is_an_error(double, verb, status):
    double.faults = {verb: (status, {}, b"")}
    assert failure(push, double).endswith(f"the registry answers {status}")


def test_a_manifest_is_sent_with_its_type(double):
    assert repository(double).push_manifest("tag", MANIFEST) == digest(MANIFEST)
    assert double.held["/v2/team/component/manifests/tag"] == MANIFEST
    assert double.asked[-1][1]["content-type"] == "application/vnd.oci.image.manifest.v1+json"
    double.faults = {"PUT .*manifests": (400, {}, b"")}
    assert "answers 400" in failure(repository(double).push_manifest, "tag", MANIFEST)


def test_one_token_has_the_rights_of_both_repositories_and_is_requested_once(double):
    scopes = ["repository:team/component:pull,push", "repository:team/below:pull"]
    double.locked, double.scope = True, " ".join(scopes)
    assert push(double, f"{double.host}/team/below") is True
    ((asked, headers),) = [each for each in double.asked if "/token" in each[0]]
    assert query_of(asked) == {"service": ["it"], "scope": scopes}
    assert headers["authorization"] == f"Basic {encoded()}"


def test_content_is_checked_against_its_digest(double):
    ours, name = repository(double), digest(b'{"a": 1}')
    paths = [f"/v2/team/component/{kind}/{name}" for kind in ("manifests", "blobs")]
    for read in (ours.manifest, ours.config, lambda name: json.loads(b"".join(ours.stream(name)))):
        double.held = dict.fromkeys(paths, b'{"a": 1}')
        assert read(name) == {"a": 1}
        double.held = dict.fromkeys(paths, b'{"a": 2}')
        assert f"the content of {name} has another digest" in failure(read, name)
        double.held = {}
        assert "the registry answers 404" in failure(read, name)
    double.faults = {"GET .*blobs": (200, {"Content-Length": "9"}, b"half")}
    assert "the download of blobs/" in failure(lambda: list(ours.stream(name)))


def test_a_document_that_is_not_a_manifest_is_an_error(double):
    for data, said in ((b"[]", "is not a"), (b"<>", "is not a"), (b"x" * (5 << 20), "has more than")):
        double.held["/v2/team/component/manifests/tag"] = data
        assert f"tag {said}" in failure(repository(double).manifest, "tag")
