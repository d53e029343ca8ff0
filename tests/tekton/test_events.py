"""Which events start which runs, what refuses all others, and that nothing hostile gets through."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest
from servers import http_server
from tekton.events import WEBHOOK, Event, deliver, event, recorded, started, triggers
from tekton.manifests import GONE, edit, files
from tekton.rules import BY_DIGEST
from tiers import sampled

COMMIT, ZERO, OTHER = "1a2b3c4d5e" * 4, "0" * 40, "9f8e7d6c5b" * 4
PUSH = ("push-1a2b3c4d5e1a2b3c4d5e", "push", COMMIT, "push of 1a2b3c4d5e1a to refs/heads/main")
ALERT = ("alert-2026-11-24", "alert", "main", "alert JukeboxDrift since 2026-11-24T10:00:00.123Z")
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
OBJECT = "Records 0 s3 object"
AFTER = ("refs/heads/mai", "refs/heads/main2", "refs/heads/", "main", "refs/heads/main\n", "refs/tags/main")


def of_data(etag: str, key: str) -> tuple[str, str, str, str]:
    return f"data-{etag}", "data", "main", f"data s3://tables/{key}"


def changed(name: str, path: str = "", value: object = None) -> Event:
    """Return a recorded event, with another value at a path of its body; ``header X`` changes a header."""
    headers, body = recorded(name)
    if path.startswith("header "):
        headers = {key: each for key, each in {**headers, path[7:]: value}.items() if each is not None}
    elif path:
        edit(body, path, value)
    return event(headers, body)


def sound(run: dict) -> None:
    """Check that each part of a run is of a safe form."""
    spec, metadata = run["spec"], run["metadata"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", metadata["name"]), metadata["name"]
    for value in metadata["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value), value
    params = {param["name"]: param["value"] for param in spec["params"]}
    assert set(params) == {"revision", "head-of", "cause"}
    assert re.fullmatch(r"[0-9a-f]{40}|main", params["revision"]), params["revision"]
    assert params["head-of"] == "refs/heads/main", params["head-of"]
    assert re.fullmatch(r"[A-Za-z0-9 :/_.=+%-]{1,300}", params["cause"]), params["cause"]
    assert metadata["annotations"]["jukebox/cause"] == params["cause"]
    assert "$(" not in json.dumps(run)


def the_run(sent: Event) -> tuple[str, str, str, str]:
    """Return name, label, revision and cause of the one run that an event starts."""
    (run,) = started(sent)
    sound(run)
    params = {param["name"]: param["value"] for param in run["spec"]["params"]}
    return (
        run["metadata"]["name"],
        run["metadata"]["labels"]["jukebox/cause"],
        params["revision"],
        params["cause"],
    )


@pytest.mark.parametrize(
    ("name", "path", "value", "run"),
    [
        ("github-push", "", None, PUSH),
        ("gitea-push", "", None, PUSH),
        ("gitlab-push", "", None, PUSH),
        # A repeated delivery has the same name, which is taken.
        ("github-push", "header X-GitHub-Delivery", "again", PUSH),
        (
            "github-push",
            "after",
            OTHER,
            (f"push-{OTHER[:20]}", "push", OTHER, PUSH[3].replace(COMMIT[:12], OTHER[:12])),
        ),
        (
            "gitlab-push",
            "after",
            OTHER,
            (f"push-{OTHER[:20]}", "push", OTHER, PUSH[3].replace(COMMIT[:12], OTHER[:12])),
        ),
        ("alert-firing", "", None, ALERT),
        ("alert-several", "", None, ALERT),
        # All alerts of a day have one name.
        (
            "alert-firing",
            "alerts 0 labels alertname",
            "Accuracy",
            (*ALERT[:3], ALERT[3].replace("JukeboxDrift", "Accuracy")),
        ),
        *(
            (
                "alert-firing",
                "alerts 0 startsAt",
                since,
                (f"alert-{day}", *ALERT[1:3], f"alert JukeboxDrift since {since}"),
            )
            for since, day in (
                ("2026-11-24T22:00:00Z", "2026-11-24"),
                ("2026-11-24T10:00:00+01:00", "2026-11-24"),
                ("2026-11-25T00:00:00.000000001Z", "2026-11-25"),
            )
        ),
        ("s3-created", "", None, of_data(EMPTY, "rankings.parquet")),
        ("s3-several", "", None, of_data(EMPTY, "rankings.parquet")),
        ("minio-created", "", None, of_data("0cc175b9c0f1b6a831c399e2697726613", "2026/rankings.parquet")),
        ("ceph-created", "", None, of_data("900150983cd24fb0d6963f7d28e17f72", "rankings.parquet")),
        # The same content has the same name.
        ("s3-created", "Records 0 eventTime", "2026-11-25T10:00:00.000Z", of_data(EMPTY, "rankings.parquet")),
        ("s3-created", f"{OBJECT} sequencer", "0055AED6DCD90281E6", of_data(EMPTY, "rankings.parquet")),
        ("s3-created", f"{OBJECT} eTag", "f" * 32, of_data("f" * 32, "rankings.parquet")),
        # Ceph can only send Basic, from user and password of the address.
        (
            "s3-created",
            "header Authorization",
            f"Basic {WEBHOOK['data']}",
            of_data(EMPTY, "rankings.parquet"),
        ),
    ],
)
def test_an_event_starts_a_run(name, path, value, run):
    assert the_run(changed(name, path, value)) == run


def test_a_storm_of_records_is_one_run():
    headers, body = recorded("s3-created")
    assert len(started(event(headers, {"Records": body["Records"] * 50}))) == 1


FORGES = (("github-push", "push"), ("gitlab-push", "push-gitlab"))


@pytest.mark.parametrize(
    ("name", "path", "value", "trigger", "by", "why"),
    [
        *(
            (f"github-{kind}", "", None, "push", "wanted", "filter")
            for kind in ("push-branch", "tag", "delete", "fork")
        ),
        *(
            (f"github-{kind}", "", None, "push", "signature", "event type")
            for kind in ("pull-request", "ping")
        ),
        *(
            (f"gitlab-{kind}", "", None, "push-gitlab", "wanted", "filter")
            for kind in ("push-branch", "delete", "fork")
        ),
        *(
            (f"gitlab-{kind}", "", None, "push-gitlab", "signature", "event type")
            for kind in ("tag", "merge-request")
        ),
        *((name, "ref", ref, trigger, "wanted", "filter") for name, trigger in FORGES for ref in AFTER),
        *(
            (name, "after", commit, trigger, "wanted", "filter")
            for name, trigger in FORGES
            for commit in ("$(rm)", ZERO)
        ),
        ("github-push", "repository clone_url", "https://evil", "push", "wanted", "filter"),
        ("gitlab-push", "project git_http_url", "https://evil", "push-gitlab", "wanted", "filter"),
        ("github-push", "header X-Hub-Signature-256", f"sha256={'0' * 64}", "push", "signature", "signature"),
        ("github-push", "header X-Hub-Signature-256", "", "push", "signature", "signature"),
        ("github-push", "header X-GitHub-Event", "pull_request", "push", "signature", "event type"),
        ("gitlab-push", "header X-Gitlab-Token", "no", "push-gitlab", "signature", "signature"),
        ("gitlab-push", "header X-Gitlab-Token", "", "push-gitlab", "signature", "signature"),
        ("gitlab-push", "header X-Gitlab-Event", "System Hook", "push-gitlab", "signature", "event type"),
        # By the filter, not by an error, which would look like a fault in the interceptor's log.
        *(
            (f"alert-{kind}", "", None, "alert", "wanted", "filter")
            for kind in (
                "resolved",
                "other-model",
                "no-model",
                "no-labels",
                "ours-resolved",
                "group-resolved",
            )
        ),
        ("alert-firing", "header Authorization", f"Bearer {WEBHOOK['data']}", "alert", "wanted", "filter"),
        ("alert-firing", "alerts 0 labels alertname", "a;$(x)", "alert", "named", "filter"),
        ("alert-firing", "alerts 0 startsAt", "now;$(x)", "alert", "named", "filter"),
        *((f"{sender}-removed", "", None, "data", "wanted", "filter") for sender in ("s3", "minio", "ceph")),
        *(
            (f"{sender}-other-bucket", "", None, "data", "wanted", "filter")
            for sender in ("s3", "minio", "ceph")
        ),
        ("minio-accessed", "", None, "data", "wanted", "filter"),
        ("s3-created", "header Authorization", f"Bearer {WEBHOOK['alert']}", "data", "wanted", "filter"),
        ("s3-created", "Records 0 s3 bucket name", "tables/$(x)", "data", "named", "filter"),
        ("s3-created", f"{OBJECT} key", "a b;$(x)", "data", "named", "filter"),
        ("s3-created", f"{OBJECT} eTag", "$(x)", "data", "named", "filter"),
    ],
)
def test_other_events_start_none(name, path, value, trigger, by, why):
    sent = changed(name, path, value)
    outcome = deliver(sent)[trigger]
    assert (started(sent), outcome.by, outcome.why) == ([], by, why)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("s3-test", "", None),
        *(
            (name, "header Authorization", sent)
            for name, secret in (("s3-created", WEBHOOK["data"]), ("alert-firing", WEBHOOK["alert"]))
            for sent in ("", "Bearer", "Bearer ", "Bearer no", secret, None)
        ),
        *(("alert-firing", "alerts", alerts) for alerts in (None, [], {}, "alerts", [None], [{}], 17)),
        *(("s3-created", "Records", each) for each in (None, [], {}, "Records", [None], [{}], [{"s3": {}}])),
        *(
            (name, path, f"{start}{suffix}")
            for name, path, start in (
                ("github-push", "after", COMMIT),
                ("gitlab-push", "after", COMMIT),
                ("alert-firing", "alerts 0 labels alertname", "X" * 96),
                ("alert-firing", "alerts 0 startsAt", "2026-11-24T10:00:00Z"),
                ("s3-created", f"{OBJECT} key", "rankings.parquet"),
                ("s3-created", f"{OBJECT} eTag", f'{EMPTY}"'),
            )
            for suffix in ("\n", " ", "$(x)", ";id", "\x00", '"')
        ),
    ],
)
def test_an_event_of_another_form_starts_none(name, path, value):
    assert started(changed(name, path, value)) == []


@pytest.mark.parametrize("name", ["github-push", "gitlab-push", "alert-firing", "s3-created"])
def test_junk_starts_none(name):
    junk = (
        b"",
        b"{junk",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"17",
        b"\xff\xfe",
        b"[" * 50_000,
        b"x" * 1_000_000,
    )
    assert [data[:10] for data in junk if started(event(recorded(name)[0], data))] == []


def test_a_signature_is_of_this_body():
    headers = changed("github-push").headers
    assert started(event(headers, {**recorded("github-push")[1], "after": OTHER})) == []


@pytest.mark.parametrize(("name", "trigger"), FORGES)
def test_only_the_signature_stops_a_forged_push(name, trigger):
    sent = changed(name, f"header {'X-Hub-Signature-256' if trigger == 'push' else 'X-Gitlab-Token'}", "no")
    unsigned = triggers()
    edit(unsigned, f"Trigger/{trigger} spec interceptors signature", GONE)
    assert (started(sent), len(started(sent, unsigned))) == ([], 1)


def test_an_alert_without_the_label_is_no_error():
    """Without has() it is still refused, but by an error."""
    objects = triggers()
    path = "Trigger/alert spec interceptors wanted params filter value"
    edit(objects, path, "body.alerts.exists(a, a.labels.jukebox_model == extensions.model)")
    assert deliver(changed("alert-no-model"), objects)["alert"].why != "filter"


def overlay(trigger: str, number: int, expression: str) -> list[dict]:
    objects = triggers()
    path = f"Trigger/{trigger} spec interceptors settings params overlays value {number} expression"
    edit(objects, path, expression)
    return objects


@pytest.mark.parametrize(("ref", "runs"), [("main", 1), ("release", 1), ("main,release", 0), ("releas", 0)])
def test_several_branches(ref, runs):
    for name, trigger in FORGES:
        objects = overlay(trigger, 1, "'main,release'.split(',')")
        assert len(started(changed(name, "ref", f"refs/heads/{ref}"), objects)) == runs


@pytest.mark.parametrize(
    ("prefix", "bucket", "key", "runs"),
    [
        ("s3://tables/2026/", "tables", "2026%2Frankings.parquet", 1),
        ("s3://tables/2026/", "tables", "2026/rankings.parquet", 1),
        ("s3://tables/2026/", "tables", "2025/rankings.parquet", 0),
        ("s3://tables", "tables-too", "rankings.parquet", 1),
        ("s3://tables", "tables$(x)", "rankings.parquet", 0),
        ("s3://tables/", "tables/$(x)", "rankings.parquet", 0),
    ],
)
def test_the_prefix_may_be_a_folder(prefix, bucket, key, runs):
    headers, body = recorded("minio-created")
    edit(body, f"{OBJECT} key", key)
    edit(body, "Records 0 s3 bucket name", bucket)
    assert len(started(event(headers, body), overlay("data", 0, repr(prefix)))) == runs


HOSTILE = [
    "$(context.pipelineRun.name)",
    "$(tt.params.name)",
    "'; rm -rf / #",
    '"}, {"name": "tools-image", "value": "evil"',
    "one\ntwo: three",
    "`id` && ${HOME}",
    "../../etc/passwd",
    "mÜsik ♫ \u202e",
    "\x00\x1b[2J",
    "x" * 300,
    "y" * 100_000,
]
ODD = ["", 17, 1.5, True, None, [], {}, ["a"], {"a": "b"}]
PUSHED = ("after", "before", "ref", "commits 0 message", "commits 0 id")
PATHS = {
    "github-push": (*PUSHED, "repository clone_url", "repository full_name", "pusher name"),
    "gitlab-push": (*PUSHED, "project git_http_url", "user_name", "checkout_sha"),
    "alert-firing": (
        *("status", "commonLabels", "alerts 0", "alerts 0 status", "alerts 0 labels", "alerts 0 startsAt"),
        *(f"alerts 0 labels {name}" for name in ("alertname", "jukebox_model", "severity")),
    ),
    "s3-created": (
        *("Records 0 eventName", "Records 0 eventTime", "Records 0 s3", "Records 0 s3 bucket name"),
        *(OBJECT, *(f"{OBJECT} {name}" for name in ("key", "eTag", "size"))),
    ),
}


@pytest.mark.parametrize("value", sampled([*HOSTILE, *ODD], every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in PATHS.items() for path in paths])
def test_nothing_hostile_comes_through(name, path, value):
    if (path, value) == (f"{OBJECT} key", "../../etc/passwd"):
        return  # A key like any other, and only in the cause.
    for run in started(changed(name, path, value)):
        sound(run)
        assert not value or str(value) not in json.dumps(run, ensure_ascii=False)


def scheduled() -> dict:
    (job,) = (found for found in files("schedule") if found["kind"] == "CronJob")
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def send(answer: int) -> tuple[int, list[Event]]:
    """Run the script of the schedule against a server; return its exit code, and what arrives."""
    heard: list[Event] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(Event(dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    (container,) = scheduled()["containers"]
    env = {"PATH": os.environ["PATH"]}
    for entry in container["env"]:
        key = entry.get("valueFrom", {}).get("secretKeyRef", {"name": "jukebox-webhook", "key": "alert"})
        assert key == {"name": "jukebox-webhook", "key": "alert"}
        env[entry["name"]] = entry.get("value", WEBHOOK["alert"])
    assert env["JUKEBOX_LISTENER"] == "http://el-jukebox:8080"
    with http_server(Handler) as env["JUKEBOX_LISTENER"]:
        command = [sys.executable, *container["command"][1:], *container["args"]]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert WEBHOOK["alert"] not in done.stdout + done.stderr
    return done.returncode, heard


def test_the_schedule_starts_a_run():
    before = datetime.now(UTC).date()
    status, (sent,) = send(202)
    name, kind, revision, cause = the_run(sent)
    assert (status, kind, revision) == (0, "alert", "main")
    assert name in {f"alert-{day}" for day in (before, datetime.now(UTC).date())}
    assert re.fullmatch(r"alert Scheduled since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", cause)


def test_a_schedule_that_is_refused_fails():
    assert send(503)[0] != 0


def test_the_schedule_is_restricted():
    spec = scheduled()
    (container,) = spec["containers"]
    assert len(container["args"][0].splitlines()) <= 10
    assert BY_DIGEST.fullmatch(container["image"])
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("jukebox-ci", False)
    assert {**spec["securityContext"], **container["securityContext"]} == {
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
