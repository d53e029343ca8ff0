"""One made-up model for all tests of this room."""

import pytest
from made_model import Made, make_model


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    return make_model(tmp_path_factory.mktemp("made"))
