"""Credentials: the forms of Docker's configuration, the cluster's token, and CA files."""

import json

import pytest
import trustme
from registries import LOGIN, encoded

from ml.core.errors import UsageError
from ml.image.logins import read_logins, registry_logins, require_certificates

HOSTS = {"r.example:5000": "r.example:5000", "https://r.example:5000/v1/": "r.example:5000"}
HOSTS |= {"http://r.example/v2": "r.example", "http://r.example/": "r.example", "q.io/team": "q.io/team"}
PAIR = dict(zip(("username", "password"), LOGIN.split(":"), strict=True))
BEYOND_ASCII = {"username": "é", "password": "pass:wörd"}
NO_ENTRIES = [7, "canary", {"username": "canary"}, *({"auth": x} for x in ("canary!", encoded("canary"), 7))]
NO_FILES = ["canary", "[]", "[" * 100_000, {"auths": []}]


@pytest.fixture
def logins(tmp_path):
    def read(content) -> dict[str, str]:
        (tmp_path / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return read_logins(tmp_path / "config.json")

    return read


def test_the_forms_of_a_configuration(logins, tmp_path):
    assert read_logins(None) == read_logins(tmp_path / "none") == {}
    for empty in ({}, {"auths": {"r.example": {}}, "credsStore": "x"}):
        assert logins(empty) == {}
    for name, host in HOSTS.items():
        assert logins({"auths": {name: {"auth": encoded()}}}) == {host: encoded()}
    for entry in (PAIR, {"auth": "", **PAIR}, {"auth": encoded(), **PAIR, "password": "else"}):
        assert logins({"auths": {"r.example": entry}, "other": 1}) == {"r.example": encoded()}
    assert logins({"auths": {"r.example": BEYOND_ASCII}}) == {"r.example": encoded("é:pass:wörd")}


@pytest.mark.parametrize("content", [*NO_FILES, *({"auths": {"r.example": entry}} for entry in NO_ENTRIES)])
def test_a_file_that_is_not_valid_is_refused_and_not_quoted(logins, content):
    with pytest.raises(UsageError, match=r"config\.json: not a Docker configuration with logins") as caught:
        logins(content)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


SERVICES = ["image-registry.openshift-image-registry.svc:5000", "registry.tools.svc.cluster.local"]


@pytest.mark.parametrize("host", [*SERVICES, "registry.tools.svc.example.com", "svc.example.com"])
def test_the_clusters_token_is_for_registries_of_the_cluster_without_a_login(logins, tmp_path, host):
    (tmp_path / "token").write_text("canary\n")
    config, name = tmp_path / "config.json", f"{host}/team/jukebox"
    logins_of_token = {host: encoded("jukebox:canary")} if host in SERVICES else {}
    assert registry_logins(config, tmp_path / "token", name) == logins_of_token
    assert registry_logins(config, tmp_path / "none", name) == registry_logins(config, None, name) == {}
    logins({"auths": {host: {"auth": encoded()}}})
    assert registry_logins(config, tmp_path / "token", name) == {host: encoded()}


def test_a_file_without_certificates_is_refused(tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    require_certificates(tmp_path / "ca.pem")
    (tmp_path / "text").write_text("hello")
    for name in ("text", "none"):
        with pytest.raises(UsageError, match=r"--ca .*: cannot be read; give a file of PEM certificates"):
            require_certificates(tmp_path / name)
