"""Which events start which runs, what refuses all others, and that nothing hostile gets through."""

import copy
import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler

import pytest
from servers import http_server
from tekton.events import TRIGGERS, WEBHOOK, Event, deliver, event, recorded, started
from tekton.expected import RESTRICTED
from tekton.manifests import GONE, edit, files, find, look_up
from tiers import sampled

COMMIT, ZERO, OTHER = "1a2b3c4d5e" * 4, "0" * 40, "9f8e7d6c5b" * 4
PUSH = ("push-1a2b3c4d5e1a2b3c4d5e", "push", COMMIT, "push of 1a2b3c4d5e1a to refs/heads/main")
PUSH_OTHER = ("push-9f8e7d6c5b9f8e7d6c5b", "push", OTHER, "push of 9f8e7d6c5b9f to refs/heads/main")
ALERT = ("alert-2026-11-24", "alert", "main", "alert JukeboxDrift since 2026-11-24T10:00:00.123Z")
ALERT_LATER = ("alert-2026-11-25", *ALERT[1:3], "alert JukeboxDrift since 2026-11-25T00:00:00.000000001Z")
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
MINIO = ("data-0cc175b9c0f1b6a831c399e2697726613", "data", "main", "data s3://tables/2026/rankings.parquet")
BUCKET, KEY, ETAG = "Records 0 s3 bucket name", "Records 0 s3 object key", "Records 0 s3 object eTag"
SIGNED, SINCE = "header X-Hub-Signature-256", "alerts 0 startsAt"
AUTHORIZATION, TOKEN, LABEL = "header Authorization", "header X-Gitlab-Token", "alerts 0 labels alertname"


def of_data(etag: str) -> tuple[str, str, str, str]:
    return f"data-{etag}", "data", "main", "data s3://tables/rankings.parquet"


def changed(name: str, path: str = "", value: object = None) -> Event:
    """Return a recorded event, with another value at a path of its body; ``header X`` changes a header."""
    headers, body = recorded(name)
    if path.startswith("header "):
        headers = {key: each for key, each in {**headers, path[7:]: value}.items() if each is not None}
    elif path:
        edit(body, path, value)
    return event(headers, body)


def the_run(run: dict) -> tuple[str, str, str, str]:
    """Return name, label, revision and cause of a run, each of a safe form."""
    metadata = run["metadata"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", metadata["name"]), metadata["name"]
    params = {param["name"]: param["value"] for param in run["spec"]["params"]}
    revision, head_of, cause = params.pop("revision"), params.pop("head-of"), params.pop("cause")
    assert re.fullmatch(r"[0-9a-f]{40}|main", revision), revision
    assert re.fullmatch(r"[A-Za-z0-9 :/_.=+%-]{1,300}", cause), cause
    assert (params, head_of, metadata["annotations"]["jukebox/cause"]) == ({}, "refs/heads/main", cause)
    assert "$(" not in json.dumps(run)
    return metadata["name"], metadata["labels"]["jukebox/cause"], revision, cause


@pytest.mark.parametrize(
    ("name", "path", "value", "run"),
    [
        ("github-push", "", None, PUSH),
        ("gitea-push", "", None, PUSH),
        ("gitlab-push", "", None, PUSH),
        # A repeated delivery has the same name, which is taken.
        ("github-push", "header X-GitHub-Delivery", "again", PUSH),
        ("github-push", "after", OTHER, PUSH_OTHER),
        ("gitlab-push", "after", OTHER, PUSH_OTHER),
        ("alert-firing", "", None, ALERT),
        ("alert-several", "", None, ALERT),
        # All alerts of a day have one name.
        ("alert-firing", LABEL, "Accuracy", (*ALERT[:3], ALERT[3].replace("JukeboxDrift", "Accuracy"))),
        ("alert-firing", SINCE, "2026-11-25T00:00:00.000000001Z", ALERT_LATER),
        ("s3-created", "", None, of_data(EMPTY)),
        ("s3-several", "", None, of_data(EMPTY)),
        ("minio-created", "", None, MINIO),
        ("ceph-created", "", None, of_data("900150983cd24fb0d6963f7d28e17f72")),
        # The same content has the same name.
        ("s3-created", "Records 0 s3 object sequencer", "0055AED6DCD90281E6", of_data(EMPTY)),
        ("s3-created", ETAG, "f" * 32, of_data("f" * 32)),
        # Ceph can only send Basic, from user and password of the address.
        ("s3-created", AUTHORIZATION, f"Basic {WEBHOOK['data']}", of_data(EMPTY)),
    ],
)
def test_an_event_starts_a_run(name, path, value, run):
    (one,) = started(changed(name, path, value))
    assert the_run(one) == run


PUSHES = (("github-push", "push"), ("gitlab-push", "push-gitlab"))
BRANCHES = (
    "refs/heads/mai",
    "refs/heads/main2",
    "refs/heads/",
    "main",
    "refs/heads/main\n",
    "refs/tags/main",
)
UNWANTED = {
    "push wanted filter": ["github-push-branch", "github-tag", "github-delete", "github-fork"],
    "push signature event type": ["github-pull-request", "github-ping"],
    "push-gitlab wanted filter": ["gitlab-push-branch", "gitlab-delete", "gitlab-fork"],
    "push-gitlab signature event type": ["gitlab-tag", "gitlab-merge-request"],
    # By the filter, not by an error, which would look like a fault in the interceptor's log.
    "alert wanted filter": [
        *("alert-resolved", "alert-other-model", "alert-no-model", "alert-no-labels"),
        *("alert-ours-resolved", "alert-group-resolved"),
    ],
    "data wanted filter": [
        *("s3-removed", "minio-removed", "ceph-removed", "minio-accessed"),
        *("s3-other-bucket", "minio-other-bucket", "ceph-other-bucket"),
    ],
}


@pytest.mark.parametrize(
    ("name", "path", "value", "why"),
    [
        *((name, "", None, why) for why, names in UNWANTED.items() for name in names),
        *((name, "ref", ref, f"{at} wanted filter") for name, at in PUSHES for ref in BRANCHES),
        *((name, "after", sha, f"{at} wanted filter") for name, at in PUSHES for sha in ("$(rm)", ZERO)),
        ("github-push", "repository clone_url", "https://evil", "push wanted filter"),
        ("gitlab-push", "project git_http_url", "https://evil", "push-gitlab wanted filter"),
        ("github-push", SIGNED, f"sha256={'0' * 64}", "push signature signature"),
        ("github-push", SIGNED, "", "push signature signature"),
        ("github-push", "header X-GitHub-Event", "pull_request", "push signature event type"),
        ("gitlab-push", TOKEN, "no", "push-gitlab signature signature"),
        ("gitlab-push", TOKEN, "", "push-gitlab signature signature"),
        ("gitlab-push", "header X-Gitlab-Event", "System Hook", "push-gitlab signature event type"),
        ("alert-firing", AUTHORIZATION, f"Bearer {WEBHOOK['data']}", "alert wanted filter"),
        ("alert-firing", LABEL, "a;$(x)", "alert named filter"),
        ("alert-firing", SINCE, "now;$(x)", "alert named filter"),
        ("s3-created", AUTHORIZATION, f"Bearer {WEBHOOK['alert']}", "data wanted filter"),
        ("s3-created", BUCKET, "tables/$(x)", "data named filter"),
        ("s3-created", KEY, "a b;$(x)", "data named filter"),
        ("s3-created", ETAG, "$(x)", "data named filter"),
    ],
)
def test_other_events_start_none(name, path, value, why):
    trigger, why = why.split(" ", 1)
    sent = changed(name, path, value)
    assert (started(sent), deliver(sent)[trigger]) == ([], why)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("s3-test", "", None),
        *(("alert-firing", "alerts", each) for each in (None, [], {}, "alerts", [None], [{}], 17)),
        *(("s3-created", "Records", each) for each in (None, [], {}, "Records", [None], [{}], [{"s3": {}}])),
        *(
            (name, AUTHORIZATION, sent)
            for name, secret in (("s3-created", WEBHOOK["data"]), ("alert-firing", WEBHOOK["alert"]))
            for sent in ("", "Bearer", "Bearer ", "Bearer no", secret, None)
        ),
    ],
)
def test_without_a_token_or_a_record_none_starts(name, path, value):
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


@pytest.mark.parametrize(("name", "trigger"), PUSHES)
def test_only_the_signature_stops_a_forged_push(name, trigger):
    sent, unsigned = changed(name, SIGNED if name == "github-push" else TOKEN, "no"), copy.deepcopy(TRIGGERS)
    edit(unsigned, f"Trigger/{trigger} spec interceptors signature", GONE)
    assert (started(sent), len(started(sent, unsigned))) == ([], 1)


BRANCHES_OF, PREFIX = "branches 'main,release'.split(',')", "prefix 's3://tables"


@pytest.mark.parametrize(
    ("setting", "name", "trigger", "path", "value", "runs"),
    [
        *((BRANCHES_OF, *push, "ref", "refs/heads/release", 1) for push in PUSHES),
        *((BRANCHES_OF, *push, "ref", "refs/heads/main,release", 0) for push in PUSHES),
        (f"{PREFIX}/2026/'", "minio-created", "data", KEY, "2026%2Frankings.parquet", 1),
        (f"{PREFIX}/2026/'", "minio-created", "data", KEY, "2025/rankings.parquet", 0),
        (f"{PREFIX}'", "s3-created", "data", BUCKET, "tables-too", 1),
        (f"{PREFIX}'", "s3-created", "data", BUCKET, "tables$(x)", 0),
    ],
)
def test_there_may_be_several_branches_and_a_prefix_of_any_depth(setting, name, trigger, path, value, runs):
    key, _, expression = setting.partition(" ")
    objects = copy.deepcopy(TRIGGERS)
    interceptors = find(objects, "Trigger", trigger)["spec"]["interceptors"]
    (settings,) = (each["params"][0]["value"] for each in interceptors if each["name"] == "settings")
    (overlay,) = (each for each in settings if each["key"] == key)
    overlay["expression"] = expression
    assert len(started(changed(name, path, value), objects)) == runs


HOSTILE = [
    *("$(tt.params.name)", "'; rm -rf / #", '"}, {"name": "tools-image", "value": "evil"', "one\ntwo: three"),
    *("`id` && ${HOME}", "../../etc/passwd", "mÜsik ♫ \u202e", "\x00\x1b[2J", "x" * 300, "y" * 100_000),
    *("", 17, 1.5, True, None, [], {}, ["a"], {"a": "b"}, [None], [{}]),
    *("…\n", "… ", "…$(x)", "…;id"),
]
"""The values; … is the recorded one."""

PUSHED = "after, before, ref, commits 0 message, commits 0 id, "
PATHS = {
    "github-push": PUSHED + "repository clone_url, repository full_name, pusher name",
    "gitlab-push": PUSHED + "project git_http_url, user_name, checkout_sha",
    "alert-firing": "status, commonLabels, alerts 0, alerts 0 status, alerts 0 labels, "
    "alerts 0 startsAt, alerts 0 labels alertname, alerts 0 labels jukebox_model",
    "s3-created": "Records 0 eventName, Records 0 s3, Records 0 s3 bucket name, "
    "Records 0 s3 object, Records 0 s3 object key, Records 0 s3 object eTag, Records 0 s3 object size",
}


@pytest.mark.parametrize("value", sampled(HOSTILE, every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in PATHS for path in PATHS[name].split(", ")]
)
def test_nothing_hostile_comes_through(name, path, value):
    if (path, value) == (KEY, "../../etc/passwd"):
        return  # A key like any other, and only in the cause.
    if isinstance(value, str) and "…" in value:
        at = look_up(recorded(name)[1], path)
        value = value.replace("…", at if isinstance(at, str) else "")
    for run in started(changed(name, path, value)):
        the_run(run)
        assert not str(value or "").strip() or str(value) not in json.dumps(run, ensure_ascii=False)


@pytest.mark.parametrize("answer", [202, 503])
def test_the_schedule_starts_a_run_or_fails(answer):
    (job,) = (each for each in files("schedule") if each["kind"] == "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("jukebox-ci", False)
    assert {**spec["securityContext"], **container["securityContext"]} == RESTRICTED
    *plain, token = container["env"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "jukebox-webhook", "key": "alert"}}
    env = {entry["name"]: entry["value"] for entry in plain}
    assert env["JUKEBOX_LISTENER"] == "http://el-jukebox:8080"
    env |= {"PATH": os.environ["PATH"], token["name"]: WEBHOOK["alert"]}
    heard: list[Event] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(Event(dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http_server(Handler) as env["JUKEBOX_LISTENER"]:
        command = [sys.executable, *container["command"][1:], *container["args"]]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert WEBHOOK["alert"] not in done.stdout + done.stderr
    assert (done.returncode == 0) is (answer == 202)
    (run,) = started(heard[0])
    name, kind, revision, cause = the_run(run)
    assert (kind, revision) == ("alert", "main")
    assert re.fullmatch(rf"alert Scheduled since {name[6:]}T\d\d:\d\d:\d\dZ", cause)
