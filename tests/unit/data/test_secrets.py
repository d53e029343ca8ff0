"""Secrets in URIs: passwords and signatures are used, and never shown or written."""

import pytest
from servers import Site, closed_port, serving
from tables import sample_tables, write_tables

from ml.core.errors import PlatformError, UsageError
from ml.data.sources import data_version, fetch, resolve_version
from ml.data.uris import public_uri

SECRET = "hunter2"
SECRETIVE = [
    "http://user:hunter2@127.0.0.1:{port}/songs.parquet",
    "http://127.0.0.1:{port}/songs.parquet?X-Amz-Signature=hunter2&x=1",
    "http://127.0.0.1:{port}/songs.parquet#hunter2",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("tables"), *sample_tables())


@pytest.fixture
def site(files):
    with serving(Site({f"/{path.name}": path.read_bytes() for path in files})) as site:
        yield site


@pytest.mark.parametrize("uri", SECRETIVE)
def test_a_public_uri_holds_no_secret(uri):
    assert public_uri(uri.format(port=80)) == "http://127.0.0.1:80/songs.parquet"


@pytest.mark.parametrize("uri", ["/data/so#ngs?.csv", "sample:songs=300", "s3://bucket/songs.parquet"])
def test_what_holds_no_secret_is_public_as_it_is(uri):
    assert public_uri(uri) == uri


@pytest.mark.parametrize("uri", SECRETIVE)
def test_no_secret_is_in_the_source(tmp_path, site, uri):
    uris = f"{site.url}/rankings.parquet", uri.format(port=site.url.rpartition(":")[2])
    targets = [tmp_path / name for name in ("rankings.parquet", "songs.parquet", "source.json")]
    fetch(*uris, data_version(*uris), *targets)
    assert SECRET not in targets[2].read_text()


@pytest.mark.parametrize("uri", SECRETIVE)
@pytest.mark.parametrize("trouble", ["closed", "missing", "failing"])
def test_no_secret_is_in_the_error_of_a_server(site, uri, trouble):
    site.status = site.head_status = 500 if trouble == "failing" else 200
    if trouble == "missing":
        site.files.clear()
    port = closed_port() if trouble == "closed" else site.url.rpartition(":")[2]
    with pytest.raises((UsageError, PlatformError)) as error:
        resolve_version(uri.format(port=port))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "uri", ["ftp://user:hunter2@127.0.0.1/songs.parquet", "http://user:hunter2@[::1/songs.parquet"]
)
def test_no_secret_is_in_the_error_of_a_wrong_uri(uri):
    with pytest.raises(UsageError) as error:
        resolve_version(uri)
    assert SECRET not in str(error.value)


def test_a_rotated_signature_is_the_same_version(site):
    signed = [f"{site.url}/songs.parquet?X-Amz-Signature={signature}" for signature in ("one", "two")]
    assert resolve_version(signed[0]) == resolve_version(signed[1])
