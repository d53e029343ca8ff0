"""A server, and a client that returns raw responses, for the double's own tests."""

import pytest

from dspa_server import Dspa, serving
from dspa_server.samples import Api, compiled


@pytest.fixture(scope="module")
def ir(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("ir"))


@pytest.fixture
def dspa():
    with serving(Dspa()) as served:
        yield served


@pytest.fixture
def api(dspa, ir):
    return Api(dspa, ir)
