"""The way of one event through the listener: to the PipelineRuns that it starts, or to what refused it.

Each Trigger of the EventListener sees the event: its interceptors in order, each with the extensions of those
before it; then its bindings, then the TriggerTemplate. What has no value is a refusal. Every Trigger here is
read from the project's own files.
"""

import copy
import functools
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tekton.cel import CelError, evaluate, to_cel
from tekton.manifests import TEKTON, load

PAYLOADS = Path(__file__).parent / "payloads"
SECRETS = {
    "jukebox-webhook": {
        "push": "the-secret-of-pushes",
        "data": "the-secret-of-data",
        "alert": "the-secret-of-alerts",
    }
}
REFERENCE = re.compile(r"\$\(([^()\s]+)\)")
Object = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """A request to the listener."""

    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What a Trigger made of an event: a PipelineRun, or the interceptor which refused, and why."""

    run: Object | None = None
    by: str = ""
    why: str = ""


class Refused(Exception):
    """An interceptor let the event go no further."""


def event(headers: Mapping[str, str], body: Any) -> Event:
    """An event as its sender makes it: forges that sign (X-GitHub-Event) have signed it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if "X-GitHub-Event" not in headers or "X-Hub-Signature-256" in headers:
        return Event(headers, data)
    signature = hmac.new(SECRETS["jukebox-webhook"]["push"].encode(), data, hashlib.sha256).hexdigest()
    return Event({**headers, "X-Hub-Signature-256": f"sha256={signature}"}, data)


def recorded(name: str) -> tuple[dict[str, str], Any]:
    """The headers and the body of a recorded payload, to change or to send."""
    found = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found["headers"], found["body"]


@functools.cache
def objects(folder: str) -> list[Object]:
    """The objects in a folder of tekton/, to read."""
    return [found for file in (TEKTON / folder).glob("*.yaml") for found in load(file)]


def listener() -> dict[str, Object]:
    """The Triggers of the EventListener, by name, and the TriggerTemplates as ``template/name``, to read."""
    found = [each for each in objects("triggers") if "spec" in each]
    named = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in found}
    names = [trigger["triggerRef"] for trigger in named["EventListener", "jukebox"]["triggers"]]
    templates = {
        f"template/{name}": spec for (kind, name), spec in named.items() if kind == "TriggerTemplate"
    }
    return {**{name: named["Trigger", name] for name in names}, **templates}


def deliver(sent: Event, specs: Mapping[str, Object] | None = None) -> dict[str, Outcome]:
    """What each Trigger makes of an event."""
    specs = specs or listener()
    triggers = {name: spec for name, spec in specs.items() if not name.startswith("template/")}
    return {
        name: _outcome(sent, spec, specs[f"template/{spec['template']['ref']}"])
        for name, spec in triggers.items()
    }


def started(sent: Event, specs: Mapping[str, Object] | None = None) -> list[Object]:
    """The PipelineRuns that an event starts."""
    return [outcome.run for outcome in deliver(sent, specs).values() if outcome.run]


def _outcome(sent: Event, trigger: Object, template: Object) -> Outcome:
    try:
        body = _body(sent.data)
        header = {name: [value] for name, value in sent.headers.items()}
    except (ValueError, RecursionError) as why:
        return Outcome(by="listener", why=str(why))
    context: Object = {"body": body, "header": header, "extensions": {}}
    for interceptor in trigger["interceptors"]:
        params = {param["name"]: param["value"] for param in interceptor["params"]}
        check = {"github": _github, "gitlab": _gitlab, "cel": _cel}[interceptor["ref"]["name"]]
        try:
            check(sent, params, context)
        except (CelError, Refused) as why:
            return Outcome(by=interceptor["name"], why=str(why))
    try:
        values = {binding["name"]: bound(binding["value"], context) for binding in trigger["bindings"]}
    except Refused as why:
        return Outcome(by="bindings", why=str(why))
    return Outcome(render(template, values))


@functools.lru_cache(maxsize=1)
def _body(data: bytes) -> Any:
    return json.loads(data)


@functools.lru_cache(maxsize=1)
def _body_in_cel(data: bytes) -> Any:
    return to_cel(_body(data))


def _header(sent: Event, name: str) -> str:
    return next((value for key, value in sent.headers.items() if key.lower() == name.lower()), "")


def _secret(params: Object) -> bytes:
    return SECRETS[params["secretRef"]["secretName"]][params["secretRef"]["secretKey"]].encode()


def _github(sent: Event, params: Object, _: Object) -> None:
    """Only the signature by SHA-256: the older one by SHA-1 is not looked at."""
    expected = hmac.new(_secret(params), sent.data, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(_header(sent, "X-Hub-Signature-256"), f"sha256={expected}"):
        raise Refused("signature")
    if _header(sent, "X-GitHub-Event") not in params["eventTypes"]:
        raise Refused("event type")


def _gitlab(sent: Event, params: Object, _: Object) -> None:
    if not hmac.compare_digest(_header(sent, "X-Gitlab-Token").encode(), _secret(params)):
        raise Refused("token")
    if _header(sent, "X-Gitlab-Event") not in params["eventTypes"]:
        raise Refused("event type")


def _cel(sent: Event, params: Object, context: Object) -> None:
    values = {
        "body": _body_in_cel(sent.data),
        "header": to_cel(context["header"]),
        "extensions": to_cel(context["extensions"]),
    }
    if "filter" in params and evaluate(params["filter"], values, SECRETS) is not True:
        raise Refused("filter")
    # All overlays of an interceptor see what came before it, not each other.
    added = {
        overlay["key"]: evaluate(overlay["expression"], values, SECRETS)
        for overlay in params.get("overlays", ())
    }
    context["extensions"] = {**context["extensions"], **added}


def bound(value: str, context: Object) -> str:
    """The value of a binding."""

    def look_up(match: re.Match[str]) -> str:
        found: Any = context
        for part in match[1].split("."):
            if not isinstance(found, dict) or part not in found:
                raise Refused(f"{match[0]} is not there")
            found = found[part]
        return found if isinstance(found, str) else json.dumps(found)

    return REFERENCE.sub(look_up, value)


def render(template: Object, values: Mapping[str, str]) -> Object:
    """The one object of a TriggerTemplate, with its params filled in."""
    assert {param["name"] for param in template["params"]} == set(values)
    (resource,) = template["resourcetemplates"]
    names = {f"tt.params.{name}": value for name, value in values.items()}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        return REFERENCE.sub(lambda m: names.get(m[1], m[0]), value) if isinstance(value, str) else value

    return filled(copy.deepcopy(resource))
