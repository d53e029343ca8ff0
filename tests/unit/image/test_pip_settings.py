"""The pip settings that a build is given: this machine's settings without its paths."""

import os

import pytest

from ml.core.errors import UsageError
from ml.image.pip_settings import CA_IN_BUILD, pip_secrets, pip_settings

PASSWORD = "https://someone:p%40ss#;%25w0rd@pypi.example/simple"
CONF = f"""
[global]
index-url = https://other.example/simple
extra-index-url = a
  file:///no
trusted-host = a.e b.e
retries = 7
timeout = 9
proxy = file:///no
find-links = /no
cache-dir = /no
cert = /etc/file.pem
[install]
index-url = {PASSWORD}
"""
VARIABLES = {"PIP_TIMEOUT": "30", "PIP_RETRIES": "", "PIP_VERBOSE": "1"}
GIVEN = {f"index-url = {PASSWORD}", "extra-index-url = a", "trusted-host = a.e b.e", "retries = 7"}
GIVEN |= {"timeout = 30", f"cert = {CA_IN_BUILD}"}


@pytest.fixture(autouse=True)
def pip_conf(tmp_path, monkeypatch):
    """A pip without settings, but for /etc/pip.conf if there is one, until they are written."""
    for name in ("HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def write(text: str) -> None:
        (tmp_path / "pip.conf").write_text(text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    return write


def test_a_build_is_given_the_settings_of_files_and_variables_without_paths(pip_conf, monkeypatch):
    pip_conf(CONF)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    text, ca = pip_settings()
    section, *lines = text.splitlines()
    # /etc/pip.conf may add more.
    assert (section, set(lines) & GIVEN, ca) == ("[global]", GIVEN, "/etc/file.pem")
    assert "/no" not in text


def test_without_settings_a_build_is_given_the_ca_of_a_variable_if_there_is_one(tmp_path, monkeypatch):
    assert pip_settings() == ("", None)
    assert pip_secrets(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/requests.pem")
    assert pip_settings()[1] == "/etc/requests.pem"
    monkeypatch.chdir(tmp_path)
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
