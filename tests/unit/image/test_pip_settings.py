"""What a build is given to reach pip's index with: this machine's settings, but for its paths."""

import configparser
import os

import pytest

from ml.core.errors import UsageError
from ml.image.pip_settings import CA_IN_BUILD, pip_secrets, pip_settings


@pytest.fixture(autouse=True)
def plain_pip(tmp_path, monkeypatch):
    """A pip with no settings but those of a test, and what /etc/pip.conf may hold."""
    for name in ("HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))


@pytest.fixture
def pip_conf(tmp_path, monkeypatch):
    def write(*lines: str) -> None:
        path = tmp_path / "pip.conf"
        path.write_text("\n".join(["[global]", *lines, ""]))
        monkeypatch.setenv("PIP_CONFIG_FILE", str(path))

    return write


def settings() -> dict[str, str]:
    """Read what a build would, as pip does."""
    parser = configparser.RawConfigParser()
    parser.read_string(pip_settings()[0])
    assert parser.sections() == ["global"]
    return dict(parser["global"])


def has(**expected: str) -> bool:
    return {name.replace("_", "-"): value for name, value in expected.items()}.items() <= settings().items()


def test_nothing_is_made_up(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert pip_settings() == ("", None)


def test_a_file_is_passed_on(pip_conf):
    pip_conf("index-url = https://pypi.example/simple", "trusted-host = a.example b.example", "retries = 7")
    assert has(index_url="https://pypi.example/simple", trusted_host="a.example b.example", retries="7")


def test_a_variable_goes_before_a_file(pip_conf, monkeypatch):
    pip_conf("index-url = https://file.example/simple", "proxy = http://proxy.example")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example/simple")
    assert has(index_url="https://variable.example/simple", proxy="http://proxy.example")


def test_a_blank_variable_is_none(pip_conf, monkeypatch):
    pip_conf("index-url = https://file.example/simple", "cert = /etc/ca.pem")
    monkeypatch.setenv("PIP_INDEX_URL", "")
    monkeypatch.setenv("PIP_CERT", "")
    assert settings()["index-url"] == "https://file.example/simple"
    assert pip_settings()[1] == "/etc/ca.pem"


def test_pips_chatter_is_no_setting(pip_conf, monkeypatch):
    pip_conf("index-url = https://file.example/simple")
    monkeypatch.setenv("PIP_VERBOSE", "1")
    assert has(index_url="https://file.example/simple")


def test_an_index_in_a_folder_is_dropped_and_the_others_stay(pip_conf):
    pip_conf(
        "index-url = file:///opt/pypi", "extra-index-url = https://a.example", "  file:///x https://b.example"
    )
    assert has(extra_index_url="https://a.example https://b.example")
    assert "index-url" not in settings()


def test_paths_of_this_machine_are_dropped(pip_conf):
    pip_conf(
        "find-links = /opt/wheels", "constraint = /etc/constraints.txt", "cache-dir = /cache", "timeout = 9"
    )
    assert has(timeout="9")
    assert not {"find-links", "constraint", "cache-dir"} & set(settings())


def test_a_password_is_kept_to_the_letter(pip_conf, monkeypatch):
    url = "https://someone:p%40ss#;%25w0rd@pypi.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", url)
    assert settings()["index-url"] == url
    monkeypatch.delenv("PIP_INDEX_URL")
    pip_conf(f"index-url = {url}")
    assert settings()["index-url"] == url


def test_a_ca_is_named_as_the_build_has_it_and_returned_as_this_machine_has_it(pip_conf, monkeypatch):
    pip_conf("cert = /etc/file.pem")
    assert has(cert=CA_IN_BUILD)
    assert pip_settings()[1] == "/etc/file.pem"
    monkeypatch.setenv("PIP_CERT", "/etc/variable.pem")
    assert pip_settings()[1] == "/etc/variable.pem"


@pytest.mark.parametrize(("cert", "place"), [("ca.pem", "here"), ("~/ca.pem", "nothing")])
def test_the_path_of_a_ca_means_the_same_in_another_folder(tmp_path, monkeypatch, cert, place):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PIP_CERT", cert)
    assert pip_settings()[1] == str(tmp_path / place / "ca.pem")


def test_what_is_said_of_installing_goes_before_what_is_said_of_all(pip_conf):
    pip_conf(
        "index-url = https://all.example/simple", "[install]", "index-url = https://install.example/simple"
    )
    assert has(index_url="https://install.example/simple")


def test_the_variable_that_requests_reads_is_a_ca_too(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ca.pem")
    assert pip_settings()[1] == "/etc/ca.pem"


def test_without_settings_a_build_is_given_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert pip_secrets(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_ca_that_is_not_there_and_a_pip_that_says_nothing_are_refused(tmp_path, pip_conf, monkeypatch):
    monkeypatch.setenv("PIP_CERT", "/nowhere/ca.pem")
    with pytest.raises(UsageError, match=r"pip's CA file /nowhere/ca\.pem cannot be read: No such file"):
        pip_secrets(tmp_path)
    pip_conf("index-url")
    with pytest.raises(UsageError, match="`pip config list` failed"):
        pip_secrets(tmp_path)
