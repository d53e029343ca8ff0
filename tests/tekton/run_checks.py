"""What holds for every run that an event starts, and the proof that a clause of a filter is needed."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from tekton.cel import mutations
from tekton.events import Event, Object, deliver, event, listener, objects, started

# None of them may get into a run; where it is refused is the listener's business.
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
JUNK = [b"", b"{junk", b"null", b"[]", b"{}", b'"text"', b"17", b"\xff\xfe", b"[" * 50_000, b"x" * 1_000_000]


def sound(run: Object) -> None:
    """A run's name is one, and everything that it names is there."""
    (pipeline,) = (o["spec"] for o in objects("pipelines") if o["kind"] == "Pipeline")
    accounts = {o["metadata"]["name"] for o in objects("rbac") if o["kind"] == "ServiceAccount"}
    spec, metadata = run["spec"], run["metadata"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", metadata["name"]), metadata["name"]
    for value in metadata["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value), value
    assert spec["pipelineRef"] == {"name": "jukebox-train"}
    params = {param["name"]: param["value"] for param in spec["params"]}
    assert set(params) == {"revision", "head-of", "cause"} <= {param["name"] for param in pipeline["params"]}
    assert re.fullmatch(r"[0-9a-f]{40}|main", params["revision"]), params["revision"]
    assert params["head-of"] == "refs/heads/main", params["head-of"]
    assert re.fullmatch(r"[A-Za-z0-9 :/_.=+%-]{1,300}", params["cause"]), params["cause"]
    assert metadata["annotations"]["jukebox/cause"] == params["cause"]
    given = {spec["taskRunTemplate"]["serviceAccountName"]}
    given |= {task["serviceAccountName"] for task in spec["taskRunSpecs"]}
    assert given <= accounts
    assert {task["pipelineTaskName"] for task in spec["taskRunSpecs"]} <= {
        task["name"] for task in pipeline["tasks"]
    }
    needed = {found["name"] for found in pipeline["workspaces"] if not found.get("optional")}
    assert {found["name"] for found in spec["workspaces"]} == needed
    assert "$(" not in json.dumps(run)


def the_run(sent: Event) -> tuple[str, str, str, str]:
    """The name, label, revision and cause of the one run that an event starts."""
    (run,) = started(sent)
    sound(run)
    params = {param["name"]: param["value"] for param in run["spec"]["params"]}
    return (
        run["metadata"]["name"],
        run["metadata"]["labels"]["jukebox/cause"],
        params["revision"],
        params["cause"],
    )


def changed(body: Any, path: str, value: Any) -> Any:
    """A copy of a body with another value at ``a.0.b``."""
    body = copy.deepcopy(body)
    *before, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner = body
    for part in before:
        inner = inner[part]
    inner[last] = value
    return body


def harmless(headers: dict[str, str], body: Any, path: str, hostile: Any) -> None:
    """Whatever a hostile value starts is sound and does not have it."""
    for run in started(event(headers, changed(body, path, hostile))):
        sound(run)
        assert not hostile or str(hostile) not in json.dumps(run, ensure_ascii=False)


def clauses(*names: str) -> Iterator[tuple[str, str, str, str]]:
    """Each clause of the filters of Triggers: (trigger, interceptor, clause, the filter without it)."""
    for name in names:
        for interceptor in listener()[name]["interceptors"]:
            params = {param["name"]: param["value"] for param in interceptor["params"]}
            for clause, without in mutations(params.get("filter", "")):
                yield name, interceptor["name"], clause, without


def needed(trigger: str, interceptor: str, without: str, refused: Event) -> None:
    """An event is refused by an interceptor's filter, and would pass it without the clause."""
    outcome = deliver(refused)[trigger]
    assert (outcome.run, outcome.by) == (None, interceptor), outcome
    specs = copy.deepcopy(listener())
    interceptors = specs[trigger]["interceptors"]
    at = [found["name"] for found in interceptors].index(interceptor)
    interceptors[at:] = [{**interceptors[at], "params": [{"name": "filter", "value": without}]}]
    for binding in specs[trigger]["bindings"]:
        binding["value"] = "passed"
    outcome = deliver(refused, specs)[trigger]
    assert outcome.run, outcome


def without_interceptor(trigger: str, interceptor: str) -> dict[str, Object]:
    """The listener's Triggers, one of them without one of its interceptors."""
    specs = copy.deepcopy(listener())
    left = [found for found in specs[trigger]["interceptors"] if found["name"] != interceptor]
    specs[trigger]["interceptors"] = left
    return specs
