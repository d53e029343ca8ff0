"""A key, a web identity, or the role of a container, a pod or an instance, also beside blank keys."""

import json
import os
import time

import pytest
from servers import Site, closed_port, serving, silent_port

from ml.core.errors import PlatformError, UsageError
from ml.storage import credentials
from ml.storage.objects import open_folder, put_object

ROLE = {"AccessKeyId": "role", "SecretAccessKey": "s3cr3t", "Expiration": "2099-01-01T00:00:00Z"}
JSON = json.dumps({**ROLE, "Token": "t"}).encode()
XML = "".join(f"<{name}>{value}</{name}>" for name, value in {**ROLE, "SessionToken": "t"}.items()).encode()
BLANK = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": " ", "AWS_SESSION_TOKEN": ""}
INSTANCE = "/latest/meta-data/iam/security-credentials/"
ARN = "arn:aws:iam::123456789012:role/run"


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("a.web.token\n")
    return path


@pytest.fixture
def roles(asked, ca, bundle, token, monkeypatch):
    """The variables of each kind of role."""
    asked.files = {
        "/role": JSON,
        "/latest/api/token": b"session",
        INSTANCE: b"jukebox\n",
        f"{INSTANCE}jukebox": JSON,
    }
    monkeypatch.setattr(credentials, "CONTAINER", asked.url)
    with serving(Site({"/": XML}), ca.issue_cert("127.0.0.1")) as sts:
        web = {"AWS_WEB_IDENTITY_TOKEN_FILE": f"{token}\n", "AWS_ROLE_ARN": ARN, "AWS_CA_BUNDLE": bundle}
        yield {
            "web identity": web | {"AWS_ENDPOINT_URL_STS": sts.url},
            "container": {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role"},
            "pod": {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{asked.url}/role ",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            },
            "instance": {"AWS_METADATA_ENDPOINT": f"{asked.url}/"},
            "sts": sts,
        }


@pytest.mark.parametrize("keys", [{}, BLANK], ids=["no keys", "blank keys"])
@pytest.mark.parametrize("kind", ["web identity", "container", "pod", "instance"])
def test_a_role_works_and_the_environment_stays_as_it_is(variables, asked, headers, roles, kind, keys):
    variables(**keys, **roles[kind], AWS_ENDPOINT_URL=asked.url)
    before = dict(os.environ)
    sent = headers()
    assert "Credential=role/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "t"
    assert dict(os.environ) == before
    earlier = asked.headers[:-1]
    proof = {"pod": ("authorization", "a.web.token"), "instance": ("x-aws-ec2-metadata-token", "session")}
    if kind in proof:
        assert earlier[-1][proof[kind][0]] == proof[kind][1]
    assert roles["sts"].asked == (["POST /"] if kind == "web identity" else [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"AWS_ENDPOINT_URL_STS": "http://sts"},
            "AWS_ENDPOINT_URL_STS http://sts: a token is sent over https only",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}, "cannot read the token file /none: .*No such file"),
        (
            {"AWS_ENDPOINT_URL_STS": "https://127.0.0.1:{port}"},
            r"cannot get credentials from https://\S+: .*refused",
        ),
        ({"AWS_CA_BUNDLE": ""}, r"cannot get credentials from https://\S+: .*CERTIFICATE_VERIFY_FAILED"),
    ],
    ids=["http", "token", "closed", "ca"],
)
def test_a_web_identity_without_credentials_is_one_line(variables, asked, roles, changes, message):
    variables(**roles["web identity"], AWS_ENDPOINT_URL=asked.url)
    variables(**{name: value.format(port=closed_port()) for name, value in changes.items()})
    with pytest.raises(PlatformError, match=rf"^cannot write s3://bucket/x/y: {message}[^\n]*$"):
        put_object("s3://bucket/x/y", b"1")


@pytest.mark.parametrize(
    "answer", [b"{}", b"[]", b"<html>", json.dumps({**ROLE, "Token": "t", "Expiration": 1}).encode()]
)
def test_an_answer_without_credentials_is_one_line(variables, asked, roles, said, get, answer):
    asked.files["/role"] = answer
    variables(**roles["container"], AWS_ENDPOINT_URL=asked.url)
    assert said(get) == f"{asked.url}/role does not answer with credentials"


@pytest.mark.parametrize(("status", "attempts"), [(503, 3), (403, 1)])
def test_only_an_error_of_the_service_is_tried_again(variables, asked, roles, said, get, status, attempts):
    asked.status = status
    variables(**roles["container"], AWS_ENDPOINT_URL=asked.url)
    assert said(get).startswith(f"cannot get credentials from {asked.url}/role: HTTP Error {status}")
    assert asked.asked == ["GET /role"] * attempts


def test_a_key_comes_first_and_its_session_token_is_sent(variables, asked, headers, roles):
    variables(**roles["instance"], AWS_ENDPOINT_URL=asked.url)
    variables(AWS_ACCESS_KEY_ID=" someone\n", AWS_SECRET_ACCESS_KEY="x", AWS_SESSION_TOKEN="token\n")
    sent = headers()
    assert "Credential=someone/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "token"
    variables(AWS_SESSION_TOKEN=" ")
    assert "x-amz-security-token" not in headers()


def test_a_public_bucket_needs_no_credentials(variables, asked, headers):
    variables(AWS_SKIP_SIGNATURE="true\n", AWS_ENDPOINT_URL=asked.url)
    assert "authorization" not in headers()


def test_half_a_key_is_wrong_use(variables):
    variables(AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY="")
    with pytest.raises(UsageError, match="belong together"):
        open_folder("s3://bucket/x")


@pytest.mark.parametrize("silent", [False, True])
def test_without_credentials_the_variables_to_set_are_named_soon(variables, silent):
    with silent_port(connects=False) as port:
        if silent:
            variables(AWS_METADATA_ENDPOINT=f"http://127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(UsageError, match=r"^no credentials for S3: set AWS_ACCESS_KEY_ID and [A-Z_]+$"):
            open_folder("s3://bucket/x")
    assert time.monotonic() - start < (2 * credentials.PROBE if silent else credentials.PROBE)


def test_another_clouds_metadata_service_has_no_credentials(variables, asked, said, get):
    variables(AWS_METADATA_ENDPOINT=asked.url)
    assert said(get) == credentials.NO_CREDENTIALS
