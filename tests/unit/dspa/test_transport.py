"""One request on the wire: the token goes to the server only, and every answer is a result or an error."""

import datetime
import email.utils
import subprocess
import sys
import threading
import time

import pytest
from dspa_command import TOKEN
from dspa_proxy import gzip_bomb, http_answer, raw_server
from dspa_server import Fault
from servers import Site, closed_port
from servers import serving as serving_site

from ml.core.errors import PlatformError
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.timeouts import Timeouts
from ml.dspa.transport import Transport

HEALTH = "/apis/v2beta1/healthz"
EXPERIMENTS = "/apis/v2beta1/experiments"
QUICK = Timeouts(request=1.5, connect=1, read=1)


def transport(url, timeouts=QUICK, **fields):
    fields = {"token_value": TOKEN, "namespace": "music", "dspa": "blues", **fields}
    return Transport(Connection(host=url, **fields), timeouts)


def client(url, timeouts=QUICK):
    return Client(Connection(host=url, token_value=TOKEN), timeouts)


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


# The token.


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
    dspa.tokens = None
    transport(dspa.url, token_value=None).send("GET", HEALTH)
    assert "Authorization" not in dspa.requests[-1].headers


@pytest.mark.parametrize("content", [None, "tökén", f"{TOKEN}\nsecond", f"{TOKEN}\rsecond"])
def test_a_token_file_without_a_token_sends_nothing(dspa, tmp_path, content):
    if content:
        (tmp_path / "token").write_bytes(content.encode())
    error = ask(dspa.url, Refused, token_value=None, token_file=tmp_path / "token")
    assert "token file cannot be used" in str(error)
    assert dspa.requests == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_redirect_is_followed(dspa, code, method):
    with serving_site(Site(files={HEALTH: b"{}"})) as other:
        answer_with(dspa, Fault.redirect(other.url + HEALTH, code))
        sender = transport(dspa.url)
        error = failure(lambda: sender.send(method, HEALTH, body={} if method == "POST" else None), Refused)
        assert other.asked == []
    assert "redirected to 127.0.0.1" in str(error)
    assert len(dspa.requests) == 1


def test_the_environment_neither_redirects_nor_adds(dspa, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    with serving_site(Site()) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, str(tmp_path / "none.pem"))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        transport(dspa.url).send("GET", HEALTH)
        dspa.tokens = None
        transport(dspa.url, token_value=None).send("GET", HEALTH)
        assert proxy.asked == []
    assert dspa.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Authorization" not in dspa.requests[1].headers


# Refusals.

RULE = ("get and create", "datasciencepipelinesapplications/api", "namespace music", "[blues]")
LOGIN = ("a login page", *RULE, "routes")


@pytest.mark.parametrize(
    ("fault", "words", "absent"),
    [
        (Fault.forbidden(), RULE, "routes"),
        (Fault.unauthorized(), ("the token is not accepted",), "Role"),
        (Fault.login_page(), LOGIN, "the token is not accepted"),
        (Fault.status(200, "<html>", "application/json"), LOGIN, "JSON"),
        (Fault.status(200, '{"tag_name": "x"}', "text/html"), LOGIN, "JSON"),
        (Fault.status(201, " \n<!DOCTYPE html>"), LOGIN, "JSON"),
    ],
)
def test_a_refusal_says_which_right_or_token_is_missing(dspa, fault, words, absent):
    answer_with(dspa, fault)
    text = str(ask(dspa.url, Refused))
    assert ([word for word in words if word not in text], absent in text) == ([], False)


@pytest.mark.parametrize("location", ["", "/login", "//", "https://", "https://login.example.com/\x7f"])
def test_redirects_to_nowhere(dspa, location):
    answer_with(dspa, Fault.redirect(location))
    ask(dspa.url)
    assert len(dspa.requests) == 1


# Answers that may be better later.


@pytest.mark.parametrize(
    ("code", "after", "wait"),
    [
        *((429, "7", 7), (503, "120", 120), (500, "3", 3), (408, None, 0), (503, None, 0), (504, None, 0)),
        *((503, nonsense, 0) for nonsense in ("", "-5", "1e9", "٣", "soon", "\u00b2")),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0),
        (429, "Fri, 31 Dec 0001 23:59:59", 0),
        (503, f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT", 0),
        (503, "Wed, 21 Oct 2015 07:28:00 +999999999999999999", 0),
    ],
)
def test_a_server_that_is_busy_may_say_how_long(dspa, code, after, wait):
    answer_with(dspa, Fault.busy(code, after.encode().decode("latin-1") if after else after))
    error = ask(dspa.url, Unavailable)
    assert (error.wait, f"HTTP {code}" in str(error), len(dspa.requests)) == (wait, True, 1)


def test_a_server_that_is_busy_until_a_date(dspa):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1000)
    answer_with(dspa, Fault.busy(503, email.utils.format_datetime(later, usegmt=True)))
    assert 500 < ask(dspa.url, Unavailable).wait <= 1000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *(("{}", "application/json"), ('{"error": "not ours"}', "application/json")),
        *((text, "text/plain") for text in ("", "default backend - 404")),
        ("<html>no route</html>", "text/html"),
    ],
)
def test_a_404_that_is_not_the_apis_is_not_final(dspa, body, kind):
    answer_with(dspa, Fault.status(404, body, kind))
    ask(dspa.url, Unavailable)


def test_an_error_of_the_api_is_final(dspa):
    error = failure(lambda: client(dspa.url).run("none"), Rejected)
    assert (error.status, "Run none not found" in str(error)) == (404, True)


# Bodies.


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"null", b"3", b'"x"', b"true", b"", b" ", b"{", b'{"tag_name": "x"', b"\xff\xfe{}"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_object_is_no_answer(dspa, body):
    for code in (200, 400):
        answer_with(dspa, Fault.status(code, body, "application/json"))
        ask(dspa.url, Unavailable)


RUN = {"run_id": "r1", "experiment_id": "e1", "display_name": "a", "created_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        *({"run_id": value} for value in (None, 7, "r2", ["r1"], "../r1", "r1\n", "x" * 200)),
        *({"state": value} for value in (5, {"state": "SUCCEEDED"})),
        *({"runtime_config": value} for value in ([], {"parameters": "none"})),
        *({"experiment_id": "\x1b[31m"}, {"created_at": "yesterday"}),
    ],
    ids=str,
)
def test_a_run_of_another_shape_is_no_run(dspa, change):
    value = {name: item for name, item in {**RUN, **change}.items() if item is not None}
    answer_with(dspa, Fault.json(value))
    failure(lambda: client(dspa.url).run("r1"), Unavailable)


@pytest.mark.parametrize(
    "value", [{"runs": {}}, {"runs": [None]}, {"runs": None}, {"next_page_token": 3}], ids=str
)
def test_a_list_of_another_shape_is_no_list(dspa, value):
    answer_with(dspa, Fault.json(value))
    failure(lambda: client(dspa.url).runs("e1", "jukebox-"), Unavailable)


def test_another_answer_than_the_one_asked_for(dspa):
    answer_with(dspa, Fault.json({"status": "up"}))
    assert "check --host" in str(failure(client(dspa.url).health, Unavailable))
    answer_with(dspa, Fault.json(RUN))
    failure(lambda: client(dspa.url).create_run({"display_name": "b"}), Unavailable)
    for matching in (False, True):
        answer_with(dspa, Fault.truncated(matching=matching))
        ask(dspa.url, Unavailable)


def test_a_list_without_end_is_bounded_by_pages_and_by_one_time_for_all(dspa):
    answer_with(dspa, Fault.json({"next_page_token": "again"}))
    asker = client(dspa.url, Timeouts())
    assert "does not end" in str(failure(lambda: asker.runs("e1", ""), Unavailable))
    dspa.fault = lambda _: time.sleep(0.02) or Fault.json({"next_page_token": "again"})
    assert "does not end" not in str(failure(lambda: asker.runs("e1", "", within=0.5), Unavailable))


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred\x1b[0m", "one\ntwo\r\nthree", "\x07\x08\x00\x9b2J", "\u202eevil", "\ud800", "x" * 9000],
)
@pytest.mark.parametrize("code", [400, 503])
def test_a_message_of_the_server_becomes_one_printable_line(dspa, code, text):
    answer_with(dspa, Fault.json({"code": 3, "message": f"before {text} after"}, code))
    line = str(ask(dspa.url))
    assert ("before" in line, len(line) < 500) == (True, True)
    answer_with(dspa, Fault.status(code, f"before {text} after".encode("utf-8", "replace")))
    ask(dspa.url)


OK = b"HTTP/1.1 200 OK\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"\x1b[31mgarbage\r\n\r\n", b"\x00" * 100_000, b"HTTP/1.1 999 \x1b[31m\r\n\r\n"),
        OK + b"Content-Length: \x1b[31m\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\x1b[31m\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
        OK + b"X-A: b\r\n" * 1000 + b"\r\n",
        OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        *(FOUND + location + b"\r\n\r\n" for location in (b"https://\x1b[31m/", b"https://[", b"\xff\xfe")),
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_bytes_that_are_no_http(answer):
    with raw_server(answer) as wire:
        ask(wire.url)


# Time and size.


@pytest.mark.parametrize(
    "fault",
    [Fault.hang(60), Fault.slow_body(0.2, piece=1), Fault.slow_headers(0.2, piece=1)],
    ids=lambda fault: fault.kind,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_has_a_timeout_and_the_next_one_succeeds(dspa, fault, method):
    answer_with(dspa, fault)
    sender = transport(dspa.url, Timeouts(request=0.5, connect=30, read=30))
    path, body = (HEALTH, None) if method == "GET" else (EXPERIMENTS, {"display_name": "x"})
    begin = time.monotonic()
    error = failure(lambda: sender.send(method, path, body=body), Unavailable)
    assert "no complete answer" in str(error) or "timed out" in str(error)
    assert time.monotonic() - begin < 20
    dspa.fault = None
    assert sender.send("GET", HEALTH, within=20)
    failure(lambda: sender.send("GET", HEALTH, within=0), Unavailable)


CHILD = """
import sys
from ml.dspa.connection import Connection
from ml.dspa.timeouts import Timeouts
from ml.dspa.transport import Transport
from pathlib import Path
kind = ""
try:
    Transport(Connection(host=sys.argv[1]), Timeouts(request=20)).send("GET", "/apis/v2beta1/healthz")
except Exception as error:
    kind = f"{type(error).__name__} {error}"
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, kind)
"""


def said_in_little_memory(url) -> str:
    """Ask in a process of its own, check its peak memory, and return what it said."""
    command = [sys.executable, "-c", CHILD, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    peak, _, said = done.stdout.strip().partition(" ")
    assert int(peak) < 200
    return said


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_refused(dspa, chunked):
    dspa.tokens = None
    answer_with(dspa, Fault.huge(600, chunked=chunked))
    assert "more than 8 MB" in said_in_little_memory(dspa.url)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("200 OK", "more than 8 MB"),
        ("503 Busy\r\nRetry-After: 1", "Unavailable"),
        ("302 Found\r\nLocation: /login", ""),
    ],
)
def test_a_gzip_bomb_is_refused(status, said):
    def answer():
        yield f"HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\n\r\n".encode()
        yield from gzip_bomb(1024)()

    with raw_server(answer) as wire:
        assert said in said_in_little_memory(wire.url)


# What is sent again, and what never is.


@pytest.mark.parametrize(
    "fault", [Fault.reset(after=True), Fault.close(after=True), Fault.hang(0.1, after=True)]
)
def test_a_post_is_sent_once(dspa, fault):
    sender = transport(dspa.url)
    sender.send("GET", HEALTH)
    dspa.fault = lambda request: fault if request.method == "POST" else None
    failure(lambda: sender.send("POST", EXPERIMENTS, body={"display_name": "x"}), Unavailable)
    assert [request.kind for request in dspa.requests] == ["healthz", "create_experiment"]


def test_a_post_that_is_refused_is_sent_once_and_posts_share_no_connection(dspa):
    with raw_server(http_answer(b'{"code": 14, "message": "later"}', "503 Busy", retry_after="0")) as wire:
        failure(lambda: transport(wire.url).send("POST", EXPERIMENTS, body={}), Unavailable)
        assert len(wire.asked) == 1
    sender = transport(dspa.url)
    for name in "ab":
        sender.send("POST", EXPERIMENTS, body={"display_name": name})
    assert [request.headers["Connection"] for request in dspa.requests] == ["close", "close"]


@pytest.mark.parametrize(
    "fault", [Fault.reset(), Fault.close(), Fault.truncated()], ids=lambda fault: fault.kind
)
def test_a_get_is_repeated_on_a_broken_connection(dspa, fault):
    dspa.fault = lambda request: fault if request.number == 2 else None
    sender = transport(dspa.url, Timeouts())
    sender.send("GET", HEALTH)
    if fault.kind == "truncated":
        # The head of the answer has arrived: the caller repeats the request.
        failure(lambda: sender.send("GET", HEALTH), Unavailable)
    assert sender.send("GET", HEALTH)[0]["tag_name"]
    assert len(dspa.requests) == 3


def test_a_get_is_not_repeated_for_ever(dspa):
    answer_with(dspa, Fault.reset())
    ask(dspa.url, Unavailable, timeouts=Timeouts())
    assert len(dspa.requests) == 3


def test_a_closed_port_and_an_unknown_host_are_named():
    assert "Connection refused" in str(ask(f"http://127.0.0.1:{closed_port()}", Unavailable))
    assert "nothing.invalid" in str(ask("https://nothing.invalid", Unavailable))


def test_threads_may_share_a_transport(dspa):
    sender, answers = transport(dspa.url, Timeouts()), []
    threads = [threading.Thread(target=lambda: answers.append(sender.send("GET", HEALTH))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
