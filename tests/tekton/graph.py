"""Who may promote: every way in which a run may go, and every right, secret and folder on the way.

`outcomes` plays Tekton's rules for all tasks ending well or not, `problems` says what would let a model into
production past the judge, or give a key, a folder of the judge's, or the decision, to somebody else.
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
CHECKS = ("lint", "unit-test")
"""The tasks that answer may leave out, where they have passed before."""

GIVEN = {
    ("submit-run", "holdout"): "$(params.holdout)",
    ("holdout", "holdout"): "$(params.holdout)",
    ("measure", "asked"): "$(tasks.submit-run.results.ASKED)",
    ("promote", "asked"): "$(tasks.submit-run.results.ASKED)",
    ("promote", "measured"): "$(tasks.measure.results.MEASURED)",
    ("promote", "head"): "$(params.head)",
    ("promote", "candidate"): "$(tasks.submit-run.results.CANDIDATE)",
    # The images that judge and decide are the site's, never one of the commit that is judged.
    **{
        (task, "tools-image"): "$(params.tools-image)"
        for task in ("answer", "toolchain", "build-image", "submit-run", "promote", "report", "verdict")
    },
    **{
        (task, "judge-image"): "$(params.judge-image)"
        for task in ("holdout", "answer", "submit-run", "measure", "promote")
    },
}
OWNERS = {
    "holdout-secret": {"holdout"},
    "sealing-key-secret": {"holdout"},
    # The compiler writes its name into the IR: the steps of the run have it.
    "store-secret": {"compile-pipeline", "submit-run"},
    "judge-secret": {"answer", "submit-run"},
    "signing-secret": {"promote"},
    "promotion-secret": {"promote", "verdict"},
    "report-secret": {"report"},
}
"""Which tasks are given which secret of the Pipeline, under its own name; no other is."""

FOLDERS = {
    "shared": (
        "commit",
        {
            "fetch-source",
            "answer",
            "toolchain",
            "lint",
            "unit-test",
            "build-image",
            "compile-pipeline",
            "submit-run",
        },
    ),
    "outcome": (
        "outcome",
        {"fetch-source", "holdout", "answer", "submit-run", "promote", "report", "verdict"},
    ),
    "judge": ("judge", {"submit-run", "measure", "promote"}),
}
"""By workspace of a Task: its folder of the run's volume, and the tasks that mount it."""

JUDGES = {
    ("submit-run", "download"),
    ("measure", "score"),
    ("promote", "sign"),
    ("promote", "promote"),
}
"""The steps that mount the judge's folder as a whole."""

WORK = "/judge/work/"
SEEN = {
    *(
        (f"{WORK}{name}", f"judge/work/{name}", True)
        for name in ("asked.json", "model", "champion", "features")
    ),
    (f"{WORK}answers", "judge/work/answers", False),
}
"""What infer mounts of the judge's folder: where, which part, and whether it is read only."""

HIDDEN = {f"{WORK}model", f"{WORK}champion"}
"""What score has an empty folder over."""
SUBJECTS = {
    "jukebox-listener": ["jukebox-listener"],
    "jukebox-listener.jukebox": ["jukebox-listener"],
    "jukebox-submit": ["jukebox-submit"],
    "jukebox-reasons": ["jukebox-submit"],
    "jukebox-own-runs": ["jukebox-submit"],
    "jukebox-promote": ["jukebox-promote"],
    "jukebox-supersede": ["jukebox-answer"],
    "jukebox-push-images": ["jukebox-push"],
    "jukebox-build-scc": ["jukebox-build"],
}
RULES = {
    ("ClusterRole", "jukebox-listener.jukebox"): {
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
    ("Role", "jukebox-own-runs"): {("taskruns", "get"), ("pipelineruns", "get")},
    ("Role", "jukebox-reasons"): {("pods", "list"), ("events", "list"), ("pods/log", "get")},
    ("Role", "jukebox-promote"): {("configmaps", "get patch")},
    ("Role", "jukebox-supersede"): {("pipelineruns", "get list patch")},
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
        {
            "key": "tekton.dev/task",
            "operator": "In",
            "values": ["lint", "unit-test", "compile-pipeline", "measure"],
        }
    ]
}
"""The pods that run what a commit has made, whether in a run of the Pipeline or alone."""

READERS = {"answer", "toolchain", "lint", "unit-test", "build-image", "submit-run"}
"""What must not be able to change the checkout for those that come later."""


Known = dict[str, str]
"""The results that a `when` may ask for, by their reference."""

SNAPSHOT = "$(tasks.holdout.results.SNAPSHOT)"
LINT, BUILD, TRAIN = (f"$(tasks.answer.results.{name})" for name in ("LINT", "BUILD", "TRAIN"))


def results() -> Iterator[Known]:
    """Yield what the tasks that decide may find: tables that hold, what is left to be done, the verdict."""
    # What was not written is compared by its name.
    left = [("yes", "no", name) for name in (LINT, TRAIN)]
    for verdict, snapshot, lint, train in itertools.product(
        ("pass", "block", "error"), ("s3://snapshot", ""), *left
    ):
        build = "no" if lint == train == "no" else "yes"
        yield {VERDICT: verdict, SNAPSHOT: snapshot, LINT: lint, BUILD: build, TRAIN: train}


def outcomes(spec: Object) -> Iterator[tuple[dict[str, str], Known]]:
    """Yield how each task ends (ok, failed, skipped, blocked) and what was found, with two failures at most.

    A task whose `when` is false is skipped: what runs after it runs, what takes its results does not. Tekton
    starts nothing new once a task has failed; here all else goes on, which can only be worse.
    """
    tasks = {task["name"]: task for task in spec["tasks"]}
    takes = {name: set(RESULT.findall(str(task))) for name, task in tasks.items()}
    after = {name: set(task.get("runAfter", ())) for name, task in tasks.items()}
    order = list(TopologicalSorter({name: takes[name] | after[name] for name in tasks}).static_order())
    fewer = [failed for count in range(3) for failed in itertools.combinations(order, count)]
    for known, failed in itertools.product(results(), fewer):
        state: dict[str, str] = {}
        for name in order:
            ready = all(state[each] == "ok" for each in takes[name])
            ready = ready and all(state[each] in ("ok", "skipped") for each in after[name])
            end = "failed" if name in failed else "ok"
            ended = end if _wanted(tasks[name], known) else "skipped"
            state[name] = ended if ready else "blocked"
        yield state, known


def _wanted(task: Object, known: Known) -> bool:
    for when in task.get("when", ()):
        value = known.get(when["input"], when["input"])
        if (value in when["values"]) != (when["operator"] == "in"):
            return False
    return True


def problems(objects: list[Object], overlay: str) -> list[str]:
    """Return every way to production but the one, in words."""
    (spec,) = (found["spec"] for found in objects if found["kind"] == "Pipeline")
    return [
        *_ways(spec),
        *_gifts(spec),
        *_folders(spec),
        *_rights(objects),
        *_tasks(objects, overlay),
        *_steps(objects),
    ]


def _ways(spec: Object) -> Iterator[str]:
    named = [task["name"] for task in (*spec["tasks"], *spec["finally"])]
    yield from (f"two tasks are named {name}" for name in {n for n in named if named.count(n) > 1})
    if len(named) != len(set(named)):
        return
    for state, known in outcomes(spec):
        ran = state.get("promote") in ("ok", "failed")
        # What has passed on the same files before may be left out, and nothing else.
        checked = {state.get(name) for name in CHECKS} == {"skipped" if known[LINT] == "no" else "ok"}
        others = all(end == "ok" for name, end in state.items() if name not in (*CHECKS, "promote"))
        decided = known[VERDICT] == "pass" and known[TRAIN] != "no" and known[SNAPSHOT] != ""
        if ran != (decided and checked and others):
            bad = sorted(name for name, end in state.items() if end != "ok")
            verdict = known[VERDICT]
            yield f"promote {'runs' if ran else 'does not run'} with the verdict {verdict}, not ok: {bad}"
            return


def _gifts(spec: Object) -> Iterator[str]:
    given = {}
    for task in (*spec["tasks"], *spec["finally"]):
        if task["taskRef"]["name"] == "promote" and task["name"] != "promote":
            yield f"{task['name']} promotes as well"
        for param in task["params"]:
            given[task["name"], param["name"]] = param["value"]
            for secret, owners in OWNERS.items():
                named = task["name"] in owners and param["name"] == secret
                if secret in param["value"] and not (named and param["value"] == f"$(params.{secret})"):
                    yield f"{task['name']} is given the {secret} as {param['name']}"
    for key, value in GIVEN.items():
        if given.get(key) != value:
            yield f"{key[0]} takes {key[1]} from {given.get(key)}, not {value}"
    for secret, owners in OWNERS.items():
        for task in sorted(owners):
            if (task, secret) not in given:
                yield f"{task} is not given the {secret}"
    secrets = [param["default"] for param in spec["params"] if param["name"].endswith("-secret")]
    if len(secrets) != len(set(secrets)):
        yield f"one secret for two purposes: {secrets}"


def _folders(spec: Object) -> Iterator[str]:
    """Say which task mounts another folder of the run's volume than its own."""
    mounted: dict[str, set[str]] = {name: set() for name in FOLDERS}
    for task in (*spec["tasks"], *spec["finally"]):
        for space in task.get("workspaces", ()):
            if space["workspace"] != "shared":
                continue
            folder, _ = FOLDERS.get(space["name"], ("", set()))
            if space.get("subPath") != folder:
                yield f"{task['name']} mounts {space.get('subPath')} of the run's volume as {space['name']}"
            mounted.setdefault(space["name"], set()).add(task["name"])
    for name, (_, tasks) in FOLDERS.items():
        if mounted[name] != tasks:
            yield f"{name} is mounted by {sorted(mounted[name])}"


def _steps(objects: list[Object]) -> Iterator[str]:
    """Say which step sees more of the judge's folder than it should."""
    tasks = {found["metadata"]["name"]: found["spec"] for found in objects if found["kind"] == "Task"}
    whole = {
        (name, step["name"])
        for name, spec in tasks.items()
        for step in spec["steps"]
        if {"name": "judge"} in step.get("workspaces", ())
    }
    if whole != JUDGES:
        yield f"the judge's folder is mounted by the steps {sorted(whole)}"
    infer, score = (step["volumeMounts"] for step in tasks["measure"]["steps"])
    volume = "$(workspaces.judge.volume)"
    seen = {(m["mountPath"], m["subPath"], m.get("readOnly", False)) for m in infer if m["name"] == volume}
    if seen != SEEN:
        yield f"infer sees {sorted(seen ^ SEEN)}"
    if not {mount["mountPath"] for mount in score if mount["name"] != volume} >= HIDDEN:
        yield "score sees the model"
    common = {mount["name"] for mount in infer} & {mount["name"] for mount in score}
    if common or tasks["measure"]["stepTemplate"].get("volumeMounts"):
        yield f"infer and score have {sorted(common)} in common"
    empty = {v["name"] for v in tasks["measure"]["volumes"] if v.keys() == {"name", "emptyDir"}}
    if extra := {mount["name"] for mount in (*infer, *score)} - empty - {volume}:
        yield f"a step of measure mounts {sorted(extra)}"


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
