"""Where the DSPA is and who we are: what was typed, the variables, the pod, and what is refused."""

import os
import traceback

import pytest

from ml.core.errors import UsageError
from ml.dspa.connection import TOKEN, connect

TOKEN_VALUE = "sha256~VeryS3cretT0ken"
ROUTE = "https://ds-pipeline-dspa-music.apps.example.com"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("JUKEBOX_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def pod(tmp_path):
    """What Kubernetes mounts into a pod."""
    folder = tmp_path / "pod"
    folder.mkdir()
    (folder / "namespace").write_text("music\n")
    (folder / "token").write_text(f"{TOKEN_VALUE}\n")
    (folder / "service-ca.crt").write_text("a certificate")
    return folder


@pytest.fixture
def nowhere(tmp_path):
    return tmp_path / "no-pod"


def at(pod, host=ROUTE, dspa="dspa", namespace=None, ca=None, token_file=None, dashboard=""):
    return connect(host, dspa, namespace, ca, token_file, dashboard, pod=pod)


def refused(*args, **kwargs) -> str:
    """Check that a connection is refused in one line without the token, and return the line."""
    with pytest.raises(UsageError) as caught:
        at(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    assert TOKEN_VALUE not in "".join(traceback.format_exception(caught.value))
    return text


def test_in_a_pod_everything_is_known(pod):
    found = at(pod, host=None)
    assert found.host == "https://ds-pipeline-dspa.music.svc:8443"
    assert (found.namespace, found.token()) == ("music", TOKEN_VALUE)
    assert (found.ca, found.token_file) == (pod / "service-ca.crt", pod / "token")


def test_the_default_host_has_the_names_that_were_given(pod, nowhere, monkeypatch):
    assert at(pod, host=None, dspa="other").host == "https://ds-pipeline-other.music.svc:8443"
    assert at(pod, host=None, namespace="jazz").host == "https://ds-pipeline-dspa.jazz.svc:8443"
    monkeypatch.setenv(TOKEN, TOKEN_VALUE)
    assert at(nowhere, host=None, namespace="jazz").host == "https://ds-pipeline-dspa.jazz.svc:8443"


def test_what_was_typed_goes_before_the_pod(pod, tmp_path):
    for name in ("ca.pem", "token"):
        (tmp_path / name).write_text("typed")
    found = at(pod, namespace="jazz", ca=tmp_path / "ca.pem", token_file=tmp_path / "token")
    assert (found.host, found.namespace, found.ca) == (ROUTE, "jazz", tmp_path / "ca.pem")
    assert found.token() == "typed"


def test_a_token_file_goes_before_the_variable_and_the_variable_before_the_pod(pod, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, " variable\n")
    assert at(pod).token() == "variable"
    (tmp_path / "token").write_text("typed")
    assert at(pod, token_file=tmp_path / "token").token() == "typed"


@pytest.mark.parametrize("host", ["https://a.music.svc:8443", "https://a.music.svc.cluster.local"])
def test_the_service_ca_is_for_services(pod, host):
    assert at(pod, host=host).ca == pod / "service-ca.crt"


@pytest.mark.parametrize("host", [ROUTE, "https://svc", "https://a.svc.example.com", "https://evilsvc"])
def test_the_service_ca_is_for_nothing_else(pod, host):
    assert at(pod, host=host).ca is None


def test_a_pod_without_a_service_ca_trusts_this_machine(pod):
    (pod / "service-ca.crt").unlink()
    assert at(pod, host=None).ca is None


@pytest.mark.parametrize("host", ["http://127.0.0.1:8888", "http://localhost:8888", "http://[::1]:8888"])
def test_http_is_for_loopback_which_may_do_without_a_token(nowhere, host):
    found = at(nowhere, host=host)
    assert (found.host, found.token()) == (host, "")


@pytest.mark.parametrize(
    "host",
    ["http://example.com", "http://localhost.example.com", "http://10.0.0.1", "http://0.0.0.0:80"],
)
def test_http_is_refused_elsewhere(pod, host):
    assert "use https" in refused(pod, host=host)


@pytest.mark.parametrize(
    "host",
    [
        "ds-pipeline.example.com",
        "example.com:8443",
        "//example.com",
        "https://",
        "https:///apis",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://[::1",
        "https://example.com:0",
        "https://example.com:99999",
        "https://example.com:port",
        "garbage",
        "\x1b[31m",
    ],
)
def test_what_is_no_address_is_refused(pod, host):
    assert "--host" in refused(pod, host=host)


@pytest.mark.parametrize(
    "host",
    [
        f"https://me:{TOKEN_VALUE}@example.com",
        f"https://{TOKEN_VALUE}@example.com",
        f"http://127.0.0.1:{TOKEN_VALUE}@example.com",
        f"ftp://me:{TOKEN_VALUE}@example.com",
        f"https://example.com?token={TOKEN_VALUE}",
        f"https://example.com/#{TOKEN_VALUE}",
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(pod, host):
    refused(pod, host=host)


def test_slashes_at_the_end_do_not_matter(pod):
    assert at(pod, host=f"{ROUTE}//").host == ROUTE


@pytest.mark.parametrize("host", [f"{ROUTE}?", f"{ROUTE}#", "https://exa mple.com", "https://a\\b"])
def test_an_address_that_no_path_can_follow_is_refused(pod, host):
    refused(pod, host=host)


def test_blanks_around_an_address_do_not_matter(pod):
    assert at(pod, host=f" {ROUTE}\n").host == ROUTE


@pytest.mark.parametrize("name", ["Dspa", "ds_pa", "-dspa", "a/b", "a.b", "x" * 64, "ds\npa"])
def test_names_that_kubernetes_would_not_have_are_refused(pod, name):
    assert "--dspa" in refused(pod, dspa=name)
    assert "--namespace" in refused(pod, namespace=name)


def test_a_pod_with_a_broken_namespace(pod):
    (pod / "namespace").write_text("Not A Name")
    assert "--namespace" in refused(pod, host=None)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_no_host_and_no_namespace(pod, content):
    (pod / "namespace").unlink()
    if content is not None:
        (pod / "namespace").write_bytes(content)
    assert "give --host" in refused(pod, host=None)


def test_no_token(nowhere):
    line = refused(nowhere)
    assert TOKEN in line
    assert "--token-file" in line


def test_a_blank_variable_is_no_token(nowhere, monkeypatch):
    monkeypatch.setenv(TOKEN, " \n")
    assert TOKEN in refused(nowhere)


@pytest.mark.parametrize("content", [None, b"", b"\n", f"{TOKEN_VALUE}é".encode()])
def test_a_token_file_without_a_token(pod, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    assert f"--token-file {file}" in refused(pod, token_file=file)


@pytest.mark.parametrize("value", [f"{TOKEN_VALUE}é", f"{TOKEN_VALUE}\nX-Other: 1", f"{TOKEN_VALUE}\x07"])
def test_a_variable_that_no_header_may_hold(nowhere, monkeypatch, value):
    monkeypatch.setenv(TOKEN, value)
    assert TOKEN in refused(nowhere)


@pytest.mark.parametrize("inner", ["\n", "\r", "\x07"])
def test_a_token_file_that_no_header_may_hold(pod, tmp_path, inner):
    (tmp_path / "token").write_bytes(f"first{inner}{TOKEN_VALUE}".encode())
    assert "--token-file" in refused(pod, token_file=tmp_path / "token")


def test_a_ca_that_is_not_there_or_a_folder(pod, tmp_path):
    for ca in (tmp_path / "none.pem", tmp_path):
        assert f"--ca {ca}" in refused(pod, ca=ca)


def test_the_token_shows_nowhere(nowhere, monkeypatch):
    monkeypatch.setenv(TOKEN, TOKEN_VALUE)
    found = at(nowhere)
    assert found.token() == TOKEN_VALUE
    for text in (
        repr(found),
        str(found),
        repr(vars(found)),
        found.model_dump_json(),
        str(found.model_dump()),
    ):
        assert TOKEN_VALUE not in text


def test_a_token_file_is_read_each_time(pod):
    found = at(pod)
    (pod / "token").write_text("rotated\n")
    assert found.token() == "rotated"


def test_the_rule_that_is_needed_names_namespace_and_dspa(pod):
    rule = at(pod, dspa="other").rule_of_route
    for word in ("get and create", "datasciencepipelinesapplications/api", "[other]", "music", "routes"):
        assert word in rule


def test_the_dashboard_may_be_any_page_of_it(pod):
    assert at(pod).experiments == ""
    page = "https://dash.example.com/projects/music?section=overview"
    assert at(pod, dashboard=page).experiments == "https://dash.example.com/experiments"


def test_a_dashboard_that_is_no_address_is_refused_without_its_password(pod):
    with pytest.raises(
        UsageError, match=r"^--dashboard dash.example.com/: not an address; copy one"
    ) as caught:
        at(pod, dashboard=f"https://me:{TOKEN_VALUE}@dash.example.com/")
    assert TOKEN_VALUE not in str(caught.value)
