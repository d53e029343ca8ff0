"""Each Task has a sample, a TaskRun of it alone, that gives what the Task takes and nothing else."""

import copy

import pytest
from tekton.expected import FOLDERS, MOUNTS, ROLES
from tekton.manifests import GONE, OVERLAYS, TEKTON, edit, files, load, named, rendered
from tekton.rules import BY_DIGEST, references

from tekton import shapes

SAMPLES = {file.stem: load(file)[0] for file in sorted((TEKTON / "samples").glob("*.yaml"))}
CLAIM = SAMPLES.pop("claim")
TASKS = {found["metadata"]["name"]: found["spec"] for found in files("tasks") if found["kind"] == "Task"}
PIPELINE = files("pipelines")[0]["spec"]
SITES = {param["name"]: param["default"] for param in PIPELINE["params"]}
CLAIMED = {"persistentVolumeClaim": {"claimName": CLAIM["metadata"]["name"]}}


def problems(name: str, run: dict) -> list[str]:
    """Return what a sample has that its Task does not take, and what it lacks; its shape first."""
    return shapes.problems(run) or list(_problems(name, run["spec"], run["metadata"]))


def _problems(name, spec, metadata):
    if (spec["taskRef"]["name"], metadata.get("generateName")) != (name, f"{name}-"):
        yield f"it is {metadata} of {spec['taskRef']}"
    if "$(" in str(spec):
        yield "it has $(…), which nothing fills in"
    given = {param["name"]: param["value"] for param in spec["params"]}
    taken = {param["name"]: "default" in param for param in TASKS[name]["params"]}
    if (
        len(given) < len(spec["params"])
        or given.keys() - taken
        or taken.keys() - given - {n for n in taken if taken[n]}
    ):
        yield f"it gives {sorted(given)}"
    # What a site sets is the same in samples and Pipeline.
    yield from (
        f"param {each} is {value}" for each, value in given.items() if value != SITES.get(each, value)
    )
    images = {image for step in TASKS[name]["steps"] for image in references(step["image"])}
    yield from (
        f"{image} is not by digest" for image in images if not BY_DIGEST.fullmatch(given.get(image[7:], ""))
    )
    spaces = {space["name"] for space in TASKS[name].get("workspaces", ())} & FOLDERS.keys()
    bound = [{"name": each, "subPath": FOLDERS[each], **CLAIMED} for each in sorted(spaces)]
    if sorted(spec.get("workspaces", []), key=lambda each: each["name"]) != bound:
        yield f"its workspaces are {spec.get('workspaces')}"
    timeout = named([*PIPELINE["tasks"], *PIPELINE["finally"]], name)["timeout"]
    if (spec["serviceAccountName"], spec["timeout"]) != (ROLES.get(name, "jukebox-ci"), timeout):
        yield f"it runs as {spec['serviceAccountName']} for {spec['timeout']}"


@pytest.mark.parametrize("name", MOUNTS)
def test_a_sample_gives_what_its_task_takes(name):
    assert problems(name, SAMPLES[name]) == []


def test_samples_are_of_tasks_have_the_claim_of_a_run_and_are_not_installed():
    assert SAMPLES.keys() == TASKS.keys() == MOUNTS.keys()
    assert shapes.problems(CLAIM) == []
    (by_hand,) = load(TEKTON / "runs" / "by-hand.yaml")
    claim = named(by_hand["spec"]["workspaces"], "shared")["volumeClaimTemplate"]["spec"]
    assert CLAIM["spec"] == claim == load(TEKTON / "runs" / "claim.yaml")[0]["spec"]
    kinds = {found["kind"] for overlay in OVERLAYS for found in rendered(overlay)}
    assert kinds.isdisjoint({"TaskRun", "PersistentVolumeClaim"})


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec taskRef name", "report", "it is {'generateName'"),
        ("metadata generateName", "x-", "it is {'generateName': 'x-'"),
        ("spec params +", {"name": "x", "value": "x"}, "it gives"),
        ("spec params +", {"name": "timeout", "value": "7200"}, "it gives"),
        ("spec params ir-digest", GONE, "it gives"),
        ("spec params tools-image value", "tools:1", "params.tools-image is not by digest"),
        ("spec params store value", "s3://other", "param store is s3://other"),
        ("spec params attempt value", "$(context.taskRun.uid)", "nothing fills in"),
        ("spec params timeout value", 7200, "7200 is not of type 'string'"),
        ("spec workspaces", GONE, "its workspaces are None"),
        ("spec workspaces 0 persistentVolumeClaim claimName", "x", "its workspaces are"),
        ("spec workspaces 0 subPath", "judge", "its workspaces are"),
        ("spec serviceAccountName", "jukebox-ci", "it runs as jukebox-ci"),
        ("spec timeout", "1h", "for 1h"),
    ],
)
def test_a_mistake_in_a_sample_is_found(path, value, said):
    run = copy.deepcopy(SAMPLES["submit-run"])
    edit(run, path, value)
    told = problems("submit-run", run)
    assert any(said in each for each in told), told
