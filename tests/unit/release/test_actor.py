"""The actor and the reason: one printable line each, on every machine."""

import getpass
import os
import socket
from unittest.mock import Mock

import pytest

from ml.core.errors import UsageError
from ml.release.actor import actor, require_line

NUMBER = f"uid {os.getuid()}@laptop"


@pytest.mark.parametrize(
    ("user", "system", "expected"),
    [
        ("ada", "bob", "ada@laptop"),
        ("", "ada", "ada@laptop"),
        ("", KeyError("getpwuid(): uid not found: 1000"), NUMBER),
        ("", OSError("No username set"), NUMBER),
        ("a\nb\udcff" + "x" * 300, "", "a?b?" + "x" * 196),
    ],
)
def test_a_person_is_user_at_host(monkeypatch, user, system, expected):
    monkeypatch.setenv("USER", user)
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    monkeypatch.setattr(getpass, "getuser", Mock(side_effect=[system]))
    assert actor() == expected


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a" * 201])
def test_what_is_not_one_line_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("JUKEBOX_ACTOR", text)
    with pytest.raises(UsageError, match="JUKEBOX_ACTOR: give one printable line of at most 200"):
        actor()


@pytest.mark.parametrize(("text", "line"), [("å" * 200, "å" * 200), (" why ", "why"), ("", "")])
def test_a_line_may_have_200_characters_of_any_language(text, line):
    assert require_line("--reason", text) == line
