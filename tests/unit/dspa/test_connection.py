"""Address and credentials of the DSPA: options, variables, the pod, and what is refused."""

import traceback

import pytest
from dspa_command import TOKEN

from ml.core.errors import UsageError
from ml.dspa.connection import TOKEN as VARIABLE
from ml.dspa.connection import connect

ROUTE = "https://ds-pipeline-dspa-music.apps.example.com"


@pytest.fixture
def pod(tmp_path):
    """What Kubernetes mounts into a pod."""
    folder = tmp_path / "pod"
    folder.mkdir()
    (folder / "namespace").write_text("music\n")
    (folder / "token").write_text(f"{TOKEN}\n")
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
    assert "\n" not in str(caught.value)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_pod_completes_everything_with_the_names_that_were_given(pod, nowhere, monkeypatch):
    here = at(pod, host=None)
    assert here.host == "https://ds-pipeline-dspa.music.svc:8443"
    assert (here.namespace, here.token()) == ("music", TOKEN)
    assert (here.ca, here.token_file) == (pod / "service-ca.crt", pod / "token")
    assert at(pod, host=None, dspa="other").host == "https://ds-pipeline-other.music.svc:8443"
    assert at(pod, host=None, namespace="jazz").host == "https://ds-pipeline-dspa.jazz.svc:8443"
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert at(nowhere, host=None, namespace="jazz").host == "https://ds-pipeline-dspa.jazz.svc:8443"


def test_options_go_before_variables_and_those_before_the_pod(pod, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, " variable\n")
    assert at(pod).token() == "variable"
    for name in ("ca.pem", "token"):
        (tmp_path / name).write_text("typed")
    typed = at(pod, namespace="jazz", ca=tmp_path / "ca.pem", token_file=tmp_path / "token")
    assert (typed.host, typed.namespace, typed.ca) == (ROUTE, "jazz", tmp_path / "ca.pem")
    assert typed.token() == "typed"


def test_the_service_ca_is_for_services_only(pod):
    for host in ("https://a.music.svc:8443", "https://a.music.svc.cluster.local"):
        assert at(pod, host=host).ca == pod / "service-ca.crt"
    for host in (ROUTE, "https://svc", "https://a.svc.example.com", "https://evilsvc"):
        assert at(pod, host=host).ca is None
    (pod / "service-ca.crt").unlink()
    assert at(pod, host=None).ca is None


def test_http_is_for_loopback_only_which_needs_no_token(nowhere, pod):
    for host in ("http://127.0.0.1:8888", "http://localhost:8888", "http://[::1]:8888"):
        assert (at(nowhere, host=host).host, at(nowhere, host=host).token()) == (host, "")
    for host in "http://example.com http://localhost.example.com http://10.0.0.1 http://0.0.0.0:80".split():
        assert "use https" in refused(pod, host=host)


@pytest.mark.parametrize(
    "host",
    [
        *"ds-pipeline.example.com example.com:8443 //example.com https:// https:///apis ftp://example.com".split(),
        *"file:///etc/passwd https://[::1 https://example.com:0 https://example.com:99999".split(),
        *"https://example.com:port garbage \x1b[31m https://a\\b".split(),
        *(f"{ROUTE}?", f"{ROUTE}#", "https://exa mple.com"),
        *(f"{scheme}://{user}@example.com" for scheme in ("https", "ftp") for user in (TOKEN, f"me:{TOKEN}")),
        *(
            f"http://127.0.0.1:{TOKEN}@example.com",
            f"https://example.com?token={TOKEN}",
            f"https://example.com/#{TOKEN}",
        ),
    ],
)
def test_what_is_no_address_or_has_a_secret_is_refused_and_not_repeated(pod, host):
    assert "--host" in refused(pod, host=host)


def test_slashes_and_blanks_around_an_address_are_removed(pod):
    assert at(pod, host=f" {ROUTE}//\n").host == ROUTE


@pytest.mark.parametrize("name", ["Dspa", "ds_pa", "-dspa", "a/b", "a.b", "x" * 64, "ds\npa"])
def test_invalid_kubernetes_names_are_refused(pod, name):
    assert "--dspa" in refused(pod, dspa=name)
    assert "--namespace" in refused(pod, namespace=name)
    (pod / "namespace").write_text(name)
    assert "--namespace" in refused(pod, host=None)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_no_host_and_no_namespace(pod, content):
    (pod / "namespace").unlink()
    if content is not None:
        (pod / "namespace").write_bytes(content)
    assert "give --host" in refused(pod, host=None)


@pytest.mark.parametrize("value", [None, " \n", f"{TOKEN}é", f"{TOKEN}\nX-Other: 1", f"{TOKEN}\x07"])
def test_a_variable_without_a_token(nowhere, monkeypatch, value):
    if value:
        monkeypatch.setenv(VARIABLE, value)
    line = refused(nowhere)
    assert VARIABLE in line
    assert ("--token-file" in line) == (not (value or "").strip())


@pytest.mark.parametrize("content", [None, "", "\n", f"{TOKEN}é", *(f"1{c}{TOKEN}" for c in "\n\r\x07")])
def test_a_token_file_without_a_token(pod, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content.encode())
    assert f"--token-file {file}" in refused(pod, token_file=file)


def test_a_ca_that_is_missing_or_a_folder(pod, tmp_path):
    for ca in (tmp_path / "none.pem", tmp_path):
        assert f"--ca {ca}" in refused(pod, ca=ca)


def test_the_token_is_not_printed(nowhere, monkeypatch):
    monkeypatch.setenv(VARIABLE, TOKEN)
    here = at(nowhere)
    assert here.token() == TOKEN
    for text in (repr(here), str(here), repr(vars(here)), here.model_dump_json(), str(here.model_dump())):
        assert TOKEN not in text


def test_a_token_file_is_read_each_time(pod):
    here = at(pod)
    (pod / "token").write_text("rotated\n")
    assert here.token() == "rotated"


def test_the_rule_names_namespace_and_dspa(pod):
    rule = at(pod, dspa="other").rule_of_route
    for word in ("get and create", "datasciencepipelinesapplications/api", "[other]", "music", "routes"):
        assert word in rule


def test_the_dashboard_may_be_any_page_of_it_without_a_password(pod):
    assert at(pod).experiments == ""
    page = "https://dash.example.com/projects/music?section=overview"
    assert at(pod, dashboard=page).experiments == "https://dash.example.com/experiments"
    line = refused(pod, dashboard=f"https://me:{TOKEN}@dash.example.com/")
    assert line.startswith("--dashboard dash.example.com/: not an address; copy one")
