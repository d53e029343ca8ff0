"""Who acts, and why: one printable line each, wherever it is run."""

import getpass
import os
import socket

import pytest

from ml.core.errors import UsageError
from ml.release.actor import actor, require_line


@pytest.fixture(autouse=True)
def _host(monkeypatch):
    monkeypatch.delenv("JUKEBOX_ACTOR", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


def test_a_person_is_user_at_host(monkeypatch):
    monkeypatch.setenv("USER", "ada")
    assert actor() == "ada@laptop"


def test_without_the_variable_the_system_is_asked(monkeypatch):
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert actor() == "ada@laptop"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 1000"), OSError("No username set")])
def test_a_user_without_a_name_is_a_number(monkeypatch, error):
    def nameless():
        raise error

    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    assert actor() == f"uid {os.getuid()}@laptop"


def test_a_name_that_cannot_be_printed_is_made_a_line(monkeypatch):
    monkeypatch.setenv("USER", "a\nb\udcff" + "x" * 300)
    assert actor().startswith("a?b?xxx")
    assert len(actor()) == 200


def test_a_pipeline_run_names_itself(monkeypatch):
    monkeypatch.setenv("JUKEBOX_ACTOR", "team-a/jukebox-train-x7k2p")
    assert actor() == "team-a/jukebox-train-x7k2p"


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a" * 201, "half \udc80"])
def test_what_is_no_line_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("JUKEBOX_ACTOR", text)
    with pytest.raises(UsageError, match="JUKEBOX_ACTOR: give one printable line of at most 200"):
        actor()
    with pytest.raises(UsageError, match="--reason: give one printable line"):
        require_line("--reason", text)


def test_a_line_may_have_200_characters_of_any_language():
    assert require_line("--reason", "å" * 200) == "å" * 200
    assert require_line("--reason", " why ") == "why"
    assert require_line("--reason", "") == ""
