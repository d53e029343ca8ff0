"""The way of one event through the listener: each Trigger starts a PipelineRun, or refuses the event.

Each Trigger runs its interceptors in order, then its bindings, then the TriggerTemplate; what has no value
refuses. CEL is cel-python's, with the functions of https://tekton.dev/docs/triggers/cel_expressions/. Known
difference: ``has(a.b.c)`` without ``a.b`` is an error in Triggers, and false here.
"""

import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import celpy
import re2
from celpy import celtypes
from celpy.adapter import CELJSONEncoder, json_to_cel
from tekton.harness import REFERENCE
from tekton.manifests import Object, files, find

PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK = {"push": "the-secret-of-pushes", "data": "the-secret-of-data", "alert": "the-secret-of-alerts"}
ERRORS = (
    celpy.CELEvalError,
    celpy.CELParseError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    RecursionError,
)


TRIGGERS = files("triggers")


class Event(NamedTuple):
    """A request to the listener."""

    headers: Mapping[str, str]
    data: bytes


class Refused(Exception):
    """An interceptor or a binding refuses the event."""


def event(headers: Mapping[str, str], body: Any) -> Event:
    """Make an event as its sender does; GitHub and Gitea sign it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if "X-GitHub-Event" in headers:
        headers = {"X-Hub-Signature-256": _signature(data), **headers}
    return Event(headers, data)


def recorded(name: str) -> tuple[dict[str, str], Any]:
    """Return the headers and the body of a recorded payload."""
    payload = json.loads((PAYLOADS / f"{name}.json").read_text())
    return payload["headers"], payload["body"]


def deliver(sent: Event, objects: list[Object] = TRIGGERS) -> dict[str, Object | str]:
    """Return what each Trigger makes of an event: a PipelineRun, or who refused it and why."""
    names = [entry["triggerRef"] for entry in find(objects, "EventListener", "jukebox")["spec"]["triggers"]]
    return {name: _outcome(sent, find(objects, "Trigger", name)["spec"], objects) for name in names}


def started(sent: Event, objects: list[Object] = TRIGGERS) -> list[Object]:
    """Return the PipelineRuns that an event starts."""
    return [outcome for outcome in deliver(sent, objects).values() if not isinstance(outcome, str)]


def _outcome(sent: Event, trigger: Object, objects: list[Object]) -> Object | str:
    by = "listener"
    try:
        header = {name: [value] for name, value in sent.headers.items()}
        context: Object = {"body": json.loads(sent.data), "header": header, "extensions": {}}
        for interceptor in trigger["interceptors"]:
            by = interceptor["name"]
            params = {param["name"]: param["value"] for param in interceptor["params"]}
            INTERCEPTORS[interceptor["ref"]["name"]](sent, params, context)
        by = "bindings"
        values = {binding["name"]: _bound(binding["value"], context) for binding in trigger["bindings"]}
    except (Refused, *ERRORS) as why:
        return f"{by} {why}"
    template = find(objects, "TriggerTemplate", trigger["template"]["ref"])["spec"]
    assert {param["name"] for param in template["params"]} == values.keys()
    names = {f"tt.params.{name}": json.dumps(value)[1:-1] for name, value in values.items()}
    (run,) = template["resourcetemplates"]
    return json.loads(REFERENCE.sub(lambda match: names.get(match[1], match[0]), json.dumps(run)))


def _signature(data: bytes) -> str:
    return f"sha256={hmac.new(WEBHOOK['push'].encode(), data, hashlib.sha256).hexdigest()}"


def _forge(header: str, kind: str, secret: Callable[[bytes], str]) -> Callable[[Event, Object, Object], None]:
    """Make the interceptor of a forge; GitHub's older signature by SHA-1 is not looked at."""

    def check(sent: Event, params: Object, _: Object) -> None:
        assert params["secretRef"] == {"secretName": "jukebox-webhook", "secretKey": "push"}
        given = {key.lower(): value for key, value in sent.headers.items()}
        if not hmac.compare_digest(given.get(header, "").encode(), secret(sent.data).encode()):
            raise Refused("signature")
        if given.get(kind, "") not in params["eventTypes"]:
            raise Refused("event type")

    return check


def _cel(_: Event, params: Object, context: Object) -> None:
    values = {name: json_to_cel(value) for name, value in context.items()}
    if "filter" in params and _evaluate(params["filter"], values) is not True:
        raise Refused("filter")
    # All overlays of an interceptor see what came before it, not each other.
    added = {each["key"]: _evaluate(each["expression"], values) for each in params.get("overlays", ())}
    context["extensions"] = {**context["extensions"], **added}


INTERCEPTORS = {
    "github": _forge("x-hub-signature-256", "x-github-event", _signature),
    "gitlab": _forge("x-gitlab-token", "x-gitlab-event", lambda _: WEBHOOK["push"]),
    "cel": _cel,
}


def _evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    program = celpy.Environment().program(_compiled(expression), functions=FUNCTIONS)
    return json.loads(json.dumps(program.evaluate(dict(values)), cls=CELJSONEncoder))


@functools.cache
def _compiled(expression: str) -> Any:
    return celpy.Environment().compile(expression)


def _text(value: Any) -> str:
    if not isinstance(value, celtypes.StringType):
        raise TypeError(f"no such overload: {type(value).__name__}")
    return str(value)


def _string(function: Callable[..., str]) -> Callable[..., celtypes.StringType]:
    return lambda text, *arguments: celtypes.StringType(function(_text(text), *arguments))


def _canonical(header: Any, name: Any) -> celtypes.StringType:
    values = {str(key).lower(): each for key, each in header.items()}
    return values[_text(name).lower()][0] if _text(name).lower() in values else celtypes.StringType()


def _compare_secret(text: Any, key: Any, name: Any) -> celtypes.BoolType:
    expected = {"jukebox-webhook": WEBHOOK}[str(name)][str(key)]
    return celtypes.BoolType(hmac.compare_digest(_text(text).encode(), expected.encode()))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "canonical": _canonical,
    "compareSecret": _compare_secret,
    "split": lambda text, by: json_to_cel(_text(text).split(str(by))),
    "replace": _string(lambda text, old, new: text.replace(str(old), str(new))),
    "truncate": _string(lambda text, length: text[: int(length)]),
    # RE2, as in Triggers: `$` is the end of the text, and not also what comes before a last newline.
    "translate": _string(lambda text, old, new: re2.sub(str(old), str(new), text)),
}


def _bound(value: str, context: Object) -> str:
    def look_up(match: Any) -> str:
        at: Any = context
        for part in match[1].split("."):
            if not isinstance(at, dict) or part not in at:
                raise Refused(f"{match[0]} is not there")
            at = at[part]
        return at if isinstance(at, str) else json.dumps(at)

    return REFERENCE.sub(look_up, value)
