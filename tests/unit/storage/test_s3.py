"""S3 as it is met: settings from many hands, private certificates, refusals, and servers that say nothing."""

import json
import os
import threading
import time
from datetime import timedelta

import obstore
import pytest
import trustme
from obstore.exceptions import AlreadyExistsError
from servers import Site, only_allowed, s3_server, serving, silent_port

import ml.storage.credentials
import ml.storage.s3
from ml.core.errors import PlatformError, UsageError
from ml.storage.objects import ObjectError, open_folder, put_object
from ml.storage.s3 import explain

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
ROLE = b"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>role</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
NOTHING = "http://127.0.0.1:1"

NOTHING_ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}],
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No AWS_* variables of this machine, no metadata service, and only short waits."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", NOTHING)
    monkeypatch.setattr(ml.storage.s3, "RETRY", {"max_retries": 1, "retry_timeout": timedelta(seconds=1)})


@pytest.fixture
def variables(monkeypatch):
    """Set variables of the environment."""
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment["AWS_ENDPOINT_URL"]


@pytest.fixture(scope="module")
def tls(ca):
    with s3_server(ca.issue_cert("127.0.0.1")) as environment:
        yield environment["AWS_ENDPOINT_URL"]


@pytest.fixture
def bundle(ca, tmp_path):
    """A PEM file with the private CA after another one."""
    path = tmp_path / "ca.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes() + ca.cert_pem.bytes())
    return str(path)


@pytest.fixture
def asked():
    """A server that has no object and remembers how it was asked."""
    with serving(Site()) as site:
        yield site


def _get(uri="s3://bucket/folder"):
    return open_folder(uri).get("none")


def _said(action, *arguments) -> str:
    """Return the one line that a failing operation is explained with."""
    with pytest.raises((ObjectError, FileNotFoundError)) as caught:
        action(*arguments)
    line = explain(caught.value)
    assert "\n" not in line
    assert "<" not in line
    assert "s3cr3t" not in line
    return line


@pytest.mark.parametrize("first", range(4))
def test_the_first_endpoint_that_is_set_wins_and_a_blank_one_is_not_set(variables, s3, first):
    values = ["", " ", "", ""]
    values[first] = s3
    values[first + 1 :] = [NOTHING] * (3 - first)
    variables(**KEYS, **dict(zip(ml.storage.s3.ENDPOINTS, values, strict=True)))
    put_object(f"s3://bucket/{first}/x", b"1")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_data_connections_endpoint_without_scheme_is_https(variables, tls, bundle, slash):
    variables(**KEYS, AWS_S3_ENDPOINT=tls.removeprefix("https://") + slash, AWS_CA_BUNDLE=bundle)
    put_object("s3://bucket/tls/x", b"1")
    assert obstore.get(open_folder("s3://bucket/tls"), "x").bytes() == b"1"


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "us-east-1"),
    ],
)
def test_requests_are_signed_for_the_region_and_name_the_bucket_in_the_path(
    variables, asked, regions, expected
):
    variables(**KEYS, **regions, AWS_ENDPOINT_URL=asked.url)
    with pytest.raises(FileNotFoundError):
        _get()
    assert asked.asked == ["GET /bucket/folder/none"]
    assert f"/{expected}/s3/aws4_request" in asked.headers[0]["authorization"]


def test_a_blank_token_is_none_and_a_newline_behind_a_key_is_not_of_it(variables, asked):
    keys = {name: f"{value}\n" for name, value in KEYS.items()}
    variables(**keys, AWS_SESSION_TOKEN="", AWS_ENDPOINT_URL=f"{asked.url}\n")
    with pytest.raises(FileNotFoundError):
        _get()
    assert "x-amz-security-token" not in asked.headers[0]
    assert "Credential=someone/" in asked.headers[0]["authorization"]


def test_a_session_token_is_sent(variables, asked):
    variables(**KEYS, AWS_SESSION_TOKEN="token", AWS_ENDPOINT_URL=asked.url)
    with pytest.raises(FileNotFoundError):
        _get()
    assert asked.headers[0]["x-amz-security-token"] == "token"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", "http://two words"),
        ("AWS_ENDPOINT_URL_S3", "https://user:s3cr3t@minio"),
        ("AWS_S3_ENDPOINT", "minio:99999"),
        ("AWS_S3_ENDPOINT", "ftp://minio"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t\nkey"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t-ü"),
        ("AWS_SESSION_TOKEN", "s3cr3t\ttoken"),
        ("AWS_REGION", "eu west"),
    ],
)
def test_a_malformed_variable_is_named_and_not_shown(variables, name, value):
    variables(**{**KEYS, name: value})
    with pytest.raises(UsageError, match=rf"^{name} is malformed: [^\n]+$") as caught:
        _get()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://two words/x", "s3://bucket/a//b"])
def test_a_malformed_uri_is_one_line(variables, uri):
    variables(**KEYS)
    with pytest.raises(PlatformError, match=rf"^cannot open {uri}: [^\n]+$"):
        open_folder(uri)


@pytest.mark.parametrize("uri", ["s3://someone:s3cr3t@bucket/x", "s3://[/x"])
def test_a_uri_with_credentials_or_without_sense_is_wrong_use(uri):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        open_folder(uri)
    assert "s3cr3t" not in str(caught.value)


def test_half_a_key_is_wrong_use(variables):
    variables(AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY="")
    with pytest.raises(UsageError, match=r"belong together"):
        _get()


def test_nobody_is_told_at_once_what_to_set():
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"^no credentials for S3: set AWS_ACCESS_KEY_ID and [A-Z_]+$"):
        _get()
    assert time.monotonic() - start < 2


def test_a_metadata_service_that_never_accepts_is_left_soon(variables):
    with silent_port(connects=False) as port:
        variables(AWS_METADATA_ENDPOINT=f"http://127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(UsageError, match=r"^no credentials for S3"):
            _get()
    assert time.monotonic() - start < 2 * ml.storage.credentials.PROBE


def test_another_clouds_metadata_service_has_no_credentials(variables, asked):
    variables(AWS_METADATA_ENDPOINT=asked.url)
    assert _said(_get) == ml.storage.credentials.NO_CREDENTIALS


def test_the_role_of_an_instance_works(variables, asked):
    role = {"AccessKeyId": "role", "SecretAccessKey": "s3cr3t", "Token": "t"}
    role |= {"Expiration": "2099-01-01T00:00:00Z", "Code": "Success"}
    credentials = "/latest/meta-data/iam/security-credentials/"
    asked.files = {"/latest/api/token": b"t", credentials: b"jukebox"}
    asked.files[f"{credentials}jukebox"] = json.dumps(role).encode()
    variables(AWS_METADATA_ENDPOINT=asked.url, AWS_ENDPOINT_URL=asked.url)
    with pytest.raises(FileNotFoundError):
        _get()
    assert "Credential=role/" in asked.headers[-1]["authorization"]


def test_a_web_identity_works_beside_blank_keys(variables, ca, asked, bundle, tmp_path):
    token = tmp_path / "token"
    token.write_text("a.web.token")
    variables(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_CA_BUNDLE=bundle)
    variables(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN="arn:aws:iam::123456789012:role/run")
    with serving(Site({"/": ROLE}), ca.issue_cert("127.0.0.1")) as sts:
        variables(AWS_ENDPOINT_URL=asked.url, AWS_ENDPOINT_URL_STS=sts.url)
        with pytest.raises(FileNotFoundError):
            _get()
    assert "Credential=role/" in asked.headers[0]["authorization"]
    token.unlink()
    with pytest.raises(PlatformError, match=r"cannot write [^\n]*cannot read the token file"):
        put_object("s3://bucket/identity/y", b"1")


def test_a_private_ca_is_refused_unless_it_is_named(variables, tls, bundle):
    variables(**KEYS, AWS_ENDPOINT_URL=tls)
    expected = f"untrusted certificate (UnknownIssuer) at {tls}: name its CA's PEM file in AWS_CA_BUNDLE"
    assert _said(_get) == expected
    variables(AWS_CA_BUNDLE=bundle)
    put_object("s3://bucket/tls/y", b"1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {}: No such file or directory"),
        (b"", "{} contains no certificates in PEM format"),
        (b"hello", "{} contains no certificates in PEM format"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "{} contains no certificates in PEM format",
        ),
    ],
)
def test_a_ca_bundle_that_cannot_be_used_is_named(variables, tmp_path, content, message):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    variables(**KEYS, AWS_CA_BUNDLE=str(path))
    with pytest.raises(UsageError) as caught:
        _get()
    assert str(caught.value) == "AWS_CA_BUNDLE: " + message.format(path)


def test_what_the_server_refuses_is_one_line_with_a_remedy(variables, s3):
    variables(**KEYS, AWS_ENDPOINT_URL=s3)
    with only_allowed(NOTHING_ALLOWED) as keys:
        assert _said(_get) == f"unknown key at {s3}: check AWS_ACCESS_KEY_ID"
        variables(AWS_ACCESS_KEY_ID=keys["AWS_ACCESS_KEY_ID"])
        assert _said(_get) == f"wrong secret at {s3}: check AWS_SECRET_ACCESS_KEY"
        variables(**keys)
        denied = f"access denied at {s3}: the credentials may not do this; see the policy of the bucket"
        assert _said(_get) == denied
        assert _said(open_folder("s3://bucket/x").head, "x") == denied
        assert _said(list, open_folder("s3://bucket/x").list()) == denied
        with pytest.raises(PlatformError) as caught:
            put_object("s3://bucket/x/y", b"1")
        assert str(caught.value) == f"cannot write s3://bucket/x/y: {denied}"


def test_a_missing_bucket_is_one_line(variables, s3):
    variables(**KEYS, AWS_ENDPOINT_URL=s3)
    missing = f"no such bucket at {s3}: create it, or correct the URI"
    assert _said(list, open_folder("s3://none/x").list()) == missing
    with pytest.raises(PlatformError) as caught:
        put_object("s3://none/x/y", b"1")
    assert str(caught.value) == f"cannot write s3://none/x/y: {missing}"


def test_a_server_in_trouble_is_one_line(variables, asked):
    asked.status, asked.files = 503, {"/bucket/folder/none": b""}
    variables(**KEYS, AWS_ENDPOINT_URL=asked.url)
    assert _said(_get) == f"HTTP 503 at {asked.url}"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (NOTHING, f"cannot connect (Connection refused) at {NOTHING}: check the endpoint"),
        ("http://none.invalid", "unknown host at http://none.invalid: check the endpoint"),
    ],
)
def test_where_nothing_listens_is_one_line(variables, endpoint, expected):
    variables(**KEYS, AWS_ENDPOINT_URL=endpoint)
    assert _said(_get) == expected


def test_tls_with_a_server_that_speaks_none_is_one_line(variables, s3):
    https = s3.replace("http://", "https://")
    variables(**KEYS, AWS_ENDPOINT_URL=https)
    assert _said(_get) == f"no TLS at {https}: should the endpoint begin with http://?"


@pytest.mark.parametrize("connects", [True, False])
def test_a_server_that_says_nothing_is_left_in_time(variables, monkeypatch, connects):
    monkeypatch.setattr(
        ml.storage.s3, "TIMEOUTS", {"connect_timeout": "1s", "read_timeout": "2s", "timeout": "1h"}
    )
    with silent_port(connects=connects) as port:
        variables(**KEYS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        start = time.monotonic()
        line = _said(_get)
        assert time.monotonic() - start < 6
    assert line == f"no answer in time at http://127.0.0.1:{port}: check endpoint and network"


def test_of_two_that_create_the_same_object_one_succeeds(variables, s3):
    variables(**KEYS, AWS_ENDPOINT_URL=s3)
    barrier, outcomes = threading.Barrier(2), []

    def create(name):
        store = open_folder("s3://bucket/race")
        barrier.wait(timeout=10)
        try:
            obstore.put(store, name, threading.current_thread().name.encode(), mode="create")
            outcomes.append(threading.current_thread().name)
        except AlreadyExistsError:
            outcomes.append("")

    for attempt in range(10):
        outcomes.clear()
        threads = [threading.Thread(target=create, args=[f"{attempt}"]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = filter(None, outcomes)
        assert obstore.get(open_folder("s3://bucket/race"), f"{attempt}").bytes() == winner.encode()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"^cannot open the folder [^\n]+$"):
        put_object(f"{tmp_path}/file/sub/x", b"1")
