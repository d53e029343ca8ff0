"""Who may promote: every way in which a run may go, and every right and secret that leads to promotion.

`outcomes` plays Tekton's rules for all tasks ending well or not, `problems` says what would let a model into
production past the gate, or give the promotion's key, or the decision, to somebody else.
"""

import itertools
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

Object = dict[str, Any]
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.[\w-]+\)")
IN_A_SCRIPT = re.compile(r"\$\((params|workspaces|results|context|tasks|steps|inputs|outputs)\b")
VERDICT = "$(tasks.submit-run.results.VERDICT)"
GIVEN = {
    ("submit-run", "store-secret"): "$(params.store-secret)",
    ("promote", "promotion-secret"): "$(params.promotion-secret)",
    ("promote", "candidate"): "$(tasks.submit-run.results.CANDIDATE)",
    ("report", "report-secret"): "$(params.report-secret)",
    # The image that decides is the site's, never one of the commit that is judged.
    **{
        (task, "tools-image"): "$(params.tools-image)"
        for task in ("toolchain", "build-image", "submit-run", "promote", "report")
    },
}
SUBJECTS = {
    "jukebox-listener": ["jukebox-listener"],
    "jukebox-submit": ["jukebox-submit"],
    "jukebox-push-images": ["jukebox-push"],
    "jukebox-build-scc": ["jukebox-build"],
}
RULES = {
    ("ClusterRole", "jukebox-listener"): {
        ("clusterinterceptors", "get list watch"),
        ("clustertriggerbindings", "get list watch"),
    },
    ("Role", "jukebox-listener"): {
        *(
            (kind, "get list watch")
            for kind in ("eventlisteners", "triggers", "triggerbindings", "triggertemplates", "interceptors")
        ),
        ("pipelineruns", "create"),
        ("events", "create patch"),
    },
    ("Role", "jukebox-submit"): {
        ("datasciencepipelinesapplications/api", "get create"),
        ("routes", "get"),
    },
}
ROOT = {"runAsNonRoot": False, "runAsUser": 0, "allowPrivilegeEscalation": False}
BUILDER = {
    "openshift": {**ROOT, "capabilities": {"add": ["SETFCAP"]}, "seccompProfile": {"type": "RuntimeDefault"}},
    "kubernetes": {
        **ROOT,
        "capabilities": {"drop": ["ALL"], "add": ["SETFCAP", "SETGID", "SETUID"]},
        "seccompProfile": {"type": "Unconfined"},
    },
}
FENCED = {
    "matchExpressions": [
        {"key": "tekton.dev/task", "operator": "In", "values": ["lint", "unit-test", "compile-pipeline"]}
    ]
}
"""The pods that run the commit's code, whether in a run of the Pipeline or alone."""

READERS = {"toolchain", "lint", "unit-test", "build-image", "report"}
"""What must not be able to change the checkout for those that come later."""


def outcomes(spec: Object) -> Iterator[tuple[dict[str, str], str]]:
    """Yield how each task ends, ok, failed, skipped or blocked, and the verdict, for all combinations.

    A task whose `when` is false is skipped: what runs after it runs, what takes its results does not. Tekton
    starts nothing new once a task has failed; here all else goes on, which can only be worse.
    """
    tasks = {task["name"]: task for task in spec["tasks"]}
    takes = {name: set(RESULT.findall(str(task))) for name, task in tasks.items()}
    after = {name: set(task.get("runAfter", ())) for name, task in tasks.items()}
    order = list(TopologicalSorter({name: takes[name] | after[name] for name in tasks}).static_order())
    for verdict in ("pass", "block", "error"):
        for ends in itertools.product(("ok", "failed"), repeat=len(order)):
            state: dict[str, str] = {}
            for name, end in zip(order, ends, strict=True):
                ready = all(state[each] == "ok" for each in takes[name])
                ready = ready and all(state[each] in ("ok", "skipped") for each in after[name])
                ended = end if _wanted(tasks[name], verdict) else "skipped"
                state[name] = ended if ready else "blocked"
            yield state, verdict


def _wanted(task: Object, verdict: str) -> bool:
    for when in task.get("when", ()):
        value = verdict if when["input"] == VERDICT else when["input"]
        if (value in when["values"]) != (when["operator"] == "in"):
            return False
    return True


def problems(objects: list[Object], overlay: str) -> list[str]:
    """Return every way to production but the one, in words."""
    (spec,) = (found["spec"] for found in objects if found["kind"] == "Pipeline")
    return [*_ways(spec), *_gifts(spec), *_rights(objects), *_tasks(objects, overlay)]


def _ways(spec: Object) -> Iterator[str]:
    named = [task["name"] for task in (*spec["tasks"], *spec["finally"])]
    yield from (f"two tasks are named {name}" for name in {n for n in named if named.count(n) > 1})
    if len(named) != len(set(named)):
        return
    for state, verdict in outcomes(spec):
        ran = state.get("promote") in ("ok", "failed")
        right = verdict == "pass" and all(end == "ok" for name, end in state.items() if name != "promote")
        if ran != right:
            bad = sorted(name for name, end in state.items() if end != "ok")
            yield f"promote {'runs' if ran else 'does not run'} with the verdict {verdict}, not ok: {bad}"
            return


def _gifts(spec: Object) -> Iterator[str]:
    given = {}
    for task in (*spec["tasks"], *spec["finally"]):
        if task["taskRef"]["name"] == "promote" and task["name"] != "promote":
            yield f"{task['name']} promotes as well"
        for param in task["params"]:
            key = task["name"], param["name"]
            given[key] = param["value"]
            if "promotion-secret" in param["value"] and key != ("promote", "promotion-secret"):
                yield f"{task['name']} is given the promotion's secret as {param['name']}"
    for key, value in GIVEN.items():
        if given.get(key) != value:
            yield f"{key[0]} takes {key[1]} from {given.get(key)}, not {value}"
    secrets = [param["default"] for param in spec["params"] if param["name"].endswith("-secret")]
    if len(secrets) != len(set(secrets)):
        yield f"one secret for two purposes: {secrets}"


def _rights(objects: list[Object]) -> Iterator[str]:
    for found in objects:
        kind, name = found["kind"], found["metadata"]["name"]
        if kind in ("RoleBinding", "ClusterRoleBinding"):
            subjects = [subject["name"] for subject in found["subjects"]]
            if subjects != SUBJECTS.get(name):
                yield f"{kind} {name} is for {subjects}"
        elif kind in ("Role", "ClusterRole"):
            rules = {(each, " ".join(rule["verbs"])) for rule in found["rules"] for each in rule["resources"]}
            if extra := rules - RULES.get((kind, name), set()):
                yield f"{kind} {name} allows {sorted(extra)}"
        elif kind == "NetworkPolicy" and name == "jukebox-code":
            selector = found["spec"]["podSelector"]
            if selector != FENCED or found["spec"].get("egress"):
                yield f"NetworkPolicy {name} keeps in {selector}"


def _tasks(objects: list[Object], overlay: str) -> Iterator[str]:
    for task in (found for found in objects if found["kind"] == "Task"):
        name = task["metadata"]["name"]
        for space in task["spec"].get("workspaces", ()):
            if space["name"] == "shared" and name in READERS and not space.get("readOnly"):
                yield f"{name} can write to the run's folder"
        for step in task["spec"]["steps"]:
            if found := IN_A_SCRIPT.search(step["script"]):
                yield f"{name}: {found[0]}…) in a script"
            builds = (name, step["name"]) == ("toolchain", "build")
            if builds and step.get("securityContext") != BUILDER[overlay]:
                yield f"{name}: the builder's rights are {step.get('securityContext')}"
