"""S3: settings from the environment, private certificates, refusals, and servers that do not answer."""

import time

import pytest
from servers import only_allowed, s3_server, silent_port

import ml.storage.s3
from ml.core.errors import PlatformError, UsageError
from ml.storage.objects import (
    Denied,
    create_object,
    delete_object,
    get_object,
    names_below,
    open_folder,
    put_object,
)
from ml.storage.s3 import ENDPOINTS

NOTHING = "http://127.0.0.1:1"
NOT_PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DENIED = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(autouse=True)
def _keys(variables):
    variables(AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY="s3cr3t")


@pytest.fixture(scope="module")
def tls(ca):
    with s3_server(ca.issue_cert("127.0.0.1")) as environment:
        yield environment["AWS_ENDPOINT_URL"]


@pytest.mark.parametrize("first", range(4))
def test_the_first_endpoint_that_is_set_wins_and_a_blank_one_is_not_set(variables, s3, first):
    values = [" ", "", " ", ""]
    values[first] = f"{s3}/ \n"
    values[first + 1 :] = [NOTHING] * (3 - first)
    variables(**dict(zip(ENDPOINTS, values, strict=True)))
    put_object(f"s3://bucket/{first}/x", b"1")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_data_connections_endpoint_without_scheme_is_https(variables, tls, bundle, slash):
    variables(AWS_S3_ENDPOINT=tls.removeprefix("https://") + slash, AWS_CA_BUNDLE=f"{bundle}\n")
    put_object("s3://bucket/tls/x", b"1")
    assert get_object("s3://bucket/tls/x", 1) == b"1"


@pytest.mark.parametrize(
    ("region", "default", "expected"),
    [
        ("eu-west-1\n", "eu-west-2", "eu-west-1"),
        (" ", "eu-west-2 ", "eu-west-2"),
        ("", "", "us-east-1"),
    ],
)
def test_requests_are_signed_for_the_region(variables, asked, headers, region, default, expected):
    variables(AWS_REGION=region, AWS_DEFAULT_REGION=default, AWS_ENDPOINT_URL=asked.url)
    assert f"/{expected}/s3/aws4_request" in headers("s3://bucket/a%20b/å/")["authorization"]
    assert asked.asked == ["GET /bucket/a%20b/%C3%A5/none"]


def test_blank_variables_count_as_unset(variables):
    blank = dict.fromkeys(("AWS_UNSIGNED_PAYLOAD", "AWS_S3_EXPRESS", "AWS_CA_BUNDLE", *ENDPOINTS), " ")
    variables(**blank, AWS_REGION="eu-west-1\n", AWS_SESSION_TOKEN="")
    assert open_folder("s3://bucket/x").config == {"bucket": "bucket", "region": "eu-west-1"}


@pytest.mark.parametrize("value", ["", " ", "someone\n"])
def test_a_process_that_has_not_cleaned_its_environment_is_told_which_variable(monkeypatch, get, value):
    monkeypatch.setenv("AWS_SESSION_TOKEN", value)
    with pytest.raises(UsageError, match=r"^AWS_SESSION_TOKEN is blank or has "):
        get()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", "http://two words"),
        ("AWS_ENDPOINT_URL_S3", "https://user:s3cr3t@minio"),
        ("AWS_S3_ENDPOINT", "minio:99999"),
        ("AWS_S3_ENDPOINT", "minio:0"),
        ("AWS_S3_ENDPOINT", "ftp://minio"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t\nkey"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t-ü"),
        ("AWS_SESSION_TOKEN", "s3cr3t\ttoken"),
        ("AWS_REGION", "eu west"),
        ("AWS_DEFAULT_REGION", "eu/west"),
    ],
)
def test_a_malformed_variable_is_named_and_not_shown(variables, get, name, value):
    variables(**{name: value})
    with pytest.raises(UsageError, match=rf"^{name} is malformed: [^\n]+$") as caught:
        get()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        *(
            (f"s3://{at}", PlatformError, "cannot open s3")
            for at in ("", "/x", "two words/x", "bucket/a//b", "b:80/x")
        ),
        ("s3://someone:s3cr3t@bucket/x", UsageError, "credentials in an s3:// URI would be written down"),
        ("s3://[/x", UsageError, r"s3://\[/x is not a URI: "),
    ],
)
def test_a_malformed_uri_or_one_with_credentials_is_one_line(uri, error, message):
    with pytest.raises(error, match=rf"^{message}[^\n]+$") as caught:
        open_folder(uri)
    assert "s3cr3t" not in str(caught.value)


def test_a_private_ca_is_refused_unless_it_is_named(variables, tls, bundle, said, get):
    variables(AWS_ENDPOINT_URL=tls)
    expected = f"untrusted certificate (UnknownIssuer) at {tls}: name its CA's PEM file in AWS_CA_BUNDLE"
    assert said(get) == expected
    variables(AWS_CA_BUNDLE=bundle)
    put_object("s3://bucket/tls/y", b"1")


@pytest.mark.parametrize("content", [None, b"", b"hello", NOT_PEM])
def test_a_ca_bundle_that_cannot_be_used_is_named(variables, tmp_path, get, content):
    path, message = tmp_path / "ca.pem", "{} contains no certificates in PEM format"
    if content is None:
        message = "cannot read {}: No such file or directory"
    else:
        path.write_bytes(content)
    variables(AWS_CA_BUNDLE=str(path))
    with pytest.raises(UsageError) as caught:
        get()
    assert str(caught.value) == "AWS_CA_BUNDLE: " + message.format(path)


def test_what_the_server_refuses_is_one_line_with_a_remedy(variables, s3, said, get):
    variables(AWS_ENDPOINT_URL=s3)
    with only_allowed(DENIED) as keys:
        assert said(get) == f"unknown key at {s3}: check AWS_ACCESS_KEY_ID"
        variables(AWS_ACCESS_KEY_ID=keys["AWS_ACCESS_KEY_ID"])
        assert said(get) == f"wrong secret at {s3}: check AWS_SECRET_ACCESS_KEY"
        variables(**keys)
        denied = f"access denied at {s3}: the credentials may not do this; see the policy of the bucket"
        assert said(get) == denied
        calls = {get_object: [9], put_object: [b""], create_object: [b""], names_below: [], delete_object: []}
        for action, arguments in calls.items():
            with pytest.raises(PlatformError, match=r"^cannot \w+ s3://bucket/x/y: .*[Dd]enied") as caught:
                action("s3://bucket/x/y", *arguments)
            assert (type(caught.value) is Denied) == bool(arguments)


@pytest.mark.parametrize(
    ("endpoint", "uri", "expected"),
    [
        ("s3", "s3://none/x", "no such bucket at {}: create it, or correct the URI"),
        ("asked", "s3://bucket/x", "HTTP 503 at {}"),
        (NOTHING, "s3://bucket/x", "cannot connect (Connection refused) at {}: check the endpoint"),
        ("http://none.invalid", "s3://bucket/x", "unknown host at {}: check the endpoint"),
        ("https", "s3://bucket/x", "no TLS at {}: should the endpoint begin with http://?"),
    ],
)
def test_a_server_without_the_bucket_in_trouble_or_none_is_one_line(
    variables, s3, asked, said, endpoint, uri, expected
):
    asked.status, asked.files = 503, {"/bucket": b""}
    known = {"s3": s3, "asked": asked.url, "https": s3.replace("http://", "https://")}
    endpoint = known.get(endpoint, endpoint)
    variables(AWS_ENDPOINT_URL=endpoint)
    assert said(list, open_folder(uri).list()) == expected.format(endpoint)
    with pytest.raises(PlatformError, match=f"^cannot list {uri}: "):
        names_below(uri)


@pytest.mark.parametrize("connects", [True, False])
def test_a_server_that_says_nothing_is_left_in_time(variables, monkeypatch, said, get, connects):
    times = {"connect_timeout": "1s", "read_timeout": "2s", "timeout": "1h"}
    monkeypatch.setattr(ml.storage.s3, "TIMEOUTS", times)
    with silent_port(connects=connects) as port:
        variables(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        start = time.monotonic()
        assert said(get) == f"no answer in time at http://127.0.0.1:{port}: check endpoint and network"
        assert time.monotonic() - start < 6
