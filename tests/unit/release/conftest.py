"""Model stores to test with: a folder, and a bucket behind a real S3 API on loopback; and a trust root."""

import uuid

import pytest
import requests
from attestations import trust_file
from moto.server import ThreadedMotoServer
from tiers import sampled

from ml.release.store import ModelStore
from ml.release.trust import read_trust


@pytest.fixture(autouse=True)
def _no_head(monkeypatch):
    monkeypatch.delenv("JUKEBOX_HEAD", raising=False)


@pytest.fixture(scope="session")
def s3_endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    requests.put(f"{endpoint}/models", timeout=10).raise_for_status()
    yield endpoint
    server.stop()


@pytest.fixture
def folder(tmp_path):
    """A store in a folder."""
    return ModelStore(str(tmp_path / "store"), create=True)


@pytest.fixture
def bucket(s3_endpoint, monkeypatch):
    """A store in a bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return ModelStore(f"s3://models/{uuid.uuid4().hex}")


@pytest.fixture(params=sampled(["folder", "s3"], ["folder"]))
def store(request):
    """A store in a folder, and in the slow tier one in a bucket; `test_store_on_s3` is in both."""
    return request.getfixturevalue("folder" if request.param == "folder" else "bucket")


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """A signing key, and the trust root that holds its public part."""
    key, trust = trust_file(tmp_path_factory.mktemp("keys"))
    return key, read_trust(trust)
