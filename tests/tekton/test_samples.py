"""Each Task has a sample, a TaskRun of it alone, that gives what the Task takes and nothing else."""

import copy

import pytest
from tekton.manifests import OVERLAYS, TEKTON, find, load, named, pipeline_task, rendered
from tekton.references import BY_DIGEST, ROLES, references

from tekton import schema

SAMPLES = {file.stem: load(file) for file in sorted((TEKTON / "samples").glob("*.yaml"))}
(CLAIM,) = SAMPLES.pop("claim")
INSTALLED = [
    found
    for folder in ("tasks", "pipelines", "rbac")
    for file in sorted((TEKTON / folder).glob("*.yaml"))
    for found in load(file)
    if "metadata" in found
]
TASKS = [found["metadata"]["name"] for found in INSTALLED if found["kind"] == "Task"]


def problems(name: str, run: dict) -> list[str]:
    """Return what a sample has that its Task does not take, and what it lacks; its shape first."""
    shape = schema.problems(run)
    return shape or list(_problems(name, run))


def _problems(name, run):
    spec = run["spec"]
    if run["kind"] != "TaskRun" or spec["taskRef"] != {"name": name}:
        yield f"it is a {run['kind']} of {spec['taskRef']}"
        return
    if run["metadata"].get("generateName") != f"{name}-":
        yield f"its name is not {name}-…"
    if references(run) or "$(" in str(run):
        yield "it has $(…), which nothing fills in"
    task = find(INSTALLED, "Task", name)["spec"]
    for what, key, required in (
        ("param", "params", lambda each: "default" not in each),
        ("workspace", "workspaces", lambda each: not each.get("optional")),
    ):
        given = [each["name"] for each in spec.get(key, ())]
        known = {each["name"]: required(each) for each in task.get(key, ())}
        yield from (f"{what} {each} is there twice" for each in {n for n in given if given.count(n) > 1})
        yield from (f"{what} {each} is unknown to the Task" for each in given if each not in known)
        yield from (f"{what} {each} is missing" for each in known if known[each] and each not in given)
    yield from _values(task, spec["params"])
    claims = {each["persistentVolumeClaim"]["claimName"] for each in spec.get("workspaces", ())}
    if claims - {CLAIM["metadata"]["name"]}:
        yield f"there is no claim {claims}"
    usual = {
        each["name"]: each.get("subPath") for each in pipeline_task(INSTALLED, name).get("workspaces", ())
    }
    for each in spec.get("workspaces", ()):
        if each.get("subPath") != usual.get(each["name"]):
            there = usual.get(each["name"])
            yield f"workspace {each['name']} is {each.get('subPath')}, in the Pipeline {there}"
    if spec["serviceAccountName"] != ROLES.get(name, "jukebox-ci"):
        yield f"it runs as {spec['serviceAccountName']}"
    if spec["timeout"] != pipeline_task(INSTALLED, name)["timeout"]:
        yield f"its timeout {spec['timeout']} is not the Pipeline's"


def _values(task, params):
    """What a site sets stands in the samples as in the Pipeline; images are by digest."""
    pipeline = find(INSTALLED, "Pipeline", "jukebox-train")["spec"]["params"]
    usual = {param["name"]: param["default"] for param in pipeline}
    images = {name for step in task["steps"] for name in references(step["image"])}
    for param in params:
        name, value = param["name"], param["value"]
        if value != usual.get(name, value):
            yield f"param {name} is {value}, in the Pipeline {usual[name]}"
        if f"params.{name}" in images and not BY_DIGEST.fullmatch(value):
            yield f"param {name} is not by digest"


def test_each_task_has_a_sample_and_no_other():
    assert sorted(SAMPLES) == sorted(TASKS)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_gives_what_its_task_takes(name):
    (run,) = SAMPLES[name]
    assert problems(name, run) == []


def test_the_claim_is_as_large_as_that_of_a_run():
    assert schema.problems(CLAIM) == []
    (run,) = load(TEKTON / "runs" / "by-hand.yaml")
    assert CLAIM["spec"] == named(run["spec"]["workspaces"], "shared")["volumeClaimTemplate"]["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_sample_is_installed(overlay):
    assert {found["kind"] for found in rendered(overlay)}.isdisjoint({"TaskRun", "PersistentVolumeClaim"})


def test_no_kustomization_names_the_samples():
    files = [file for file in TEKTON.rglob("kustomization.yaml") if "samples" in file.read_text()]
    assert files == []


MISTAKES = {
    "another Task": (lambda r: r["spec"]["taskRef"].update(name="report"), "it is a TaskRun of"),
    "another name": (lambda r: r["metadata"].update(generateName="x-"), "its name is not"),
    "a param for nothing": (
        lambda r: r["spec"]["params"].append({"name": "x", "value": "x"}),
        "param x is unknown to the Task",
    ),
    "a param twice": (
        lambda r: r["spec"]["params"].append(dict(r["spec"]["params"][0])),
        "is there twice",
    ),
    "a missing param": (
        lambda r: r["spec"]["params"].remove(named(r["spec"]["params"], "ir-digest")),
        "param ir-digest is missing",
    ),
    "a missing workspace": (lambda r: r["spec"].pop("workspaces"), "workspace shared is missing"),
    "a workspace for nothing": (
        lambda r: r["spec"]["workspaces"].append({**r["spec"]["workspaces"][0], "name": "other"}),
        "workspace other is unknown to the Task",
    ),
    "a claim that there is not": (
        lambda r: r["spec"]["workspaces"][0]["persistentVolumeClaim"].update(claimName="x"),
        "there is no claim",
    ),
    "another's folder": (
        lambda r: r["spec"]["workspaces"][0].update(subPath="judge"),
        "workspace shared is judge, in the Pipeline commit",
    ),
    "the whole volume": (
        lambda r: r["spec"]["workspaces"][0].pop("subPath"),
        "workspace shared is None, in the Pipeline commit",
    ),
    "another account": (lambda r: r["spec"].update(serviceAccountName="jukebox-ci"), "it runs as jukebox-ci"),
    "another timeout": (lambda r: r["spec"].update(timeout="1h"), "its timeout 1h"),
    "an image by tag": (
        lambda r: named(r["spec"]["params"], "tools-image").update(value="tools:1"),
        "tools-image is not by digest",
    ),
    "another bucket": (
        lambda r: named(r["spec"]["params"], "store").update(value="s3://other"),
        "param store is s3://other, in the Pipeline s3://models/jukebox",
    ),
    "a reference": (
        lambda r: named(r["spec"]["params"], "attempt").update(value="$(context.taskRun.uid)"),
        "nothing fills in",
    ),
    "an unknown field": (lambda r: r["spec"].update(serviceAccount="x"), "serviceAccount: Extra inputs"),
    "a number as a value": (
        lambda r: named(r["spec"]["params"], "timeout").update(value=7200),
        "Input should be a valid string",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_sample_is_found(mistake):
    (run,) = copy.deepcopy(SAMPLES["submit-run"])
    make, word = MISTAKES[mistake]
    make(run)
    assert any(word in said for said in problems("submit-run", run)), problems("submit-run", run)
