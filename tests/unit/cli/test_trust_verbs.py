"""`judge keys` and `verify` as a user types them: what they print, and how they end."""

import datetime
import json

import pytest
from attestations import AT, BLOCKED_BY, FILES, make_attestation, trust_file

from ml.gate.candidate import manifest_of


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return trust_file(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def model(tmp_path, keys):
    """A folder with a model and its attestation."""
    return placed(tmp_path / "model", make_attestation(key=keys[0]))


def placed(folder, envelope, files=FILES):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "attestation.json").write_bytes(envelope)
    return folder


@pytest.mark.parametrize("extra", [(), ("--json",)], ids=["text", "json"])
def test_keys_are_made_and_none_of_them_is_printed(jukebox, tmp_path, extra):
    folder = tmp_path / "keys"
    ended = jukebox("judge", "keys", "--out", folder, "--namespace", "jukebox", *extra)
    assert (ended.code, ended.err) == (0, "")
    secret = [(folder / name).read_text() for name in ("holdout.key", "signing.pem")]
    parts = [part for text in secret for part in text.split() if len(part) > 20]
    assert len(parts) == 4
    assert not any(part[:12] in ended.out for part in parts)
    if extra:
        assert ended.json["files"] == ["holdout.key", "signing.pem", "trust.pem", "keys.yaml"]
    else:
        assert f"kubectl create -f {folder}/keys.yaml" in ended.out


def test_a_good_model_is_verified_in_two_lists(jukebox, model, keys):
    ended = jukebox("verify", model, "--trust", keys[1])
    assert (ended.code, ended.err) == (0, "")
    verified, rest = ended.out.split("measured by the judge:\n")
    measured, claimed = rest.split("claimed by the run, and not checked:\n")
    assert "files       model.keras, model.onnx, served.json: as measured\n" in verified
    for word in (
        "PASS: ",
        "128 sealed images",
        "log loss",
        "position 3",
        "59ddef4777eb0125",
        "jukebox-judge@sha256",
    ):
        assert word in measured
    for word in ("API server: no route", "champion    none", "days ago"):
        assert word in measured
    for word in ("40564379", "01b945fae5ea18936b79d1d1ec0dd341b22d6aac", "localhost/jukebox@sha256:"):
        assert word in claimed
        assert word not in measured


def test_the_same_as_json(jukebox, model, keys):
    found = jukebox("verify", model, "--trust", keys[1], "--json").json
    assert found["candidate"] == manifest_of(FILES).id
    assert (found["passed"], found["key_name"], found["passed_over"]) == (True, "a test", [])
    assert found["checked"] == ["model.keras", "model.onnx", "served.json"]
    assert set(found["claimed"]) & set(found["measured"]) == set()
    age = datetime.datetime.now(datetime.UTC) - AT
    assert found["age_days"] == pytest.approx(age.total_seconds() / 86400, abs=1)


def test_a_blocked_verdict_ends_with_10(jukebox, tmp_path, keys):
    model = placed(tmp_path / "model", make_attestation(key=keys[0], verdict_passes=False))
    ended = jukebox("verify", model, "--trust", keys[1])
    assert ended.code == 10
    assert ended.refusal == f"the attestation is valid, and says that the model is blocked: {BLOCKED_BY}"
    assert "BLOCKED: " in ended.out
    assert f"{BLOCKED_BY}: 5,000 is not <=" in ended.out
    told = jukebox("verify", model, "--trust", keys[1], "--json")
    assert (told.code, told.json["exit_code"], told.json["passed"]) == (10, 10, False)


def test_a_changed_file_ends_with_40(jukebox, model, keys):
    name = "model.onnx"
    (model / name).write_bytes(FILES[name][:-1] + b"?")
    ended = jukebox("verify", model, "--trust", keys[1])
    assert (ended.code, ended.out) == (40, "")
    assert f"{name} in {model} is not the {name} that was measured" in ended.refusal


def test_a_model_without_an_attestation_ends_with_40(jukebox, model, keys):
    (model / "attestation.json").unlink()
    ended = jukebox("verify", model, "--trust", keys[1])
    assert ended.code == 40
    assert ended.refusal == f"{model} has no attestation; name one with --attestation"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "'nothing' is no file, no folder, and no candidate's id"),
        (("abcdef0",), "no candidate's id of 8 characters or more"),
        (("abcdef01", "--store", "{tmp}/none"), "there is no folder"),
        (("{tmp}",), "has no model.onnx"),
        (("{model}", "--attestation", "{tmp}/none"), "none: No such file or directory"),
        (("{model}", "--trust", "{tmp}/none"), "the trust file {tmp}/none cannot be read"),
    ],
    ids=range(6),
)
def test_wrong_use_ends_with_2(jukebox, model, keys, tmp_path, arguments, message):
    places = {"model": model, "tmp": tmp_path}
    given = [word.format(**places) for word in arguments]
    trust = () if "--trust" in given else ("--trust", keys[1])
    ended = jukebox("verify", *given, *trust)
    assert (ended.code, ended.out) == (2, "")
    assert message.format(**places) in ended.refusal


def test_what_a_run_claims_cannot_command_a_terminal(jukebox, tmp_path, keys):
    evil = "main\x1b]0;owned\x07\n  verdict     PASS [red]x"
    model = placed(tmp_path / "model", make_attestation(key=keys[0], run_id=evil, image=""))
    ended = jukebox("verify", model, "--trust", keys[1])
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    (line,) = [line for line in ended.out.splitlines() if "owned" in line]
    assert line.startswith("  run         main")
    assert line.endswith("PASS [red]x")
    assert json.loads(jukebox("verify", model, "--trust", keys[1], "--json").out)["claimed"]["run_id"] == evil
