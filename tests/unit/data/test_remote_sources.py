"""Sources elsewhere: HTTP and S3 give the tables, their version, and errors that say whose fault it is."""

import json
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from servers import Site, closed_port, s3_server, serving
from tables import Files, sample_tables, write_tables

from ml.core.errors import DataError, PlatformError, UsageError
from ml.core.files import file_digest
from ml.data.sources import data_version, fetch, resolve_version


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return write_tables(tmp_path_factory.mktemp("tables"), *sample_tables())


@pytest.fixture
def site(files):
    with serving(Site({f"/{path.name}": path.read_bytes() for path in files})) as site:
        yield site


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(s3, monkeypatch, files) -> S3Store:
    """The folder with both tables in a bucket."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    store = S3Store("bucket", prefix="charts", client_options={"allow_http": True})
    for path in files:
        obstore.put(store, path.name, path.read_bytes())
    return store


def _fetch(folder: Path, rankings: str, songs: str, version: str | None = None) -> dict:
    """Fetch two tables and return what ``source.json`` says."""
    targets = [folder / name for name in ("rankings.parquet", "songs.parquet", "source.json")]
    fetch(rankings, songs, version or data_version(rankings, songs), *targets)
    return json.loads(targets[2].read_bytes())


def _uris(base: str) -> tuple[str, str]:
    return f"{base}/rankings.parquet", f"{base}/songs.parquet"


def test_tables_come_over_http(tmp_path, files, site):
    source = _fetch(tmp_path, *_uris(site.url))
    assert (tmp_path / "rankings.parquet").read_bytes() == files.rankings.read_bytes()
    assert source["tables"]["songs"]["uri"] == f"{site.url}/songs.parquet"


def test_the_etag_names_the_version_without_a_download(site):
    before = resolve_version(f"{site.url}/songs.parquet")
    assert site.asked == ["HEAD /songs.parquet"]
    assert resolve_version(f"{site.url}/songs.parquet") == before
    site.files["/songs.parquet"] += b" "
    assert resolve_version(f"{site.url}/songs.parquet") != before


def test_an_etag_means_nothing_elsewhere(site):
    site.files["/copy.parquet"] = site.files["/songs.parquet"]
    assert resolve_version(f"{site.url}/copy.parquet") != resolve_version(f"{site.url}/songs.parquet")


def test_without_etag_the_content_names_the_version(tmp_path, files, site):
    site.etags = False
    assert resolve_version(f"{site.url}/songs.parquet") == file_digest(files.songs)
    assert _fetch(tmp_path, *_uris(site.url))["data_version"] == data_version(*map(str, files))


@pytest.mark.parametrize("etags", [True, False])
def test_data_that_changed_since_is_refused(tmp_path, site, etags):
    site.etags = etags
    asked_for = data_version(*_uris(site.url))
    site.files["/songs.parquet"] = site.files["/rankings.parquet"]
    with pytest.raises(DataError, match=r"the tables changed"):
        _fetch(tmp_path, *_uris(site.url), version=asked_for)


def test_a_redirect_is_followed(tmp_path, files, site):
    site.redirects["/latest"] = "/songs.parquet"
    _fetch(tmp_path, f"{site.url}/rankings.parquet", f"{site.url}/latest")
    assert (tmp_path / "songs.parquet").read_bytes() == files.songs.read_bytes()


@pytest.mark.parametrize("status", [403, 405])
def test_a_server_that_answers_only_get_is_read(tmp_path, site, status):
    """A presigned URL of S3 is signed for GET: it answers 403 to HEAD."""
    site.head_status = status
    _fetch(tmp_path, *_uris(site.url))


def test_a_missing_page_is_wrong_use(site):
    with pytest.raises(UsageError, match=r"none.parquet: there is no such file \(HTTP 404\)$"):
        resolve_version(f"{site.url}/none.parquet")


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_server_in_trouble_is_the_platforms_fault(tmp_path, site, status):
    site.status = site.head_status = status
    with pytest.raises(PlatformError, match=rf"the server answered HTTP {status}"):
        resolve_version(f"{site.url}/songs.parquet")


def test_a_refused_connection_is_the_platforms_fault():
    with pytest.raises(PlatformError, match=r"cannot reach http://127.0.0.1:[0-9]+/songs.parquet"):
        resolve_version(f"http://127.0.0.1:{closed_port()}/songs.parquet")


@pytest.mark.parametrize("etags", [True, False])
def test_a_download_that_breaks_off_leaves_nothing(tmp_path, site, etags):
    version = data_version(*_uris(site.url))
    site.cut_off, site.etags = True, etags
    with pytest.raises(PlatformError, match=r"the download broke off"):
        _fetch(tmp_path, *_uris(site.url), version=version)
    assert list(tmp_path.iterdir()) == []


def test_tables_come_from_s3(tmp_path, files, bucket):
    source = _fetch(tmp_path, *_uris("s3://bucket/charts"))
    assert (tmp_path / "rankings.parquet").read_bytes() == files.rankings.read_bytes()
    assert source["tables"]["songs"]["uri"] == "s3://bucket/charts/songs.parquet"


def test_a_changed_object_is_another_version(bucket):
    before = resolve_version("s3://bucket/charts/songs.parquet")
    assert resolve_version("s3://bucket/charts/songs.parquet") == before
    obstore.put(bucket, "songs.parquet", b"other")
    assert resolve_version("s3://bucket/charts/songs.parquet") != before


@pytest.mark.parametrize("uri", ["s3://bucket/charts/none.parquet", "s3://none/songs.parquet"])
def test_a_missing_object_is_wrong_use(bucket, uri):
    with pytest.raises(UsageError, match=rf"^{uri}: there is no such object$"):
        resolve_version(uri)


def test_an_s3_that_does_not_answer_is_the_platforms_fault(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(PlatformError, match=r"^s3://bucket/charts/songs.parquet: "):
        resolve_version("s3://bucket/charts/songs.parquet")
