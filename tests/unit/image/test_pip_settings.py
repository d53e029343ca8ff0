"""The pip settings that a build is given: this machine's settings without its paths."""

import configparser
import os

import pytest

from ml.core.errors import UsageError
from ml.image.pip_settings import CA_IN_BUILD, pip_secrets, pip_settings

FILE, VARIABLE = "https://file.example/simple", "https://variable.example/simple"
PASSWORD = "https://someone:p%40ss#;%25w0rd@pypi.example/simple"


@pytest.fixture(autouse=True)
def plain_pip(tmp_path, monkeypatch):
    """A pip without settings, but for /etc/pip.conf if there is one."""
    for name in ("HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def pip_conf(tmp_path, monkeypatch):
    def write(*lines: str) -> None:
        (tmp_path / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    return write


@pytest.mark.parametrize(
    ("lines", "variables", "settings"),
    [
        (["trusted-host = a.e b.e", "retries = 7"], {}, {"trusted-host": "a.e b.e", "retries": "7"}),
        (
            [f"index-url = {FILE}", "proxy = http://p.example"],
            {"PIP_INDEX_URL": VARIABLE},
            {"index-url": VARIABLE, "proxy": "http://p.example"},
        ),
        ([f"index-url = {FILE}", "[install]", f"index-url = {VARIABLE}"], {}, {"index-url": VARIABLE}),
        ([f"index-url = {FILE}"], {"PIP_INDEX_URL": "", "PIP_CERT": ""}, {"index-url": FILE}),
        ([f"index-url = {FILE}"], {"PIP_VERBOSE": "1"}, {"index-url": FILE}),
        (["index-url = file:///opt", "extra-index-url = https://a.e", "  file:///x"], {}, {"extra-index-url": "https://a.e"}),
        (["find-links = /opt", "constraint = /x.txt", "cache-dir = /cache", "timeout = 9"], {}, {"timeout": "9"}),
        ([f"index-url = {PASSWORD}"], {}, {"index-url": PASSWORD}),
        ([], {"PIP_INDEX_URL": PASSWORD}, {"index-url": PASSWORD}),
        (["cert = /etc/file.pem"], {}, {"cert": CA_IN_BUILD}),
    ],
    ids=["file", "variable first", "install first", "blank", "log", "folder", "paths", "password", "its variable", "CA"],
)
def test_a_build_reads_these_settings(pip_conf, monkeypatch, lines, variables, settings):
    pip_conf(*lines)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    parser = configparser.RawConfigParser()
    parser.read_string(pip_settings()[0])
    assert parser.sections() == ["global"]
    # /etc/pip.conf may add more.
    assert settings.items() <= dict(parser["global"]).items()
    dropped = {line.partition(" = ")[0] for line in lines} - settings.keys()
    assert not dropped & set(parser["global"])


def test_without_settings_a_build_is_given_nothing(tmp_path):
    assert pip_settings() == ("", None)
    assert pip_secrets(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_sources_of_a_ca(pip_conf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/requests.pem")
    assert pip_settings()[1] == "/etc/requests.pem"
    pip_conf("cert = /etc/file.pem")
    assert pip_settings()[1] == "/etc/file.pem"
    for cert, path in (("ca.pem", tmp_path / "ca.pem"), ("~/ca.pem", tmp_path / "nothing/ca.pem")):
        monkeypatch.setenv("PIP_CERT", cert)
        assert pip_settings()[1] == str(path)


def test_a_ca_that_is_missing_and_a_pip_that_fails_are_refused(tmp_path, pip_conf, monkeypatch):
    monkeypatch.setenv("PIP_CERT", "/nowhere/ca.pem")
    with pytest.raises(UsageError, match=r"pip's CA file /nowhere/ca\.pem cannot be read: No such file"):
        pip_secrets(tmp_path)
    pip_conf("index-url")
    with pytest.raises(UsageError, match="`pip config list` failed: "):
        pip_secrets(tmp_path)
