"""The project's objects have the shape of their APIs and keep the rules; each known mistake is caught."""

import copy

import pytest
from tekton.expected import FOLDERS, ROLES, SPACES
from tekton.manifests import GONE, OVERLAYS, ROOT, TEKTON, edit, files, find, load, rendered

import ml
from tekton import rules, shapes

FILES = {str(file.relative_to(TEKTON)): file for file in sorted(TEKTON.rglob("*.y*ml"))}
SAMPLES = {file.stem: load(file)[0] for file in sorted((TEKTON / "samples").glob("*.yaml"))}


def problems(objects) -> list[str]:
    (template,) = (each for each in objects if each["kind"] == "TriggerTemplate")
    told = [
        said for each in (*objects, *template["spec"]["resourcetemplates"]) for said in shapes.problems(each)
    ]
    return told or rules.problems(objects)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_problem(overlay):
    assert problems(rendered(overlay) + files("runs")) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_shape_of_its_api(name):
    documents = [each for each in load(FILES[name]) if each]
    assert documents and [said for each in documents for said in shapes.problems(each, name)] == []


P, RUN = "Pipeline/jukebox-train spec", "TriggerTemplate/jukebox spec resourcetemplates 0 spec"
LINT, BUILD = "Task/lint spec", "Task/toolchain spec steps build"
MEASURE, PROMOTE = "Task/measure spec", "Task/promote spec"
KEY = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "jukebox-promotion", "key": "x"}}}
MOUNT = {"name": "registry", "mountPath": "/x"}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}
CI = {"kind": "ServiceAccount", "name": "jukebox-ci", "namespace": "jukebox"}
PIP = {"name": "pip-settings", "configMap": {"name": "x"}}
WHOLE = [{"name": "judge"}]
INFER = f"{MEASURE} steps infer volumeMounts"
FENCE = "NetworkPolicy/jukebox"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (f"{LINT} steps 0 comand", ["x"], "comand"),  # a shape
        ("Role/jukebox-listener rules 0 verbs", ["*"], "verbs.0"),
        (f"{LINT} steps 0 script", "#!/bin/sh\n" + "true\n" * 11, "its script has 11 lines"),
        (f"{LINT} steps 0 script", "#!/bin/sh\necho $(params.x)\n", "a value is written into its script"),
        (f"{LINT} steps 0 image", "alpine", "its image alpine is no param"),
        (f"{LINT} steps 0 env +", KEY, "lint/lint: it has the secrets ['jukebox-promotion']"),
        (f"{BUILD} volumeMounts +", MOUNT, "toolchain/build: it has the secrets"),
        (f"{PROMOTE} volumes trust configMap optional", True, "volume jukebox-trust is unknown, or"),
        (f"{LINT} workspaces shared readOnly", GONE, "lint: its workspaces are"),
        (f"{LINT} stepTemplate securityContext runAsNonRoot", False, "lint/lint: its rights are others"),
        (f"{BUILD} securityContext capabilities add +", "SYS_ADMIN", "toolchain/build: its rights"),
        (f"{MEASURE} steps infer workspaces", WHOLE, "measure/infer: it mounts the judge's folder"),
        (f"{INFER} -1 subPath", "judge/work/labels", "infer sees"),
        (f"{MEASURE} steps score volumeMounts -1", GONE, "score sees the model"),
        (f"{MEASURE} steps score volumeMounts 0 name", "tmp-infer", "infer and score share {'tmp-infer'}"),
        (f"{P} params git-image default", "git:1", "git-image: its default is not by digest"),
        (f"{P} params store-secret default", "jukebox-promotion", "store-secret: its default is"),
        (f"{P} tasks unit-test retries", 1, "unit-test: it is a unit-test, or is retried"),
        (f"{P} tasks promote params tools-image value", "$(params.judge-image)", "param tools-image is"),
        (f"{P} results CHAINS-GIT_COMMIT", GONE, "CHAINS-GIT_COMMIT: Chains does not get it"),
        (f"{P} tasks lint workspaces 0 subPath", GONE, "lint: its workspaces are"),
        (f"{P} tasks promote when 0 operator", "notin", "promote does not run with"),
        (f"{P} tasks build-image runAfter", ["lint"], "promote runs with"),
        (f"{RUN} taskRunTemplate serviceAccountName", "jukebox-promote", "or jukebox-promote"),
        (f"{RUN} taskRunTemplate podTemplate", {"securityContext": {"runAsUser": 0}}, "pods may be root"),
        (f"{RUN} workspaces +", PIP, "a run's workspaces are"),
        ("EventListener/jukebox spec serviceAccountName", "jukebox-ci", "the listener runs as another"),
        ("ClusterRole/jukebox-listener.jukebox rules +", PODS, "'cluster: create - pods'"),
        ("Role/jukebox-submit rules 0 resourceNames", GONE, "the rights are"),
        ("RoleBinding/jukebox-submit subjects +", CI, "'jukebox-ci': {'runs: "),
        ("ServiceAccount/jukebox-ci automountServiceAccountToken", True, "the accounts with a token"),
        ("ConfigMap/jukebox-head metadata namespace", "jukebox-runs", "is in the namespace of the runs"),
        (f"{FENCE}-runs metadata namespace", "jukebox", "the network policies are"),
        (f"{FENCE}-pods spec ingress", [{}], "the network policies are"),
        (f"{FENCE}-code spec podSelector matchExpressions 0 values -1", GONE, "the network policies are"),
        (f"{FENCE}-code", GONE, "the network policies are"),
    ],
    ids=lambda value: value[:70] if isinstance(value, str) else "",
)
def test_a_mistake_is_caught(path, value, said):
    objects = rendered("openshift")
    edit(objects, path, copy.deepcopy(value))
    told = problems(objects)
    assert any(said in each for each in told), told


@pytest.mark.parametrize(("path", "value"), [("when", GONE), ("when 0 values +", "error")])
def test_measure_and_promote_need_the_verdict_pass(path, value):
    """Each of them alone is enough."""
    objects = rendered("openshift")
    for task in ("measure", "promote"):
        assert problems(objects) == []
        edit(objects, f"{P} tasks {task} {path}", value)
    assert any("promote runs with" in each for each in problems(objects))


def test_nothing_is_promoted_where_nothing_is_measured():
    objects = rendered("openshift")
    edit(objects, f"{P} tasks measure", GONE)
    assert any("promote: param measured is" in each for each in problems(objects))


def test_versions_are_the_packages_and_the_least_of_tekton():
    """0.50 for workspaces of steps, 0.43 for v1."""
    assert f'version = "{ml.__version__}"' in (ROOT / "pyproject.toml").read_text()
    for each in files("tasks", "pipelines"):
        steps = str(each["spec"].get("steps", "'workspaces'"))
        least = "0.50.0" if "'workspaces'" in steps else "0.43.0"
        assert each["metadata"]["labels"]["app.kubernetes.io/version"] == ml.__version__
        assert each["metadata"]["annotations"]["tekton.dev/pipelines.minVersion"] == least


@pytest.mark.parametrize("name", SPACES)
def test_a_sample_is_a_run_of_its_task_with_the_values_of_the_pipeline(name):
    run, pipeline = SAMPLES[name]["spec"], files("pipelines")[0]["spec"]
    declared = find(files("tasks"), "Task", name)["spec"]["params"]
    params = {each["name"]: each["value"] for each in run["params"]}
    needed = {each["name"] for each in declared if "default" not in each}
    assert needed <= params.keys() <= {each["name"] for each in declared}
    sites = {each["name"]: each["default"] for each in pipeline["params"]}
    assert [each for each in params if params[each] != sites.get(each, params[each])] == []
    assert "$(" not in str(run)
    bound = {each["name"]: each["subPath"] for each in run.get("workspaces", ())}
    spaces = {each.removesuffix("-") for each in SPACES[name].split()}
    assert bound == {each: FOLDERS[each] for each in spaces & FOLDERS.keys()}
    timeouts = {each["name"]: each["timeout"] for each in (*pipeline["tasks"], *pipeline["finally"])}
    assert (run["taskRef"]["name"], run["timeout"]) == (name, timeouts[name])
    assert run["serviceAccountName"] == ROLES.get(name, "jukebox-ci")


def test_the_ingress_bounds_bodies():
    (ingress,) = load(FILES["senders/ingress.yaml"])
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "1m"
