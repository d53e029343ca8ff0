"""One request on the wire: the token goes to the server only, and every answer is a result or an error."""

import datetime
import email.utils
import time
import tracemalloc
import zlib

import pytest
import trustme
from dspa_command import TOKEN
from dspa_server import Dspa, Fault, serving
from servers import Site, closed_port
from servers import serving as serving_site

from ml.core.errors import PlatformError
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.failures import Refused, Rejected, Unavailable, Untrusted
from ml.dspa.timeouts import Timeouts
from ml.dspa.transport import Transport

HEALTH = "/apis/v2beta1/healthz"
EXPERIMENTS = "/apis/v2beta1/experiments"
QUICK = Timeouts(request=3, connect=2, read=2)


def transport(url, timeouts=QUICK, kind=Transport, **fields):
    fields = {"token_value": TOKEN, "namespace": "music", "dspa": "blues", **fields}
    return kind(Connection(host=url, **fields), timeouts)


def client(url, timeouts=QUICK) -> Client:
    return transport(url, timeouts, Client)


def failure(call, kind=PlatformError) -> PlatformError:
    """Check that a call fails in one printable line without the token, and return the error."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert (text.isprintable(), TOKEN in text) == (True, False), repr(text)
    return caught.value


def ask(url, kind=PlatformError, **fields):
    return failure(lambda: transport(url, **fields).send("GET", HEALTH), kind)


def answer_with(dspa, fault) -> None:
    dspa.fault = lambda _: fault


def test_the_token_is_a_bearer_and_its_file_is_read_for_every_request(dspa, tmp_path):
    value, headers = transport(dspa.url).send("GET", HEALTH)
    assert (value["tag_name"], bool(headers["Date"])) == (dspa.version.tag_name, True)
    file = tmp_path / "token"
    sender = transport(dspa.url, token_value=None, token_file=file)
    dspa.tokens = {"first", "second"}
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        sender.send("GET", HEALTH)
        sender.send("POST", EXPERIMENTS, body={"display_name": token})
    sent = [request.headers["Authorization"].removeprefix("Bearer ") for request in dspa.requests]
    assert sent == [TOKEN, "first", "first", "second", "second"]
    file.write_text(f"{TOKEN}\nsecond")
    assert "token file cannot be used" in str(failure(lambda: sender.send("GET", HEALTH), Refused))
    assert len(dspa.requests) == 5


@pytest.mark.parametrize(
    ("method", "body", "code"), [("GET", None, 302), ("POST", {}, 302), ("POST", {}, 307)]
)
def test_no_redirect_is_followed(dspa, method, body, code):
    with serving_site(Site(files={HEALTH: b"{}"})) as other:
        answer_with(dspa, Fault.redirect(other.url + HEALTH, code))
        error = failure(lambda: transport(dspa.url).send(method, HEALTH, body=body), Refused)
        assert other.asked == []
    assert ("redirected to 127.0.0.1" in str(error), error.certain, len(dspa.requests)) == (True, False, 1)


def test_the_environment_neither_redirects_nor_adds(dspa, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    with serving_site(Site()) as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        dspa.tokens = None
        transport(dspa.url, token_value=None).send("GET", HEALTH)
        assert proxy.asked == []
    assert "Authorization" not in dspa.requests[0].headers


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def pem(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


def test_only_a_ca_that_is_named_is_trusted_whatever_the_environment_says(ca, pem, tmp_path, monkeypatch):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with serving(Dspa(tokens={TOKEN}), ca=ca) as dspa:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(variable, str(pem))
        line = str(ask(dspa.url, Untrusted))
        assert "not trusted by this machine's CAs" in line and "--ca FILE" in line
        assert f"the CA in {tmp_path}/other.pem" in str(ask(dspa.url, Untrusted, ca=tmp_path / "other.pem"))
        for content in ("", "garbage"):
            (tmp_path / "other.pem").write_text(content)
            ask(dspa.url, ca=tmp_path / "other.pem")
        ask(dspa.url.replace("https", "http"), Unavailable)
        assert dspa.requests == []
        assert transport(dspa.url, ca=pem).send("GET", HEALTH)


@pytest.mark.parametrize(
    ("name", "years", "remedy"),
    [
        ("other.example.com", (2020, 2099), "127.0.0.1.*: give --host a name that is in the certificate$"),
        ("127.0.0.1", (2020, 2021), "expired.*: renew it, or correct"),
        ("127.0.0.1", (2098, 2099), "not yet valid.*: correct this machine"),
    ],
)
def test_a_certificate_that_is_not_valid_has_its_remedy(ca, pem, name, years, remedy):
    first, last = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in years)
    certificate = ca.issue_cert(name, not_before=first, not_after=last)
    with serving_site(Site(), certificate) as site, pytest.raises(Untrusted, match=remedy):
        transport(site.url, ca=pem).send("GET", HEALTH)
    assert site.asked == []


@pytest.mark.parametrize(
    ("code", "after", "wait"),
    [
        *((429, "7", 7), (503, "120", 120), (500, "3", 3), (408, None, 0), (504, None, 0)),
        *((503, nonsense, 0) for nonsense in ("", "-5", "1e9", "٣", "soon")),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0),
        (429, "Fri, 31 Dec 0001 23:59:59", 0),
        (503, f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT", 0),
    ],
)
def test_a_server_that_is_busy_may_say_how_long(dspa, code, after, wait):
    answer_with(dspa, Fault.busy(code, after.encode().decode("latin-1") if after else after))
    error = ask(dspa.url, Unavailable)
    assert (error.wait, f"HTTP {code}: try again later" in str(error), len(dspa.requests)) == (wait, True, 1)
    answer_with(dspa, Fault.status(502, "<html>Bad Gateway</html>"))
    assert str(ask(dspa.url, Unavailable)).endswith("HTTP 502")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1000)
    answer_with(dspa, Fault.busy(503, email.utils.format_datetime(later, usegmt=True)))
    assert 500 < ask(dspa.url, Unavailable).wait <= 1000


CALLS = {
    "health": lambda asker: asker.health(),
    "run": lambda asker: asker.run("r1"),
    "runs": lambda asker: asker.runs("e1", "jukebox-"),
    "create": lambda asker: asker.create_run({"display_name": "b"}),
}
RULE = ("get and create", "datasciencepipelinesapplications/api", "namespace music", "[blues]")
LOGIN = ("a login page", *RULE, "routes")
REFUSALS = [
    (Fault.forbidden(), (*RULE, "minutes after the Role was granted")),
    (Fault.unauthorized(), ("the token is not accepted",)),
    (Fault.login_page(), LOGIN),
    (Fault.status(200, " \n<html>", "application/json"), LOGIN),
    (Fault.status(200, '{"tag_name": "x"}', "text/html"), LOGIN),
    *((Fault.redirect(to), ("redirected to elsewhere",)) for to in ("", "/login", "https://[")),
    (Fault.redirect("https://login.example.com\x7f/"), ("redirected to login.example.com,",)),
]
NO_OBJECTS = [
    *(b"[]", b"null", b"", b'{"tag_name": "x"', b"\xff\xfe{}", b"[" * 100_000),
    b'{"a": %s}' % (b"9" * 5000),
]
NO_ANSWERS = [
    *(Fault.status(404, body) for body in ("{}", '{"error": "not ours"}', "default backend", "<html>")),
    *(Fault.status(code, body, "application/json") for body in NO_OBJECTS for code in (200, 400)),
    *(Fault.close(), Fault.truncated(), Fault.truncated(matching=True), Fault.status(200, X="a" * 100_000)),
    Fault.status(200, "not gzip", Content_Encoding="gzip"),
    Fault.status(200, "\x1b[31m\r\n", Transfer_Encoding="chunked"),
]
RUN = {"run_id": "r1", "experiment_id": "e1", "display_name": "a", "created_at": "2026-01-01T00:00:00Z"}
NO_RUNS = [
    *({"run_id": value} for value in (None, 7, "r2", "../r1", "r1\n", "x" * 200)),
    *({"state": 5}, {"runtime_config": {"parameters": "none"}}, {"created_at": "yesterday"}),
]
NO_LISTS = [{"runs": {}}, {"runs": [None]}, {"next_page_token": 3}]


@pytest.mark.parametrize(
    ("call", "fault", "error", "words"),
    [
        *(("health", fault, Refused, words) for fault, words in REFUSALS),
        *(("health", fault, Unavailable, ()) for fault in NO_ANSWERS),
        ("health", Fault.json({"status": "up"}), Unavailable, ("check --host",)),
        *(("run", Fault.json({**RUN, **change}), Unavailable, ()) for change in NO_RUNS),
        *(("runs", Fault.json(value), Unavailable, ()) for value in NO_LISTS),
        ("create", Fault.json(RUN), Unavailable, ("the server returned a",)),
        ("run", Fault.json({"code": 5, "message": "no such run"}, 404), Rejected, ("HTTP 404: no such run",)),
    ],
)
def test_what_an_answer_means(dspa, call, fault, error, words):
    answer_with(dspa, fault)
    line = str(failure(lambda: CALLS[call](client(dspa.url)), error))
    assert [word for word in words if word not in line] == []
    answer_with(dspa, Fault.json(RUN))
    assert client(dspa.url).run("r1").state == "RUNTIME_STATE_UNSPECIFIED"


def test_a_list_without_end_is_bounded_by_pages_and_by_one_time_for_all(dspa):
    answer_with(dspa, Fault.json({"next_page_token": "again"}))
    asker = client(dspa.url, Timeouts())
    assert "does not end" in str(failure(lambda: asker.runs("e1", ""), Unavailable))
    dspa.fault = lambda _: time.sleep(0.02) or Fault.json({"next_page_token": "again"})
    assert "does not end" not in str(failure(lambda: asker.runs("e1", "", within=0.5), Unavailable))


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "one\ntwo\r\nthree", "\x07\x00\x9b2J", "\u202eevil", "\ud800", "x" * 9000]
)
@pytest.mark.parametrize("code", [400, 503])
def test_a_message_of_the_server_becomes_one_printable_line(dspa, code, text):
    answer_with(dspa, Fault.json({"code": 3, "message": f"before {text} after"}, code))
    line = str(ask(dspa.url))
    assert ("before" in line, len(line) < 500) == (True, True)
    answer_with(dspa, Fault.status(code, f"before {text} after".encode("utf-8", "replace")))
    ask(dspa.url)


@pytest.mark.parametrize(
    "fault", [Fault.hang(60), Fault.slow_body(0.2, piece=1)], ids=lambda fault: fault.kind
)
@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", HEALTH, None), ("POST", EXPERIMENTS, {"display_name": "x"})]
)
def test_a_request_has_a_timeout_and_the_next_one_succeeds(dspa, fault, method, path, body):
    answer_with(dspa, fault)
    sender = transport(dspa.url, Timeouts(request=0.5, connect=30, read=30))
    error = failure(lambda: sender.send(method, path, body=body), Unavailable)
    assert "no complete answer" in str(error) or "timed out" in str(error)
    dspa.fault = None
    assert sender.send("GET", HEALTH, within=20)
    failure(lambda: sender.send("GET", HEALTH, within=0), Unavailable)


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, block = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + 1000 * block


@pytest.mark.parametrize(
    "fault",
    [
        Fault.huge(600, chunked=True),
        *(Fault.status(code, gzip_bomb(), Content_Encoding="gzip", Location="/x") for code in (200, 302)),
    ],
    ids=["huge", "bomb", "bomb beside a redirect"],
)
def test_an_answer_is_bounded_in_size(dspa, fault):
    answer_with(dspa, fault)
    tracemalloc.start()
    try:
        assert "more than 8 MB" in str(ask(dspa.url, timeouts=Timeouts(request=60)))
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(after=True), Fault.close(after=True), Fault.hang(0.1, after=True), Fault.busy(503, "0")],
)
def test_a_post_is_sent_once_on_a_connection_of_its_own(dspa, fault):
    sender = transport(dspa.url)
    sender.send("GET", HEALTH)
    dspa.fault = lambda request: fault if request.method == "POST" else None
    failure(lambda: sender.send("POST", EXPERIMENTS, body={"display_name": "x"}), Unavailable)
    assert [request.kind for request in dspa.requests] == ["healthz", "create_experiment"]
    assert dspa.requests[1].headers["Connection"] == "close"


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.close()], ids=lambda fault: fault.kind)
def test_a_get_is_repeated_on_a_broken_connection_but_not_for_ever(dspa, fault):
    dspa.fault = lambda request: fault if request.number == 2 else None
    sender = transport(dspa.url, Timeouts())
    sender.send("GET", HEALTH)
    assert sender.send("GET", HEALTH)[0]["tag_name"]
    assert len(dspa.requests) == 3
    answer_with(dspa, fault)
    failure(lambda: sender.send("GET", HEALTH), Unavailable)
    assert len(dspa.requests) == 6


def test_a_closed_port_an_unknown_host_and_a_server_without_tls_are_named(dspa):
    assert "TLS" in str(ask(dspa.url.replace("http", "https"), Unavailable))
    assert "Connection refused" in str(ask(f"http://127.0.0.1:{closed_port()}", Unavailable))
    assert "nothing.invalid" in str(ask("https://nothing.invalid", Unavailable))
