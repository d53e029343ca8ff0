"""Each check of `jukebox doctor` made to fail for real, and what it says to change."""

import base64
import datetime
import json
import os
import uuid

import obstore
import pytest
import trustme
from attestations import trust_file
from command import jukebox
from dspa_proxy import Proxy, http_answer, proxying, raw_server
from dspa_server import Dspa, Fault, serving
from promotions import release_attested
from servers import closed_port, only_allowed, s3_server, silent_port

from ml.dspa.connection import Connection
from ml.dspa.doctor import examine
from ml.dspa.experiment import Failed
from ml.dspa.store_checks import try_place
from ml.dspa.timeouts import Timeouts
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.objects import open_folder, put_object

TOKEN = "sha256~VeryS3cretT0ken"
IMPATIENT = {"max_retries": 1, "retry_timeout": datetime.timedelta(seconds=1)}
QUICK = Timeouts(request=5, connect=2, read=2, storage=30)
ALL = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}], "Version": "2012-10-17"}
NAMES = ["name", "connection", "certificate", "token", "read (GET)", "clock", "write (POST)"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No AWS_* and JUKEBOX_* variables of this machine."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "JUKEBOX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{closed_port()}")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(s3, monkeypatch):
    """A prefix of its own in a bucket that can be used."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{uuid.uuid4().hex}"


@pytest.fixture
def dspa():
    with serving(Dspa(tokens={TOKEN})) as found:
        yield found


def checked(url, places=None, ca=None, token=TOKEN, closed=None, **fields):
    """Examine, check that no check gives the token away, and return the checks by name."""
    fields = {"token_value": token or None, **fields}
    connection = Connection(host=url, namespace="music", ca=ca, **fields)
    checks = examine(connection, places or {}, QUICK, closed=closed)
    assert TOKEN not in repr(checks)
    assert all((check.result == "failed") == bool(check.remedy) for check in checks)
    return {check.name: check for check in checks}


def results(checks) -> dict[str, str]:
    return {name: check.result for name, check in checks.items() if check.result != "ok"}


def left_in(uri) -> list[str]:
    return [item["path"] for batch in obstore.list(open_folder(uri)) for item in batch]


def jwt(claims) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


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


def test_an_unknown_host():
    checks = checked("https://nothing.invalid")
    assert checks["name"].result == "failed"
    assert "correct --host" in checks["name"].remedy
    assert results(checks) == {
        "name": "failed",
        **dict.fromkeys(set(NAMES) - {"name", "token"}, "skipped"),
    }


def test_a_closed_port():
    checks = checked(f"https://127.0.0.1:{closed_port()}")
    assert checks["connection"].result == "failed"
    assert "check the port" in checks["connection"].remedy
    assert (checks["name"].result, checks["certificate"].result) == ("ok", "skipped")


def test_an_untrusted_certificate_and_a_trusted_one(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(Dspa(tokens={TOKEN}), ca=ca) as dspa:
        checks = checked(dspa.url)
        assert checks["certificate"].result == "failed"
        assert "--ca FILE" in checks["certificate"].remedy
        assert {checks["read (GET)"].result, checks["write (POST)"].result} == {"skipped"}
        assert dspa.requests == []
        checks = checked(dspa.url, ca=tmp_path / "ca.pem")
        assert results(checks) == {}
        assert "valid until" in checks["certificate"].detail


def test_a_certificate_for_another_host(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert("other.example.com")) as proxy:
        checks = checked(proxy.url, ca=tmp_path / "ca.pem")
    assert checks["certificate"].result == "failed"
    assert "127.0.0.1" in checks["certificate"].detail


def test_no_tls_on_the_port(dspa):
    checks = checked(dspa.url.replace("http", "https"))
    assert checks["certificate"].result == "failed"
    assert "check the port" in checks["certificate"].remedy


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_ca_file_without_certificates(tmp_path, content):
    (tmp_path / "ca.pem").write_bytes(content)
    with serving(Dspa(tokens={TOKEN}), ca=trustme.CA()) as dspa:
        checks = checked(dspa.url, ca=tmp_path / "ca.pem")
    assert checks["certificate"].result == "failed"
    assert "PEM" in checks["certificate"].remedy


def test_a_token_that_has_expired(dspa):
    now = datetime.datetime.now(datetime.UTC).timestamp()
    checks = checked(dspa.url, token=jwt({"exp": now - 60}))
    assert checks["token"].result == "failed"
    assert "oc whoami -t" in checks["token"].remedy
    assert "expired" in checks["token"].detail
    assert checks["read (GET)"].result == "failed"


@pytest.mark.parametrize(
    "token",
    [
        jwt({"exp": 4102444800}),
        jwt({"exp": "never"}),
        jwt([1]),
        jwt({}),
        "a.b.c",
        "a.!!.c",
        "a.AAAA.c",
        "...",
        "sha256~opaque",
    ],
)
def test_tokens_that_may_be_good(dspa, token):
    dspa.tokens = {token}
    assert results(checked(dspa.url, token=token)) == {}


@pytest.mark.parametrize("expiry", [1e20, 1e12, float("nan")])
def test_a_token_that_expires_beyond_all_dates(dspa, expiry):
    token = jwt({"exp": expiry})
    dspa.tokens = {token}
    assert checked(dspa.url, token=token)["read (GET)"].result == "ok"


def test_a_token_file_that_is_gone(dspa, tmp_path):
    checks = checked(dspa.url, token=None, token_file=tmp_path / "token")
    assert checks["token"].result == "failed"
    assert "--token-file" in checks["token"].remedy


def test_no_token(dspa):
    checks = checked(dspa.url, token=None)
    assert results(checks) == {"read (GET)": "failed", "clock": "skipped", "write (POST)": "failed"}
    assert "the token is not accepted" in checks["read (GET)"].remedy
    assert checks["read (GET)"].detail == "GET /apis/v2beta1/healthz: refused (HTTP 401)"


def test_reading_is_forbidden(dspa):
    dspa.forbidden = lambda request: request.method == "GET"
    checks = checked(dspa.url)
    assert results(checks) == {"read (GET)": "failed", "clock": "skipped"}
    assert "get and create" in checks["read (GET)"].remedy
    assert "namespace music" in checks["read (GET)"].remedy


def test_writing_is_forbidden(dspa):
    dspa.forbidden = lambda request: request.method == "POST"
    checks = checked(dspa.url)
    assert results(checks) == {"write (POST)": "failed"}
    assert "get and create" in checks["write (POST)"].remedy


@pytest.mark.parametrize("fault", [Fault.login_page(), Fault.redirect("https://login.example.com/")])
def test_a_login_page(dspa, fault):
    dspa.fault = lambda _: fault
    checks = checked(dspa.url)
    assert results(checks) == {"read (GET)": "failed", "clock": "skipped", "write (POST)": "failed"}


def test_another_server_than_a_dspa(dspa):
    dspa.fault = lambda _: Fault.json({"status": "up"})
    assert "check --host" in checked(dspa.url)["read (GET)"].detail
    assert checked(dspa.url)["write (POST)"].result == "failed"


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_clocks_that_differ(dspa, skew):
    dspa.clock_skew = skew
    checks = checked(dspa.url)
    assert results(checks) == {"clock": "failed"}
    assert "set the clock" in checks["clock"].remedy
    assert 3500 < float(checks["clock"].detail.split()[2]) < 3700


def healthy(date: str):
    return http_answer(b'{"tag_name": "x"}', **({"date": date} if date else {}))


@pytest.mark.parametrize("date", ["", "today", "Mon, 99 Foo 2026"])
def test_a_server_that_does_not_tell_the_time(date):
    with raw_server(healthy(date)) as wire:
        assert "sends no time" in checked(wire.url)["clock"].detail


def test_a_server_that_does_not_tell_its_time_zone():
    with raw_server(healthy(f"{datetime.datetime.now(datetime.UTC):%a, %d %b %Y %H:%M:%S} -0000")) as wire:
        assert "clock" in checked(wire.url)


def test_no_such_bucket(dspa, bucket):
    checks = checked(dspa.url, {"evidence": "s3://none/evidence", "store": bucket})
    assert results(checks) == {"evidence bucket": "failed"}
    assert "no such bucket" in checks["evidence bucket"].detail


def test_a_wrong_key_and_a_right_one(dspa, bucket, monkeypatch):
    with only_allowed(ALL) as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        assert results(checked(dspa.url, {"store": bucket})) == {}
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        found = checked(dspa.url, {"store": bucket})["store bucket"]
        assert (found.result, "AWS_SECRET_ACCESS_KEY" in found.detail) == ("failed", True)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        found = checked(dspa.url, {"store": bucket})["store bucket"]
        assert (found.result, "AWS_ACCESS_KEY_ID" in found.detail) == ("failed", True)


def test_no_keys_at_all(dspa, bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = checked(dspa.url, {"store": bucket})["store bucket"]
    assert (found.result, "AWS_ACCESS_KEY_ID" in found.detail) == ("failed", True)


def test_no_right_to_delete_is_told_and_no_failure(dspa, bucket, monkeypatch):
    actions = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
    with only_allowed(
        {**ALL, "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    ) as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        found = checked(dspa.url, {"store": bucket})["store bucket"]
    assert found.result == "ok"
    assert "remains" in found.detail


def test_reading_alone_does_not_do(dspa, bucket, monkeypatch):
    with only_allowed(
        {**ALL, "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    ) as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        found = checked(dspa.url, {"store": bucket})["store bucket"]
    assert (found.result, "access denied" in found.detail) == ("failed", True)


@pytest.fixture
def overwriting(bucket, s3, monkeypatch):
    """The same bucket behind a server that ignores If-None-Match."""
    with proxying(Proxy(s3["AWS_ENDPOINT_URL"], strip={"if-none-match"})) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield bucket


def test_a_server_that_overwrites(dspa, overwriting):
    found = checked(dspa.url, {"store": overwriting})["store bucket"]
    assert found.result == "failed"
    assert "If-None-Match" in found.detail
    assert "newer MinIO or Ceph" in found.remedy


def test_nothing_is_left_at_a_server_that_overwrites(dspa, overwriting):
    checked(dspa.url, {"store": overwriting})
    assert left_in(overwriting) == []


def test_a_store_that_does_not_answer(dspa, bucket, monkeypatch):
    monkeypatch.setattr("ml.storage.s3.RETRY", IMPATIENT)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    found = checked(dspa.url, {"store": bucket})["store bucket"]
    assert (found.result, "check the endpoint" in found.detail) == ("failed", True)


def test_a_store_that_takes_the_connection_and_stays_silent(bucket, monkeypatch):
    with silent_port(connects=True) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(Failed, match=f"{bucket} does not answer"):
            try_place(bucket, Timeouts(storage=0.5))


@pytest.mark.parametrize("place", ["ftp://bucket/x", "s3://", "s3://me:pw@bucket/x"])
def test_places_that_are_none(dspa, bucket, place):
    assert checked(dspa.url, {"store": place})["store bucket"].result == "failed"


# The command.


def doctor(tmp_path, dspa, *arguments, env=None):
    done = jukebox(
        "doctor", "--host", dspa.url, *arguments, cwd=tmp_path, env={"JUKEBOX_TOKEN": TOKEN, **(env or {})}
    )
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_command_says_that_all_is_well(dspa, bucket, tmp_path):
    done = doctor(tmp_path, dspa, "--evidence", f"{bucket}/evidence", "--store", f"{bucket}/store")
    assert (done.returncode, done.stderr) == (0, "")
    assert "FAILED" not in done.stdout
    assert done.stdout.count(" ok ") == 10
    assert left_in(bucket) == []


def test_the_command_says_what_to_change(dspa, tmp_path):
    dspa.tokens = {"another"}
    done = doctor(tmp_path, dspa, "--namespace", "music")
    assert done.returncode == 30
    assert done.stderr.count("\n") == 1
    assert "read (GET), write (POST)" in done.stderr
    # A log has no width: a line says what was found, the next what to do.
    remedies = [line for line in done.stdout.splitlines() if line.lstrip().startswith("to do: ")]
    assert len(remedies) == 2
    assert "the token is not accepted" in remedies[0]


def test_the_command_as_json(dspa, tmp_path):
    done = doctor(tmp_path, dspa, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["host"]) == (0, dspa.url)
    assert {check["result"] for check in found["checks"]} == {"ok", "skipped"}
    dspa.forbidden = lambda request: request.method == "POST"
    done = doctor(tmp_path, dspa, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"]) == (30, 30)
    assert [check["name"] for check in found["checks"] if check["result"] == "failed"] == ["write (POST)"]


def test_the_command_without_host_or_token(dspa, tmp_path):
    done = jukebox("doctor", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = jukebox("doctor", "--host", "https://example.com", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)
    assert dspa.requests == []


TRUSTED = ("promoted", "promotions", "holdout", "source")
CLOSED = {
    "no write to promoted/": "promoted",
    "no write to promotions/": "promotions",
    "no read of the holdout": "holdout",
    "no write to the holdout": "holdout",
    "no read of the rankings": "source",
    "no read of the songs": "source",
}
"""What a run must be denied, and the folder that it would reach."""


def as_run(dspa, bucket, monkeypatch, opened=""):
    """Examine with a key that may do all but reach the trusted folders, or all but one of them."""
    prefix = bucket.removeprefix("s3://bucket/")
    denied = [f"arn:aws:s3:::bucket/{prefix}/{name}/*" for name in TRUSTED if name != opened]
    rights = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:*", "Resource": denied},
        ],
    }
    put_object(f"{bucket}/source/rankings.parquet", b"rows")
    put_object(f"{bucket}/source/songs.parquet", b"songs")
    put_object(f"{bucket}/holdout/ledger/00000001.parquet", b"ids")
    closed = {
        "holdout": f"{bucket}/holdout",
        "rankings": f"{bucket}/source/rankings.parquet",
        "songs": f"{bucket}/source/songs.parquet",
    }
    with only_allowed(rights) as key:
        for name, value in key.items():
            monkeypatch.setenv(name, value)
        checks = checked(dspa.url, {"store": bucket}, closed=closed)
    return {name: checks[name] for name in CLOSED}


def test_a_runs_key_that_reaches_nothing_of_the_trusted_ring(dspa, bucket, monkeypatch):
    found = as_run(dspa, bucket, monkeypatch)
    assert {name: (check.result, check.detail) for name, check in found.items()} == dict.fromkeys(
        CLOSED, ("ok", "denied")
    )


@pytest.mark.parametrize("opened", TRUSTED)
def test_a_runs_key_that_reaches_a_trusted_place_fails_and_leaves_nothing(dspa, bucket, monkeypatch, opened):
    before = ["holdout/ledger/00000001.parquet", "source/rankings.parquet", "source/songs.parquet"]
    found = as_run(dspa, bucket, monkeypatch, opened)
    failed = {name for name, check in found.items() if check.result == "failed"}
    assert failed == {name for name, folder in CLOSED.items() if folder == opened}
    assert all("give the runs a key whose policy" in found[name].remedy for name in failed)
    with only_allowed(ALL) as key:
        for name, value in key.items():
            monkeypatch.setenv(name, value)
        assert left_in(bucket) == before


def test_without_the_runs_key_nothing_has_to_be_denied(dspa, bucket):
    assert not CLOSED.keys() & checked(dspa.url, {"store": bucket}).keys()


def test_trusted_places_that_are_not_given_are_skipped(dspa):
    checks = checked(dspa.url, {"store": ""}, closed={"holdout": "", "rankings": "", "songs": ""})
    assert {checks[name].result for name in CLOSED} == {"skipped"}
    assert checks["no read of the holdout"].detail == "give --holdout s3://…"


@pytest.mark.parametrize(
    ("since", "result", "detail"),
    [
        ((0, []), "ok", "the code of this commit"),
        ((12, ["ml/cli/main.py"]), "ok", "the judge is 12 commits behind; gate code is the same"),
        (
            (12, ["ml/gate/policy.py", "ml/cli/main.py"]),
            "failed",
            "the judge is 12 commits behind; gate code differs",
        ),
        (None, "ok", "is of no commit known here"),
    ],
)
def test_the_code_of_the_judge_is_compared_with_this_checkout(
    dspa, tmp_path, monkeypatch, since, result, detail
):
    store = ModelStore(str(tmp_path / "store"), create=True)
    key, trust = trust_file(tmp_path / "keys")
    release_attested(store, "A", (key, read_trust(trust)), judge_code="sha256:" + "1" * 64)
    asked = []
    monkeypatch.setattr("ml.dspa.store_checks.commits_since", lambda code: asked.append(code) or since)
    check = checked(dspa.url, {"store": store.uri})["judge"]
    assert (check.result, asked) == (result, ["sha256:" + "1" * 64])
    assert detail in check.detail


def test_a_store_without_an_attestation_knows_of_no_judge(dspa, tmp_path):
    store = ModelStore(str(tmp_path / "store"), create=True)
    assert checked(dspa.url, {"store": store.uri})["judge"].detail == "nothing is attested yet"
