"""Where tables come from: named by --data, copied, versioned by content, and no secret told."""

import json
import re
from pathlib import Path

import obstore
import pandas as pd
import pytest
from obstore.store import S3Store
from servers import Site, closed_port, s3_server, serving
from spam import definition
from spam.tables import sample, uris, write

from ml.core.errors import DataError, PlatformError, UsageError
from ml.core.files import file_digest
from ml.data.sources import data_version, fetch, resolve_version
from ml.data.uris import describe_data, public_uri, table_uris

NAMES = ("votes", "messages")
GIVE = "give NAME=URI for each of the tables votes, messages"
ONCE = "give NAME=URI once for each of the tables votes, messages"
NONE = "0" * 16


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("tables"), sample(150))


@pytest.fixture
def site(files):
    with serving(Site({f"/{path.name}": path.read_bytes() for path in files.values()})) as site:
        yield site


def both(base: str, **changes: str) -> dict[str, str]:
    return {**{name: f"{base}/{name}.parquet" for name in NAMES}, **changes}


def fetched(folder: Path, where: dict[str, str], version: str = "") -> dict:
    """Fetch tables, and return what ``source.json`` says."""
    fetch(definition, where, version or data_version(definition, where), folder, folder / "source.json")
    return json.loads((folder / "source.json").read_bytes())


def version_of(uri: str) -> str:
    return resolve_version(definition, uri)


@pytest.mark.parametrize(
    ("names", "data", "expected"),
    [
        (NAMES, ["sample:9"], {"votes": "sample:9", "messages": "sample:9"}),
        (NAMES, ["s3://bucket/x/"], both("s3://bucket/x")),
        (NAMES, ["messages=a.csv", "votes=http://h/v"], {"votes": "http://h/v", "messages": "a.csv"}),
        (["digits"], ["x.PARQUET"], {"digits": "x.PARQUET"}),
        (["digits"], ["x.csv"], {"digits": "x.csv"}),
        (NAMES, ["x.parquet"], f"x.parquet: {GIVE}"),
        (NAMES, ["votes=a"], "names no messages: give NAME=URI for each table"),
        (NAMES, [], "names no votes and no messages: give NAME=URI for each table"),
        (NAMES, ["votes=a", "votes=b"], f"votes=b: {ONCE}"),
        (NAMES, ["votes=a", "other=b"], f"other=b: {ONCE}"),
        (NAMES, ["votes=a", "b"], f"b: {ONCE}"),
        (NAMES, ["votes=sample:"], "votes=sample:: the sample has all tables: give --data sample: alone"),
    ],
)
def test_data_names_each_table_once_or_is_refused(names, data, expected):
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=f"^--data {re.escape(expected)}$"):
            table_uris(names, data)
    else:
        assert list(table_uris(names, data).items()) == list(expected.items())


def test_files_are_copied_named_and_counted_and_a_csv_is_converted(tmp_path, files):
    csv = tmp_path / "my votes.csv"
    sample(150)["votes"].to_csv(csv, index=False)
    source = fetched(tmp_path, {"votes": csv.as_uri(), "messages": str(files["messages"])})
    assert (source["synthetic"], source["schema"]) == (False, "jukebox.source/v1")
    for name, uri, path in (
        ("votes", csv.as_uri(), csv),
        ("messages", str(files["messages"]), files["messages"]),
    ):
        about = {"uri": uri, "version": file_digest(path), "rows": len(sample(150)[name])}
        assert source["tables"][name] == about
    assert (tmp_path / "messages.parquet").read_bytes() == files["messages"].read_bytes()
    votes = pd.read_parquet(tmp_path / "votes.parquet")["verdict"]
    assert votes.fillna("").tolist() == sample(150)["votes"]["verdict"].fillna("").tolist()


def test_the_version_follows_from_the_content_of_each_table(tmp_path, files):
    before, copy = data_version(definition, uris(files)), tmp_path / "copy"
    for data, same in (
        (files["messages"].read_bytes(), True),
        (files["messages"].read_bytes() + b" ", False),
    ):
        copy.write_bytes(data)
        assert (data_version(definition, {**uris(files), "messages": str(copy)}) == before) == same
    turned = {"votes": str(files["messages"]), "messages": str(files["votes"])}
    assert data_version(definition, turned) != before
    with pytest.raises(DataError, match=r"asked for data version 0000000000000000, but reads [0-9a-f]{16};"):
        fetched(tmp_path, uris(files), NONE)
    assert not (tmp_path / "source.json").exists()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://{}/none.parquet", "^cannot read .*none.parquet: No such file or directory$"),
        ("{}", "^cannot read .*: it is a folder$"),
        ("{}/" + "x" * 300, "^cannot read .*: File name too long$"),
        ("ftp://user:hunter2@host/x.csv", "host/x.csv: the scheme 'ftp' is unknown; use a path, http"),
        ("http://", "is not a URL"),
        ("http://user:hunter2@[::1/x.csv", "is not a URL"),
        ("http://host:port/x.csv", "is not a URL"),
        ("sample:many", "^sample:many: not a sample: "),
    ],
)
def test_a_uri_that_cannot_be_used_is_wrong_use_also_where_the_file_went_before_it_is_copied(
    tmp_path, files, uri, message
):
    where = {**uris(files), "messages": uri.format(tmp_path)}
    asks = [lambda: version_of(where["messages"]), lambda: fetched(tmp_path, where, NONE)]
    for ask in asks[: 1 if uri.startswith("sample") else 2]:
        with pytest.raises(UsageError, match=message) as refused:
            ask()
        assert "hunter2" not in str(refused.value)


def test_the_sample_is_synthetic_and_has_all_tables(tmp_path, files):
    source = fetched(tmp_path, dict.fromkeys(NAMES, "sample:150,7"))
    assert source["synthetic"] is True
    about = {"rows": 150, "uri": "sample:150,7", "version": version_of("sample:150,7")}
    assert source["tables"]["messages"] == about
    assert version_of("sample:150,7") == version_of("sample:150") != version_of("sample:")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "messages.parquet"), sample(150)["messages"])
    for other in ("sample:100", str(files["messages"])):
        with pytest.raises(DataError, match=r"the sample has all tables"):
            fetched(tmp_path, {"votes": "sample:150", "messages": other})


@pytest.fixture(params=["http", "s3"])
def place(request, site, files, monkeypatch):
    """The URI of a folder with both tables on a server, and a function that changes a file there."""
    if request.param == "http":
        yield site.url, lambda name, data: site.files.update({f"/{name}": data})
        return
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        store = S3Store("bucket", prefix="tables", client_options={"allow_http": True})
        for path in files.values():
            obstore.put(store, path.name, path.read_bytes())
        yield "s3://bucket/tables", lambda name, data: obstore.put(store, name, data)


def test_tables_come_from_a_server_and_a_changed_or_missing_file_is_noticed(tmp_path, files, place):
    uri, put = place
    source = fetched(tmp_path, both(uri))
    for name, path in files.items():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert source["tables"][name]["uri"] == f"{uri}/{name}.parquet"
    before = version_of(f"{uri}/messages.parquet")
    assert version_of(f"{uri}/messages.parquet") == before != version_of(f"{uri}/votes.parquet")
    put("messages.parquet", b"other")
    assert version_of(f"{uri}/messages.parquet") != before
    where = both(uri, messages=f"{uri}/none.parquet")
    for ask in (lambda: data_version(definition, where), lambda: fetched(tmp_path, where, NONE)):
        with pytest.raises(UsageError, match=rf"^{uri}/none.parquet: there is no such (file|object)"):
            ask()


def test_a_server_that_does_not_answer_is_the_platforms_fault(tmp_path, place, monkeypatch):
    dead = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead)
    where = both(place[0] if place[0].startswith("s3") else dead)
    for ask in (lambda: data_version(definition, where), lambda: fetched(tmp_path, where, NONE)):
        with pytest.raises(PlatformError, match=rf"{where['votes']}: "):
            ask()


def test_the_etag_names_the_version_without_a_download_and_without_one_the_content(tmp_path, files, site):
    site.files["/copy.parquet"] = site.files["/messages.parquet"]
    versions = [version_of(f"{site.url}/{name}.parquet") for name in ("messages", "copy")]
    assert site.asked == ["HEAD /messages.parquet", "HEAD /copy.parquet"]
    # An ETag means nothing on another server; a signature that is rotated does not count.
    assert versions[0] != versions[1]
    assert version_of(f"{site.url}/messages.parquet?X-Amz-Signature=one") == versions[0]
    site.etags = False
    assert fetched(tmp_path, both(site.url))["data_version"] == data_version(definition, uris(files))
    assert version_of(f"{site.url}/messages.parquet") == file_digest(files["messages"])


def test_tables_that_change_or_break_off_meanwhile_are_refused(tmp_path, site):
    asked_for = data_version(definition, both(site.url))
    site.cut_off = True
    with pytest.raises(PlatformError, match=r"the download broke off"):
        fetched(tmp_path, both(site.url), asked_for)
    assert list(tmp_path.iterdir()) == []
    site.cut_off = False
    site.files["/messages.parquet"] = site.files["/votes.parquet"]
    with pytest.raises(DataError, match=r"the tables changed"):
        fetched(tmp_path, both(site.url), asked_for)


def test_redirects_and_servers_that_answer_only_get_are_read_and_a_status_says_whose_fault_it_is(
    tmp_path, files, site
):
    # A presigned URL of S3 is signed for GET: it answers 403 to HEAD.
    site.head_status = 403
    site.redirects["/latest"] = "/messages.parquet"
    fetched(tmp_path, both(site.url, messages=f"{site.url}/latest"))
    assert (tmp_path / "messages.parquet").read_bytes() == files["messages"].read_bytes()
    for status, kind, told in (
        (410, UsageError, r"votes.parquet: there is no such file \(HTTP 410\)$"),
        (503, PlatformError, "votes.parquet: the server answered HTTP 503$"),
    ):
        site.status = status
        with pytest.raises(kind, match=told):
            version_of(f"{site.url}/votes.parquet")


@pytest.mark.parametrize("secret", ["user:hunter2@{}", "{}?X-Amz-Signature=hunter2&x=1", "{}#hunter2"])
def test_no_secret_is_shown_or_written_and_what_holds_none_is_shown_as_it_is(tmp_path, site, secret):
    assert describe_data({"votes": "/ta#ble?.csv", "messages": "s3://b/x"}, "") == "/ta#ble?.csv, s3://b/x"
    assert describe_data(dict.fromkeys(NAMES, "sample:300"), "") == "the synthetic sample"
    plain = f"{site.url}/messages.parquet".removeprefix("http://")
    where, public = both(site.url, messages="http://" + secret.format(plain)), f"http://{plain}"
    fetched(tmp_path, where)
    assert "hunter2" not in (tmp_path / "source.json").read_text()
    assert describe_data(where, "") == f"{site.url}/votes.parquet, {public}"
    assert describe_data({}, where["messages"]) == public_uri(where["messages"]) == public
    port = site.url.rpartition(":")[2]
    for status, files, end in ((500, site.files, port), (200, {}, port), (200, {}, str(closed_port()))):
        site.status, site.head_status, site.files = status, status, files
        with pytest.raises((UsageError, PlatformError)) as error:
            version_of(where["messages"].replace(port, end))
        assert "hunter2" not in str(error.value)
