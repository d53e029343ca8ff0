"""The pip settings that a build is given: this machine's settings without its paths."""

import os

import pytest

from ml.core.errors import UsageError
from ml.image.pip_settings import CA_IN_BUILD, pip_secrets, pip_settings

FILE, OTHER = "https://file.example/simple", "https://other.example/simple"
PASSWORD = "https://someone:p%40ss#;%25w0rd@pypi.example/simple"
# The lines of pip.conf, the variables, the lines for the build.
CASES = {
    "file": (["trusted-host = a.e b.e", "retries = 7"], {}, ["trusted-host = a.e b.e", "retries = 7"]),
    "variable": ([f"index-url = {FILE}"], {"PIP_INDEX_URL": OTHER}, [f"index-url = {OTHER}"]),
    "install": ([f"index-url = {FILE}", "[install]", f"index-url = {OTHER}"], {}, [f"index-url = {OTHER}"]),
    "blank": ([f"index-url = {FILE}"], {"PIP_INDEX_URL": "", "PIP_CERT": ""}, [f"index-url = {FILE}"]),
    "log": ([f"index-url = {FILE}"], {"PIP_VERBOSE": "1"}, [f"index-url = {FILE}"]),
    "folder": (["index-url = file:///x", "extra-index-url = a", "  file:///x"], {}, ["extra-index-url = a"]),
    "paths": (["find-links = /x", "constraint = /x", "cache-dir = /x", "timeout = 9"], {}, ["timeout = 9"]),
    "password": ([f"index-url = {PASSWORD}"], {}, [f"index-url = {PASSWORD}"]),
    "its variable": ([], {"PIP_INDEX_URL": PASSWORD}, [f"index-url = {PASSWORD}"]),
    "CA": (["cert = /etc/file.pem"], {}, [f"cert = {CA_IN_BUILD}"]),
}


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


@pytest.mark.parametrize("case", CASES)
def test_a_build_is_given_these_settings(pip_conf, monkeypatch, case):
    lines, variables, expected = CASES[case]
    pip_conf(*lines)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    section, *given = pip_settings()[0].splitlines()
    assert section == "[global]"
    # /etc/pip.conf may add more.
    assert set(expected) <= set(given)
    names = [{line.partition(" = ")[0] for line in each} for each in (lines, expected, given)]
    assert names[0] & names[2] <= names[1]


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
