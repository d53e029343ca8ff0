"""A store that creates what is there already is refused before its first promotion."""

import pytest
from candidates import paths, put
from promotions import EVERYWHERE
from servers import s3_server

from ml.core.errors import PlatformError
from ml.release.promotion import promote
from ml.release.store import ModelStore


@pytest.fixture
def heedless(monkeypatch):
    """A store behind an S3 server that ignores If-None-Match, as some do."""
    with s3_server(ignores=("HTTP_IF_NONE_MATCH",)) as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        yield ModelStore("s3://bucket/heedless")


def test_a_store_that_ignores_it_is_refused_before_anything_is_promoted(heedless):
    candidate = put(heedless, policy=EVERYWHERE)
    before = paths(heedless.uri)
    with pytest.raises(PlatformError, match=r"ignores conditional writes \(If-None-Match: \*\)") as caught:
        promote(heedless, candidate, EVERYWHERE)
    assert caught.value.exit_code == 30
    assert paths(heedless.uri) == before


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_store_that_heeds_it_is_used_and_nothing_of_the_test_is_left(request, kind):
    store = request.getfixturevalue(kind)
    assert promote(store, put(store, policy=EVERYWHERE), EVERYWHERE).new
    assert not [path for path in paths(store.uri) if path.startswith("probe/")]
