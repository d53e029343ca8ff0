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
KUBERNETES = "platforms kubernetes"
TRAIN = "deploymentSpec executors exec-train"
PLACES = {
    "train": TRAIN,
    "box": f"{TRAIN} container",
    "limits": f"{TRAIN} container resources",
    "given": f"{KUBERNETES} {TRAIN}",
    "task": "root dag tasks train",
    "component": "components comp-train",
    "known": "root inputDefinitions parameters",
}
"""Short names of places in the IR."""


@functools.cache
def compiled() -> Pipeline:
    """Compile the pipeline with all that the default policy allows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        mounts = Mounts(store_secret="jukebox-store", ca_config_map="odh-trusted-ca-bundle")
        compile_pipeline(path, IMAGE, mounts)
        return read_pipeline(path, IMAGE)


def changed(path: str, value: Any) -> Pipeline:
    """Return the pipeline with another value at a path; KeyError removes it."""
    pipeline = compiled().model_copy(deep=True)
    first, *rest = path.split()
    *above, name = [*PLACES.get(first, first).split(), *rest]
    at = pipeline.platform if above[:1] == ["platforms"] else pipeline.spec
    for key in above:
        at = at[key]
    if value is KeyError:
        del at[name]
    else:
        at[name] = value
    return pipeline


def secrets(name: str) -> list[dict[str, Any]]:
    keys = [{"secretKey": "AWS_SECRET_ACCESS_KEY", "envVar": "KEY"}]
    return [{"secretName": name, "keyToEnv": keys}]


UNKNOWN = {
    "train": ("executor exec-train: ", "importer resolver customJob"),
    "box": ("executor exec-train: container.", "lifecycle"),
    "limits": ("executor exec-train: container.resources.", "accelerator"),
    "given": (
        "executor exec-train: ",
        "hostPath securityContext privileged tolerations nodeAffinity podAffinity podMetadata fieldPathAsEnv"
        " genericEphemeralVolume emptyDirMounts enabledSharedMemory initContainers imagePullPolicy"
        " serviceAccountName secret_as_env",
    ),
    "task": ("task train: ", "triggerPolicy artifactIterator parameterIterator iteratorPolicy"),
    "task cachingOptions": ("task train: cachingOptions.", "cacheKey"),
    "component": ("component comp-train: ", "dag singlePlatformSpecs taskConfigPassthroughs"),
    "root": ("the pipeline: root.", "outputDefinitions"),
    KUBERNETES: ("the pipeline: platforms.kubernetes.", "pipelineConfig"),
    "given nodeSelector =": ("executor exec-train: nodeSelector.", "nodeSelectorJson"),
    "task inputs parameters s =": ("task train: inputs.parameters.s.", "taskFinalStatus"),
    "task inputs artifacts x =": ("task train: inputs.artifacts.x.", "componentInputArtifact"),
    "platforms vertex =": ("the pipeline: platforms.", "vertex"),
    "box env 0": ("executor exec-train: container.env.0.", "valueFrom"),
    "given secretAsEnv 0": ("executor exec-train: secretAsEnv.0.", "optional secretNameParameter"),
    "given pvcMount 0": ("executor exec-train: pvcMount.0.", "taskOutputParameter"),
}
"""Places, how the line about an unknown field begins there, and fields that must stay unknown."""

MOST = "the most that the policy allows$"
QUANTITIES = {
    "cpuLimit": [(4.5, f"4.5 exceeds 4, {MOST}"), (0.0, " is 0, which means no limit")],
    "cpuRequest": [(64, "64.0 exceeds")],
    "memoryLimit": [(8.6, f"8.6 exceeds 8Gi, {MOST}"), (0.0, "is 0, which")],
    "memoryRequest": [(1e6, "1000000.0 exceeds")],
    "resourceCpuLimit": [("4001m", "exceeds"), ("0m", "is 0"), ("{{x}}", "not a quantity"), ("-1", "not a")],
    "resourceCpuRequest": [("1k", "1k exceeds")],
    "resourceMemoryLimit": [("9Gi", "9Gi exceeds"), ("0.0Gi", "is 0"), ("1e30", ": '1e30' is not a")],
    "resourceMemoryRequest": [("1Ti", "1Ti exceeds")],
}
NONE = "is not allowed; the policy allows none$"
EXECUTOR = [
    *((f"limits {name}", value, f"{name}.*{line}") for name, c in QUANTITIES.items() for value, line in c),
    *((f"limits {name}", KeyError, f"container.resources.{name} is missing") for name in QUANTITIES),
    ("limits", KeyError, "container.resources is missing"),
    ("box image", OTHER_IMAGE, f"image {OTHER_IMAGE} is not allowed; the policy allows"),
    ("box image", "localhost/jukebox:latest", "image localhost/jukebox:latest is not allowed"),
    ("box image", "{{$.inputs.parameters['image']}}", "image {{.*}} is not allowed"),
    ("given secretAsEnv", secrets("x"), "secret x is not allowed; the policy allows jukebox-store$"),
    ("given secretAsVolume", [{"secretName": "x", "mountPath": "/k"}], "secret x is not allowed"),
    ("given configMapAsEnv", [{"configMapName": "x", "keyToEnv": []}], "config map x .*trusted-ca-bundle$"),
    ("given configMapAsVolume", [{"configMapName": "x", "mountPath": "/x"}], "config map x is not allowed"),
    ("given pvcMount", [{"constant": "x", "mountPath": "/x"}], f"claim x {NONE}"),
    ("given imagePullSecret", [{"secretName": "x"}], f"image pull secret x {NONE}"),
    ("given nodeSelector", {"labels": {"a/b": ""}}, f"node selector a/b= {NONE}"),
    ("given activeDeadlineSeconds", KeyError, "activeDeadlineSeconds is missing"),
    ("given activeDeadlineSeconds", "0", "activeDeadlineSeconds: String should match"),
    ("given activeDeadlineSeconds", "7201", "a timeout of 7201 s; the policy allows 7200 s$"),
    ("given", KeyError, "a timeout is missing"),
]
"""Changes of the executor exec-train: where, to what, and the line without its subject."""

SEALED = {"parameterType": "STRING", "defaultValue": "s3://sealed"}
LIST = {"parameterType": "LIST"}
ELSEWHERE = [
    ("task retryPolicy", {"maxRetryCount": 4}, "task train: 4 retries; the policy allows 3"),
    ("task retryPolicy", {"maxRetryCount": -1}, "task train: retryPolicy.maxRetryCount: Input should be"),
    (f"{KUBERNETES} {TRAIN}-x", {"activeDeadlineSeconds": "1"}, "executor exec-train-x: not in the spec"),
    ("defaultPipelineRoot", "s3://x?y=z", rf"the pipeline: root s3://x\?… {NONE}"),
    ("pipelineInfo name", "../elsewhere", "the pipeline: pipelineInfo.name: String should match pattern"),
    ("schemaVersion", "2.0.0", "the pipeline: schemaVersion: Input should be '2.1.0'"),
    ("deploymentSpec", {}, "the pipeline: deploymentSpec.executors is missing"),
    ("known store_uri defaultValue", "gs://m", "parameter store_uri: gs://m is .*s3://, /mnt/jukebox"),
    ("known sealed_uri", SEALED, f"parameter sealed_uri: s3://sealed {NONE}"),
    ("known dirty", LIST, "parameter dirty: a pipeline parameter cannot be a LIST"),
    ("known dirty", {"parameterType": "TASK_CONFIG"}, "parameter dirty: parameterType: "),
    ("known hyperparameters defaultValue", {"a": {"b": 1}}, "parameter hyperparameters: defaultValue: "),
    ("known image defaultValue", OTHER_IMAGE, f"parameter image: its default is {OTHER_IMAGE}, not {IMAGE}"),
]


@pytest.mark.parametrize("place", UNKNOWN)
def test_an_unknown_field_is_refused_and_named(place):
    line, fields = UNKNOWN[place]
    for field in fields.split():
        if place.endswith(" 0"):
            pipeline = changed(place[:-2], [{field: {}}])
        elif place.endswith(" ="):
            pipeline = changed(place[:-2], {field: {}})
        else:
            pipeline = changed(f"{place} {field}", {})
        assert f"{line}{field} is not allowed" in examine(pipeline, POLICY)


def test_what_the_compiler_writes_is_admitted():
    assert examine(compiled(), POLICY) == []
    require_admitted([], "it")


@pytest.mark.parametrize(("path", "value", "line"), EXECUTOR)
def test_an_executor_that_asks_for_more_is_refused_in_one_line(path, value, line):
    lines = examine(changed(path, value), POLICY)
    assert re.match(f"executor exec-train: {line}", lines[0]), lines
    assert all(one.startswith("executor exec-train: ") and "\n" not in one for one in lines)


@pytest.mark.parametrize(("path", "value", "line"), ELSEWHERE)
def test_a_pipeline_that_asks_for_more_is_refused_in_one_line(path, value, line):
    lines = examine(changed(path, value), POLICY)
    assert re.match(line, lines[0]), lines


def test_all_violations_are_listed_also_beside_an_unknown_field():
    pipeline = changed("given securityContext", {"runAsUser": 0})
    executors = pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-gate"]["secretAsEnv"] = secrets("promotion")
    lines = examine(pipeline, POLICY)
    assert lines == [
        "executor exec-train: securityContext is not allowed",
        "executor exec-gate: secret promotion is not allowed; the policy allows jukebox-store",
    ]
    with pytest.raises(NotAdmitted, match=r"^it is not admitted: executor exec-.*and 1 more\)$") as caught:
        require_admitted(lines, "it")
    assert (caught.value.exit_code, caught.value.details) == (10, {"violations": lines})


def test_the_image_is_the_callers_not_the_pipelines_own():
    lines = examine(compiled().model_copy(update={"image": OTHER_IMAGE}), POLICY)
    assert len(lines) == 11 + 1
    assert lines[0].endswith(f"image {IMAGE} is not allowed; the policy allows {OTHER_IMAGE}")
    assert lines[-1] == f"parameter image: its default is {IMAGE}, not {OTHER_IMAGE}"


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("box image", OTHER_IMAGE, {"images": (OTHER_IMAGE,)}),
        ("given secretAsEnv", secrets("x"), {"secrets": ("x", "jukebox-store")}),
        ("given pvcMount", [{"constant": "x", "mountPath": "/x"}], {"claims": ("x",)}),
        ("given imagePullSecret", [{"secretName": "x"}], {"image_pull_secrets": ("x",)}),
        ("given nodeSelector", {"labels": {"gpu": "yes"}}, {"node_selector": {"gpu": "yes"}}),
        ("given activeDeadlineSeconds", "7260", {"max_minutes": 121}),
        ("limits resourceCpuLimit", "4500m", {"max_cpu": "5"}),
        ("task retryPolicy", {"maxRetryCount": 9}, {"max_retries": 9}),
        ("defaultPipelineRoot", "s3://artifacts/a", {"pipeline_roots": ("s3://artifacts",)}),
        ("known store_uri defaultValue", "gs://models", {"uris": {"store_uri": ("gs://models",)}}),
    ],
)
def test_what_a_site_names_is_allowed(path, value, allowed):
    pipeline = changed(path, value)
    assert len(examine(pipeline, POLICY)) == 1
    assert examine(pipeline, POLICY.model_copy(update=allowed)) == []


def test_too_many_steps_are_refused():
    lines = examine(compiled(), POLICY.model_copy(update={"max_steps": 10}))
    assert lines == ["the pipeline: 11 steps; the policy allows 10"]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Walk all objects of a JSON value, but those that are the value of a parameter: their keys are free."""
    if isinstance(value, dict):
        yield value
        value = [item for name, item in value.items() if name != "defaultValue"]
    for item in value if isinstance(value, list) else ():
        yield from objects(item)


@pytest.mark.parametrize("part", PARTS)
def test_at_any_object_an_unknown_key_another_spelling_and_another_type_are_refused(part):
    pipeline = compiled().model_copy(deep=True)
    every = [*objects(pipeline.spec), *objects(pipeline.platform)]
    assert len(every) > 300
    for at in every[part]:
        at["strange"] = 1
        assert any("strange" in line for line in examine(pipeline, POLICY)), at
        del at["strange"]
        for name in list(at):
            value = at.pop(name)
            # A server reads secret_as_env like secretAsEnv.
            if (other := re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)) != name:
                at[other] = value
                assert examine(pipeline, POLICY), name
                del at[other]
            for wrong in ({"a": {}}, ["a"]):
                if type(wrong) is not type(value):
                    at[name] = copy.deepcopy(wrong)
                    assert examine(pipeline, POLICY), name
            at[name] = value
    assert examine(pipeline, POLICY) == []


BELOW = {
    "s3://models/jukebox": "s3://models/jukebox s3://models/jukebox/a",
    "s3://models/jukebox/": "s3://models/jukebox/a/{run_id}.json",
    "s3://": "s3://any/thing",
    "sample:": "sample:songs=9",
    "/mnt/jukebox": "/mnt/jukebox/a",
}
NOT_BELOW = {
    "s3://models/jukebox": "s3://models/jukebox-sealed s3://models s3://models/jukebox/../sealed"
    " s3://models/jukebox/%2e%2e/x s3://models/jukebox?endpoint=x s3://models/jukebox#x s3://models/jukebox\\..\\x",
    "s3://": "S3://any/thing",
    "/mnt/jukebox": "/mnt/jukebox/./a",
    "": "/etc",
}


def test_a_uri_is_below_a_place_or_it_is_not():
    for place, uris in BELOW.items():
        assert [uri for uri in uris.split() if not below(uri, [place])] == []
    for place, uris in NOT_BELOW.items():
        assert [uri for uri in uris.split() if below(uri, [place])] == []
    assert below("", [""])
    assert not below("s3://models/jukebox/a\n", ["s3://models/jukebox"])
    assert not below("anything", [])


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("colour", "red", "the pipeline has no such parameter"),
        ("hyperparameters", 7, "not a STRUCT"),
        ("hyperparameters", {"a": {"b": 1}}, "not a STRUCT"),
        ("dirty", "false", "not a BOOLEAN"),
        ("champion", 1, "not a STRING"),
        ("store_uri", "s3://sealed/x", "s3://sealed/x is not allowed; the policy allows s3://models"),
        ("evidence_uri", "s3://models", "s3://models is not allowed; the policy allows none"),
        (
            "table_uris",
            {"rows": "https://a:b@c/d?e=f"},
            "https://…@c/d?… is not allowed; the policy allows none",
        ),
    ],
)
def test_parameters_of_a_run_are_known_typed_and_point_where_they_may(name, value, line):
    policy = POLICY.model_copy(update={"uris": {"store_uri": ("s3://models",)}})
    hyper = {"seed": 7, "dropout": 0.5}
    good = {"store_uri": "s3://models/store", "hyperparameters": hyper, "dirty": False, "champion": ""}
    assert examine_parameters(compiled(), good, policy) == []
    assert examine_parameters(compiled(), {**good, name: value}, policy) == [f"parameter {name}: {line}"]


def test_quantities_are_what_kubernetes_takes_them_for():
    values = {"200m": 0.2, "2": 2, "1.5": 1.5, "1Ki": 1024, "4Gi": 4 * 2**30, "1M": 1e6}
    assert {text: amount(text) for text in values} == pytest.approx(values)


def test_a_policy_names_every_key_and_nothing_else(tmp_path):
    path = tmp_path / "admission.yaml"
    text = (Path(__file__).parents[3] / "ml/dspa/admission.yaml").read_text()
    path.write_text(text)
    assert read_admission(path) == POLICY
    wrong = {
        "cannot be used: claims: missing": re.sub("^claims:.*$", "", text, flags=re.MULTILINE),
        "cannot be used: colour: unknown key": f"{text}\ncolour: red\n",
        "is twice": f"{text}\nclaims: [models]\n",
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
        ("a: !!str 1\n", "a tag in line 1"),
        ("a: !!python/object/apply:os.system [x]\n", "a tag in line 1"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' is twice in the mapping in line 1"),
        ("a: {<<: {b: 1}}\n", "a key of the mapping in line 1 is not a string"),
        ("1: a\n", "a key of the mapping in line 1 is not a string"),
        ("a: 1\n---\nb: 2\n---\nc: 3\n", "it has 3 documents, not a specification and a platform"),
        ("a: 1\n", "1 documents"),
        (f"a: {'[' * 100}{']' * 100}\n", "more than 64 levels in line 1"),
        ("#" + "x" * (4 << 20), "more than 4 MB"),
        ("a: 2026-01-01\n---\nb: 1\n", "compile`$"),
        ("a: .nan\n---\nb: 1\n", "compile`$"),
    ],
    ids=lambda value: value[:12],
)
def test_yaml_that_no_compiler_writes_is_not_read(tmp_path, data, message):
    path = tmp_path / "pipeline.yaml"
    path.write_text(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_pipeline(path)
    assert "\n" not in str(caught.value)


def test_a_pipeline_that_is_truncated_in_its_platform_is_not_admitted(tmp_path):
    text = yaml.safe_dump_all([compiled().spec, compiled().platform])
    (tmp_path / "p.yaml").write_text(text[: text.rindex("\n        exec-gate:") + 1])
    pipeline = read_pipeline(tmp_path / "p.yaml", IMAGE)
    assert "executor exec-train: a timeout is missing" in examine(pipeline, POLICY)
