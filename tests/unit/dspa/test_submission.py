"""What is submitted follows from what the run is about: its name, its nonce, and every parameter."""

import re

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
    "rankings_uri": "sample:",
    "songs_uri": "sample:",
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
    "rankings_uri": "s3://charts/rankings.parquet",
    "songs_uri": "s3://charts/songs.parquet",
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
NAMED = {"commit", "data_version"}
"""The parameters that the name depends on."""


def made(
    chosen=None, *, of=None, experiment="jukebox", attempt="uid-1", evidence="s3://evidence", **decided
) -> Submission:
    """Make a submission like any other, but for what is given."""
    given = {**DECIDED, **decided}
    policy = given.pop("policy")
    return make_submission(of or pipeline(), experiment, attempt, evidence, given, chosen or {}, policy)


def refused(message: str, chosen=None, **options) -> str:
    """Check that nothing is made of it, and that one line says why."""
    with pytest.raises(UsageError, match=message) as caught:
        made(chosen, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def nonce(submission: Submission) -> str:
    return submission.parameters["nonce"]


def test_the_same_things_give_the_same_submission():
    assert made(CHOSEN) == made(dict(reversed(CHOSEN.items())))
    assert made() == made()


@pytest.mark.parametrize("name", OTHERS)
def test_the_name_depends_on_commit_and_data_and_on_no_other_parameter(name):
    assert same_run(made(**{name: OTHERS[name]}).name, made().name) == (name not in NAMED)


@pytest.mark.parametrize("name", CHOSEN)
def test_the_name_does_not_depend_on_hyperparameters(name):
    assert made({name: CHOSEN[name]}).name == made().name


def test_the_name_depends_on_attempt_image_and_pipeline():
    comment = pipeline().model_copy(update={"digest": digest(compiled() + b"# another\n")})
    rebuilt = pipeline().model_copy(update={"image": OTHER_IMAGE})
    others = [
        made(),
        made(attempt="uid-2"),
        made(of=comment),
        made(of=rebuilt),
        made(of=pipeline(OTHER_IMAGE)),
    ]
    assert len({one.name for one in others}) == len(others)


def test_the_name_depends_neither_on_the_experiment_nor_on_the_evidence():
    assert made(experiment="another", evidence="s3://elsewhere/x").name == made().name


def test_all_names_of_an_attempt_have_its_key_and_those_of_another_do_not():
    assert made().key == made(commit="0" * 40, of=pipeline(OTHER_IMAGE)).key
    assert made().key != made(attempt="uid-2").key
    assert key_in(made().name) == made().key


CAUSES = ["", "push to main", "100 % + more", "данные 💿\n", "x" * 500]


@pytest.mark.parametrize("cause", CAUSES)
def test_a_name_says_model_commit_and_cause_in_what_a_server_takes(cause):
    named = made().model_copy(update={"cause": cause})
    assert same_run(named.name, made().name)
    assert named.name.startswith(
        f"jukebox {made().parameters['commit'][:8]} {'push to main ' if cause == CAUSES[1] else ''}"
    )
    assert len(named.name) <= 128
    assert named.name.isascii()
    assert named.name.isprintable()
    assert not set("+%") & set(named.name)


@pytest.mark.parametrize("name", ["somebody's run", f"{'a' * 12}-{'b' * 19}", f"x{'a' * 12}-{'b' * 20}", ""])
def test_a_name_of_others_has_no_key(name):
    assert key_in(name) == ""
    assert not same_run(name, name)


@pytest.mark.parametrize("attempt", ["a", "a+b%2B c/d\\", "'\"{}", "ключ", "💿", "x" * 200, " padded "])
def test_a_name_can_be_looked_up_whatever_the_attempt_is(attempt):
    name = made(attempt=attempt).name
    assert re.fullmatch("jukebox [0-9a-f]{8} [0-9a-f]{12}-[0-9a-f]{20}", name)


@pytest.mark.parametrize("name", OTHERS)
def test_the_nonce_depends_on_every_parameter(name):
    assert nonce(made(**{name: OTHERS[name]})) != nonce(made())


@pytest.mark.parametrize("name", CHOSEN)
def test_the_nonce_depends_on_every_hyperparameter(name):
    assert nonce(made({name: CHOSEN[name]})) != nonce(made())


def test_the_nonce_depends_on_attempt_image_and_pipeline():
    comment = pipeline().model_copy(update={"digest": digest(compiled() + b"# another\n")})
    others = [made(), made(attempt="uid-2"), made(of=comment), made(of=pipeline(OTHER_IMAGE))]
    assert len({nonce(one) for one in others}) == len(others)
    assert re.fullmatch("[0-9a-f]{32}", nonce(made()))


def test_the_evidence_lies_at_a_place_of_its_own_for_every_nonce_and_run():
    for prefix in ("s3://evidence/of/ci", "s3://evidence/of/ci/"):
        made_so = made(evidence=prefix)
        where = made_so.parameters["evidence_uri"]
        assert where == f"s3://evidence/of/ci/{nonce(made_so)}/{{run_id}}.json"


def test_every_parameter_is_typed_as_the_pipeline_wants_it():
    parameters = made(CHOSEN).parameters
    assert {name: parameters[name] for name in CHOSEN} == {
        "epochs": 5,
        "patience": 3,
        "batch_size": 64,
        "learning_rate": 0.01,
        "hidden_layers": 2,
        "hidden_units": 32,
        "dropout": 0.25,
        "seed": 11,
    }
    assert all(type(parameters[name]) is int for name in CHOSEN if name not in ("learning_rate", "dropout"))
    assert parameters["image"] == IMAGE
    assert set(parameters) == set(pipeline().parameters)


@pytest.mark.parametrize("name", ["colour", "", "Epochs", "epochs ", "run_id"])
def test_a_parameter_that_the_pipeline_does_not_have_is_refused(name):
    assert "it has batch_size, dropout, epochs" in refused("no such parameter", {name: "1"})


@pytest.mark.parametrize("name", [*OTHERS, "image", "nonce", "evidence_uri"])
def test_a_parameter_that_jukebox_decides_is_refused(name):
    refused(f"--param {name}: `jukebox submit` sets it", {name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "five"),
        ("epochs", ""),
        ("epochs", "5.5"),
        ("epochs", "5.0"),
        ("epochs", "1e3"),
        ("epochs", "0x10"),
        ("epochs", "true"),
        ("epochs", "9" * 5000),
        ("learning_rate", "fast"),
        ("learning_rate", ""),
        ("learning_rate", "nan"),
        ("learning_rate", "NaN"),
        ("learning_rate", "inf"),
        ("learning_rate", "-inf"),
        ("learning_rate", "1e999"),
        ("dropout", "0,5"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    kind = "NUMBER_INTEGER" if name == "epochs" else "NUMBER_DOUBLE"
    refused(f"--param {name}=.*: not a {kind}", {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "0"),
        ("epochs", "-1"),
        ("patience", "0"),
        ("batch_size", "0"),
        ("hidden_layers", "0"),
        ("hidden_units", "0"),
        ("seed", "-1"),
        ("learning_rate", "0"),
        ("learning_rate", "-0.1"),
        ("dropout", "1"),
        ("dropout", "-0.1"),
    ],
)
def test_a_value_out_of_range_is_refused_before_anything_runs(name, value):
    refused(f"--param {name}: Input should be", {name: value})


def test_a_whole_number_that_the_wire_cannot_carry_is_refused():
    refused("--param seed", {"seed": str(2**53 + 1)})


def test_a_snapshot_stands_in_for_both_tables():
    tables = {"rankings_uri": "", "songs_uri": ""}
    made_so = made(snapshot_uri="s3://snapshots/0123456789abcdef", **tables)
    assert made_so.parameters["snapshot_uri"] == "s3://snapshots/0123456789abcdef"
    refused("--snapshot /tmp/here is on this machine", snapshot_uri="/tmp/here", **tables)
    refused("--snapshot: a password in the URI", snapshot_uri="s3://ada:hunter2@snapshots/x", **tables)


@pytest.mark.parametrize("flag", ["--evidence", "--store", "--rankings", "--songs"])
@pytest.mark.parametrize(
    "uri", ["/tmp/here", "here", ".", "", "file:///tmp/here", "./sample:", "/mnt/jukebox"]
)
def test_a_folder_of_this_machine_is_refused_where_the_steps_do_not_see_it(flag, uri):
    message = refused(f"{flag} .*is on this machine", **place(flag, uri))
    assert "--store-pvc" in message


@pytest.mark.parametrize("flag", ["--evidence", "--store", "--rankings", "--songs"])
@pytest.mark.parametrize(
    "uri",
    [
        "/tmp/here",
        "mnt/jukebox/store",
        "/mnt",
        "/",
        "",
        "/mnt/jukebox2/store",
        "/mnt/jukeboxes",
        "/mnt/jukebox/../etc",
        "/mnt/jukebox/store/..",
        "/mnt/jukebox/store/../../../etc",
        "/tmp/../mnt/jukebox",
        "file:///tmp",
        "file:///mnt/jukebox/../../etc",
        "file:/tmp",
        "file://mnt/jukebox",
        "//mnt/jukebox",
        "FILE:///tmp",
    ],
)
def test_a_folder_outside_of_the_claim_is_refused(flag, uri):
    refused(f"{flag} .*below /mnt/jukebox", of=pipeline(claim="models"), **place(flag, uri))


@pytest.mark.parametrize("uri", ["/mnt/jukebox;x", "/mnt/jukebox?x", "/mnt/jukebox#x"])
def test_a_folder_beside_the_claim_whose_name_begins_like_it_is_refused(uri):
    refused("--store .*below /mnt/jukebox", of=pipeline(claim="models"), store_uri=uri)


@pytest.mark.parametrize(
    "uri",
    [
        "/mnt/jukebox",
        "/mnt/jukebox/store",
        "/mnt/jukebox/a/./b",
        "file:///mnt/jukebox/store",
        "/mnt/jukebox/..a",
    ],
)
def test_a_folder_on_the_claim_is_taken(uri):
    made_so = made(of=pipeline(claim="models"), **place("--store", uri), evidence=uri)
    assert made_so.parameters["store_uri"] == uri


@pytest.mark.parametrize("flag", ["--evidence", "--store"])
@pytest.mark.parametrize("uri", ["https://bucket/prefix", "gs://bucket/prefix", "sample:", "C:\\store"])
def test_a_place_that_nothing_can_be_written_to_is_refused(flag, uri):
    refused(flag, **place(flag, uri))


@pytest.mark.parametrize("flag", ["--evidence", "--store"])
def test_a_place_of_800_bytes_is_taken_and_a_longer_one_refused(flag):
    longest = "s3://bucket/".ljust(800, "x")
    made(**place(flag, longest))
    refused(f"{flag}: more than 800 bytes", **place(flag, f"{longest}x"))


def place(flag: str, uri: str) -> dict[str, str]:
    names = {"--evidence": "evidence", "--store": "store_uri"}
    return {names.get(flag, f"{flag.removeprefix('--')}_uri"): uri}


@pytest.mark.parametrize("attempt", ["", " ", "\t", "a\nb", "a\0b", "\x1b[31m", "x" * 201, "\udcff"])
def test_an_attempt_that_is_no_key_is_refused(attempt):
    refused("--attempt .*: give 1 to 200 printable characters", attempt=attempt)


@pytest.mark.parametrize("experiment", ["", " ", "a+b", "100%", "%2B", "a\nb", "\udcff"])
def test_an_experiment_that_cannot_be_looked_up_is_refused(experiment):
    refused("--experiment .*which the DSPA cannot look up", experiment=experiment)


def test_an_experiment_of_128_characters_is_taken_and_a_longer_one_refused():
    made(experiment="x" * 128)
    refused("--experiment: 129 characters; a DSPA accepts at most 128", experiment="x" * 129)


@pytest.mark.parametrize("name", ["team/jukebox", "Jukebox", "", "a" * 64, "-a", "a b", "a\n"])
def test_a_model_name_that_cannot_be_served_is_refused_before_anything_is_trained(name):
    refused("--model-name .*: use lower-case letters", model_name=name)


def test_a_pipeline_with_other_parameters_than_ours_is_refused_with_what_differs():
    parameters = pipeline().parameters
    poorer = {name: kind for name, kind in parameters.items() if name != "champion"}
    refused("does not know champion", of=with_parameters(poorer))
    richer = {**parameters, "colour": {"parameterType": "STRING"}}
    refused("needs colour", of=with_parameters(richer))
    harmless = {**parameters, "colour": {"parameterType": "STRING", "defaultValue": "red"}}
    assert made(of=with_parameters(harmless)).parameters == made().parameters


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_boolean_that_a_pipeline_has_besides_is_read_as_one(text, value):
    more = {**pipeline().parameters, "loud": {"parameterType": "BOOLEAN", "defaultValue": not value}}
    assert made({"loud": text}, of=with_parameters(more)).parameters["loud"] is value
    refused("--param loud=yes: not a BOOLEAN", {"loud": "yes"}, of=with_parameters(more))


def with_parameters(parameters):
    root = pipeline().spec["root"]
    spec = {**pipeline().spec, "root": {**root, "inputDefinitions": {"parameters": parameters}}}
    return pipeline().model_copy(update={"spec": spec})


def test_the_body_is_what_the_server_wants(tmp_path):
    submission = made(CHOSEN)
    body = submission.body("17")
    spec, platform = yaml.safe_load_all(compiled())
    assert body == {
        "display_name": submission.name,
        "description": "jukebox submit, attempt uid-1",
        "experiment_id": "17",
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        "runtime_config": {"parameters": submission.parameters},
    }
    bare = submission.model_copy(update={"pipeline": pipeline().model_copy(update={"platform": {}})})
    assert bare.body("17")["pipeline_spec"] == spec


def test_what_the_evidence_has_to_be_about_is_every_field_of_its_subject():
    parameters = made().parameters
    assert subject_of("17", parameters) == {
        **{name: parameters[name] for name in Subject.model_fields if name != "run_id"},
        "run_id": "17",
    }
    for name in [*Subject.model_fields, "store_uri", "evidence_uri"]:
        if name != "run_id":
            rest = {key: value for key, value in parameters.items() if key != name}
            with pytest.raises(EvidenceError, match=f"it has no {name}$"):
                subject_of("17", rest)
    # The run's own record does not say which run it is.
    assert subject_of("17", {**parameters, "run_id": "18"})["run_id"] == "17"


def unread(tmp_path, data: bytes, message: str) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_pipeline(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


NOT_OURS = "is not a pipeline compiled by `jukebox compile`"


def test_a_pipeline_as_it_is_compiled_is_read(tmp_path):
    found = pipeline()
    assert found.digest == digest(compiled())
    assert found.image == IMAGE
    assert found.tasks[0] in ("champion", "convert", "fetch")
    assert len(found.tasks) == 11
    assert not found.mounts_store
    assert pipeline(claim="models").mounts_store


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n---\n",
        b"hello",
        b"[1, 2]",
        b"{}",
        b"a: [",
        b"\x00\x01",
        b"\xff\xfe\xff",
        b"root: {}",
        b"root: {inputDefinitions: {parameters: {image: }}}",
        b"{root: {inputDefinitions: {parameters: {image: {defaultValue: 7}}}}, deploymentSpec: {}}",
        b"root: !!python/object/apply:os.system ['true']",
        b"PK\x03\x04",
        b"&a [*a]",
        b"[" * 500,
    ],
)
def test_a_file_that_is_no_pipeline_of_ours_is_refused(tmp_path, data):
    unread(tmp_path, data, NOT_OURS)


@pytest.mark.parametrize("value", [None, [], "text", 7, {}])
def test_a_pipeline_without_an_image_is_refused(tmp_path, value):
    spec, platform = yaml.safe_load_all(compiled())
    unread(tmp_path, yaml.safe_dump_all([{**spec, "root": value}, platform]).encode(), NOT_OURS)


@pytest.mark.parametrize("platform", [b"null", b"[]", b"text", b"7"])
def test_a_pipeline_with_a_strange_platform_is_refused(tmp_path, platform):
    unread(tmp_path, compiled().partition(b"\n---\n")[0] + b"\n---\n" + platform + b"\n", NOT_OURS)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=f"cannot read .*: {reason}"):
            read_pipeline(path)


@pytest.mark.parametrize(
    "image",
    [
        "localhost/jukebox:latest",
        "localhost/jukebox",
        "localhost/jukebox@sha256:" + "0" * 63,
        "localhost/jukebox@sha256:" + "0" * 65,
        "localhost/jukebox@sha256:" + "A" * 64,
        "localhost/jukebox@md5:" + "0" * 64,
        "a b@sha256:" + "0" * 64,
        '""',
    ],
)
def test_an_image_that_is_not_named_by_digest_is_refused(tmp_path, image):
    unread(tmp_path, compiled().replace(IMAGE.encode(), image.encode()), "without a digest: compile it")


def test_a_pipeline_for_this_machine_only_is_refused(tmp_path):
    unread(
        tmp_path,
        compiled(image=None),
        "names the image localhost/jukebox-python:local without a digest",
    )


def test_a_pipeline_that_was_cut_off_in_its_specification_is_refused(tmp_path):
    whole = compiled()
    end = whole.index(b"schemaVersion:")
    path = tmp_path / "pipeline.yaml"
    for cut in range(0, end, max(1, end // 60)):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError):
            made(of=read_pipeline(path))


@pytest.mark.parametrize("flag", ["evidence", "store"])
@pytest.mark.parametrize("uri", ["s3://key:s3cr3t@bucket/prefix", "s3://[x/prefix", "s3:prefix"])
def test_a_place_with_a_password_or_without_a_bucket_is_refused_and_not_repeated(flag, uri):
    place = {"evidence": uri} if flag == "evidence" else {"store_uri": uri}
    assert "s3cr3t" not in refused(f"--{flag}", **place)
