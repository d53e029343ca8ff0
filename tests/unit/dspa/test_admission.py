"""A compiled pipeline is admitted only if the policy names what it asks for; each refusal is one line."""

import copy
import functools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from submissions import IMAGE, OTHER_IMAGE
from tiers import PARTS

from ml.core.errors import UsageError
from ml.core.settings import Mounts
from ml.dspa.admission import below, examine, examine_parameters, require_admitted
from ml.dspa.admission_policy import amount, read_admission
from ml.dspa.compiled import Pipeline, read_pipeline
from ml.dspa.failures import NotAdmitted
from ml.pipeline.compiler import compile_pipeline

POLICY = read_admission(None)
EXECUTOR = ("deploymentSpec", "executors", "exec-train")
CONTAINER = (*EXECUTOR, "container")
GIVEN = ("platforms", "kubernetes", "deploymentSpec", "executors", "exec-train")
TASK = ("root", "dag", "tasks", "train")
KNOWN = ("root", "inputDefinitions", "parameters")


@functools.cache
def compiled() -> Pipeline:
    """Compile the pipeline with all that the default policy allows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        mounts = Mounts(store_secret="jukebox-store", ca_config_map="odh-trusted-ca-bundle")
        compile_pipeline(path, IMAGE, mounts)
        return read_pipeline(path, IMAGE)


def changed(path: tuple[str, ...], value: Any) -> Pipeline:
    """Return the pipeline with another value at a place; KeyError takes it away."""
    pipeline = compiled().model_copy(deep=True)
    at = pipeline.platform if path[0] == "platforms" else pipeline.spec
    for key in path[:-1]:
        at = at[key]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return pipeline


def secrets(name: str) -> list[dict[str, Any]]:
    return [{"secretName": name, "keyToEnv": [{"secretKey": "AWS_SECRET_ACCESS_KEY", "envVar": "KEY"}]}]


REFUSED = {
    # Images.
    "foreign image": (
        (*CONTAINER, "image"),
        OTHER_IMAGE,
        f"image {OTHER_IMAGE} is not allowed; the policy allows",
    ),
    "tag": (
        (*CONTAINER, "image"),
        "localhost/jukebox:latest",
        "image localhost/jukebox:latest is not allowed",
    ),
    "image by parameter": (
        (*CONTAINER, "image"),
        "{{$.inputs.parameters['image']}}",
        "image {{.*}} is not allowed",
    ),
    "claim maker": ((*CONTAINER, "image"), "argostub/createpvc", "image argostub/createpvc is not allowed"),
    # Secrets, config maps, claims.
    "secret as variable": (
        (*GIVEN, "secretAsEnv"),
        secrets("jukebox-promotion"),
        "secret jukebox-promotion is not allowed; the policy allows jukebox-store$",
    ),
    "secret as file": (
        (*GIVEN, "secretAsVolume"),
        [{"secretName": "jukebox-promotion", "mountPath": "/keys"}],
        "secret jukebox-promotion is not allowed",
    ),
    "secret by parameter": (
        (*GIVEN, "secretAsEnv"),
        [{**secrets("jukebox-store")[0], "secretNameParameter": {"runtimeValue": {"constant": "another"}}}],
        "secretAsEnv.0.secretNameParameter is not allowed",
    ),
    "secret by another spelling": ((*GIVEN, "secret_as_env"), secrets("x"), "secret_as_env is not allowed"),
    "optional secret": (
        (*GIVEN, "secretAsVolume"),
        [{"secretName": "jukebox-store", "mountPath": "/keys", "optional": True}],
        "secretAsVolume.0.optional is not allowed",
    ),
    "config map as variable": (
        (*GIVEN, "configMapAsEnv"),
        [{"configMapName": "kfp-launcher", "keyToEnv": [{"configMapKey": "a", "envVar": "A"}]}],
        "config map kfp-launcher is not allowed; the policy allows odh-trusted-ca-bundle$",
    ),
    "config map as file": (
        (*GIVEN, "configMapAsVolume"),
        [{"configMapName": "trust", "mountPath": "/trust"}],
        "config map trust is not allowed",
    ),
    "claim": (
        (*GIVEN, "pvcMount"),
        [{"constant": "models", "mountPath": "/mnt/jukebox"}],
        "claim models is not allowed; the policy allows none$",
    ),
    "claim of another task": (
        (*GIVEN, "pvcMount"),
        [{"taskOutputParameter": {"producerTask": "fetch", "outputParameterKey": "x"}, "mountPath": "/x"}],
        "pvcMount.0.taskOutputParameter is not allowed",
    ),
    "pull secret": (
        (*GIVEN, "imagePullSecret"),
        [{"secretName": "registry"}],
        "image pull secret registry is not allowed; the policy allows none$",
    ),
    # Resources.
    **{
        f"{field} of nothing": (
            (*CONTAINER, "resources", field),
            zero,
            f"{field} is 0, which is no limit",
        )
        for field, zero in {
            "cpuLimit": 0.0,
            "memoryLimit": 0.0,
            "resourceCpuLimit": "0m",
            "resourceMemoryLimit": "0.0Gi",
        }.items()
    },
    # The pod.
    **{
        name: ((*GIVEN, name), value, f"{name} is not allowed")
        for name, value in {
            "hostPath": [{"path": "/", "mountPath": "/host"}],
            "securityContext": {"runAsUser": 0},
            "privileged": True,
            "tolerations": [{"operator": "Exists"}],
            "nodeAffinity": [{"weight": 1}],
            "podAffinity": [{"topologyKey": "kubernetes.io/hostname"}],
            "podMetadata": {"labels": {"app": "jukebox"}},
            "fieldPathAsEnv": [{"name": "POD", "fieldPath": "spec.serviceAccountName"}],
            "genericEphemeralVolume": [{"volumeName": "x", "mountPath": "/x"}],
            "emptyDirMounts": [{"volumeName": "x", "mountPath": "/x"}],
            "enabledSharedMemory": {"size": "1Ti"},
            "initContainers": [{"name": "x", "image": "x"}],
            "imagePullPolicy": "Never",
            "serviceAccountName": "admin",
        }.items()
    },
    "node selector": (
        (*GIVEN, "nodeSelector"),
        {"labels": {"node-role.kubernetes.io/master": ""}},
        "node selector node-role.kubernetes.io/master= is not allowed; the policy allows none$",
    ),
    "node selector by parameter": (
        (*GIVEN, "nodeSelector"),
        {"labels": {}, "nodeSelectorJson": {"runtimeValue": {"constant": {}}}},
        "nodeSelector.nodeSelectorJson is not allowed",
    ),
    "variable from elsewhere": (
        (*CONTAINER, "env"),
        [{"name": "KEY", "value": "", "valueFrom": {"secretKeyRef": {"name": "x"}}}],
        "container.env.0.valueFrom is not allowed",
    ),
    # Bounds.
    **{
        f"{field} {value}": ((*CONTAINER, "resources", field), value, line)
        for field, value, line in (
            ("cpuLimit", 4.5, "cpuLimit 4.5 is too much; the policy allows 4$"),
            ("cpuRequest", 64, "cpuRequest 64.0 is too much"),
            ("memoryLimit", 8.6, "memoryLimit 8.6 is too much; the policy allows 8Gi$"),
            ("memoryRequest", 1e6, "memoryRequest 1000000.0 is too much"),
            ("resourceCpuLimit", "4001m", "resourceCpuLimit 4001m is too much"),
            ("resourceCpuRequest", "1k", "resourceCpuRequest 1k is too much"),
            ("resourceMemoryLimit", "9Gi", "resourceMemoryLimit 9Gi is too much"),
            ("resourceMemoryRequest", "1Ti", "resourceMemoryRequest 1Ti is too much"),
            ("resourceMemoryLimit", "1e30", "resourceMemoryLimit: '1e30' is not a quantity"),
            ("resourceCpuLimit", "{{$.inputs.parameters['seed']}}", "resourceCpuLimit: .* is not a quantity"),
            ("resourceCpuLimit", "-1", "resourceCpuLimit: '-1' is not a quantity"),
            ("cpuLimit", KeyError, "container.resources.cpuLimit is missing"),
            ("resourceMemoryLimit", KeyError, "container.resources.resourceMemoryLimit is missing"),
            (
                "accelerator",
                {"resourceType": "x", "resourceCount": "8"},
                "container.resources.accelerator is not",
            ),
        )
    },
    "no resources": ((*CONTAINER, "resources"), KeyError, "container.resources is missing"),
    "no timeout": ((*GIVEN, "activeDeadlineSeconds"), KeyError, "activeDeadlineSeconds is missing"),
    "no time at all": ((*GIVEN, "activeDeadlineSeconds"), "0", "activeDeadlineSeconds: String should match"),
    "long timeout": (
        (*GIVEN, "activeDeadlineSeconds"),
        "7201",
        "a timeout of 7201 s; the policy allows 7200$",
    ),
    "nothing of the platform": (GIVEN, KeyError, "a timeout is missing"),
    # Other executors.
    **{
        name: (EXECUTOR, {name: {}}, f"{name} is not allowed")
        for name in ("importer", "resolver", "customJob")
    },
    "lifecycle": ((*CONTAINER, "lifecycle"), {"preCacheCheck": {}}, "container.lifecycle is not allowed"),
}
"""Changes of the executor exec-train: where, to what, and how the line goes on."""

ELSEWHERE = {
    # The graph.
    **{
        name: ((*TASK, name), value, f"task train: {name} is not allowed")
        for name, value in {
            "triggerPolicy": {"condition": "false"},
            "artifactIterator": {},
            "parameterIterator": {"items": {"raw": "[1, 2]"}, "itemInput": "x"},
            "iteratorPolicy": {"parallelismLimit": 9},
        }.items()
    },
    "cache key": (
        (*TASK, "cachingOptions", "cacheKey"),
        "x",
        "task train: cachingOptions.cacheKey is not allowed",
    ),
    "tries": ((*TASK, "retryPolicy"), {"maxRetryCount": 4}, "task train: 4 retries; the policy allows 3"),
    "no end of tries": (
        (*TASK, "retryPolicy"),
        {"maxRetryCount": -1},
        "task train: retryPolicy.maxRetryCount: Input should be greater than or equal to 0",
    ),
    "exit handler": (
        (*TASK, "inputs", "parameters", "status"),
        {"taskFinalStatus": {"producerTask": "x"}},
        "task train: inputs.parameters.status.taskFinalStatus is not allowed",
    ),
    "artifact of the pipeline": (
        (*TASK, "inputs", "artifacts", "x"),
        {"componentInputArtifact": "x"},
        "task train: inputs.artifacts.x.componentInputArtifact is not allowed",
    ),
    "nested graph": (
        ("components", "comp-train"),
        {"dag": {"tasks": {}}},
        "component comp-train: dag is not allowed",
    ),
    "platform in a component": (
        ("components", "comp-train", "singlePlatformSpecs"),
        [],
        "component comp-train: singlePlatformSpecs is not allowed",
    ),
    "configuration handed on": (
        ("components", "comp-train", "taskConfigPassthroughs"),
        [],
        "component comp-train: taskConfigPassthroughs is not allowed",
    ),
    "outputs": (("root", "outputDefinitions"), {}, "the pipeline: root.outputDefinitions is not allowed"),
    "executor of nobody": (
        (*GIVEN[:-1], "exec-x"),
        {"activeDeadlineSeconds": "1"},
        "executor exec-x: not in the specification",
    ),
    # The pipeline.
    "root of artifacts": (
        ("defaultPipelineRoot",),
        "s3://elsewhere?endpoint=evil.example",
        r"the pipeline: its root s3://elsewhere\?… is not allowed; the policy allows none",
    ),
    "workspace": (
        ("platforms", "kubernetes", "pipelineConfig"),
        {"workspace": {"size": "1Ti"}},
        "the pipeline: platforms.kubernetes.pipelineConfig is not allowed",
    ),
    "another platform": (("platforms", "vertex"), {}, "the pipeline: platforms.vertex is not allowed"),
    "name in a path": (
        ("pipelineInfo", "name"),
        "../elsewhere",
        "the pipeline: pipelineInfo.name: String should match pattern",
    ),
    "schema": (("schemaVersion",), "2.0.0", "the pipeline: schemaVersion: Input should be '2.1.0'"),
    "no executors": (("deploymentSpec",), {}, "the pipeline: deploymentSpec.executors is missing"),
    # Parameters.
    "store elsewhere": (
        (*KNOWN, "store_uri", "defaultValue"),
        "gs://models",
        "parameter store_uri: gs://models is not allowed; the policy allows s3://, /mnt/jukebox",
    ),
    "place of its own": (
        (*KNOWN, "sealed_uri"),
        {"parameterType": "STRING", "defaultValue": "s3://sealed"},
        "parameter sealed_uri: s3://sealed is not allowed; the policy allows none",
    ),
    "structure": ((*KNOWN, "seed"), {"parameterType": "STRUCT"}, "parameter seed: a run is given no STRUCT"),
    "strange type": ((*KNOWN, "seed"), {"parameterType": "TASK_CONFIG"}, "parameter seed: parameterType: "),
    "image by default": (
        (*KNOWN, "image", "defaultValue"),
        OTHER_IMAGE,
        f"parameter image: its default {OTHER_IMAGE} is not {IMAGE}",
    ),
}


def test_what_the_compiler_writes_is_admitted_with_what_the_policy_names():
    assert examine(compiled(), POLICY) == []
    require_admitted([], "it")


@pytest.mark.parametrize("case", REFUSED)
def test_an_executor_that_asks_for_more_is_refused_in_one_line(case):
    path, value, line = REFUSED[case]
    found = examine(changed(path, value), POLICY)
    assert [bool(re.match(f"executor exec-train: {line}", one)) for one in found][:1] == [True], found
    assert all(one.startswith("executor exec-train: ") and "\n" not in one for one in found)


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_pipeline_that_asks_for_more_is_refused_in_one_line(case):
    path, value, line = ELSEWHERE[case]
    found = examine(changed(path, value), POLICY)
    assert re.match(line, found[0]), found


def test_all_findings_are_told_also_beside_a_field_that_is_not_known():
    pipeline = changed((*GIVEN, "securityContext"), {"runAsUser": 0})
    pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-gate"][
        "secretAsEnv"
    ] = secrets("jukebox-promotion")
    found = examine(pipeline, POLICY)
    assert found == [
        "executor exec-train: securityContext is not allowed",
        "executor exec-gate: secret jukebox-promotion is not allowed; the policy allows jukebox-store",
    ]
    with pytest.raises(
        NotAdmitted, match=r"^it is not admitted: executor exec-train: .* \(and 1 more\)$"
    ) as caught:
        require_admitted(found, "it")
    assert (caught.value.exit_code, caught.value.details) == (10, {"findings": found})


def test_the_image_is_the_callers_and_not_the_pipelines_own(tmp_path):
    """A commit that compiles for another image than the one that was built of it."""
    pipeline = compiled().model_copy(update={"image": OTHER_IMAGE})
    found = examine(pipeline, POLICY)
    assert len(found) == 11 + 1
    assert found[0].endswith(f"image {IMAGE} is not allowed; the policy allows {OTHER_IMAGE}")
    assert found[-1] == f"parameter image: its default {IMAGE} is not {OTHER_IMAGE}"


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ((*CONTAINER, "image"), OTHER_IMAGE, {"images": (OTHER_IMAGE,)}),
        ((*GIVEN, "secretAsEnv"), secrets("x"), {"secrets": ("x", "jukebox-store")}),
        ((*GIVEN, "pvcMount"), [{"constant": "x", "mountPath": "/x"}], {"claims": ("x",)}),
        ((*GIVEN, "imagePullSecret"), [{"secretName": "x"}], {"image_pull_secrets": ("x",)}),
        ((*GIVEN, "nodeSelector"), {"labels": {"gpu": "yes"}}, {"node_selector": {"gpu": "yes"}}),
        ((*GIVEN, "activeDeadlineSeconds"), "7260", {"max_minutes": 121}),
        ((*CONTAINER, "resources", "resourceCpuLimit"), "4500m", {"max_cpu": "5"}),
        ((*TASK, "retryPolicy"), {"maxRetryCount": 9}, {"max_retries": 9}),
        (("defaultPipelineRoot",), "s3://artifacts/a", {"pipeline_roots": ("s3://artifacts",)}),
        ((*KNOWN, "store_uri", "defaultValue"), "gs://models", {"uris": {"store_uri": ("gs://models",)}}),
    ],
)
def test_what_a_site_names_is_allowed(path, value, allowed):
    pipeline = changed(path, value)
    assert len(examine(pipeline, POLICY)) == 1
    assert examine(pipeline, POLICY.model_copy(update=allowed)) == []


def test_too_many_steps_are_refused():
    (line,) = examine(compiled(), POLICY.model_copy(update={"max_steps": 10}))
    assert line == "the pipeline: 11 steps; the policy allows 10"


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Walk all objects of a JSON value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


@pytest.mark.parametrize("part", PARTS)
def test_an_unknown_key_at_any_object_is_refused(part):
    pipeline = compiled().model_copy(deep=True)
    every = [*objects(pipeline.spec), *objects(pipeline.platform)]
    assert len(every) > 300
    for at in every[part]:
        at["strange"] = 1
        assert any("strange" in line for line in examine(pipeline, POLICY)), at
        del at["strange"]
    assert examine(pipeline, POLICY) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_field_by_its_other_name_and_a_value_of_another_shape_are_refused(part):
    """A server reads secret_as_env like secretAsEnv."""
    pipeline = compiled().model_copy(deep=True)
    every = [*objects(pipeline.spec), *objects(pipeline.platform)]
    for at in every[part]:
        for name in list(at):
            value = at.pop(name)
            if (other := snake(name)) != name:
                at[other] = value
                assert examine(pipeline, POLICY), name
                del at[other]
            for wrong in ({"a": {}}, ["a"]):
                if type(wrong) is not type(value):
                    at[name] = copy.deepcopy(wrong)
                    assert examine(pipeline, POLICY), name
            at[name] = value
    assert examine(pipeline, POLICY) == []


@pytest.mark.parametrize(
    ("uri", "places", "allowed"),
    [
        ("s3://models/jukebox", ["s3://models/jukebox"], True),
        ("s3://models/jukebox/a", ["s3://models/jukebox"], True),
        ("s3://models/jukebox/a/{run_id}.json", ["s3://models/jukebox/"], True),
        ("s3://models/jukebox-sealed", ["s3://models/jukebox"], False),
        ("s3://models", ["s3://models/jukebox"], False),
        ("s3://any/thing", ["s3://"], True),
        ("S3://any/thing", ["s3://"], False),
        ("s3://models/jukebox/../sealed", ["s3://models/jukebox"], False),
        ("s3://models/jukebox/%2e%2e/sealed", ["s3://models/jukebox"], False),
        ("s3://models/jukebox?endpoint=evil.example", ["s3://models/jukebox"], False),
        ("s3://models/jukebox#x", ["s3://models/jukebox"], False),
        ("s3://models/jukebox\\..\\sealed", ["s3://models/jukebox"], False),
        ("s3://models/jukebox/a\n", ["s3://models/jukebox"], False),
        ("sample:songs=9", ["sample:"], True),
        ("/mnt/jukebox/a", ["/mnt/jukebox"], True),
        ("/mnt/jukebox/./a", ["/mnt/jukebox"], False),
        ("", [""], True),
        ("/etc", [""], False),
        ("anything", [], False),
    ],
)
def test_a_uri_is_below_a_place_or_it_is_not(uri, places, allowed):
    assert below(uri, places) is allowed


GOOD = {"store_uri": "s3://models/store", "seed": 7, "dropout": 0.5, "dirty": False, "champion": ""}


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("colour", "red", "parameter colour: the pipeline has none of this name"),
        ("seed", "7", "parameter seed: not a NUMBER_INTEGER"),
        ("seed", 7.5, "parameter seed: not a NUMBER_INTEGER"),
        ("seed", True, "parameter seed: not a NUMBER_INTEGER"),
        ("dirty", "false", "parameter dirty: not a BOOLEAN"),
        ("champion", 1, "parameter champion: not a STRING"),
        ("dropout", None, "parameter dropout: not a NUMBER_DOUBLE"),
        (
            "store_uri",
            "s3://sealed/x",
            "parameter store_uri: s3://sealed/x is not allowed; the policy allows s3://models",
        ),
        (
            "evidence_uri",
            "s3://models",
            "parameter evidence_uri: s3://models is not allowed; the policy allows none",
        ),
        (
            "songs_uri",
            "https://a:b@c/d?e=f",
            "parameter songs_uri: https://…@c/d?… is not allowed; the policy allows none",
        ),
    ],
)
def test_parameters_of_a_run_are_known_typed_and_point_where_they_may(name, value, line):
    policy = POLICY.model_copy(update={"uris": {"store_uri": ("s3://models",)}})
    assert examine_parameters(compiled(), GOOD, policy) == []
    assert examine_parameters(compiled(), {**GOOD, name: value}, policy) == [line]


@pytest.mark.parametrize(
    ("text", "value"), [("200m", 0.2), ("2", 2), ("1.5", 1.5), ("1Ki", 1024), ("4Gi", 4 * 2**30), ("1M", 1e6)]
)
def test_quantities_are_what_kubernetes_takes_them_for(text, value):
    assert amount(text) == pytest.approx(value)


def test_a_policy_names_every_key_and_nothing_else(tmp_path):
    path = tmp_path / "admission.yaml"
    text = Path("ml/dspa/admission.yaml")
    text = (Path(__file__).parents[3] / text).read_text()
    path.write_text(text)
    assert read_admission(path) == POLICY
    wrong = {
        "cannot be used: claims: missing": re.sub("^claims:.*$", "", text, flags=re.MULTILINE),
        "cannot be used: colour: unknown key": f"{text}\ncolour: red\n",
        "stands twice": f"{text}\nclaims: [models]\n",
        "cannot be used: max_memory: .* is not a quantity": text.replace("8Gi", "lots"),
        "cannot be used: images.0: ": text.replace("images: []", "images: [a:latest]"),
        "2 documents": f"{text}\n---\n{{}}\n",
        "is not YAML": "a: [",
        "an anchor": text.replace("secrets: [", "secrets: &a ["),
    }
    for message, content in wrong.items():
        path.write_text(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_admission(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_admission(tmp_path / "none.yaml")


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(9))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BOMB, "an anchor or alias in line 1"),
        ("a: &a 1\n", "an anchor or alias in line 1"),
        ("a: !!str 1\n", "a tag in line 1"),
        ("a: !!python/object/apply:os.system [x]\n", "a tag in line 1"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice in the mapping in line 1"),
        ("a: {<<: {b: 1}}\n", "a key of the mapping in line 1 is no text"),
        ("1: a\n", "a key of the mapping in line 1 is no text"),
        ("a: 1\n---\nb: 2\n---\nc: 3\n", "3 documents, not a specification and a platform"),
        ("a: 1\n", "1 documents"),
        (f"a: {'[' * 100}{']' * 100}\n", "more than 64 levels in line 1"),
        ("#" + "x" * (4 << 20), "more than 4 MB"),
        ("a: 2026-01-01\n---\nb: 1\n", "compile`$"),
        ("a: .nan\n---\nb: 1\n", "compile`$"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else value,
)
def test_yaml_that_no_compiler_writes_is_not_read(tmp_path, data, message):
    path = tmp_path / "pipeline.yaml"
    path.write_text(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_pipeline(path)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_in_a_compiled_pipeline_is_not_read(tmp_path):
    pipeline = compiled()
    text = yaml.safe_dump_all([pipeline.spec, pipeline.platform])
    twice = text.replace("\nschemaVersion:", "\ndeploymentSpec: {}\nschemaVersion:")
    (tmp_path / "p.yaml").write_text(twice)
    with pytest.raises(UsageError, match="the key 'deploymentSpec' stands twice"):
        read_pipeline(tmp_path / "p.yaml", IMAGE)


def test_a_pipeline_that_was_cut_off_in_its_platform_is_not_admitted(tmp_path):
    pipeline = compiled()
    text = yaml.safe_dump_all([pipeline.spec, pipeline.platform])
    (tmp_path / "p.yaml").write_text(text[: text.rindex("\n        exec-gate:") + 1])
    found = examine(read_pipeline(tmp_path / "p.yaml", IMAGE), POLICY)
    assert "executor exec-train: a timeout is missing" in found
