"""The actor and the reason: one printable line each, on every machine."""

import getpass
import os
import socket

import pytest

from ml.core.errors import UsageError
from ml.release.actor import actor, require_line


@pytest.fixture(autouse=True)
def _host(monkeypatch):
    monkeypatch.delenv("JUKEBOX_ACTOR", raising=False)
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


@pytest.mark.parametrize(
    ("user", "system", "expected"),
    [
        ("ada", "bob", "ada@laptop"),
        ("", "ada", "ada@laptop"),
        ("", KeyError("getpwuid(): uid not found: 1000"), f"uid {os.getuid()}@laptop"),
        ("", OSError("No username set"), f"uid {os.getuid()}@laptop"),
        ("a\nb\udcff" + "x" * 300, "", "a?b?" + "x" * 196),
    ],
)
def test_a_person_is_user_at_host(monkeypatch, user, system, expected):
    def getuser():
        if isinstance(system, Exception):
            raise system
        return system

    monkeypatch.setenv("USER", user)
    monkeypatch.setattr(getpass, "getuser", getuser)
    assert actor() == expected


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a" * 201, "half \udc80"])
def test_what_is_not_one_line_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("JUKEBOX_ACTOR", text)
    with pytest.raises(UsageError, match="JUKEBOX_ACTOR: give one printable line of at most 200"):
        actor()
    with pytest.raises(UsageError, match="--reason: give one printable line"):
        require_line("--reason", text)


def test_a_line_may_have_200_characters_of_any_language(monkeypatch):
    for text, line in (("å" * 200, "å" * 200), (" why ", "why"), ("", "")):
        assert require_line("--reason", text) == line
    monkeypatch.setenv("JUKEBOX_ACTOR", "team-a/jukebox-train-x7k2p")
    assert actor() == "team-a/jukebox-train-x7k2p"
