"""What this project's objects may do at most, where references.py asks only that they hold together.

Forms of $(…) that no other check reads, accounts and secrets of runs, exact rights, networks, and events that
nobody has verified: `problems` takes the objects of an overlay and says what goes beyond.
"""

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import celpy
from tekton.references import REFERENCE, named, references

Object = dict[str, Any]
DURATION = re.compile(r"([0-9]+)(h|m|s)")
SECONDS = {"h": 3600, "m": 60, "s": 1}
WEBHOOK_KEYS = {"push", "data", "alert"}
COMPARED = re.compile(r"\.compareSecret\('(\w+)', 'jukebox-webhook'\)")
READ = re.compile(r"\bextensions\.(\w+)")
SOURCES = {
    "git-credentials": {"secret": {"secretName": "jukebox-git"}},
    "pip-settings": {"configMap": {"name": "jukebox-pip"}},
}
"""What a run may bind besides its own volume."""

SECRETS = {
    "report-secret": "jukebox-report",
    "store-secret": "jukebox-store",
    "holdout-secret": "jukebox-holdout",
    "sealing-key-secret": "jukebox-holdout-key",
    "judge-secret": "jukebox-judge",
    "signing-secret": "jukebox-signing-key",
    "promotion-secret": "jukebox-promotion",
}
RUNS_SECRET = "jukebox-store"
"""The one secret that lies in the namespace of the runs, whose account reads every secret there."""

REQUIRED = {"jukebox-trust"}
"""Config maps that must be there: without the trust root nothing may be promoted."""

RUNS_LABEL = "jukebox/namespace"
TO_RUNS = {
    ("Role", "jukebox-submit"),
    ("RoleBinding", "jukebox-submit"),
    ("Role", "jukebox-reasons"),
    ("RoleBinding", "jukebox-reasons"),
    ("NetworkPolicy", "jukebox-runs"),
}
"""What lies in the namespace of the runs; all else lies in the Pipeline's."""

DNS_PORTS, API_PORT = {53, 5353}, 6443
BOUND = {
    "jukebox-listener": {"jukebox-listener"},
    "jukebox-listener.jukebox": {"jukebox-listener.jukebox"},
    "jukebox-submit": {"jukebox-submit"},
    "jukebox-reasons": {"jukebox-reasons"},
    "jukebox-own-runs": {"jukebox-own-runs"},
    "jukebox-promote": {"jukebox-promote"},
    "jukebox-supersede": {"jukebox-supersede"},
    "jukebox-push-images": {"system:image-builder"},
    "jukebox-build-scc": {"pipelines-scc-clusterrole"},
}
GROUPS = {
    ("ClusterRole", "jukebox-listener.jukebox"): {"triggers.tekton.dev"},
    ("Role", "jukebox-listener"): {"triggers.tekton.dev", "tekton.dev", ""},
    ("Role", "jukebox-submit"): {"datasciencepipelinesapplications.opendatahub.io", "route.openshift.io"},
    ("Role", "jukebox-reasons"): {""},
    ("Role", "jukebox-own-runs"): {"tekton.dev"},
    ("Role", "jukebox-promote"): {""},
    ("Role", "jukebox-supersede"): {"tekton.dev"},
}
NAMED_ONLY = {("Role", "jukebox-submit"), ("Role", "jukebox-promote")}
"""Roles that are for objects of one name, never for all of a kind."""

POLICIES = {"jukebox-pods", "jukebox-code", "jukebox-holdout", "jukebox-listener", "jukebox-runs"}
GIVEN = {
    ("submit-run", "attempt"): "$(context.pipelineRun.uid)",
    ("submit-run", "commit"): "$(tasks.fetch-source.results.COMMIT)",
    ("submit-run", "image"): "$(tasks.build-image.results.IMAGE)",
    ("submit-run", "snapshot"): "$(tasks.holdout.results.SNAPSHOT)",
    ("submit-run", "holdout-version"): "$(tasks.holdout.results.HOLDOUT_VERSION)",
    ("build-image", "commit"): "$(tasks.fetch-source.results.COMMIT)",
    ("compile-pipeline", "store-secret"): "$(params.store-secret)",
}
"""One run of the DSPA for a PipelineRun, of the commit that was checked out, not of a name for it, in the
image that was built of it, on the snapshot that was just written, and with the one secret of the runs."""


def problems(objects: list[Object]) -> list[str]:
    """Return everything that goes beyond, each with the object's name."""
    told = [
        f"{found['kind']} {found['metadata'].get('name')}: {said}"
        for found in objects
        for said in CHECKS.get(found["kind"], lambda *_: ())(found, objects)
    ]
    told += [said for found in objects for said in _placed(found)]
    missing = POLICIES - named(objects, "NetworkPolicy").keys()
    return told + [f"NetworkPolicy {name}: there is none" for name in sorted(missing)]


def _placed(found: Object) -> Iterator[str]:
    """Say what lies in the namespace of the runs and may not, or must and does not."""
    metadata = found["metadata"]
    key = found["kind"], metadata.get("name")
    marked = metadata.get("labels", {}).get(RUNS_LABEL) == "runs"
    if marked is not (key in TO_RUNS):
        yield f"{key[0]} {key[1]}: it is {'' if marked else 'not '}meant for the namespace of the runs"
    if marked and key[0] not in ("Role", "RoleBinding", "NetworkPolicy"):
        yield f"{key[0]} {key[1]}: no {key[0]} belongs to the namespace of the runs"
    if marked and "namespace" in metadata and metadata["namespace"] == "jukebox":
        yield f"{key[0]} {key[1]}: it lies in the Pipeline's namespace"


def _forms(value: Any) -> Iterator[str]:
    """Yield $(…) that Tekton would read, or not, and references.py does not: brackets, one word."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _forms(each) if key not in ("script", "description") else ()
    elif isinstance(value, list):
        for each in value:
            yield from _forms(each)
    elif isinstance(value, str) and "$(" in REFERENCE.sub("", value):
        yield f"{value} has a form that is not used here"


def _twice(what: str, items: list[Object]) -> Iterator[str]:
    names = [item["name"] for item in items]
    yield from (f"{what} {name} is there twice" for name in sorted({n for n in names if names.count(n) > 1}))


def task_problems(task: Object, objects: list[Object]) -> Iterator[str]:
    name, spec = task["metadata"]["name"], task["spec"]
    yield from _forms(spec)
    used = references([spec["steps"], spec["stepTemplate"], spec["volumes"]])
    for param in spec["params"]:
        if f"params.{param['name']}" not in used:
            yield f"param {param['name']} is not used"
    for entry in spec["stepTemplate"].get("env", ()):
        if "valueFrom" in entry:
            yield f"{entry['name']} gives all steps a secret"
    for volume in spec["volumes"]:
        source = volume.get("configMap")
        if source and source.get("optional", False) is (source["name"] in REQUIRED):
            must = "must be there" if source["name"] in REQUIRED else "is not optional, and may not be there"
            yield f"the config map {source['name']} {must}"
    for step in spec["steps"]:
        yield from (f"step {step['name']}: {said}" for said in _twice("variable", step.get("env", [])))
        builds = (name, step["name"]) == ("toolchain", "build")
        if not builds and step.get("securityContext", {}).get("runAsUser") == 0:
            yield f"step {step['name']}: it is root"


def pipeline_problems(pipeline: Object, objects: list[Object]) -> Iterator[str]:
    spec, tasks = pipeline["spec"], named(objects, "Task")
    yield from _forms(spec)
    optional = {space["name"] for space in spec["workspaces"] if space.get("optional")}
    known = {task["name"]: tasks.get(task["taskRef"]["name"], {}).get("spec", {}) for task in spec["tasks"]}
    objects_of = {
        f"tasks.{name}.results.{result['name']}"
        for name, target in known.items()
        for result in target.get("results", ())
        if result.get("type") == "object"
    }
    for reference in sorted(references(spec) & objects_of):
        yield f"$({reference}) is an object, and is taken as text"
    for task in (*spec["tasks"], *spec["finally"]):
        target = tasks.get(task["taskRef"]["name"], {"spec": {"steps": []}})["spec"]
        yield from (f"task {task['name']}: {said}" for said in _given(task, target, optional))
    for param in spec["params"]:
        if param["name"].endswith("-secret") and param["name"] not in SECRETS:
            yield f"param {param['name']}: nothing says whose secret that is"
        if param["name"] in SECRETS and param.get("default") != SECRETS[param["name"]]:
            yield f"param {param['name']}: {param.get('default')} is not among those that the docs name"


def _given(task: Object, target: Object, optional: set[str]) -> Iterator[str]:
    yield from _twice("param", task["params"])
    values = {param["name"]: param["value"] for param in task["params"]}
    for (name, param), value in GIVEN.items():
        if task["name"] == name and values.get(param) != value:
            yield f"takes {param} from {values.get(param)}, not {value}"
    images = {image for step in target["steps"] for image in references(step["image"])}
    for name in sorted(image.removeprefix("params.") for image in images):
        if not re.fullmatch(
            r"\$\((params\.[a-z-]+-image|tasks\.toolchain\.results\.[A-Z_]+)\)", values.get(name, "")
        ):
            yield f"takes the image {name} from {values.get(name)}"
    spaces = {space["name"]: space["workspace"] for space in task.get("workspaces", ())}
    places = {(space["workspace"], space.get("subPath")) for space in task.get("workspaces", ())}
    if len(places) < len(spaces):
        yield "has one workspace of the run twice"
    for space in target.get("workspaces", ()):
        if not space.get("optional") and spaces.get(space["name"]) in optional:
            yield f"needs {space['name']}, which a run may leave out"


def _seconds(duration: str) -> int:
    return sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(duration))


def longest(pipeline: Object) -> int:
    """Return the seconds that the tasks may take, one waiting for another, without a second try."""
    tasks = {task["name"]: task for task in pipeline["spec"]["tasks"]}
    before = {
        name: {*task.get("runAfter", ()), *(ref.split(".")[1] for ref in references(task) if "tasks." in ref)}
        for name, task in tasks.items()
    }
    ends: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        ends[name] = max((ends[each] for each in before[name]), default=0) + _seconds(tasks[name]["timeout"])
    return max(ends.values())


def run_problems(run: Object, objects: list[Object]) -> Iterator[str]:
    spec = run["spec"]
    yield from _forms({key: value for key, value in spec.items() if key != "params"})
    template = spec["taskRunTemplate"]
    if template["serviceAccountName"] != "jukebox-ci":
        yield f"all its tasks run as {template['serviceAccountName']}"
    context = template.get("podTemplate", {}).get("securityContext", {"runAsNonRoot": True})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "its pods may be root"
    for space in spec["workspaces"]:
        source = {key: value for key, value in space.items() if key != "name"}
        if space["name"] != "shared" and source != SOURCES.get(space["name"]):
            yield f"workspace {space['name']} is bound to {source}"
    seconds = {key: _seconds(value) for key, value in spec["timeouts"].items()}
    if seconds["tasks"] + seconds["finally"] > seconds["pipeline"]:
        yield "its timeouts leave no time for what comes last"
    if seconds["tasks"] < longest(named(objects, "Pipeline")[spec["pipelineRef"]["name"]]):
        yield "its tasks may take longer than it allows"


def template_problems(template: Object, objects: list[Object]) -> Iterator[str]:
    for run in template["spec"]["resourcetemplates"]:
        yield from _forms(run)
        yield from run_problems(run, objects)


def trigger_problems(trigger: Object, _: list[Object]) -> Iterator[str]:
    verified, made = False, set()
    for interceptor in trigger["spec"]["interceptors"]:
        given = {param["name"]: param["value"] for param in interceptor["params"]}
        keys = set(COMPARED.findall(given.get("filter", "")))
        if "secretRef" in given:
            keys.add(given["secretRef"]["secretKey"])
        verified = verified or bool(keys)
        yield from (f"the secret has no key {key}" for key in sorted(keys - WEBHOOK_KEYS))
        overlays = given.get("overlays", [])
        for expression in (given.get("filter"), *(overlay["expression"] for overlay in overlays)):
            yield from _expression(expression or "true", made)
        made |= {overlay["key"] for overlay in overlays}
    if not verified:
        yield "anybody may send it events"


def _expression(expression: str, made: set[str]) -> Iterator[str]:
    try:
        celpy.Environment().compile(expression)
    except celpy.CELParseError:
        yield f"{expression} is no CEL"
    yield from (
        f"nothing before makes extensions.{key}" for key in sorted(set(READ.findall(expression)) - made)
    )


def binding_problems(binding: Object, _: list[Object]) -> Iterator[str]:
    name, role = binding["metadata"]["name"], binding["roleRef"]
    ours = role["name"].startswith("jukebox-")
    kind = "Role" if ours and binding["kind"] == "RoleBinding" else "ClusterRole"
    if role["name"] not in BOUND.get(name, set()) or role["kind"] != kind:
        yield f"it gives the {role['kind']} {role['name']}"
    for subject in binding["subjects"]:
        home = "jukebox" if binding["metadata"].get("labels", {}).get(RUNS_LABEL) else None
        home = home or binding["metadata"].get("namespace", "jukebox")
        if subject.get("namespace") != home:
            yield f"{subject['name']} is of the namespace {subject.get('namespace')}"


def role_problems(role: Object, _: list[Object]) -> Iterator[str]:
    key = role["kind"], role["metadata"]["name"]
    groups = {group for rule in role["rules"] for group in rule["apiGroups"]}
    yield from (f"it reaches the API group {group!r}" for group in sorted(groups - GROUPS.get(key, set())))
    if key in NAMED_ONLY and not all(rule.get("resourceNames") for rule in role["rules"]):
        yield "it is for all objects of a kind"


def network_problems(policy: Object, _: list[Object]) -> Iterator[str]:
    """Check where pods may go: what is closed is closed, and what is open leads to DNS and the store."""
    name, spec = policy["metadata"]["name"], policy["spec"]
    if "Ingress" not in spec["policyTypes"]:
        yield "anybody reaches its pods"
    if name in ("jukebox-code", "jukebox-holdout", "jukebox-runs") and "Egress" not in spec["policyTypes"]:
        yield "its pods reach anybody"
    if name == "jukebox-runs" and spec["podSelector"]:
        yield f"it is for {spec['podSelector']} only"
    for rule in spec.get("egress", ()):
        ports = {port["port"] for port in rule.get("ports", ())}
        if ports and ports <= DNS_PORTS and rule.get("to"):
            continue
        if len(ports) == 1 and [set(to) for to in rule.get("to", ())] == [{"ipBlock"}]:
            continue
        runs = name == "jukebox-runs"
        if runs and (rule == {"to": [{"podSelector": {}}]} or (ports == {API_PORT} and "to" not in rule)):
            continue
        yield f"its pods reach {rule}"


CHECKS = {
    "Task": task_problems,
    "Pipeline": pipeline_problems,
    "PipelineRun": run_problems,
    "TriggerTemplate": template_problems,
    "Trigger": trigger_problems,
    "RoleBinding": binding_problems,
    "ClusterRoleBinding": binding_problems,
    "Role": role_problems,
    "ClusterRole": role_problems,
    "NetworkPolicy": network_problems,
}
