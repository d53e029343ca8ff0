"""A key, a web identity, or the role of a pod or an instance, also beside blank keys."""

import json

import pytest
from servers import Site, closed_port, serving, silent_port

from ml.core.errors import PlatformError, UsageError
from ml.storage import s3
from ml.storage.explain import NO_CREDENTIALS
from ml.storage.objects import open_folder, put_object

ROLE = {"AccessKeyId": "role", "SecretAccessKey": "s3cr3t", "Expiration": "2099-01-01T00:00:00Z"}
JSON = json.dumps({**ROLE, "Token": "t"}).encode()
FIELDS = "".join(f"<{name}>{value}</{name}>" for name, value in {**ROLE, "SessionToken": "t"}.items())
RESULT = "AssumeRoleWithWebIdentityResult"
XML = f"<x><{RESULT}><Credentials>{FIELDS}</Credentials></{RESULT}></x>".encode()
BLANK = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": " ", "AWS_SESSION_TOKEN": ""}
INSTANCE = "/latest/meta-data/iam/security-credentials"
ARN = "arn:aws:iam::123456789012:role/run"


@pytest.fixture
def roles(asked, ca, bundle, tmp_path):
    """The variables of each kind of role, and the token service."""
    token = tmp_path / "token"
    token.write_text("s3cr3t.web.token")
    asked.files = {
        "/role": JSON,
        "/latest/api/token": b"session",
        f"{INSTANCE}/": b"jukebox",
        f"{INSTANCE}/jukebox": JSON,
    }
    with serving(Site({"/": XML}), ca.issue_cert("127.0.0.1")) as sts:
        web = {"AWS_WEB_IDENTITY_TOKEN_FILE": f"{token}\n", "AWS_ROLE_ARN": ARN, "AWS_CA_BUNDLE": bundle}
        yield {
            "web identity": web | {"AWS_ENDPOINT_URL_STS": sts.url},
            "pod": {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{asked.url}/role ",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            },
            "instance": {"AWS_METADATA_ENDPOINT": asked.url},
            "sts": sts,
        }


@pytest.mark.parametrize("keys", [{}, BLANK], ids=["no keys", "blank keys"])
@pytest.mark.parametrize("kind", ["web identity", "pod", "instance"])
def test_a_role_works(variables, asked, headers, roles, kind, keys):
    variables(**keys, **roles[kind], AWS_ENDPOINT_URL=asked.url)
    sent = headers()
    assert "Credential=role/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "t"
    proof = {
        "pod": ("authorization", "s3cr3t.web.token"),
        "instance": ("x-aws-ec2-metadata-token", "session"),
    }
    if kind in proof:
        assert asked.headers[-2][proof[kind][0]] == proof[kind][1]
    assert len(roles["sts"].asked) == (kind == "web identity")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"AWS_ENDPOINT_URL_STS": "http://sts"},
            "a token is sent over https only at the token service: correct",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}, "Failed to read token file '/none': No such file"),
        (
            {"AWS_ENDPOINT_URL_STS": "https://127.0.0.1:{port}"},
            r"cannot connect \(Connection refused\) at the token service: check",
        ),
        ({"AWS_CA_BUNDLE": ""}, r"untrusted certificate \(UnknownIssuer\) at the token service: name"),
        ({"AWS_ROLE_ARN": "denied"}, "HTTP 404 at the token service: check AWS_ROLE_ARN"),
    ],
    ids=["http", "token", "closed", "ca", "denied"],
)
def test_a_web_identity_without_credentials_is_one_line(variables, asked, roles, changes, message):
    if "AWS_ROLE_ARN" in changes:
        roles["sts"].files = {}
    variables(**roles["web identity"], AWS_ENDPOINT_URL=asked.url)
    variables(**{name: value.format(port=closed_port()) for name, value in changes.items()})
    with pytest.raises(PlatformError, match=rf"^cannot write s3://bucket/x/y: {message}[^\n]*$") as caught:
        put_object("s3://bucket/x/y", b"1")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"{}", b"<html>s3cr3t", None])
def test_an_answer_without_credentials_is_one_line(variables, asked, roles, said, get, answer):
    asked.files = {"/role": answer} if answer else {}
    variables(**roles["pod"], AWS_ENDPOINT_URL=asked.url)
    assert said(get).startswith("HTTP error: " if answer else f"HTTP 404 at {asked.url}")


def test_a_key_comes_first_and_its_session_token_is_sent(variables, asked, headers, roles):
    variables(**roles["instance"], AWS_ENDPOINT_URL=asked.url)
    variables(AWS_ACCESS_KEY_ID=" someone\n", AWS_SECRET_ACCESS_KEY="x", AWS_SESSION_TOKEN="token\n")
    sent = headers()
    assert "Credential=someone/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "token"


def test_a_public_bucket_needs_no_credentials(variables, asked, headers):
    variables(AWS_SKIP_SIGNATURE="true\n", AWS_ENDPOINT_URL=asked.url)
    assert "authorization" not in headers()


def test_half_a_key_is_wrong_use(variables):
    variables(AWS_ACCESS_KEY_ID="someone", AWS_SECRET_ACCESS_KEY="")
    with pytest.raises(UsageError, match="belong together"):
        open_folder("s3://bucket/x")


@pytest.mark.parametrize("silent", [False, True])
def test_without_credentials_the_variables_to_set_are_named(variables, monkeypatch, silent):
    monkeypatch.setattr(s3, "PROBE", 0.2)
    with silent_port(connects=False) as port:
        if silent:
            variables(AWS_METADATA_ENDPOINT=f"http://127.0.0.1:{port}")
        with pytest.raises(UsageError, match=r"^no credentials for S3: set AWS_ACCESS_KEY_ID and [A-Z_]+$"):
            open_folder("s3://bucket/x")


def test_another_clouds_metadata_service_has_no_credentials(variables, asked, said, get):
    variables(AWS_METADATA_ENDPOINT=asked.url)
    assert said(get) == NO_CREDENTIALS
