"""An environment without AWS_* variables, a private CA, and servers of S3 on loopback."""

import os
from datetime import timedelta

import pytest
import trustme
from obstore.exceptions import BaseError
from servers import Site, s3_server, serving

import ml.storage.s3
from ml.core.environment import clean_environment
from ml.storage.explain import explain
from ml.storage.objects import open_folder


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No AWS_* variables of this machine, no metadata service, and only short waits."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(ml.storage.s3, "RETRY", {"max_retries": 1, "retry_timeout": timedelta(seconds=1)})


@pytest.fixture
def variables(monkeypatch):
    """Set variables, and clean the environment as the command and each step do."""

    def set_and_clean(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        clean_environment()

    return set_and_clean


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def s3():
    with s3_server() as environment:
        yield environment["AWS_ENDPOINT_URL"]


@pytest.fixture
def bundle(ca, tmp_path):
    """A PEM file with the private CA after another one."""
    path = tmp_path / "ca.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes() + ca.cert_pem.bytes())
    return str(path)


@pytest.fixture
def asked():
    """A server that has no object and remembers how it was asked."""
    with serving(Site()) as site:
        yield site


@pytest.fixture
def get():
    """Ask for an object of a bucket."""
    return lambda uri="s3://bucket/folder": open_folder(uri).get("none")


@pytest.fixture
def headers(asked, get):
    """Ask for an object that is not there; return the headers of the request."""

    def ask(uri="s3://bucket/folder"):
        with pytest.raises(FileNotFoundError):
            get(uri)
        return asked.headers[-1]

    return ask


@pytest.fixture
def said():
    """Return the one line that a failing operation is explained with."""

    def explained(action, *arguments) -> str:
        with pytest.raises(BaseError) as caught:
            action(*arguments)
        line = explain(caught.value)
        assert not set("\n<") & set(line)
        assert "s3cr3t" not in line
        return line

    return explained
