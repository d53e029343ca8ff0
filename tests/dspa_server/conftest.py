"""A server, and a client that returns raw responses, for the double's own tests."""

import pytest
import yaml
from kfp import compiler

from dspa_server import Dspa, serving
from dspa_server.samples import Api, two_steps


@pytest.fixture(scope="module")
def ir(tmp_path_factory):
    """The pipeline of two steps, as the body of a request has it."""
    path = tmp_path_factory.mktemp("ir") / "two-steps.yaml"
    compiler.Compiler().compile(two_steps, str(path))
    return dict(zip(("pipeline_spec", "platform_spec"), yaml.safe_load_all(path.read_text()), strict=True))


@pytest.fixture
def dspa():
    with serving(Dspa()) as served:
        yield served


@pytest.fixture
def api(dspa, ir):
    return Api(dspa, ir)
