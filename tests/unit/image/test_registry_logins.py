"""Credentials: the forms of Docker's configuration, the cluster's token, and CA files."""

import base64
import json

import pytest
import trustme
from registries import DIGEST, LOGIN, NAME, TAG, digest_at, encoded

from ml.core.errors import UsageError
from ml.image.logins import read_logins, registry_logins, require_certificates

HOSTS = {
    "registry.example:5000": "registry.example:5000",
    "https://registry.example": "registry.example",
    "https://registry.example/v1/": "registry.example",
    "https://registry.example:5000/v2/": "registry.example:5000",
    "http://registry.example/": "registry.example",
    "quay.example/team": "quay.example/team",
}
PAIR = dict(zip(("username", "password"), LOGIN.split(":"), strict=True))
ENTRIES = [{"auth": encoded()}, PAIR, {"auth": "", **PAIR}, {"auth": encoded(), **PAIR, "password": "else"}]
NO_ENTRIES = ["canary", {"username": "canary"}, {"identitytoken": "canary"}]
NO_ENTRIES += [{"auth": auth} for auth in ("canary!", encoded("canary"), encoded() + "\n", 7)]
NO_FILES = ["", "canary", "[]", '"canary"', "[" * 100_000, {"auths": []}, {"auths": "canary"}]


@pytest.fixture
def logins(tmp_path):
    def read(content) -> dict[str, str]:
        (tmp_path / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return read_logins(tmp_path / "config.json")

    return read


def test_the_forms_of_a_configuration(logins, tmp_path):
    assert read_logins(None) == read_logins(tmp_path / "none") == read_logins(tmp_path) == {}
    for empty in ({}, {"auths": {}}, {"auths": {"r.example": {}}, "credsStore": "x"}):
        assert logins(empty) == {}
    for name, host in HOSTS.items():
        assert logins({"auths": {name: {"auth": encoded()}}}) == {host: encoded()}
    for entry in ENTRIES:
        assert logins({"auths": {"r.example": entry}, "other": 1}) == {"r.example": encoded()}


def test_a_password_beyond_ascii_is_valid_in_a_header(logins, double):
    known = logins({"auths": {double.host: {"username": "é", "password": "pass:wörd"}}})
    assert base64.b64decode(known[double.host]).decode() == "é:pass:wörd"
    double.hold(NAME, TAG)
    assert digest_at(double.host, logins=known) == DIGEST


@pytest.mark.parametrize("content", [*NO_FILES, *({"auths": {"r.example": entry}} for entry in NO_ENTRIES)])
def test_a_file_that_is_not_valid_is_refused_and_not_quoted(logins, content):
    with pytest.raises(UsageError, match=r"config\.json: not a Docker configuration with logins") as caught:
        logins(content)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("image-registry.openshift-image-registry.svc:5000", True),
        ("registry.tools.svc", True),
        ("registry.tools.svc.cluster.local:5000", True),
        ("registry.tools.svc.example.com", False),
        ("svc.example.com", False),
        ("registry.example", False),
    ],
)
def test_the_clusters_token_is_for_registries_of_the_cluster_without_a_login(logins, tmp_path, host, sent):
    (tmp_path / "token").write_text("canary\n")
    config, name = tmp_path / "config.json", f"{host}/team/jukebox"
    logins_of_token = {host: encoded("jukebox:canary")} if sent else {}
    assert registry_logins(config, tmp_path / "token", name) == logins_of_token
    assert registry_logins(config, tmp_path / "none", name) == registry_logins(config, None, name) == {}
    logins({"auths": {host: {"auth": encoded()}}})
    assert registry_logins(config, tmp_path / "token", name) == {host: encoded()}


def test_a_file_without_certificates_is_refused(tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    require_certificates(tmp_path / "ca.pem")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_text("")
    for name in ("text", "empty", "none", "."):
        with pytest.raises(UsageError, match=r"--ca .*: cannot be read; give a file of PEM certificates"):
            require_certificates(tmp_path / name)
