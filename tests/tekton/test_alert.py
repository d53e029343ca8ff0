"""Which alerts start which runs, and that the schedule sends one that does."""

import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tekton.events import SECRETS, Event, deliver, event, objects, recorded, started
from tekton.run_checks import (
    HOSTILE,
    JUNK,
    ODD,
    changed,
    clauses,
    harmless,
    needed,
    the_run,
    without_interceptor,
)
from tiers import sampled

ALERT = recorded("alert-firing")
CAUSE = "alert JukeboxDrift since 2026-11-24T10:00:00.123Z"


@pytest.mark.parametrize("name", ["alert-firing", "alert-several"])
def test_an_alert_starts_a_run(name):
    assert the_run(event(*recorded(name))) == ("alert-2026-11-24", "alert", "main", CAUSE)


@pytest.mark.parametrize(
    ("since", "name"),
    [
        ("2026-11-24T22:00:00Z", "alert-2026-11-24"),
        ("2026-11-24T10:00:00+01:00", "alert-2026-11-24"),
        ("2026-11-25T00:00:00.000000001Z", "alert-2026-11-25"),
    ],
)
def test_the_alerts_of_a_day_have_one_name(since, name):
    assert the_run(event(ALERT[0], changed(ALERT[1], "alerts.0.startsAt", since)))[0] == name
    other = changed(ALERT[1], "alerts.0.labels.alertname", "JukeboxAccuracy")
    assert the_run(event(ALERT[0], changed(other, "alerts.0.startsAt", since)))[0] == name


@pytest.mark.parametrize(
    "name",
    [
        "alert-resolved",
        "alert-other-model",
        "alert-no-model",
        "alert-no-labels",
        "alert-ours-resolved",
        "alert-group-resolved",
    ],
)
def test_other_alerts_start_none(name):
    outcome = deliver(event(*recorded(name)))["alert"]
    # Not by an error, which would look like a fault in the interceptor's log.
    assert (outcome.run, outcome.by, outcome.why) == (None, "wanted", "filter")


# What only one clause refuses, by how the clause begins.
REFUSED = {
    "header.canonical": ({**ALERT[0], "Authorization": "Bearer the-secret-of-data"}, ALERT[1]),
    "body.status ==": recorded("alert-group-resolved"),
    "body.alerts.exists": recorded("alert-other-model"),
    "a.status ==": recorded("alert-ours-resolved"),
    "a.labels.jukebox_model ==": recorded("alert-other-model"),
    "extensions.alert.labels.alertname": (ALERT[0], changed(ALERT[1], "alerts.0.labels.alertname", "a;$(x)")),
    "extensions.alert.startsAt": (ALERT[0], changed(ALERT[1], "alerts.0.startsAt", "now;$(x)")),
}
CLAUSES = [*clauses("alert")]


@pytest.mark.parametrize(
    ("trigger", "interceptor", "clause", "without"), [c for c in CLAUSES if not c[2].startswith("has(")]
)
def test_each_clause_is_needed(trigger, interceptor, clause, without):
    (refused,) = (sent for start, sent in REFUSED.items() if clause.startswith(start))
    needed(trigger, interceptor, without, event(*refused))


def test_an_alert_without_the_label_is_no_error():
    """Without has() it would still be refused, but by an error."""
    ((trigger, interceptor, _, without),) = (c for c in CLAUSES if c[2].startswith("has(a.labels.j"))
    specs = without_interceptor(trigger, "none")
    for found in specs[trigger]["interceptors"]:
        if found["name"] == interceptor:
            found["params"][0]["value"] = without
    assert deliver(event(*recorded("alert-no-model")), specs)[trigger].why != "filter"


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer no", "the-secret-of-alerts", None])
def test_only_the_secret_opens(sent):
    headers = {name: value for name, value in ALERT[0].items() if name != "Authorization"}
    assert started(event(headers | ({} if sent is None else {"Authorization": sent}), ALERT[1])) == []


PATHS = ["status", "commonLabels", "alerts.0", "alerts.0.status", "alerts.0.labels", "alerts.0.startsAt"]
LABELS = ["alertname", "jukebox_model", "severity"]


@pytest.mark.parametrize("value", sampled([*HOSTILE, *ODD], every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("path", [*PATHS, *(f"alerts.0.labels.{name}" for name in LABELS)])
def test_nothing_hostile_comes_through(path, value):
    harmless(*ALERT, path, value)


@pytest.mark.parametrize("suffix", ["\n", " ", "$(x)", ";id", "\x00", '"', "+01:00"])
@pytest.mark.parametrize(
    ("path", "start"), [("labels.alertname", "X" * 96), ("startsAt", "2026-11-24T10:00:00Z")]
)
def test_nothing_hangs_on(path, start, suffix):
    assert started(event(ALERT[0], changed(ALERT[1], f"alerts.0.{path}", start + suffix))) == []


@pytest.mark.parametrize("data", JUNK, ids=lambda data: repr(data[:10]))
def test_junk_starts_none(data):
    assert started(event(ALERT[0], data)) == []


@pytest.mark.parametrize("alerts", [None, [], {}, "alerts", [None], [{}], 17])
def test_alerts_that_are_none(alerts):
    assert started(event(ALERT[0], changed(ALERT[1], "alerts", alerts))) == []


def scheduled() -> dict:
    (job,) = (found for found in objects("schedule") if found["kind"] == "CronJob")
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def send(answer: int) -> tuple[int, list[Event]]:
    """Run the schedule's own script against a real server: its exit status, and what arrives."""
    heard: list[Event] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(Event(dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    (container,) = scheduled()["containers"]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"PATH": os.environ["PATH"]}
        for entry in container["env"]:
            key = entry.get("valueFrom", {}).get("secretKeyRef")
            env[entry["name"]] = SECRETS[key["name"]][key["key"]] if key else entry["value"]
        assert env["JUKEBOX_LISTENER"] == "http://el-jukebox:8080"
        env["JUKEBOX_LISTENER"] = f"http://127.0.0.1:{server.server_port}"
        command = [sys.executable, *container["command"][1:], *container["args"]]
        done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=60)
        server.shutdown()
    assert SECRETS["jukebox-webhook"]["alert"].encode() not in done.stdout + done.stderr
    return done.returncode, heard


def test_the_schedule_starts_a_run():
    before = datetime.now(UTC).date()
    status, (sent,) = send(202)
    name, kind, revision, cause = the_run(sent)
    assert (status, kind, revision) == (0, "alert", "main")
    assert name in {f"alert-{day}" for day in (before, datetime.now(UTC).date())}
    assert re.fullmatch(r"alert Scheduled since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", cause)


def test_a_schedule_that_is_not_heard_fails():
    assert send(503)[0] != 0


def test_the_schedule_is_restricted():
    spec = scheduled()
    (container,) = spec["containers"]
    assert len(container["args"][0].splitlines()) <= 10
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] and context["runAsNonRoot"]
    assert not context["allowPrivilegeEscalation"] and context["capabilities"] == {"drop": ["ALL"]}
    assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", container["image"])
    accounts = {found["metadata"]["name"] for found in objects("rbac") if found["kind"] == "ServiceAccount"}
    assert spec["serviceAccountName"] in accounts
