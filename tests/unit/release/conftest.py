"""Model stores to test with: a folder, and a bucket behind an S3 API on loopback; and a trust root."""

import os
import uuid

import pytest
from attestations import trust_file
from servers import s3_server

from ml.release.store import ModelStore
from ml.release.trust import read_trust


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AWS_", "JUKEBOX_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def connect(monkeypatch):
    """Set variables of the environment."""
    return lambda variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


@pytest.fixture(scope="session")
def s3_environment():
    with s3_server() as environment:
        yield environment


@pytest.fixture
def store(tmp_path):
    return ModelStore(str(tmp_path / "store"), create=True)


@pytest.fixture
def bucket(s3_environment, connect):
    connect(s3_environment)
    return ModelStore(f"s3://bucket/{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """A signing key, and the trust root with its public part."""
    key, trust = trust_file(tmp_path_factory.mktemp("keys"))
    return key, read_trust(trust)
