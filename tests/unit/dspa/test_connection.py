"""Address and credentials of the DSPA: options, variables, the pod, and what is refused."""

import traceback
from pathlib import Path

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
    for name, content in {"namespace": "music\n", "token": f"{TOKEN}\n", "service-ca.crt": "a CA"}.items():
        (folder / name).write_text(content)
    return folder


def at(pod, host=ROUTE, dspa="dspa", namespace=None, ca=None, token_file=None, dashboard=""):
    return connect(host, dspa, namespace, ca, token_file, dashboard, pod=pod)


def refused(*args, **kwargs) -> str:
    """Check that a connection is refused in one line without the token, and return the line."""
    with pytest.raises(UsageError) as caught:
        at(*args, **kwargs)
    assert "\n" not in str(caught.value)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_pod_completes_everything_and_options_and_variables_go_before_it(pod, tmp_path, monkeypatch):
    here = at(pod, host=None)
    assert (here.host, here.token()) == ("https://ds-pipeline-dspa.music.svc:8443", TOKEN)
    assert (here.namespace, here.ca, here.experiments) == ("music", pod / "service-ca.crt", "")
    assert (
        at(pod, host=None, dspa="other", namespace="jazz").host == "https://ds-pipeline-other.jazz.svc:8443"
    )
    monkeypatch.setenv(VARIABLE, " variable\n")
    assert at(pod).token() == "variable"
    for name in ("ca.pem", "token"):
        (tmp_path / name).write_text("typed")
    typed = at(pod, f" {ROUTE}//\n", "dspa", "jazz", tmp_path / "ca.pem", tmp_path / "token")
    assert (typed.host, typed.namespace, typed.ca) == (ROUTE, "jazz", tmp_path / "ca.pem")
    assert connect(ROUTE, "dspa", "jazz", None, None, pipeline_root="s3://root").pipeline_root == "s3://root"
    assert typed.token() == "typed"


def test_the_service_ca_is_for_services_and_http_for_loopback_only(pod, tmp_path):
    for host in ("https://a.music.svc:8443", "https://a.music.svc.cluster.local"):
        assert at(pod, host=host).ca == pod / "service-ca.crt"
    for host in (ROUTE, "https://svc", "https://a.svc.example.com", "https://evilsvc"):
        assert at(pod, host=host).ca is None
    (pod / "service-ca.crt").unlink()
    assert at(pod, host=None).ca is None
    for host in ("http://127.0.0.1:8888", "http://localhost:8888", "http://[::1]:8888"):
        assert (at(tmp_path, host=host).host, at(tmp_path, host=host).token()) == (host, "")
    for host in (
        "http://example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0:80",
    ):
        assert "use https" in refused(pod, host=host)


NO_ADDRESS = [
    *"ds-pipeline.example.com example.com:8443 //example.com https:// https:///apis ftp://example.com".split(),
    *"https://[::1 https://example.com:0 https://example.com:99999 https://example.com:port".split(),
    *("https://a\\b", "\x1b[31m", "https://exa mple.com", f"{ROUTE}?", f"{ROUTE}#"),
    *(f"{scheme}://{user}@example.com" for scheme in ("https", "ftp") for user in (TOKEN, f"me:{TOKEN}")),
    *(f"http://127.0.0.1:{TOKEN}@example.com", f"https://example.com?token={TOKEN}", f"https://a/#{TOKEN}"),
]
NO_NAMES = ["Dspa", "ds_pa", "-dspa", "a/b", "a.b", "x" * 64, "ds\npa"]
NO_TOKENS = ["", "\n", f"{TOKEN}é", f"1\n{TOKEN}", f"1\x07{TOKEN}"]


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        *(("host", host, "--host") for host in NO_ADDRESS),
        *(("dspa", name, "--dspa") for name in NO_NAMES),
        *(("namespace", name, "--namespace") for name in NO_NAMES),
        ("ca", Path("none.pem"), "--ca none.pem"),
        ("ca", Path("/"), "--ca /"),
        ("dashboard", f"https://me:{TOKEN}@dash.com/", "--dashboard dash.com/: not an address"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_and_no_secret_repeated(pod, option, value, word):
    assert word in refused(pod, **{option: value})


def test_what_a_pod_a_file_or_a_variable_lacks_is_named(pod, tmp_path, monkeypatch):
    for content, word in ((b" \n", "give --host"), (b"\xff\xfe", "give --host"), (b"a.b", "--namespace")):
        (pod / "namespace").write_bytes(content)
        assert word in refused(pod, host=None)
    (pod / "namespace").write_text("music")
    file = tmp_path / "token"
    assert f"--token-file {file}: No such file" in refused(pod, token_file=file)
    for content in NO_TOKENS:
        file.write_text(content)
        assert f"--token-file {file}" in refused(pod, token_file=file)
        monkeypatch.setenv(VARIABLE, content)
        line = refused(tmp_path / "no-pod")
        assert (VARIABLE in line, "--token-file" in line) == (True, not content.strip())


def test_the_token_is_not_printed(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, TOKEN)
    here = at(tmp_path, dashboard="https://dash.example.com/projects/music?section=overview")
    assert (here.token(), here.experiments) == (TOKEN, "https://dash.example.com/experiments")
    for text in (repr(here), str(here), repr(vars(here)), here.model_dump_json(), str(here.model_dump())):
        assert TOKEN not in text
