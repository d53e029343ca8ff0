"""Objects by URI, the same in a folder and in a bucket: create once, read within a bound, list, delete."""

import pytest

from ml.core.errors import PlatformError, UsageError
from ml.storage.objects import create_object, delete_object, get_object, names_below, put_object


@pytest.fixture(params=["folder", "file", "s3"])
def uri(request, tmp_path, variables):
    """A place that is not there yet."""
    if request.param == "s3":
        variables(
            AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_ENDPOINT_URL=request.getfixturevalue("s3")
        )
        return f"s3://bucket/{tmp_path.name}"
    return f"{tmp_path}/new" if request.param == "folder" else f"file://{tmp_path}/new"


def test_an_object_is_created_once_read_listed_and_deleted(uri):
    assert get_object(f"{uri}/x", 9) is None
    assert names_below(uri) == []
    assert create_object(f"{uri}/x", b"first")
    assert not create_object(f"{uri}/x", b"second")
    assert get_object(f"{uri}/x", 5) == b"first"
    put_object(f"{uri}/x", b"third")
    put_object(f"{uri}/deep/y", b"")
    assert get_object(f"{uri}/x", 5) == b"third"
    assert get_object(f"{uri}/x", 5, whole=False) == b""
    assert sorted(names_below(uri)) == ["deep/y", "x"]
    with pytest.raises(PlatformError, match=rf"^{uri}/x has 5 bytes, more than 4$"):
        get_object(f"{uri}/x", 4, whole=False)
    delete_object(f"{uri}/x")
    assert get_object(f"{uri}/x", 9) is None


@pytest.mark.parametrize("action", [put_object, create_object])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, action):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"^cannot open the folder [^\n]+$"):
        action(f"{tmp_path}/file/sub/x", b"1")


def test_a_missing_folder_and_an_unknown_scheme_are_named(tmp_path):
    with pytest.raises(UsageError, match=f"^there is no folder {tmp_path}/none$"):
        delete_object(f"{tmp_path}/none/x")
    with pytest.raises(UsageError, match=r"^ftp://models: the scheme 'ftp' is unknown"):
        put_object("ftp://models/x", b"")
