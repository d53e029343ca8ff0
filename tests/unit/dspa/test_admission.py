"""A compiled pipeline is admitted only if the policy names what it requests; each refusal is one line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from submissions import IMAGE, OTHER_IMAGE, pipeline
from tiers import PARTS

from ml.core.errors import UsageError
from ml.dspa.admission import below, examine, examine_parameters, require_admitted
from ml.dspa.admission_policy import amount, read_admission
from ml.dspa.compiled import Pipeline
from ml.dspa.failures import NotAdmitted

POLICY = read_admission(None)
ALLOWED = pipeline(store_secret="jukebox-store", ca_config_map="odh-trusted-ca-bundle")
"""The pipeline with all that the default policy allows."""

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


def changed(path: str, value: Any) -> Pipeline:
    """Return the pipeline with another value at a path; KeyError removes it."""
    other = ALLOWED.model_copy(deep=True)
    first, *rest = path.split()
    *above, name = [*PLACES.get(first, first).split(), *rest]
    at = other.platform if above[:1] == ["platforms"] else other.spec
    for key in above:
        at = at[key]
    if value is KeyError:
        del at[name]
    else:
        at[name] = value
    return other


def secrets(name: str) -> list[dict[str, Any]]:
    keys = [{"secretKey": "AWS_SECRET_ACCESS_KEY", "envVar": "KEY"}]
    return [{"secretName": name, "keyToEnv": keys}]


# fmt: off
UNKNOWN = {
    "train": "importer resolver customJob", "box": "lifecycle", "limits": "accelerator",
    "given": "hostPath securityContext privileged tolerations nodeAffinity podAffinity podMetadata "
    "fieldPathAsEnv genericEphemeralVolume emptyDirMounts enabledSharedMemory initContainers imagePullPolicy "
    "serviceAccountName secret_as_env",
    "task": "triggerPolicy artifactIterator parameterIterator iteratorPolicy",
    "component": "singlePlatformSpecs taskConfigPassthroughs", "root": "outputDefinitions",
    KUBERNETES: "pipelineConfig",
}
"""Fields that must stay unknown, by their places."""

MOST = "the most that the policy allows$"
NONE = "is not allowed; the policy allows none$"
SEALED = {"parameterType": "STRING", "defaultValue": "s3://sealed"}
BOUNDS = {
    "cpuLimit": {4.5: f"4.5 exceeds 4, {MOST}", 0.0: "is 0, which means no limit"},
    "memoryLimit": {8.6: f"8.6 exceeds 8Gi, {MOST}"},
    "cpuRequest": {64: "64.0 exceeds"}, "memoryRequest": {1e6: "1000000.0 exceeds"},
    "resourceCpuLimit": {"4001m": "exceeds", "0m": "is 0", "{{x}}": ": '{{x}}' is not a quantity"},
    "resourceCpuRequest": {"1k": "1k exceeds"}, "resourceMemoryRequest": {"1Ti": "1Ti exceeds"},
    "resourceMemoryLimit": {"9Gi": "9Gi exceeds", "1e30": ": '1e30' is not a"},
}
REFUSED = [
    *((f"{at} {name}", {}, f".*{name} is not allowed$") for at in UNKNOWN for name in UNKNOWN[at].split()),
    ("component dag", {}, "component comp-train: dag is not allowed$"),
    ("box env", [{"valueFrom": {}}], r"container\.env\.0\.valueFrom is not allowed$"),
    ("given secretAsEnv", [{"secretNameParameter": {}}], r"secretAsEnv\.0\.secretNameParameter is not"),
    ("given pvcMount", [{"taskOutputParameter": {}}], r"pvcMount\.0\.taskOutputParameter is not allowed$"),
    *((f"limits {name}", KeyError, f"container.resources.{name} is missing") for name in BOUNDS),
    *((f"limits {of}", value, f"{of}.*{BOUNDS[of][value]}") for of in BOUNDS for value in BOUNDS[of]),
    ("box image", OTHER_IMAGE, f"image {OTHER_IMAGE} is not allowed; the policy allows"),
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
    ("task retryPolicy", {"maxRetryCount": 4}, "task train: 4 retries; the policy allows 3"),
    ("task retryPolicy", {"maxRetryCount": -1}, "task train: retryPolicy.maxRetryCount: Input should be"),
    (f"{KUBERNETES} {TRAIN}-x", {"activeDeadlineSeconds": "1"}, "executor exec-train-x: not in the spec"),
    ("defaultPipelineRoot", "s3://x?y=z", rf"the pipeline: root s3://x\?… {NONE}"),
    ("pipelineInfo name", "../elsewhere", "the pipeline: pipelineInfo.name: String should match pattern"),
    ("schemaVersion", "2.0.0", "the pipeline: schemaVersion: Input should be '2.1.0'"),
    ("deploymentSpec", {}, "the pipeline: deploymentSpec.executors is missing"),
    ("known store_uri defaultValue", "gs://m", "parameter store_uri: gs://m is .*s3://, /mnt/jukebox"),
    ("known sealed_uri", SEALED, f"parameter sealed_uri: s3://sealed {NONE}"),
    ("known dirty", {"parameterType": "LIST"}, "parameter dirty: a pipeline parameter cannot be a LIST"),
    ("known dirty", {"parameterType": "TASK_CONFIG"}, "parameter dirty: parameterType: "),
    ("known hyperparameters defaultValue", {"a": {"b": 1}}, "parameter hyperparameters: defaultValue: "),
    ("known image defaultValue", OTHER_IMAGE, f"parameter image: its default is {OTHER_IMAGE}, not {IMAGE}"),
]
"""Changes: where, to what, and the line; that of an executor without its subject."""
# fmt: on


@pytest.mark.parametrize(("path", "value", "line"), REFUSED)
def test_a_pipeline_that_requests_more_is_refused_in_one_line(path, value, line):
    lines = examine(changed(path, value), POLICY)
    subject = "executor exec-train: " if path.split()[0] in ("limits", "box", "given") else ""
    assert re.match(f"{subject}{line}", lines[0]), lines
    assert all(one.startswith(subject) and "\n" not in one for one in lines)


def test_all_violations_are_listed_also_beside_an_unknown_field_and_the_image_is_the_callers():
    assert examine(ALLOWED, POLICY) == []
    require_admitted([], "it")
    few = POLICY.model_copy(update={"max_steps": 10})
    assert examine(ALLOWED, few) == ["the pipeline: 11 steps; the policy allows 10"]
    lines = examine(ALLOWED.model_copy(update={"image": OTHER_IMAGE}), POLICY)
    assert len(lines) == 11 + 1
    assert lines[0].endswith(f"image {IMAGE} is not allowed; the policy allows {OTHER_IMAGE}")
    other = changed("given securityContext", {"runAsUser": 0})
    other.executors["exec-gate"]["secretAsEnv"] = secrets("promotion")
    lines = examine(other, POLICY)
    assert lines == [
        "executor exec-train: securityContext is not allowed",
        "executor exec-gate: secret promotion is not allowed; the policy allows jukebox-store",
    ]
    with pytest.raises(NotAdmitted, match=r"^it is not admitted: executor exec-.*and 1 more\)$") as caught:
        require_admitted(lines, "it")
    assert caught.value.details == {"violations": lines}
    with pytest.raises(NotAdmitted, match=r"securityContext is not allowed$"):
        require_admitted(lines[:1], "it")


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
    other = changed(path, value)
    assert len(examine(other, POLICY)) == 1
    assert examine(other, POLICY.model_copy(update=allowed)) == []


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Walk all objects of a JSON value, but those that are the value of a parameter: their keys are free."""
    if isinstance(value, dict):
        yield value
        value = [item for name, item in value.items() if name != "defaultValue"]
    for item in value if isinstance(value, list) else ():
        yield from objects(item)


@pytest.mark.parametrize("part", PARTS)
def test_at_any_object_an_unknown_key_another_spelling_and_another_type_are_refused(part):
    other = ALLOWED.model_copy(deep=True)
    every = [*objects(other.spec), *objects(other.platform)]
    assert len(every) > 300
    for at in every[part]:
        for name in ["strange", *at]:
            kept, value = dict(at), at.get(name)
            # A server reads secret_as_env like secretAsEnv.
            spelled = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
            for key, one in [(name, {"a": {}}), (name, ["a"]), (spelled, value)]:
                if key != name or type(one) is not type(value):
                    at.pop(name, None)
                    at[key] = one
                    assert examine(other, POLICY), (name, key, one)
                    at.clear()
                    at.update(kept)
    assert examine(other, POLICY) == []


MODELS = "s3://models/jukebox"
# fmt: off
BELOW = {
    MODELS: f"{MODELS} {MODELS}/a", f"{MODELS}/": f"{MODELS}/a/{{run_id}}.json", "s3://": "s3://any/thing",
    "sample:": "sample:songs=9", "/mnt/jukebox": "/mnt/jukebox/a", "": "",
}
BESIDE = {
    MODELS: rf"{MODELS}-x s3://models {MODELS}/../x {MODELS}/%2e%2e/x {MODELS}?e=x {MODELS}#x {MODELS}\..\x",
    "s3://": "S3://any/thing", "/mnt/jukebox": "/mnt/jukebox/./a /mnt/jukebox2", "": "/etc",
}
# fmt: on


def test_a_uri_is_below_a_place_or_it_is_not():
    assert [uri for place, uris in BELOW.items() for uri in uris.split(" ") if not below(uri, [place])] == []
    assert [uri for place, uris in BESIDE.items() for uri in uris.split() if below(uri, [place])] == []
    assert not below(f"{MODELS}/a\n", [MODELS])
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
        ("table_uris", {"a": "s3://u:p@c/d?e=f"}, "s3://…@c/d?… is not allowed; the policy allows none"),
    ],
)
def test_parameters_of_a_run_are_known_typed_and_point_where_they_may(name, value, line):
    policy = POLICY.model_copy(update={"uris": {"store_uri": ("s3://models",)}})
    hyper = {"seed": 7, "dropout": 0.5}
    good = {"store_uri": "s3://models/store", "hyperparameters": hyper, "dirty": False, "champion": ""}
    assert examine_parameters(ALLOWED, good, policy) == []
    assert examine_parameters(ALLOWED, {**good, name: value}, policy) == [f"parameter {name}: {line}"]


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
    }
    for message, content in wrong.items():
        path.write_text(content)
        with pytest.raises(UsageError, match=message) as caught:
            read_admission(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_admission(tmp_path / "none.yaml")
