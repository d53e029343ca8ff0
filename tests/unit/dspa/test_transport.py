"""One request on the wire: the token goes to the server alone, once, and every answer gets a name."""

import datetime
import email.utils
import json
import subprocess
import sys
import threading
import time

import pytest
from dspa_proxy import gzip_bomb, http_answer, raw_server
from dspa_server import Dspa, Fault, serving
from servers import Site, closed_port
from servers import serving as serving_site

from ml.core.errors import PlatformError
from ml.dspa.client import Client
from ml.dspa.connection import Connection, connect
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.timeouts import Timeouts
from ml.dspa.transport import Transport

TOKEN = "sha256~VeryS3cretT0ken"
HEALTH = "/apis/v2beta1/healthz"
RUNS = "/apis/v2beta1/runs"
QUICK = Timeouts(request=1.5, connect=1, read=1)
HEALTHY = http_answer(b'{"tag_name": "x"}')


@pytest.fixture
def dspa():
    with serving(Dspa(tokens={TOKEN})) as found:
        yield found


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
    assert text.isprintable(), repr(text)
    assert TOKEN not in text
    return caught.value


def ask(url, kind=PlatformError, **fields):
    return failure(lambda: transport(url, **fields).send("GET", HEALTH), kind)


# The token.


def test_the_token_goes_along_as_a_bearer(dspa):
    value, headers = transport(dspa.url).send("GET", HEALTH)
    assert value["tag_name"] == dspa.version.tag_name
    assert headers["Date"]
    assert dspa.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_the_token_file_is_read_for_every_request(dspa, tmp_path):
    file = tmp_path / "token"
    sender = transport(dspa.url, token_value=None, token_file=file)
    dspa.tokens = {"first", "second"}
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        sender.send("GET", HEALTH)
        sender.send("POST", "/apis/v2beta1/experiments", body={"display_name": token})
    sent = [request.headers["Authorization"] for request in dspa.requests]
    assert sent == ["Bearer first"] * 2 + ["Bearer second"] * 2


@pytest.mark.parametrize("content", [None, "tökén".encode()])
def test_a_token_file_that_cannot_be_read_any_more(dspa, tmp_path, content):
    file = tmp_path / "token"
    if content:
        file.write_bytes(content)
    error = ask(dspa.url, Refused, token_value=None, token_file=file)
    assert "token file cannot be used" in str(error)
    assert dspa.requests == []


@pytest.mark.parametrize("inner", ["\n", "\r"])
def test_a_token_file_of_two_lines_is_not_repeated(dspa, tmp_path, inner):
    (tmp_path / "token").write_bytes(f"{TOKEN}{inner}second".encode())
    ask(dspa.url, token_value=None, token_file=tmp_path / "token")
    assert dspa.requests == []


def test_no_token_no_header(dspa):
    dspa.tokens = None
    transport(dspa.url, token_value=None).send("GET", HEALTH)
    assert "Authorization" not in dspa.requests[0].headers


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_redirect_is_followed(dspa, code, method):
    with serving_site(Site(files={HEALTH: b"{}"})) as other:
        dspa.fault = lambda _: Fault.redirect(other.url + HEALTH, code)
        sender = transport(dspa.url)
        error = failure(lambda: sender.send(method, HEALTH, body={} if method == "POST" else None), Refused)
        assert other.asked == []
    assert "redirected to 127.0.0.1" in str(error)
    assert len(dspa.requests) == 1


def test_the_environment_neither_redirects_nor_adds(dspa, tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    with serving_site(Site()) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "none.pem"))
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        transport(dspa.url).send("GET", HEALTH)
        transport(dspa.url, token_value=None, token_file=None)
        dspa.tokens = None
        transport(dspa.url, token_value=None).send("GET", HEALTH)
        assert proxy.asked == []
    assert dspa.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Authorization" not in dspa.requests[1].headers


# Refusals.


@pytest.mark.parametrize(("fault", "routes"), [(Fault.forbidden(), False), (Fault.login_page(), True)])
def test_a_refusal_names_the_rule_that_is_missing(dspa, fault, routes):
    """Only an oauth-proxy, which shows a login page, asks for the route."""
    dspa.fault = lambda _: fault
    text = str(ask(dspa.url, Refused))
    for word in ("get and create", "datasciencepipelinesapplications/api", "namespace music", "[blues]"):
        assert word in text
    assert ("routes" in text) == routes


def test_a_token_that_is_not_accepted_is_told_from_a_right_that_is_missing(dspa):
    dspa.fault = lambda _: Fault.unauthorized()
    text = str(ask(dspa.url, Refused))
    assert "the token is not accepted" in text
    assert "Role" not in text


@pytest.mark.parametrize(
    "fault",
    [
        Fault.login_page(),
        Fault.status(200, "<html>", "application/json"),
        Fault.status(200, '{"tag_name": "x"}', "text/html"),
        Fault.status(201, " \n<!DOCTYPE html>"),
    ],
)
def test_a_login_page_is_called_one(dspa, fault):
    dspa.fault = lambda _: fault
    assert "a login page" in str(ask(dspa.url, Refused))


@pytest.mark.parametrize("location", ["", "/login", "//", "https://", "https://login.example.com/\x7f"])
def test_strange_redirects(dspa, location):
    dspa.fault = lambda _: Fault.redirect(location)
    ask(dspa.url)
    assert len(dspa.requests) == 1


# Answers that may be better later.


@pytest.mark.parametrize(
    ("code", "after", "wait"),
    [
        (429, "7", 7),
        (503, "120", 120),
        (503, None, 0),
        (503, "", 0),
        (503, "-5", 0),
        (503, "1e9", 0),
        (503, "٣", 0),
        (503, "soon", 0),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0),
        (429, "Fri, 31 Dec 0001 23:59:59", 0),
        (500, "3", 3),
        (408, None, 0),
        (504, None, 0),
    ],
)
def test_a_server_that_is_busy(dspa, code, after, wait):
    header = after.encode().decode("latin-1") if after else after
    dspa.fault = lambda _: Fault.busy(code, header)
    error = ask(dspa.url, Unavailable)
    assert (error.wait, f"HTTP {code}" in str(error)) == (wait, True)
    assert len(dspa.requests) == 1


def test_a_server_that_is_busy_until_a_date(dspa):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1000)
    dspa.fault = lambda _: Fault.busy(503, email.utils.format_datetime(later, usegmt=True))
    assert 500 < ask(dspa.url, Unavailable).wait <= 1000


def test_a_date_beyond_all_dates(dspa):
    dspa.fault = lambda _: Fault.busy(503, f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT")
    assert ask(dspa.url, Unavailable).wait == 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{}", "application/json"),
        ("", "text/plain"),
        ("default backend - 404", "text/plain"),
        ("<html>no route</html>", "text/html"),
        ('{"error": "not ours"}', "application/json"),
    ],
)
def test_an_error_that_is_not_the_apis_is_not_final(dspa, body, kind):
    dspa.fault = lambda _: Fault.status(404, body, kind)
    ask(dspa.url, Unavailable)


def test_an_error_of_the_api_is_final(dspa):
    error = failure(lambda: client(dspa.url).run("none"), Rejected)
    assert error.status == 404
    assert "Run none not found" in str(error)


# Bodies.

SHAPES = [
    *(b"[]", b"null", b"3", b'"x"', b"true", b"", b" ", b"{", b'{"tag_name": "x"', b"\xff\xfe{}"),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", SHAPES, ids=lambda body: repr(body[:12]))
def test_what_is_no_json_object_is_no_answer(dspa, body):
    for code in (200, 400):
        dspa.fault = lambda _, code=code: Fault.status(code, body, "application/json")
        ask(dspa.url, Unavailable)


def test_what_is_no_healthz_is_no_dspa(dspa):
    dspa.fault = lambda _: Fault.json({"status": "up"})
    assert "check --host" in str(failure(client(dspa.url).health, Unavailable))


RUN = {"run_id": "r1", "experiment_id": "e1", "display_name": "a", "created_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": None},
        {"run_id": 7},
        {"run_id": "r2"},
        {"run_id": ["r1"]},
        {"run_id": "../r1"},
        {"run_id": "r1\n"},
        {"run_id": "x" * 200},
        {"experiment_id": "\x1b[31m"},
        {"created_at": "yesterday"},
        {"state": 5},
        {"state": {"state": "SUCCEEDED"}},
        {"runtime_config": []},
        {"runtime_config": {"parameters": "none"}},
    ],
    ids=str,
)
def test_a_run_of_another_shape_is_no_run(dspa, change):
    value = {name: item for name, item in {**RUN, **change}.items() if item is not None}
    dspa.fault = lambda _: Fault.json(value)
    failure(lambda: client(dspa.url).run("r1"), Unavailable)


@pytest.mark.parametrize(
    "value", [{"runs": {}}, {"runs": [None]}, {"runs": None}, {"next_page_token": 3}], ids=str
)
def test_a_list_of_another_shape_is_no_list(dspa, value):
    dspa.fault = lambda _: Fault.json(value)
    failure(lambda: client(dspa.url).runs("e1", "jukebox-"), Unavailable)


def test_a_list_without_end_ends(dspa):
    dspa.fault = lambda _: Fault.json({"next_page_token": "again"})
    assert "does not end" in str(failure(lambda: client(dspa.url, Timeouts()).runs("e1", ""), Unavailable))


def test_all_pages_of_a_list_share_the_time_that_it_may_take(dspa):
    """Each page is a request of its own: the time of the list is over, and no request's is."""

    def page(_) -> Fault:
        time.sleep(0.02)
        return Fault.json({"next_page_token": "again"})

    dspa.fault = page
    error = failure(lambda: client(dspa.url, Timeouts()).runs("e1", "", within=0.5), Unavailable)
    assert "does not end" not in str(error)


def test_a_run_of_another_name_is_not_the_one_asked_for(dspa):
    dspa.fault = lambda _: Fault.json(RUN)
    failure(lambda: client(dspa.url).create_run({"display_name": "b"}), Unavailable)


@pytest.mark.parametrize("matching", [False, True])
def test_half_an_answer_is_none(dspa, matching):
    dspa.fault = lambda _: Fault.truncated(matching=matching)
    ask(dspa.url, Unavailable)


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred\x1b[0m", "one\ntwo\r\nthree", "\x07\x08\x00\x9b2J", "\u202eevil", "\ud800", "x" * 9000],
)
@pytest.mark.parametrize("code", [400, 503])
def test_what_a_server_says_reaches_the_terminal_as_one_tame_line(dspa, code, text):
    dspa.fault = lambda _: Fault.json({"code": 3, "message": f"before {text} after"}, code)
    found = str(ask(dspa.url))
    assert "before" in found
    assert len(found) < 500
    dspa.fault = lambda _: Fault.status(code, f"before {text} after".encode("utf-8", "replace"))
    ask(dspa.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1b[31mgarbage\r\n\r\n",
        b"\x00" * 100_000,
        b"HTTP/1.1 999 \x1b[31m\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \x1b[31m\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b[31m\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://\x1b[31m/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_bytes_that_are_no_http(answer):
    with raw_server(answer) as wire:
        ask(wire.url)


# What takes too long, or too much.


@pytest.mark.parametrize(
    "fault",
    [Fault.hang(60), Fault.slow_body(0.2, piece=1), Fault.slow_headers(0.2, piece=1)],
    ids=lambda fault: fault.kind,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_ends_in_its_time(dspa, fault, method):
    dspa.fault = lambda _: fault
    timeouts = Timeouts(request=0.5, connect=30, read=30)
    sender = transport(dspa.url, timeouts)
    body = {"display_name": "x"} if method == "POST" else None
    path = HEALTH if method == "GET" else "/apis/v2beta1/experiments"
    begin = time.monotonic()
    error = failure(lambda: sender.send(method, path, body=body), Unavailable)
    assert "no complete answer" in str(error) or "timed out" in str(error)
    assert time.monotonic() - begin < 20
    dspa.fault = None
    assert transport(dspa.url).send("GET", HEALTH)
    # And the one that gave up is good for another.
    assert sender.send("GET", HEALTH, within=20)


def test_no_time_is_no_answer(dspa):
    failure(lambda: transport(dspa.url).send("GET", HEALTH, within=0), Unavailable)


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


def memory_of_asking(url) -> tuple[int, str]:
    """Ask in a process of its own: its peak memory in MB, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, url], capture_output=True, text=True, timeout=60, check=True
    )
    peak, _, said = done.stdout.strip().partition(" ")
    return int(peak), said


def bomb(status: bytes, encoding: bytes, megabytes: int = 1024):
    pieces = gzip_bomb(megabytes)

    def answer():
        yield b"HTTP/1.1 " + status + b"\r\nContent-Encoding: " + encoding + b"\r\n\r\n"
        yield from pieces()

    return answer


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_refused_in_little_memory(dspa, chunked):
    dspa.tokens = None
    dspa.fault = lambda _: Fault.huge(600, chunked=chunked)
    peak, said = memory_of_asking(dspa.url)
    assert "more than 8 MB" in said
    assert peak < 200


def test_a_gzip_bomb_is_refused_in_little_memory():
    with raw_server(bomb(b"200 OK", b"gzip")) as wire:
        peak, said = memory_of_asking(wire.url)
    assert "more than 8 MB" in said
    assert peak < 200


def test_an_error_of_a_gigabyte_is_refused_in_little_memory():
    with raw_server(bomb(b"503 Busy\r\nRetry-After: 1", b"gzip")) as wire:
        peak, said = memory_of_asking(wire.url)
    assert said.startswith("Unavailable")
    assert peak < 200


def test_a_redirect_of_a_gigabyte_is_refused_in_little_memory():
    with raw_server(bomb(b"302 Found\r\nLocation: /login", b"gzip")) as wire:
        peak, _ = memory_of_asking(wire.url)
    assert peak < 200


# What is sent again, and what never is.


@pytest.mark.parametrize(
    "fault", [Fault.reset(after=True), Fault.close(after=True), Fault.hang(0.1, after=True)]
)
def test_a_post_goes_out_once(dspa, fault):
    sender = transport(dspa.url)
    sender.send("GET", HEALTH)
    dspa.fault = lambda request: fault if request.method == "POST" else None
    failure(lambda: sender.send("POST", "/apis/v2beta1/experiments", body={"display_name": "x"}), Unavailable)
    assert [request.kind for request in dspa.requests] == ["healthz", "create_experiment"]


def test_a_post_that_is_refused_goes_out_once():
    refused = http_answer(b'{"code": 14, "message": "later"}', "503 Busy", retry_after="0")
    with raw_server(refused) as wire:
        failure(lambda: transport(wire.url).send("POST", RUNS, body={}), Unavailable)
        assert len(wire.asked) == 1


def test_posts_do_not_share_a_connection(dspa):
    sender = transport(dspa.url)
    for name in "ab":
        sender.send("POST", "/apis/v2beta1/experiments", body={"display_name": name})
    assert [request.headers["Connection"] for request in dspa.requests] == ["close", "close"]


@pytest.mark.parametrize(
    "fault", [Fault.reset(), Fault.close(), Fault.truncated()], ids=lambda fault: fault.kind
)
def test_a_get_is_repeated_on_a_broken_connection(dspa, fault):
    dspa.fault = lambda request: fault if request.number == 1 else None
    sender = transport(dspa.url, Timeouts())
    if fault.kind == "truncated":
        # The head of the answer was there: whoever asked repeats it.
        failure(lambda: sender.send("GET", HEALTH), Unavailable)
    assert sender.send("GET", HEALTH)[0]["tag_name"]
    assert len(dspa.requests) == 2


def test_a_get_is_not_repeated_for_ever(dspa):
    dspa.fault = lambda _: Fault.reset()
    ask(dspa.url, Unavailable, timeouts=Timeouts())
    assert len(dspa.requests) == 3


def test_a_connection_that_was_kept_and_has_died_does_not_matter(dspa):
    sender = transport(dspa.url, Timeouts())
    sender.send("GET", HEALTH)
    dspa.fault = lambda request: Fault.close() if request.number == 2 else None
    assert sender.send("GET", HEALTH)


def test_a_closed_port_is_named():
    error = ask(f"http://127.0.0.1:{closed_port()}", Unavailable)
    assert "Connection refused" in str(error)


def test_an_unknown_host_is_named():
    assert "nothing.invalid" in str(ask("https://nothing.invalid", Unavailable))


def test_several_at_a_time_do_not_mix(dspa):
    sender = transport(dspa.url, Timeouts())
    found = []
    threads = [threading.Thread(target=lambda: found.append(sender.send("GET", HEALTH)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8


def test_a_connection_as_it_is_made_sends_no_token_to_loopback_without_one(dspa, tmp_path, monkeypatch):
    monkeypatch.delenv("JUKEBOX_TOKEN", raising=False)
    dspa.tokens = None
    found = connect(dspa.url, "dspa", "music", None, None, pod=tmp_path / "none")
    assert Client(found, QUICK).health()[0].tag_name == dspa.version.tag_name
    assert json.loads(dspa.requests[0].body or b"{}") == {}
