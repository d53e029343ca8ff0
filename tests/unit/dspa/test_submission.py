"""What is submitted is derived from its inputs: its name, its nonce, and every parameter."""

import re
from typing import Any

import pytest
import yaml
from reports import POLICY, STRICT
from submissions import IMAGE, OTHER_IMAGE, compiled, pipeline

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.dspa.names import key_in, same_run
from ml.dspa.submission import Submission, make_submission, subject_of
from ml.dspa.typed import typed
from ml.gate.evidence import Subject

TABLES = {"rankings": "sample:", "songs": "sample:"}
DECIDED = {
    **{"problem": "songs", "table_uris": TABLES, "snapshot_uri": "", "store_uri": "s3://models/store"},
    **{"commit": "01b945fae5ea18936b79d1d1ec0dd341b22d6aac", "dirty": False, "policy": POLICY},
    **{"model_name": "jukebox", "model_version": "1", "data_version": "59ddef4777eb0125", "champion": ""},
}
OTHERS = {
    **dict.fromkeys(
        ("problem", "commit", "model_name", "model_version", "data_version", "champion"), "another"
    ),
    **{"table_uris": {**TABLES, "songs": "s3://charts/x"}, "snapshot_uri": "s3://snapshots/x"},
    **{"store_uri": "s3://models/another", "dirty": True, "policy": STRICT},
}
CHOSEN = {"epochs": "5", "learning_rate": "1e-2", "dropout": "0.25", "seed": "11"}
CLAIM = {"store_pvc": "models"}


def made(
    chosen=None, *, of=None, experiment="jukebox", attempt="uid-1", evidence="s3://evidence", **decided
) -> Submission:
    """Make a submission with other values than usual."""
    given = {**DECIDED, **decided}
    policy = given.pop("policy")
    return make_submission(of or pipeline(), experiment, attempt, evidence, given, chosen or {}, policy)


def refused(message: str, chosen=None, **options) -> str:
    """Check that nothing is made of it, and return the line that says why."""
    with pytest.raises(UsageError, match=message) as caught:
        made(chosen, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def place(flag: str, uri: str) -> dict[str, Any]:
    if flag == "--data rankings":
        return {"table_uris": {**TABLES, "rankings": uri}}
    return {"evidence": uri} if flag == "--evidence" else {f"{flag.removeprefix('--')}_uri": uri}


def nonce(submission: Submission) -> str:
    return submission.parameters["nonce"]


def test_name_and_nonce_depend_on_attempt_image_and_pipeline():
    assert made(CHOSEN) == made(dict(reversed(CHOSEN.items())))
    comment = pipeline().model_copy(update={"digest": digest(compiled() + b"# another\n")})
    others = [made(), made(attempt="uid-2"), made(of=comment), made(of=pipeline(OTHER_IMAGE))]
    assert len({nonce(one) for one in others}) == len(others)
    assert re.fullmatch("[0-9a-f]{32}", nonce(made()))
    others.append(made(of=pipeline().model_copy(update={"image": OTHER_IMAGE})))
    assert len({one.name for one in others}) == len(others)


@pytest.mark.parametrize("name", [*OTHERS, *CHOSEN])
def test_the_nonce_depends_on_every_parameter_and_the_name_on_commit_and_data_only(name):
    other = made(**{name: OTHERS[name]}) if name in OTHERS else made({name: CHOSEN[name]})
    assert nonce(other) != nonce(made())
    assert same_run(other.name, made().name) == (name not in ("commit", "data_version"))


def test_all_names_of_an_attempt_have_its_key_and_those_of_another_do_not():
    assert key_in(made().name) == made().key == made(commit="0" * 40, of=pipeline(OTHER_IMAGE)).key
    assert made().key != made(attempt="uid-2").key
    for name in ("somebody's run", f"{'a' * 12}-{'b' * 19}", f"x{'a' * 12}-{'b' * 20}", ""):
        assert (key_in(name), same_run(name, name)) == ("", False)


CAUSES = {"": "", "push to main": "push to main ", "100 % + more": "100 ? ? more ", "да 💿\n": "?? ?? "}


@pytest.mark.parametrize(("cause", "shown"), [*CAUSES.items(), ("x" * 500, "x")])
@pytest.mark.parametrize("attempt", ["a", "a+b%2B c/d\\", "💿"])
def test_a_name_has_model_commit_and_cause_in_what_a_server_accepts(cause, shown, attempt):
    named = made(attempt=attempt).model_copy(update={"cause": cause})
    assert same_run(named.name, made(attempt=attempt).name)
    assert named.name.startswith(f"jukebox {named.parameters['commit'][:8]} {shown}")
    assert re.fullmatch(r"[ -~]*[0-9a-f]{12}-[0-9a-f]{20}", named.name)
    assert len(named.name) == 128 if len(cause) > 128 else len(named.name) < 128


def test_every_parameter_has_the_type_that_the_pipeline_declares():
    parameters = made(CHOSEN).parameters
    chosen = {name: parameters["hyperparameters"][name] for name in CHOSEN}
    assert repr(chosen) == "{'epochs': 5, 'learning_rate': 0.01, 'dropout': 0.25, 'seed': 11}"
    assert parameters["image"] == IMAGE
    assert set(parameters) == set(pipeline().parameters)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("epochs", ["five", "", "5.0", "true", "9" * 5000, str(2**53 + 1)], "epochs=.*: not a whole number"),
        ("learning_rate", ["fast", "", "nan", "-inf", "1e999", "0,5"], "learning_rate=.*: not a number"),
        *((name, ["1"], "no such .*; it has batch_size, dropout") for name in ("", "Epochs", "run_id")),
    ],
)
def test_a_hyperparameter_that_is_unknown_or_of_another_type_is_refused(name, values, message):
    for value in values:
        refused(message, {name: value})
    assert made({"epochs": str(2**53)}).parameters["hyperparameters"]["epochs"] == 2**53


def test_a_pipeline_with_other_parameters_than_ours_is_refused_with_what_differs():
    def of(**more):
        parameters = {name: kind for name, kind in {**pipeline().parameters, **more}.items() if kind}
        root = {**pipeline().spec["root"], "inputDefinitions": {"parameters": parameters}}
        return pipeline().model_copy(update={"spec": {**pipeline().spec, "root": root}})

    refused("does not know champion", of=of(champion=None))
    refused("needs colour", of=of(colour={"parameterType": "STRING"}))
    for harmless in ({"defaultValue": "red"}, {"isOptional": True}):
        assert made(of=of(colour={"parameterType": "STRING", **harmless})).parameters == made().parameters
    loud = of(hyperparameters={"parameterType": "STRUCT", "defaultValue": {"loud": False, "of": "x"}})
    chosen = made({"loud": "true", "of": "y"}, of=loud).parameters["hyperparameters"]
    assert chosen == {"loud": True, "of": "y"}
    refused("--param loud=yes: not true or false", {"loud": "yes"}, of=loud)


def test_places_of_evidence_and_data():
    for prefix in ("s3://evidence/of/ci", "s3://evidence/of/ci/"):
        one = made(evidence=prefix)
        assert one.parameters["evidence_uri"] == f"s3://evidence/of/ci/{nonce(one)}/{{run_id}}.json"
    uri = "s3://snapshots/0123456789abcdef"
    assert made(snapshot_uri=uri, table_uris={}).parameters["snapshot_uri"] == uri
    refused("--snapshot /tmp/here is on this machine", snapshot_uri="/tmp/here", table_uris={})
    for uri in "/mnt/jukebox /mnt/jukebox/a/./b file:///mnt/jukebox/store /mnt/jukebox/..a".split():
        assert made(of=pipeline(**CLAIM), store_uri=uri, evidence=uri).parameters["store_uri"] == uri


@pytest.mark.parametrize("flag", ["--evidence", "--store", "--data rankings"])
def test_a_folder_of_this_machine_or_beside_the_claim_is_refused(flag):
    for uri in ("/tmp/here", "here", "", "file:///tmp/here", "/mnt/jukebox"):
        assert "--store-pvc" in refused(f"{flag} .*is on this machine", **place(flag, uri))
    for uri in (
        *("", *"/tmp/here mnt/jukebox/store / /mnt/jukebox2/store /mnt/jukebox/../etc".split()),
        *"/mnt/jukebox/store/.. file:///tmp file:/tmp file:///mnt/jukebox/../../etc file://mnt/jukebox".split(),
        *"//mnt/jukebox FILE:///tmp /mnt/jukebox;x /mnt/jukebox?x /mnt/jukebox#x".split(),
    ):
        refused(f"{flag} .*below /mnt/jukebox", of=pipeline(**CLAIM), **place(flag, uri))


@pytest.mark.parametrize("flag", ["--evidence", "--store"])
def test_a_place_must_be_writable_short_and_without_a_password(flag):
    for uri in ("https://bucket/prefix", "gs://bucket/prefix", "sample:", "C:\\store", "s3:prefix"):
        refused(f"{flag} .*: not writable", **place(flag, uri))
    refused(f"{flag}: not a URI", **place(flag, "s3://[x/prefix"))
    assert "s3cr3t" not in refused(f"{flag}: a password", **place(flag, "s3://key:s3cr3t@bucket/prefix"))
    longest = "s3://bucket/".ljust(800, "x")
    made(**place(flag, longest))
    refused(f"{flag}: more than 800 bytes", **place(flag, f"{longest}x"))


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("attempt", ["", " ", "a\nb", "\x1b[31m", "x" * 201, "\udcff"], "--attempt .*: give 1 to 200 print"),
        ("experiment", ["", " ", "a+b", "100%", "a\nb"], "--experiment.*: .*which the DSPA cannot look up"),
        ("experiment", ["x" * 129], "--experiment: 129 characters; a DSPA accepts at most 128"),
        ("model_name", ["a/b", "Jukebox", "", "a" * 64, "-a", "a\n"], "--model-name .*: use lower-case"),
    ],
)
def test_a_name_that_a_server_refuses_later_is_refused(option, values, message):
    for value in values:
        refused(message, **{option: value})
    made(attempt="x" * 200, experiment="x" * 128)


def test_the_body_is_what_the_server_expects():
    submission = made(CHOSEN)
    spec, platform = yaml.safe_load_all(compiled())
    assert submission.body("17") == {
        "display_name": submission.name,
        "description": "jukebox submit, attempt uid-1",
        "experiment_id": "17",
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        "runtime_config": {"parameters": submission.parameters},
    }
    bare = submission.model_copy(update={"pipeline": pipeline().model_copy(update={"platform": {}})})
    assert bare.body("17")["pipeline_spec"] == spec
    started = submission.model_copy(update={"pipeline_run": "jukebox/train-1", "cause": "a push"})
    assert started.body("17")["description"].endswith("uid-1, PipelineRun jukebox/train-1: a push")


def test_the_evidence_must_have_every_field_of_its_subject():
    parameters = made().parameters
    fields = {name: parameters[name] for name in Subject.model_fields if name != "run_id"}
    # The run's own record does not say which run it is.
    assert subject_of("17", {**parameters, "run_id": "18"}) == {**fields, "run_id": "17"}
    for name in [*fields, "store_uri", "evidence_uri"]:
        rest = {key: value for key, value in parameters.items() if key != name}
        with pytest.raises(EvidenceError, match=f"it has no {name}$"):
            subject_of("17", rest)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_truth_value_is_typed_as_a_word(text, value):
    assert typed({"shuffle": text}, {"shuffle": not value}) == {"shuffle": value}
    with pytest.raises(UsageError, match="true or false"):
        typed({"shuffle": f"{text}x"}, {"shuffle": True})
