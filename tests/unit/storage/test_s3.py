"""S3: settings from the environment, private certificates, refusals, and servers that do not answer."""

import os
import time

import obstore
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
from ml.storage.s3 import DEFAULTS, ENDPOINTS

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
NOTHING = "http://127.0.0.1:1"
ACTIONS = [
    (get_object, [9], Denied),
    (put_object, [b""], Denied),
    (create_object, [b""], Denied),
    (names_below, [], PlatformError),
    (delete_object, [], PlatformError),
]
NOT_PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NOTHING_ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def tls(ca):
    with s3_server(ca.issue_cert("127.0.0.1")) as environment:
        yield environment["AWS_ENDPOINT_URL"]


@pytest.mark.parametrize("first", range(4))
def test_the_first_endpoint_that_is_set_wins_and_a_blank_one_is_not_set(variables, s3, first):
    values = [" ", "", " ", ""]
    values[first] = f"{s3}/ \n"
    values[first + 1 :] = [NOTHING] * (3 - first)
    variables(**KEYS, **dict(zip(ENDPOINTS, values, strict=True)))
    put_object(f"s3://bucket/{first}/x", b"1")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_data_connections_endpoint_without_scheme_is_https(variables, tls, bundle, slash):
    variables(**KEYS, AWS_S3_ENDPOINT=tls.removeprefix("https://") + slash, AWS_CA_BUNDLE=f"{bundle}\n")
    put_object("s3://bucket/tls/x", b"1")
    assert obstore.get(open_folder("s3://bucket/tls"), "x").bytes() == b"1"


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-west-1\n", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": " ", "AWS_DEFAULT_REGION": "eu-west-2 "}, "eu-west-2"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "us-east-1"),
    ],
)
def test_requests_are_signed_for_the_region_and_name_the_bucket_in_the_path(
    variables, asked, headers, regions, expected
):
    variables(**KEYS, **regions, AWS_ENDPOINT_URL=asked.url)
    assert f"/{expected}/s3/aws4_request" in headers()["authorization"]
    assert asked.asked == ["GET /bucket/folder/none"]


def test_blank_variables_count_as_unset_and_the_environment_stays_as_it_is(variables, asked, headers):
    defaults = {option: default for option, default in DEFAULTS.items() if default}
    blank = {f"AWS_{option.upper()}": " " for option in defaults} | dict.fromkeys(ENDPOINTS, "")
    variables(**KEYS, **blank, AWS_BUCKET="", AWS_TIMEOUT="", AWS_CA_BUNDLE="", AWS_REGION="eu-west-1")
    before = dict(os.environ)
    assert open_folder("s3://bucket/x").config == {
        **defaults,
        "bucket": "bucket",
        "region": "eu-west-1",
        "endpoint_url_s3": "https://s3.eu-west-1.amazonaws.com",
    }
    variables(AWS_ENDPOINT_URL=asked.url)
    assert headers()
    assert dict(os.environ) == before | {"AWS_ENDPOINT_URL": asked.url}


def test_other_settings_of_obstore_are_trimmed_and_one_that_cannot_be_unset_may_not_be_blank(variables, s3):
    variables(
        **KEYS, AWS_ENDPOINT_URL=s3, AWS_SERVER_SIDE_ENCRYPTION=" AES256\n", AWS_UNSIGNED_PAYLOAD="true "
    )
    put_object("s3://bucket/sse/x", b"1")
    variables(AWS_SERVER_SIDE_ENCRYPTION="")
    with pytest.raises(
        UsageError, match=r"^AWS_SERVER_SIDE_ENCRYPTION is blank: remove it, or give it a value$"
    ):
        put_object("s3://bucket/sse/x", b"1")


def test_without_variables_obstore_chooses_the_endpoint(variables):
    variables(**KEYS)
    assert open_folder("s3://bucket").config == {"bucket": "bucket", "region": "us-east-1"}


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
    variables(**{**KEYS, name: value})
    with pytest.raises(UsageError, match=rf"^{name} is malformed: [^\n]+$") as caught:
        get()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///x", "s3://two words/x", "s3://bucket/a//b", "s3://bucket:80/x"]
)
def test_a_malformed_uri_is_one_line(variables, uri):
    variables(**KEYS)
    with pytest.raises(PlatformError, match=rf"^cannot open {uri}: [^\n]+; check URI and AWS_\* variables$"):
        open_folder(uri)


def test_a_prefix_may_be_percent_encoded(variables, asked, headers):
    variables(**KEYS, AWS_ENDPOINT_URL=asked.url)
    headers("s3://bucket/a%20b/å/")
    assert asked.asked == ["GET /bucket/a%20b/%C3%A5/none"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://someone:s3cr3t@bucket/x", r"credentials in an s3:// URI would be written down[^\n]+"),
        ("s3://[/x", r"s3://\[/x is not a URI: [^\n]+"),
    ],
)
def test_a_uri_with_credentials_or_without_sense_is_wrong_use(uri, message):
    with pytest.raises(UsageError, match=f"^{message}$") as caught:
        open_folder(uri)
    assert "s3cr3t" not in str(caught.value)


def test_a_private_ca_is_refused_unless_it_is_named(variables, tls, bundle, said, get):
    variables(**KEYS, AWS_ENDPOINT_URL=tls)
    assert (
        said(get)
        == f"untrusted certificate (UnknownIssuer) at {tls}: name its CA's PEM file in AWS_CA_BUNDLE"
    )
    variables(AWS_CA_BUNDLE=bundle)
    put_object("s3://bucket/tls/y", b"1")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read {}: No such file or directory")]
    + [(data, "{} contains no certificates in PEM format") for data in (b"", b"hello", NOT_PEM)],
)
def test_a_ca_bundle_that_cannot_be_used_is_named(variables, tmp_path, get, content, message):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    variables(**KEYS, AWS_CA_BUNDLE=str(path))
    with pytest.raises(UsageError) as caught:
        get()
    assert str(caught.value) == "AWS_CA_BUNDLE: " + message.format(path)


def test_what_the_server_refuses_is_one_line_with_a_remedy(variables, s3, said, get):
    variables(**KEYS, AWS_ENDPOINT_URL=s3)
    with only_allowed(NOTHING_ALLOWED) as keys:
        assert said(get) == f"unknown key at {s3}: check AWS_ACCESS_KEY_ID"
        variables(AWS_ACCESS_KEY_ID=keys["AWS_ACCESS_KEY_ID"])
        assert said(get) == f"wrong secret at {s3}: check AWS_SECRET_ACCESS_KEY"
        variables(**keys)
        denied = f"access denied at {s3}: the credentials may not do this; see the policy of the bucket"
        assert said(get) == denied
        for action, arguments, kind in ACTIONS:
            with pytest.raises(
                PlatformError, match=r"^cannot \w+ s3://bucket/x/y: .*[Aa]ccess ?[Dd]enied"
            ) as caught:
                action("s3://bucket/x/y", *arguments)
            assert type(caught.value) is kind


def test_a_missing_bucket_is_one_line(variables, s3, said):
    variables(**KEYS, AWS_ENDPOINT_URL=s3)
    missing = f"no such bucket at {s3}: create it, or correct the URI"
    assert said(list, open_folder("s3://none/x").list()) == missing
    with pytest.raises(PlatformError) as caught:
        put_object("s3://none/x/y", b"1")
    assert str(caught.value) == f"cannot write s3://none/x/y: {missing}"


def test_a_server_in_trouble_is_one_line(variables, asked, said, get):
    asked.status, asked.files = 503, {"/bucket/folder/none": b""}
    variables(**KEYS, AWS_ENDPOINT_URL=asked.url)
    assert said(get) == f"HTTP 503 at {asked.url}"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (NOTHING, "cannot connect (Connection refused) at {}: check the endpoint"),
        ("http://none.invalid", "unknown host at {}: check the endpoint"),
        ("tls", "no TLS at {}: should the endpoint begin with http://?"),
    ],
)
def test_an_endpoint_where_no_s3_is_is_one_line(variables, s3, said, get, endpoint, expected):
    endpoint = s3.replace("http://", "https://") if endpoint == "tls" else endpoint
    variables(**KEYS, AWS_ENDPOINT_URL=endpoint)
    assert said(get) == expected.format(endpoint)


@pytest.mark.parametrize("connects", [True, False])
def test_a_server_that_says_nothing_is_left_in_time(variables, monkeypatch, said, get, connects):
    monkeypatch.setattr(
        ml.storage.s3, "TIMEOUTS", {"connect_timeout": "1s", "read_timeout": "2s", "timeout": "1h"}
    )
    with silent_port(connects=connects) as port:
        variables(**KEYS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        start = time.monotonic()
        assert said(get) == f"no answer in time at http://127.0.0.1:{port}: check endpoint and network"
        assert time.monotonic() - start < 6
