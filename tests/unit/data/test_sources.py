"""Where tables come from: named by --data, copied, versioned by content, and no secret told."""

import json
import os
from pathlib import Path

import obstore
import pandas as pd
import pytest
from obstore.store import S3Store
from servers import Site, closed_port, s3_server, serving
from spam import definition
from spam.tables import sample, uris, write

from examples.digits import definition as digits
from ml.core.errors import DataError, PlatformError, UsageError
from ml.core.files import file_digest
from ml.data.preprocess import make_splits
from ml.data.sources import data_version, fetch, resolve_version
from ml.data.splits import SPLITS
from ml.data.uris import describe_data, public_uri, table_uris

TABLES = "the tables votes, messages"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("tables"), sample(150))


@pytest.fixture
def site(files):
    with serving(Site({f"/{path.name}": path.read_bytes() for path in files.values()})) as site:
        yield site


def both(base: str) -> dict[str, str]:
    return {name: f"{base}/{name}.parquet" for name in ("votes", "messages")}


def fetched(folder: Path, where: dict[str, str], version: str = "") -> dict:
    """Fetch tables, and return what ``source.json`` says."""
    fetch(definition, where, version or data_version(definition, where), folder, folder / "source.json")
    return json.loads((folder / "source.json").read_bytes())


def version_of(uri: str) -> str:
    return resolve_version(definition, uri)


@pytest.mark.parametrize(
    ("problem", "data", "expected"),
    [
        (definition, ["sample:9"], {"votes": "sample:9", "messages": "sample:9"}),
        (definition, ["/data"], both("/data")),
        (definition, ["s3://bucket/x/"], both("s3://bucket/x")),
        (definition, ["messages=a.csv", "votes=http://h/v?x=1"],
         {"votes": "http://h/v?x=1", "messages": "a.csv"}),
        (digits, ["x.csv"], {"digits": "x.csv"}),
        (digits, ["x.PARQUET"], {"digits": "x.PARQUET"}),
        (digits, ["x"], {"digits": "x/digits.parquet"}),
    ],
)  # fmt: skip
def test_data_names_each_table(problem, data, expected):
    assert list(table_uris(list(problem.TABLES), data).items()) == list(expected.items())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["x.parquet"], f"--data x.parquet: give NAME=URI for each of {TABLES}"),
        (["x.CSV"], f"--data x.CSV: give NAME=URI for each of {TABLES}"),
        (["votes=a"], "--data names no messages: give NAME=URI for each table"),
        ([], "--data names no votes and no messages: give NAME=URI for each table"),
        (["votes=a", "votes=b"], f"--data votes=b: give NAME=URI once for each of {TABLES}"),
        (["votes=a", "other=b"], f"--data other=b: give NAME=URI once for each of {TABLES}"),
        (["votes=a", "b"], f"--data b: give NAME=URI once for each of {TABLES}"),
        (["votes=sample:", "messages=a"],
         "--data votes=sample:: the sample has all tables: give --data sample: alone"),
    ],
)  # fmt: skip
def test_data_that_does_not_name_each_table_once_is_refused(data, message):
    with pytest.raises(UsageError) as refused:
        table_uris(list(definition.TABLES), data)
    assert str(refused.value) == message


def test_files_are_copied_named_and_counted(tmp_path, files):
    source = fetched(tmp_path, uris(files))
    for name, path in files.items():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        table = {"uri": str(path), "version": file_digest(path), "rows": len(pd.read_parquet(path))}
        assert source["tables"][name] == table
    assert (source["synthetic"], source["schema"]) == (False, "jukebox.source/v1")


def test_the_version_follows_from_the_content_of_each_table(tmp_path, files):
    copies = write(tmp_path, {name: pd.read_parquet(path) for name, path in files.items()})
    for name, path in copies.items():
        path.write_bytes(files[name].read_bytes())
    before = data_version(definition, uris(files))
    assert before == data_version(definition, uris(copies))
    turned = {"votes": str(files["messages"]), "messages": str(files["votes"])}
    assert data_version(definition, turned) != before
    copies["messages"].write_bytes(copies["messages"].read_bytes() + b" ")
    assert data_version(definition, uris(copies)) != before


def test_a_file_uri_is_its_path(tmp_path):
    (tmp_path / "my table.csv").write_text("message\na\n")
    digest = file_digest(tmp_path / "my table.csv")
    assert (
        version_of((tmp_path / "my table.csv").as_uri()) == version_of(f"{tmp_path}/my table.csv") == digest
    )


def test_another_version_than_the_one_asked_for_is_refused(tmp_path, files):
    with pytest.raises(DataError, match=r"asked for data version 0000000000000000, but reads [0-9a-f]{16};"):
        fetched(tmp_path, uris(files), version="0" * 16)
    assert not (tmp_path / "source.json").exists()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("{}/none.parquet", "^cannot read .*none.parquet: No such file or directory$"),
        ("file://{}/none.parquet", "^cannot read .*none.parquet: No such file or directory$"),
        ("{}", "^cannot read .*: it is a folder$"),
        ("{}/" + "x" * 300, "^cannot read .*: File name too long$"),
        ("ftp://host/x.csv", "the scheme 'ftp' is unknown; use a path, http"),
        ("http://", "is not a URL"),
        ("http://[::1/x.csv", "is not a URL"),
        ("http://host:port/x.csv", "is not a URL"),
        ("sample:many", "^sample:many: not a sample: "),
    ],
)
def test_a_uri_that_cannot_be_used_is_wrong_use(tmp_path, uri, message):
    with pytest.raises(UsageError, match=message):
        version_of(uri.format(tmp_path))


def test_a_file_without_permission_is_wrong_use(tmp_path):
    (tmp_path / "x.csv").touch(mode=0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(UsageError, match=r"^cannot read .*: Permission denied$"):
            version_of(str(tmp_path / "x.csv"))
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_goes_before_it_is_copied_is_wrong_use(tmp_path, files):
    with pytest.raises(UsageError, match=r"^cannot read .*gone.parquet: No such file"):
        fetched(tmp_path, {**uris(files), "messages": f"{tmp_path}/gone.parquet"}, version="0" * 16)


def test_the_sample_is_synthetic(tmp_path):
    source = fetched(tmp_path, dict.fromkeys(("votes", "messages"), "sample:150,7"))
    assert source["synthetic"] is True
    assert source["tables"]["messages"] == {
        "rows": 150,
        "uri": "sample:150,7",
        "version": version_of("sample:150,7"),
    }
    assert version_of("sample:150,7") == version_of("sample:150") != version_of("sample:")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "messages.parquet"), sample(150)["messages"])


@pytest.mark.parametrize("other", ["sample:100", "{}"])
def test_half_a_sample_is_refused(tmp_path, files, other):
    with pytest.raises(DataError, match=r"the sample has all tables"):
        fetched(tmp_path, {"votes": "sample:150", "messages": other.format(files["messages"])})


def test_csv_and_parquet_give_the_same_splits(tmp_path, files):
    tables = sample(150)
    as_csv = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, path in as_csv.items():
        tables[name].to_csv(path, index=False)
    made = []
    for kind, paths in (("csv", as_csv), ("parquet", files)):
        folder = tmp_path / kind
        fetched(folder, uris(paths))
        copies = {name: folder / f"{name}.parquet" for name in tables}
        targets = {name: folder / f"{name}.split" for name in SPLITS}
        make_splits(definition, copies, targets, folder / "labels.json")
        made.append([path.read_bytes() for path in (folder / "labels.json", *targets.values())])
    assert made[0] == made[1]


@pytest.fixture(scope="module")
def s3(files):
    with s3_server() as environment:
        yield environment


@pytest.fixture(params=["http", "s3"])
def place(request, site, files, monkeypatch):
    """The URI of a folder with both tables on a server, and a function that changes a file there."""
    if request.param == "http":
        yield site.url, lambda name, data: site.files.update({f"/{name}": data})
        return
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    store = S3Store("bucket", prefix="tables", client_options={"allow_http": True})
    for path in files.values():
        obstore.put(store, path.name, path.read_bytes())
    yield "s3://bucket/tables", lambda name, data: obstore.put(store, name, data)


def test_tables_come_from_a_server(tmp_path, files, place):
    source = fetched(tmp_path, both(place[0]))
    for name, path in files.items():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert source["tables"][name]["uri"] == f"{place[0]}/{name}.parquet"


def test_a_changed_file_on_a_server_is_another_version_and_a_missing_one_wrong_use(tmp_path, place):
    uri, put = place
    before = version_of(f"{uri}/messages.parquet")
    assert version_of(f"{uri}/messages.parquet") == before != version_of(f"{uri}/votes.parquet")
    put("messages.parquet", b"other")
    assert version_of(f"{uri}/messages.parquet") != before
    where = {**both(uri), "messages": f"{uri}/none.parquet"}
    with pytest.raises(UsageError, match=rf"^{where['messages']}: there is no such (file|object)"):
        data_version(definition, where)
    with pytest.raises(UsageError, match=rf"^{where['messages']}: there is no such (file|object)"):
        fetched(tmp_path, where, version="0" * 16)


def test_a_server_that_does_not_answer_is_the_platforms_fault(tmp_path, place, monkeypatch):
    dead = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead)
    uri = place[0] if place[0].startswith("s3") else dead
    for ask in (lambda: data_version(definition, both(uri)), lambda: fetched(tmp_path, both(uri), "0" * 16)):
        with pytest.raises(PlatformError, match=rf"{uri}/votes.parquet: "):
            ask()


def test_the_etag_names_the_version_without_a_download_and_only_with_its_address(site):
    site.files["/copy.parquet"] = site.files["/messages.parquet"]
    versions = {version_of(f"{site.url}/{name}.parquet") for name in ("messages", "copy")}
    assert len(versions) == 2
    assert site.asked == ["HEAD /messages.parquet", "HEAD /copy.parquet"]


def test_without_etag_the_content_names_the_version(tmp_path, files, site):
    site.etags = False
    assert version_of(f"{site.url}/messages.parquet") == file_digest(files["messages"])
    assert fetched(tmp_path, both(site.url))["data_version"] == data_version(definition, uris(files))


@pytest.mark.parametrize("etags", [True, False])
def test_tables_that_change_or_break_off_meanwhile_are_refused(tmp_path, site, etags):
    site.etags = etags
    asked_for = data_version(definition, both(site.url))
    site.cut_off = True
    with pytest.raises(PlatformError, match=r"the download broke off"):
        fetched(tmp_path, both(site.url), version=asked_for)
    assert list(tmp_path.iterdir()) == []
    site.cut_off = False
    site.files["/messages.parquet"] = site.files["/votes.parquet"]
    with pytest.raises(DataError, match=r"the tables changed"):
        fetched(tmp_path, both(site.url), version=asked_for)


@pytest.mark.parametrize("head_status", [200, 403, 405])
def test_redirects_and_servers_that_answer_only_get_are_read(tmp_path, files, site, head_status):
    """A presigned URL of S3 is signed for GET: it answers 403 to HEAD."""
    site.head_status = head_status
    site.redirects["/latest"] = "/messages.parquet"
    fetched(tmp_path, {**both(site.url), "messages": f"{site.url}/latest"})
    assert (tmp_path / "messages.parquet").read_bytes() == files["messages"].read_bytes()


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (410, UsageError, r"messages.parquet: there is no such file \(HTTP 410\)$"),
        (401, PlatformError, "the server answered HTTP 401"),
        (503, PlatformError, "the server answered HTTP 503"),
    ],
)
def test_the_status_says_whose_fault_it_is(site, status, kind, message):
    site.status = site.head_status = status
    with pytest.raises(kind, match=message):
        version_of(f"{site.url}/messages.parquet")


SECRETIVE = [
    "http://user:hunter2@127.0.0.1:{port}/messages.parquet",
    "http://127.0.0.1:{port}/messages.parquet?X-Amz-Signature=hunter2&x=1",
    "http://127.0.0.1:{port}/messages.parquet#hunter2",
]


@pytest.mark.parametrize("uri", SECRETIVE)
def test_no_secret_is_shown_or_written(tmp_path, site, uri):
    port = site.url.rpartition(":")[2]
    where = {**both(site.url), "messages": uri.format(port=port)}
    public = f"{site.url}/messages.parquet"
    assert public_uri(where["messages"]) == public
    fetched(tmp_path, where)
    assert "hunter2" not in (tmp_path / "source.json").read_text()
    assert describe_data(where, "") == f"{site.url}/votes.parquet, {public}"
    assert describe_data({}, where["messages"]) == public
    for trouble in ("failing", "missing", "closed"):
        site.status = site.head_status = 500 if trouble == "failing" else 200
        site.files.clear()
        with pytest.raises((UsageError, PlatformError)) as error:
            version_of(uri.format(port=closed_port() if trouble == "closed" else port))
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "uri", ["ftp://user:hunter2@127.0.0.1/x.parquet", "http://user:hunter2@[::1/x.parquet"]
)
def test_no_secret_is_in_the_error_of_a_wrong_uri(uri):
    with pytest.raises(UsageError) as error:
        version_of(uri)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("uri", ["/data/ta#ble?.csv", "sample:300", "s3://bucket/x.parquet"])
def test_what_holds_no_secret_is_shown_as_it_is(uri):
    assert public_uri(uri) == uri
    shown = "the synthetic sample" if uri.startswith("sample:") else f"{uri}, {uri}"
    assert describe_data({"votes": uri, "messages": uri}, "") == shown


def test_a_rotated_signature_is_the_same_version(site):
    signed = [f"{site.url}/messages.parquet?X-Amz-Signature={signature}" for signature in ("one", "two")]
    assert version_of(signed[0]) == version_of(signed[1])
