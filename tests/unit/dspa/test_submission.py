"""What is submitted is derived from its inputs: its name, its nonce, and every parameter."""

import re
from typing import Any

import pytest
import yaml
from reports import POLICY, STRICT
from submissions import IMAGE, OTHER_IMAGE, compiled, pipeline

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.dspa.compiled import read_pipeline
from ml.dspa.names import key_in, same_run
from ml.dspa.submission import Submission, make_submission, subject_of
from ml.gate.evidence import Subject

DECIDED = {
    "problem": "songs",
    "table_uris": {"rankings": "sample:", "songs": "sample:"},
    "snapshot_uri": "",
    "store_uri": "s3://models/store",
    "commit": "01b945fae5ea18936b79d1d1ec0dd341b22d6aac",
    "dirty": False,
    "policy": POLICY,
    "model_name": "jukebox",
    "model_version": "1",
    "data_version": "59ddef4777eb0125",
    "champion": "",
}
OTHERS = {
    "problem": "another",
    "table_uris": {"rankings": "s3://charts/rankings.parquet", "songs": "s3://charts/songs.parquet"},
    "snapshot_uri": "s3://snapshots/0123456789abcdef",
    "store_uri": "s3://models/another",
    "commit": "0" * 40,
    "dirty": True,
    "policy": STRICT,
    "model_name": "another",
    "model_version": "2",
    "data_version": "0000000000000000",
    "champion": "c" * 64,
}
CHOSEN = {
    "epochs": "5",
    "patience": "3",
    "batch_size": "64",
    "learning_rate": "1e-2",
    "hidden_layers": "2",
    "hidden_units": "32",
    "dropout": "0.25",
    "seed": "11",
}
FLAGS = ("--evidence", "--store", "--data rankings")


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
    assert ("\n" in str(caught.value), caught.value.exit_code) == (False, 2)
    return str(caught.value)


def place(flag: str, uri: str) -> dict[str, Any]:
    if flag == "--data rankings":
        return {"table_uris": {"rankings": uri, "songs": "sample:"}}
    names = {"--evidence": "evidence"}
    return {names.get(flag, f"{flag.removeprefix('--')}_uri"): uri}


def nonce(submission: Submission) -> str:
    return submission.parameters["nonce"]


# Name and nonce.


def test_the_same_inputs_give_the_same_submission():
    assert made(CHOSEN) == made(dict(reversed(CHOSEN.items())))
    assert made() == made()


def test_name_and_nonce_depend_on_attempt_image_and_pipeline():
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
    assert made(experiment="another", evidence="s3://elsewhere/x").name == made().name


def test_all_names_of_an_attempt_have_its_key_and_those_of_another_do_not():
    assert key_in(made().name) == made().key == made(commit="0" * 40, of=pipeline(OTHER_IMAGE)).key
    assert made().key != made(attempt="uid-2").key
    for name in ("somebody's run", f"{'a' * 12}-{'b' * 19}", f"x{'a' * 12}-{'b' * 20}", ""):
        assert (key_in(name), same_run(name, name)) == ("", False)


@pytest.mark.parametrize(
    ("cause", "shown"),
    [("", ""), ("push to main", "push to main "), ("100 % + more", ""), ("данные 💿\n", ""), ("x" * 500, "")],
)
def test_a_name_has_model_commit_and_cause_in_what_a_server_accepts(cause, shown):
    named = made().model_copy(update={"cause": cause})
    assert same_run(named.name, made().name)
    assert named.name.startswith(f"jukebox {named.parameters['commit'][:8]} {shown}")
    assert len(named.name) <= 128
    assert named.name.isascii() and named.name.isprintable() and not set("+%") & set(named.name)


@pytest.mark.parametrize("attempt", ["a", "a+b%2B c/d\\", "'\"{}", "ключ", "💿", "x" * 200, " padded "])
def test_a_name_can_be_looked_up_whatever_the_attempt_is(attempt):
    assert re.fullmatch("jukebox [0-9a-f]{8} [0-9a-f]{12}-[0-9a-f]{20}", made(attempt=attempt).name)


@pytest.mark.parametrize("prefix", ["s3://evidence/of/ci", "s3://evidence/of/ci/"])
def test_each_nonce_and_run_has_its_own_evidence(prefix):
    one = made(evidence=prefix)
    assert one.parameters["evidence_uri"] == f"s3://evidence/of/ci/{nonce(one)}/{{run_id}}.json"


# Parameters.


def test_every_parameter_has_the_type_that_the_pipeline_declares():
    parameters = made(CHOSEN).parameters
    values = {name: float(text) for name, text in CHOSEN.items()}
    hyper = parameters["hyperparameters"]
    assert {name: hyper[name] for name in CHOSEN} == values
    floats = {name for name in CHOSEN if type(hyper[name]) is not int}
    assert floats == {"learning_rate", "dropout"}
    assert parameters["image"] == IMAGE
    assert set(parameters) == set(pipeline().parameters)


@pytest.mark.parametrize("name", ["colour", "", "Epochs", "epochs ", "run_id"])
def test_a_parameter_that_the_pipeline_does_not_have_is_refused(name):
    assert "it has batch_size, dropout, epochs" in refused("no such hyperparameter", {name: "1"})


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("epochs", "a whole number", ["five", "", "5.5", "5.0", "1e3", "0x10", "true", "9" * 5000]),
        ("seed", "a whole number", [str(2**53 + 1)]),
        ("learning_rate", "a number", ["fast", "", "nan", "NaN", "inf", "-inf", "1e999"]),
        ("dropout", "a number", ["0,5"]),
    ],
)
def test_a_value_of_another_type_is_refused(name, kind, values):
    for value in values:
        refused(f"--param {name}=.*: not {kind}", {name: value})


def with_parameters(**more):
    """Return the pipeline with other parameters; None removes one."""
    every = {**pipeline().parameters, **more}
    parameters = {name: kind for name, kind in every.items() if kind is not None}
    root = {**pipeline().spec["root"], "inputDefinitions": {"parameters": parameters}}
    return pipeline().model_copy(update={"spec": {**pipeline().spec, "root": root}})


def test_a_pipeline_with_other_parameters_than_ours_is_refused_with_what_differs():
    refused("does not know champion", of=with_parameters(champion=None))
    refused("needs colour", of=with_parameters(colour={"parameterType": "STRING"}))
    harmless = with_parameters(colour={"parameterType": "STRING", "defaultValue": "red"})
    assert made(of=harmless).parameters == made().parameters
    loud = with_parameters(
        hyperparameters={"parameterType": "STRUCT", "defaultValue": {"loud": False, "of": "x"}}
    )
    assert made({"loud": "true", "of": "y"}, of=loud).parameters["hyperparameters"] == {
        "loud": True,
        "of": "y",
    }
    refused("--param loud=yes: not true or false", {"loud": "yes"}, of=loud)


# Places.


def test_a_snapshot_replaces_both_tables():
    tables = {"table_uris": {}}
    uri = "s3://snapshots/0123456789abcdef"
    assert made(snapshot_uri=uri, **tables).parameters["snapshot_uri"] == uri
    refused("--snapshot /tmp/here is on this machine", snapshot_uri="/tmp/here", **tables)
    refused("--snapshot: a password in the URI", snapshot_uri="s3://ada:hunter2@snapshots/x", **tables)


@pytest.mark.parametrize("flag", FLAGS)
def test_a_folder_of_this_machine_or_beside_the_claim_is_refused(flag):
    for uri in ("/tmp/here", "here", ".", "", "file:///tmp/here", "./sample:", "/mnt/jukebox"):
        assert "--store-pvc" in refused(f"{flag} .*is on this machine", **place(flag, uri))
    for uri in (
        *("", *"/tmp/here mnt/jukebox/store /mnt / /mnt/jukebox2/store /mnt/jukeboxes".split()),
        *"/mnt/jukebox/../etc /mnt/jukebox/store/.. /mnt/jukebox/store/../../../etc".split(),
        *"/tmp/../mnt/jukebox file:///tmp file:/tmp file:///mnt/jukebox/../../etc file://mnt/jukebox".split(),
        *"//mnt/jukebox FILE:///tmp /mnt/jukebox;x /mnt/jukebox?x /mnt/jukebox#x".split(),
    ):
        refused(f"{flag} .*below /mnt/jukebox", of=pipeline(claim="models"), **place(flag, uri))


@pytest.mark.parametrize(
    "uri",
    "/mnt/jukebox /mnt/jukebox/store /mnt/jukebox/a/./b file:///mnt/jukebox/store /mnt/jukebox/..a".split(),
)
def test_a_folder_on_the_claim_is_accepted(uri):
    assert made(of=pipeline(claim="models"), store_uri=uri, evidence=uri).parameters["store_uri"] == uri


@pytest.mark.parametrize("flag", ["--evidence", "--store"])
def test_a_place_must_be_writable_short_and_without_a_password(flag):
    for uri in "https://bucket/prefix gs://bucket/prefix sample: C:\\store s3://[x/prefix s3:prefix".split():
        refused(flag, **place(flag, uri))
    assert "s3cr3t" not in refused(flag, **place(flag, "s3://key:s3cr3t@bucket/prefix"))
    longest = "s3://bucket/".ljust(800, "x")
    made(**place(flag, longest))
    refused(f"{flag}: more than 800 bytes", **place(flag, f"{longest}x"))


# Names.


@pytest.mark.parametrize("attempt", ["", " ", "\t", "a\nb", "a\0b", "\x1b[31m", "x" * 201, "\udcff"])
def test_an_attempt_that_is_no_key_is_refused(attempt):
    refused("--attempt .*: give 1 to 200 printable characters", attempt=attempt)


@pytest.mark.parametrize("experiment", ["", " ", "a+b", "100%", "%2B", "a\nb", "\udcff", "x" * 129])
def test_an_experiment_that_cannot_be_looked_up_is_refused(experiment):
    made(experiment="x" * 128)
    long = len(experiment) > 128
    why = "129 characters; a DSPA accepts at most 128" if long else ".*which the DSPA cannot look up"
    refused(f"--experiment.*: {why}", experiment=experiment)


@pytest.mark.parametrize("name", ["team/jukebox", "Jukebox", "", "a" * 64, "-a", "a b", "a\n"])
def test_a_model_name_that_cannot_be_served_is_refused(name):
    refused("--model-name .*: use lower-case letters", model_name=name)


# Body and subject.


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


def test_the_evidence_must_have_every_field_of_its_subject():
    parameters = made().parameters
    fields = {name: parameters[name] for name in Subject.model_fields if name != "run_id"}
    # The run's own record does not say which run it is.
    assert subject_of("17", {**parameters, "run_id": "18"}) == {**fields, "run_id": "17"}
    for name in [*fields, "store_uri", "evidence_uri"]:
        rest = {key: value for key, value in parameters.items() if key != name}
        with pytest.raises(EvidenceError, match=f"it has no {name}$"):
            subject_of("17", rest)


# Reading a compiled pipeline.


def unread(tmp_path, data: bytes, message: str = "is not a pipeline compiled by `jukebox compile`") -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_pipeline(path)
    assert ("\n" in str(caught.value), str(path) in str(caught.value)) == (False, True)


def test_a_pipeline_as_it_is_compiled_is_read():
    assert (pipeline().digest, pipeline().image, len(pipeline().tasks)) == (digest(compiled()), IMAGE, 11)
    assert (pipeline().mounts_store, pipeline(claim="models").mounts_store) == (False, True)


IMAGE_PARAMETER = "root: {inputDefinitions: {parameters: {image: %s}}}"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "\n---\n",
            "hello",
            "[1, 2]",
            "{}",
            "a: [",
            "\x00\x01",
            "root: {}",
            "PK\x03\x04",
            "&a [*a]",
            "[" * 500,
        ),
        *(IMAGE_PARAMETER % value for value in ("", "{defaultValue: 7}")),
        "root: !!python/object/apply:os.system ['true']",
    ],
)
def test_a_file_that_is_no_compiled_pipeline_is_refused(tmp_path, text):
    unread(tmp_path, text.encode())


def test_a_pipeline_with_another_root_or_platform_is_refused(tmp_path):
    unread(tmp_path, b"\xff\xfe\xff")
    spec, platform = yaml.safe_load_all(compiled())
    for root in (None, [], "text", 7, {}):
        unread(tmp_path, yaml.safe_dump_all([{**spec, "root": root}, platform]).encode())
    for other in (b"null", b"[]", b"text", b"7"):
        unread(tmp_path, compiled().partition(b"\n---\n")[0] + b"\n---\n" + other + b"\n")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=f"cannot read .*: {reason}"):
            read_pipeline(path)


@pytest.mark.parametrize(
    "image",
    [
        *("localhost/jukebox:latest", "localhost/jukebox", '""', f"a b@sha256:{'0' * 64}"),
        *(f"localhost/jukebox@sha256:{end}" for end in ("0" * 63, "0" * 65, "A" * 64)),
        f"localhost/jukebox@md5:{'0' * 64}",
    ],
)
def test_an_image_without_a_digest_is_refused(tmp_path, image):
    unread(tmp_path, compiled().replace(IMAGE.encode(), image.encode()), "without a digest: compile it")
    (tmp_path / "pipeline.yaml").write_bytes(compiled())
    with pytest.raises(UsageError, match="name the image by its digest"):
        read_pipeline(tmp_path / "pipeline.yaml", image)


def test_a_pipeline_for_this_machine_only_is_refused(tmp_path):
    unread(tmp_path, compiled(image=None), "names the image localhost/jukebox-python:local without a digest")


def test_a_pipeline_that_is_truncated_in_its_specification_is_refused(tmp_path):
    whole, path = compiled(), tmp_path / "pipeline.yaml"
    end = whole.index(b"schemaVersion:")
    for cut in range(0, end, end // 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError):
            made(of=read_pipeline(path))
    path.write_bytes(whole[:-1])
    with pytest.raises(UsageError, match="the file is truncated"):
        read_pipeline(path)
