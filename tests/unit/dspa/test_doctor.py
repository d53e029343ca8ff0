"""Each check of `jukebox doctor` made to fail for real, and what it says to change."""

import base64
import contextlib
import datetime
import json
import time
import uuid

import obstore
import pytest
import trustme
from attestations import trust_file
from command import called
from dspa_command import TOKEN
from dspa_proxy import Proxy, http_answer, proxying, raw_server
from dspa_server import Dspa, Fault, serving
from promotions import release_attested
from servers import closed_port, only_allowed, s3_server, silent_port

from ml.dspa.connection import Connection
from ml.dspa.doctor import examine
from ml.dspa.doctor_check import Failed
from ml.dspa.store_checks import try_place
from ml.dspa.timeouts import Timeouts
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.objects import open_folder, put_object

QUICK = Timeouts(request=5, connect=2, read=2, storage=30)
NAMES = ["name", "connection", "certificate", "token", "read (GET)", "clock", "write (POST)"]
REFUSED = {"read (GET)": "failed", "clock": "skipped", "write (POST)": "failed"}


@pytest.fixture(autouse=True)
def _no_metadata_service(plain_environment, monkeypatch):
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{closed_port()}")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(s3, monkeypatch):
    """A prefix of its own in a bucket that can be used."""
    use(monkeypatch, s3)
    return f"s3://bucket/{uuid.uuid4().hex}"


def use(monkeypatch, environment) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def key_that_may(monkeypatch, *actions: str, denied: tuple[str, ...] = ()):
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    if denied:
        statements += [{"Effect": "Deny", "Action": "s3:*", "Resource": list(denied)}]
    with only_allowed({"Version": "2012-10-17", "Statement": statements}) as key:
        use(monkeypatch, key)
        yield


def checked(url, places=None, ca=None, token=TOKEN, closed=None, **fields):
    """Examine, check that no check gives the token away, and return the checks by name."""
    connection = Connection(host=url, namespace="music", ca=ca, **{"token_value": token or None, **fields})
    checks = examine(connection, places or {}, QUICK, closed=closed)
    assert TOKEN not in repr(checks)
    assert all((check.result == "failed") == bool(check.remedy) for check in checks)
    return {check.name: check for check in checks}


def results(checks) -> dict[str, str]:
    return {name: check.result for name, check in checks.items() if check.result != "ok"}


def fails(checks, name: str, *words: str) -> None:
    """Check that a check failed, and that its words are in what it says."""
    check = checks[name]
    assert check.result == "failed"
    assert [word for word in words if word not in f"{check.detail}; {check.remedy}"] == []


def left_in(uri) -> list[str]:
    return [item["path"] for batch in obstore.list(open_folder(uri)) for item in batch]


def jwt(claims) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


# The DSPA.


def test_all_is_well_and_nothing_is_left(dspa, bucket):
    checks = checked(dspa.url, {"evidence": f"{bucket}/evidence/", "store": f"{bucket}/store"})
    assert list(checks) == [*NAMES, "evidence bucket", "store bucket", "judge"]
    assert results(checks) == {}
    assert dspa.version.tag_name in checks["read (GET)"].detail
    assert left_in(bucket) == []
    assert [request.kind for request in dspa.requests] == ["healthz", "healthz", "terminate"]
    assert dspa.runs == {}


def test_places_that_are_not_given_are_skipped(dspa):
    checks = checked(dspa.url, {"evidence": "", "store": ""})
    assert results(checks) == {"evidence bucket": "skipped", "store bucket": "skipped"}
    assert checks["evidence bucket"].detail == "give --evidence"


def test_an_unknown_host_and_a_closed_port_skip_what_needs_them():
    checks = checked("https://nothing.invalid")
    fails(checks, "name", "correct --host")
    assert results(checks) == {**dict.fromkeys(set(NAMES) - {"token"}, "skipped"), "name": "failed"}
    checks = checked(f"https://127.0.0.1:{closed_port()}")
    fails(checks, "connection", "check the port")
    assert (checks["name"].result, checks["certificate"].result) == ("ok", "skipped")


def test_an_untrusted_certificate_and_a_trusted_one(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "bad.pem").write_text("garbage")
    with serving(Dspa(tokens={TOKEN}), ca=ca) as dspa:
        checks = checked(dspa.url)
        fails(checks, "certificate", "--ca FILE")
        assert {checks["read (GET)"].result, checks["write (POST)"].result} == {"skipped"}
        for name in ("empty", "bad"):
            fails(checked(dspa.url, ca=tmp_path / f"{name}.pem"), "certificate", "PEM")
        assert dspa.requests == []
        checks = checked(dspa.url, ca=tmp_path / "ca.pem")
        assert (results(checks), "valid until" in checks["certificate"].detail) == ({}, True)
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert("other.example.com")) as proxy:
        fails(checked(proxy.url, ca=tmp_path / "ca.pem"), "certificate", "127.0.0.1")


def test_no_tls_on_the_port(dspa):
    fails(checked(dspa.url.replace("http", "https")), "certificate", "check the port")


def test_an_expired_token_a_missing_file_and_no_token(dspa, tmp_path):
    checks = checked(dspa.url, token=jwt({"exp": time.time() - 60}))
    fails(checks, "token", "expired", "oc whoami -t")
    assert checks["read (GET)"].result == "failed"
    fails(checked(dspa.url, token=None, token_file=tmp_path / "token"), "token", "--token-file")
    checks = checked(dspa.url, token=None)
    assert results(checks) == REFUSED
    assert "the token is not accepted" in checks["read (GET)"].remedy
    assert checks["read (GET)"].detail == "GET /apis/v2beta1/healthz: refused (HTTP 401)"


@pytest.mark.parametrize(
    "token",
    [
        *(jwt({"exp": expiry}) for expiry in (4102444800, "never", 1e20, 1e12, float("nan"))),
        *(jwt([1]), jwt({}), "a.b.c", "a.!!.c", "a.AAAA.c", "...", "sha256~opaque"),
    ],
)
def test_tokens_that_may_be_good(dspa, token):
    dspa.tokens = {token}
    assert results(checked(dspa.url, token=token)) == {}


def test_reading_or_writing_is_forbidden(dspa):
    dspa.forbidden = lambda request: request.method == "GET"
    checks = checked(dspa.url)
    assert results(checks) == {"read (GET)": "failed", "clock": "skipped"}
    fails(checks, "read (GET)", "get and create", "namespace music")
    dspa.forbidden = lambda request: request.method == "POST"
    checks = checked(dspa.url)
    assert results(checks) == {"write (POST)": "failed"}
    fails(checks, "write (POST)", "get and create")


@pytest.mark.parametrize("fault", [Fault.login_page(), Fault.redirect("https://login.example.com/")])
def test_a_login_page(dspa, fault):
    dspa.fault = lambda _: fault
    checks = checked(dspa.url)
    assert results(checks) == {"read (GET)": "failed", "clock": "skipped", "write (POST)": "failed"}


def test_another_server_than_a_dspa(dspa):
    dspa.fault = lambda _: Fault.json({"status": "up"})
    checks = checked(dspa.url)
    fails(checks, "read (GET)", "check --host")
    fails(checks, "write (POST)", "check that --host is a DSPA")


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_clocks_that_differ(dspa, skew):
    dspa.clock_skew = skew
    checks = checked(dspa.url)
    assert results(checks) == {"clock": "failed"}
    fails(checks, "clock", "set the clock")
    assert 3500 < float(checks["clock"].detail.split()[2]) < 3700


@pytest.mark.parametrize(
    ("date", "detail"),
    [*((date, "the server sends no time") for date in ("", "today", "Mon, 99 Foo 2026")), ("now", " s ")],
)
def test_a_server_without_a_usable_time_or_time_zone(date, detail):
    told = date.replace("now", f"{datetime.datetime.now(datetime.UTC):%a, %d %b %Y %H:%M:%S} -0000")
    with raw_server(http_answer(b'{"tag_name": "x"}', **({"date": told} if told else {}))) as wire:
        assert detail in checked(wire.url)["clock"].detail


# The object store.


def test_no_such_bucket_and_places_that_are_none(dspa, bucket):
    checks = checked(dspa.url, {"evidence": "s3://none/evidence", "store": bucket})
    assert results(checks) == {"evidence bucket": "failed"}
    fails(checks, "evidence bucket", "no such bucket")
    for place in ("ftp://bucket/x", "s3://", "s3://me:pw@bucket/x"):
        fails(checked(dspa.url, {"store": place}), "store bucket")


def test_a_right_key_wrong_ones_and_none(dspa, bucket, monkeypatch):
    with key_that_may(monkeypatch, "s3:*"):
        assert results(checked(dspa.url, {"store": bucket})) == {}
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "AWS_ACCESS_KEY_ID")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fails(checked(dspa.url, {"store": bucket}), "store bucket", "AWS_ACCESS_KEY_ID")


def test_a_key_may_lack_the_right_to_delete_and_no_other(dspa, bucket, monkeypatch):
    with key_that_may(monkeypatch, "s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        check = checked(dspa.url, {"store": bucket})["store bucket"]
    assert (check.result, "no right to delete" in check.detail) == ("ok", True)
    with key_that_may(monkeypatch, "s3:Get*"):
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "access denied")


def test_a_server_that_ignores_if_none_match_fails_and_nothing_is_left(dspa, bucket, s3, monkeypatch):
    with proxying(Proxy(s3["AWS_ENDPOINT_URL"], strip={"if-none-match"})) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "If-None-Match", "newer MinIO or Ceph")
        assert left_in(bucket) == []


def test_a_store_that_is_closed_or_silent(dspa, bucket, monkeypatch):
    impatient = {"max_retries": 1, "retry_timeout": datetime.timedelta(seconds=1)}
    monkeypatch.setattr("ml.storage.s3.RETRY", impatient)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    fails(checked(dspa.url, {"store": bucket}), "store bucket", "check the endpoint")
    with silent_port(connects=True) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(Failed, match=f"{bucket} does not answer"):
            try_place(bucket, Timeouts(storage=0.5))


TRUSTED = ("promoted", "promotions", "holdout", "source")
CLOSED = {
    "no write to promoted/": "promoted",
    "no write to promotions/": "promotions",
    "no read of the holdout": "holdout",
    "no write to the holdout": "holdout",
    "no read of rankings": "source",
    "no read of songs": "source",
}
"""What a run must be denied, and the folder that it would reach."""


@pytest.mark.parametrize("opened", ["", *TRUSTED])
def test_a_runs_key_must_be_denied_each_trusted_place_and_leaves_nothing(dspa, bucket, monkeypatch, opened):
    closed = {
        "holdout": f"{bucket}/holdout",
        "rankings": f"{bucket}/source/rankings.parquet",
        "songs": f"{bucket}/source/songs.parquet",
    }
    objects = [closed["holdout"] + "/ledger/00000001.parquet", closed["rankings"], closed["songs"]]
    for uri in objects:
        put_object(uri, b"rows")
    arn = bucket.replace("s3://", "arn:aws:s3:::")
    denied = tuple(f"{arn}/{name}/*" for name in TRUSTED if name != opened)
    with key_that_may(monkeypatch, "s3:*", denied=denied):
        checks = checked(dspa.url, {"store": bucket}, closed=closed)
    for name, folder in CLOSED.items():
        if folder == opened:
            fails(checks, name, "give the runs a key whose policy")
        else:
            assert (checks[name].result, checks[name].detail) == ("ok", "denied")
    with key_that_may(monkeypatch, "s3:*"):
        assert [f"{bucket}/{path}" for path in left_in(bucket)] == objects


def test_trusted_places_are_tried_with_the_runs_key_only_and_skipped_if_not_given(dspa, bucket):
    assert not CLOSED.keys() & checked(dspa.url, {"store": bucket}).keys()
    checks = checked(dspa.url, {"store": ""}, closed={"holdout": "", "rankings": "", "songs": ""})
    assert {checks[name].result for name in CLOSED} == {"skipped"}
    assert checks["no read of the holdout"].detail == "give --holdout s3://…"


@pytest.mark.parametrize(
    ("since", "result", "detail"),
    [
        ((0, []), "ok", "the code of this commit"),
        ((12, ["ml/cli/main.py"]), "ok", "the judge is 12 commits behind; gate code is the same"),
        ((12, ["ml/gate/policy.py", "ml/cli/main.py"]), "failed", "12 commits behind; gate code differs"),
        (None, "ok", "is of no commit known here"),
    ],
)
def test_the_judges_code_is_compared_with_this_checkout(dspa, tmp_path, monkeypatch, since, result, detail):
    store = ModelStore(str(tmp_path / "store"), create=True)
    assert checked(dspa.url, {"store": store.uri})["judge"].detail == "nothing is attested yet"
    key, trust = trust_file(tmp_path / "keys")
    release_attested(store, "A", (key, read_trust(trust)), judge_code="sha256:" + "1" * 64)
    asked = []
    monkeypatch.setattr("ml.dspa.store_checks.commits_since", lambda code: asked.append(code) or since)
    check = checked(dspa.url, {"store": store.uri})["judge"]
    assert (check.result, asked, detail in check.detail) == (result, ["sha256:" + "1" * 64], True)


# The command.


def doctor(tmp_path, *arguments):
    done = called("doctor", *arguments, cwd=tmp_path, env={"JUKEBOX_TOKEN": TOKEN})
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_the_command_says_that_all_is_well(dspa, bucket, tmp_path):
    places = ("--evidence", f"{bucket}/evidence", "--store", f"{bucket}/store")
    done = doctor(tmp_path, "--host", dspa.url, *places)
    assert (done.returncode, done.stderr, "FAILED" in done.stdout) == (0, "", False)
    assert done.stdout.count(" ok ") == 10
    assert left_in(bucket) == []


def test_the_command_says_what_to_change_one_line_each(dspa, tmp_path):
    dspa.tokens = {"another"}
    done = doctor(tmp_path, "--host", dspa.url, "--namespace", "music")
    assert (done.returncode, done.stderr.count("\n")) == (30, 1)
    assert "read (GET), write (POST)" in done.stderr
    remedies = [line for line in done.stdout.splitlines() if line.lstrip().startswith("to do: ")]
    assert (len(remedies), "the token is not accepted" in remedies[0]) == (2, True)


def test_the_command_as_json(dspa, tmp_path):
    done = doctor(tmp_path, "--host", dspa.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["host"]) == (0, dspa.url)
    assert {check["result"] for check in told["checks"]} == {"ok", "skipped"}
    dspa.forbidden = lambda request: request.method == "POST"
    done = doctor(tmp_path, "--host", dspa.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"]) == (30, 30)
    assert [check["name"] for check in told["checks"] if check["result"] == "failed"] == ["write (POST)"]


REFUSED = {"read (GET)": "failed", "clock": "skipped", "write (POST)": "failed"}


def test_the_command_without_host_or_token(tmp_path):
    done = called("doctor", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = called("doctor", "--host", "https://example.com", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)
