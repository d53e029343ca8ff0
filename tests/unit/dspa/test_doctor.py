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
from dspa_server import Dspa, Fault, serving
from promotions import release_attested
from servers import Site, closed_port, only_allowed, s3_server, silent_port
from servers import serving as serving_site

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
READ = {"read (GET)": "failed", "clock": "skipped"}
REFUSED = {**READ, "write (POST)": "failed"}


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(s3, monkeypatch, plain_environment):
    """A prefix of its own in a bucket that can be used."""
    use(monkeypatch, s3)
    return f"s3://bucket/{uuid.uuid4().hex}"


def use(monkeypatch, environment) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def key_that_may(monkeypatch, *actions: str, denied: tuple[str, ...] = ("arn:aws:s3:::none/*",)):
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    statements += [{"Effect": "Deny", "Action": "s3:*", "Resource": list(denied)}]
    with only_allowed({"Version": "2012-10-17", "Statement": statements}) as key:
        use(monkeypatch, key)
        yield


def checked(url, places=None, closed=None, checkout=None, **fields):
    """Examine, check that no check shows the token, and return the checks by name."""
    connection = Connection(**{"host": url, "namespace": "music", "token_value": TOKEN, **fields})
    checks = examine(connection, places or {}, QUICK, closed=closed, checkout=checkout)
    assert TOKEN not in repr(checks)
    assert all((check.result == "failed") == bool(check.remedy) for check in checks)
    return {check.name: check for check in checks}


def results(checks) -> dict[str, str]:
    return {name: check.result for name, check in checks.items() if check.result != "ok"}


def fails(checks, name: str, *words: str) -> None:
    """Check that a check failed, and that its words are in what it says."""
    assert checks[name].result == "failed"
    assert [word for word in words if word not in f"{checks[name].detail}; {checks[name].remedy}"] == []


def left_in(uri) -> list[str]:
    return [item["path"] for batch in obstore.list(open_folder(uri)) for item in batch]


def test_all_is_well_and_nothing_is_left(dspa, bucket):
    checks = checked(dspa.url, {"evidence": f"{bucket}/evidence/", "store": f"{bucket}/store"})
    assert list(checks) == [*NAMES, "evidence bucket", "store bucket", "judge"]
    assert results(checks) == {}
    assert dspa.version.tag_name in checks["read (GET)"].detail
    assert left_in(bucket) == []
    assert [request.kind for request in dspa.requests] == ["healthz", "healthz", "terminate"]
    assert dspa.runs == {}


def test_an_unknown_host_a_closed_port_and_no_tls_skip_what_needs_them(dspa):
    fails(checked(dspa.url.replace("http", "https")), "certificate", "check the port")
    checks = checked("https://nothing.invalid")
    fails(checks, "name", "correct --host")
    assert results(checks) == {**dict.fromkeys(set(NAMES) - {"token"}, "skipped"), "name": "failed"}
    checks = checked(f"https://127.0.0.1:{closed_port()}")
    fails(checks, "connection", "check the port")
    assert (checks["name"].result, checks["certificate"].result) == ("ok", "skipped")


def test_an_untrusted_certificate_and_a_trusted_one(tmp_path):
    ca, pem = trustme.CA(), tmp_path / "ca.pem"
    with serving(Dspa(tokens={TOKEN}), ca=ca) as dspa:
        checks = checked(dspa.url)
        fails(checks, "certificate", "the CAs of this Python", "--ca FILE")
        assert {checks["read (GET)"].result, checks["write (POST)"].result} == {"skipped"}
        for content in ("", "garbage"):
            pem.write_text(content)
            fails(checked(dspa.url, ca=pem), "certificate", "PEM")
        assert dspa.requests == []
        ca.cert_pem.write_to_path(str(pem))
        checks = checked(dspa.url, ca=pem)
        assert (results(checks), "valid until" in checks["certificate"].detail) == ({}, True)
    with serving_site(Site(), ca.issue_cert("other.example.com")) as site:
        fails(checked(site.url, ca=pem), "certificate", "127.0.0.1", str(pem))


def jwt(claims) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


EXPIRIES = ("never", 1e20, float("nan"))
UNREADABLE = [*(jwt({"exp": one}) for one in EXPIRIES), jwt([1]), jwt({}), "a.!!.c", "a.AAAA.c", "sha256~x"]


def test_a_token_may_be_expired_or_missing_or_without_a_readable_expiry(dspa, tmp_path):
    fails(checked(dspa.url, token_value=jwt({"exp": time.time() - 60})), "token", "expired", "oc whoami -t")
    fails(checked(dspa.url, token_value=None, token_file=tmp_path / "token"), "token", "--token-file")
    checks = checked(dspa.url, token_value=None)
    assert checks["read (GET)"].detail == "GET /apis/v2beta1/healthz: refused (HTTP 401)"
    checks = checked(dspa.url, token_value=jwt({"exp": 4102444800}))
    assert checks["token"].detail == "valid until 2100-01-01 00:00:00Z"
    for token in UNREADABLE:
        assert checked(dspa.url, token_value=token)["token"].detail == "has no readable expiry"


RULE = ["get and create", "namespace music"]


@pytest.mark.parametrize(
    ("settings", "failed", "words"),
    [
        ({"tokens": set()}, REFUSED, ["the token is not accepted"]),
        ({"forbidden": lambda request: request.method == "GET"}, READ, RULE),
        ({"forbidden": lambda request: request.method == "POST"}, {"write (POST)": "failed"}, RULE),
        ({"fault": lambda _: Fault.json({"a": "b"})}, REFUSED, ["check --host", "that --host is a DSPA"]),
        ({"clock_skew": -70}, {"clock": "failed"}, ["differs by ", "set the clock"]),
        ({"clock_skew": 70}, {"clock": "failed"}, ["differs by ", "set the clock"]),
    ],
)
def test_what_is_wrong_with_the_server_is_named(dspa, settings, failed, words):
    vars(dspa).update(settings)
    checks = checked(dspa.url)
    assert results(checks) == failed
    told = " ".join(f"{check.detail} {check.remedy}" for check in checks.values())
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize("date", ["", "today", "Mon, 99 Foo 2026", "now"])
def test_a_server_without_a_usable_time_or_time_zone(dspa, date):
    told = date.replace("now", f"{datetime.datetime.now(datetime.UTC):%a, %d %b %Y %H:%M:%S} -0000")
    dspa.fault = lambda _: Fault.status(200, '{"tag_name": "x"}', "application/json", Date=told)
    detail = "within 60 s of" if date == "now" else "the server sends no time"
    assert detail in checked(dspa.url)["clock"].detail


def test_a_place_must_be_usable_but_the_right_to_delete_may_be_missing(dspa, bucket, monkeypatch):
    checks = checked(dspa.url, {"evidence": "s3://none/evidence", "store": bucket})
    assert results(checks) == {"evidence bucket": "failed"}
    fails(checks, "evidence bucket", "no such bucket")
    fails(checked(dspa.url, {"store": "ftp://bucket/x"}), "store bucket")
    with key_that_may(monkeypatch, "s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        check = checked(dspa.url, {"store": bucket})["store bucket"]
        assert (check.result, "no right to delete" in check.detail) == ("ok", True)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "AWS_SECRET_ACCESS_KEY")
    with key_that_may(monkeypatch, "s3:Get*"):
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "access denied")


def test_a_store_that_ignores_if_none_match_is_closed_or_silent(dspa, bucket, monkeypatch):
    with s3_server(ignores=("HTTP_IF_NONE_MATCH",)) as environment:
        use(monkeypatch, environment)
        fails(checked(dspa.url, {"store": bucket}), "store bucket", "If-None-Match", "newer MinIO or Ceph")
        assert left_in(bucket) == []
    impatient = {"max_retries": 1, "retry_timeout": datetime.timedelta(seconds=1)}
    monkeypatch.setattr("ml.storage.s3.RETRY", impatient)
    fails(checked(dspa.url, {"store": bucket}), "store bucket", "check the endpoint")
    with silent_port(connects=True) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(Failed, match=f"{bucket} does not answer"):
            try_place(bucket, Timeouts(storage=0.5))


CLOSED = {
    "no write to promoted/": "promoted",
    "no write to promotions/": "promotions",
    "no read of the holdout": "holdout",
    "no write to the holdout": "holdout",
    "no read of rankings": "source",
    "no read of songs": "source",
}
"""What a run must be denied, and the folder that it would reach."""


@pytest.mark.parametrize("opened", ["", *dict.fromkeys(CLOSED.values())])
def test_a_runs_key_must_be_denied_each_trusted_place_and_leaves_nothing(dspa, bucket, monkeypatch, opened):
    tables = {name: f"{bucket}/source/{name}.parquet" for name in ("rankings", "songs")}
    objects = [f"{bucket}/holdout/ledger/00000001.parquet", *tables.values()]
    for uri in objects:
        put_object(uri, b"rows")
    arn = bucket.replace("s3://", "arn:aws:s3:::")
    denied = tuple(f"{arn}/{name}/*" for name in {*CLOSED.values()} - {opened})
    with key_that_may(monkeypatch, "s3:*", denied=denied):
        checks = checked(dspa.url, {"store": bucket}, {"holdout": f"{bucket}/holdout", **tables})
    for name, folder in CLOSED.items():
        if folder == opened:
            fails(checks, name, "give the runs a key whose policy")
        else:
            assert (checks[name].result, checks[name].detail) == ("ok", "denied")
    with key_that_may(monkeypatch, "s3:*"):
        assert [f"{bucket}/{path}" for path in left_in(bucket)] == objects


def test_places_that_are_not_given_are_skipped_and_trusted_ones_need_the_runs_key(dspa, bucket):
    assert not CLOSED.keys() & checked(dspa.url, {"store": bucket}).keys()
    checks = checked(dspa.url, {"store": ""}, {"holdout": "", "rankings": "", "songs": ""})
    assert results(checks) == dict.fromkeys(["store bucket", *CLOSED], "skipped")
    assert checks["store bucket"].detail == "give --store"
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


def test_the_command_says_what_to_change_as_lines_or_as_json(dspa, tmp_path):
    def doctor(*arguments, token=TOKEN):
        done = called("doctor", *arguments, cwd=tmp_path, env={"JUKEBOX_TOKEN": token})
        assert TOKEN not in done.stdout + done.stderr
        return done

    done = doctor("--host", dspa.url)
    assert (done.returncode, done.stderr, "FAILED" in done.stdout, done.stdout.count(" ok ")) == (
        0,
        "",
        False,
        7,
    )
    dspa.tokens = {"another"}
    done = doctor("--host", dspa.url)
    assert (done.returncode, done.stderr.count("\n"), "read (GET), write (POST)" in done.stderr) == (
        30,
        1,
        True,
    )
    remedies = [line for line in done.stdout.splitlines() if line.lstrip().startswith("to do: ")]
    assert (len(remedies), "the token is not accepted" in remedies[0]) == (2, True)
    done = doctor("--host", dspa.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], told["host"]) == (30, 30, dspa.url)
    failed = [check["name"] for check in told["checks"] if check["result"] == "failed"]
    assert failed == ["read (GET)", "write (POST)"]
    done = doctor("--host", "https://example.com", "--json", token="")
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("STORE=s3://b/x", "2 overlays"),
        ("#STROE=s3://b/x", "2 overlays"),
        ("STROE=s3://b/x", "tekton/overlays/b/settings.env: STROE is no setting, and its line has no effect"),
    ],
)
def test_a_setting_whose_name_is_misspelt_is_named(tmp_path, line, detail):
    files = {
        "settings/kustomization.yaml": "- source: {kind: ConfigMap, fieldPath: data.STORE}\n",
        "overlays/a/settings.env": "# The store.\nSTORE=s3://a\n",
        "overlays/b/settings.env": f"{line}\n",
    }
    for name, text in files.items():
        (tmp_path / "tekton" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tekton" / name).write_text(text)
    check = checked("https://nothing.invalid", checkout=tmp_path)["settings"]
    assert (check.detail, check.result) == (detail, "failed" if "STROE is" in detail else "ok")
