import pytest
from forges import serving_forge


@pytest.fixture
def api():
    with serving_forge() as api:
        yield api
