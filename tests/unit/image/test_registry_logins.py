"""Logins of Docker's configuration: their forms, and whom they are for."""

import base64
import json

import pytest
from registries import (
    DIGEST,
    NAME,
    PASSWORD,
    TAG,
    ask,
    encoded,
)

from ml.core.errors import UsageError
from ml.image.logins import read_logins, registry_logins


def logins(tmp_path, text) -> dict[str, str]:
    path = tmp_path / "config.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return read_logins(path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("registry.example", "registry.example"),
        ("registry.example:5000", "registry.example:5000"),
        ("https://registry.example", "registry.example"),
        ("https://registry.example/v1/", "registry.example"),
        ("https://registry.example:5000/v2/", "registry.example:5000"),
        ("http://registry.example/", "registry.example"),
        ("quay.example/team", "quay.example/team"),
    ],
)
def test_the_names_of_registries(tmp_path, name, place):
    assert logins(tmp_path, {"auths": {name: {"auth": encoded()}}}) == {place: encoded()}


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": encoded()},
        {"username": "robot", "password": PASSWORD},
        {"auth": "", "username": "robot", "password": PASSWORD},
        {"auth": encoded(), "username": "someone", "password": "else", "email": "a@example.org"},
    ],
)
def test_the_forms_of_a_login(tmp_path, entry):
    assert logins(tmp_path, {"auths": {"r.example": entry}, "other": 1}) == {"r.example": encoded()}


def test_a_password_beyond_ascii_is_fit_for_a_header(tmp_path, shelf):
    found = logins(tmp_path, {"auths": {shelf.host: {"username": "é", "password": "pass:wörd"}}})
    assert base64.b64decode(found[shelf.host]).decode() == "é:pass:wörd"
    shelf.hold(NAME, TAG)
    assert ask(shelf, found) == DIGEST


@pytest.mark.parametrize("text", [{}, {"auths": {}}, {"auths": {"r.example": {}}, "credsStore": "x"}])
def test_a_file_without_logins_has_none(tmp_path, text):
    assert logins(tmp_path, text) == {}


def test_without_a_file_there_are_none(tmp_path):
    assert read_logins(None) == {}
    assert read_logins(tmp_path / "none") == {}
    assert read_logins(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary",
        "[]",
        '"canary"',
        "[" * 100_000,
        {"auths": []},
        {"auths": "canary"},
        {"auths": {"r.example": "canary"}},
        {"auths": {"r.example": {"auth": "canary!"}}},
        {"auths": {"r.example": {"auth": encoded("canary")}}},
        {"auths": {"r.example": {"auth": 7}}},
        {"auths": {"r.example": {"auth": encoded() + "\n"}}},
        {"auths": {"r.example": {"username": "canary"}}},
        {"auths": {"r.example": {"identitytoken": "canary"}}},
    ],
)
def test_what_is_no_configuration_is_refused_and_not_quoted(tmp_path, text):
    with pytest.raises(UsageError, match=r"config\.json: not a Docker configuration with logins") as caught:
        logins(tmp_path, text)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_login_for_most_of_the_name_is_taken(shelf):
    shelf.hold(NAME, TAG)
    known = {f"{shelf.host}/{place}": encoded(f"of:{place}") for place in ("team", "team/jukebox", "tea")}
    for without, expected in (("", "team/jukebox"), ("team/jukebox", "team"), ("team", "")):
        known.pop(f"{shelf.host}/{without}", None)
        ask(shelf, {**known, shelf.host: encoded("of:")})
        assert shelf.asked[-1][1]["authorization"] == f"Basic {encoded(f'of:{expected}')}"


TOKEN = base64.b64encode(b"jukebox:canary").decode()


@pytest.mark.parametrize(
    ("host", "given"),
    [
        ("image-registry.openshift-image-registry.svc:5000", True),
        ("registry.tools.svc", True),
        ("registry.tools.svc.cluster.local:5000", True),
        ("registry.tools.svc.example.com", False),
        ("svc.example.com", False),
        ("registry.example", False),
    ],
)
def test_a_token_of_the_cluster_is_for_a_registry_of_the_cluster_alone(tmp_path, host, given):
    (tmp_path / "token").write_text("canary\n")
    found = registry_logins(tmp_path / "none.json", tmp_path / "token", f"{host}/team/jukebox")
    assert found == ({host: TOKEN} if given else {})


def test_a_login_of_ones_own_comes_before_a_token(tmp_path):
    (tmp_path / "token").write_text("canary")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.tools.svc": {"auth": encoded()}}}))
    found = registry_logins(tmp_path / "config.json", tmp_path / "token", "r.tools.svc/jukebox")
    assert found == {"r.tools.svc": encoded()}
    assert registry_logins(None, tmp_path / "none", "r.tools.svc/jukebox") == {}
