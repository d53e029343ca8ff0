"""A run on the sample has a store of its own, and says by which commands to go on."""

import pytest
import typer.testing
from command import called
from messages import message_problems
from processes import assert_one_line
from reports import passing_evidence

from ml.cli import train
from ml.cli.main import app
from ml.cli.options import SAMPLE_STORE, STORE
from ml.cli.results import problem_option
from ml.core.errors import RunFailed
from ml.pipeline import here

TABLES = "--data", "folder"
SAMPLE = "--data", "sample:songs=600,days=7,seed=7"
CANDIDATE = "0123456789ab" + "c" * 52


@pytest.fixture
def store_of(tmp_path, monkeypatch):
    """Begin a run in an empty folder; where its models would go, as a path from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUKEBOX_STORE", raising=False)
    asked = []

    def prepare(problem, tables, snapshot, store_uri, *_):
        asked.append(store_uri)
        raise RunFailed("far enough")

    monkeypatch.setattr(here, "prepare", prepare)

    def store_of(*arguments: str) -> str:
        done = typer.testing.CliRunner().invoke(app, ["run", *arguments])
        assert isinstance(done.exception, RunFailed), done.output
        return asked[-1].removeprefix(f"{tmp_path}/")

    return store_of


def test_models_of_the_sample_do_not_become_the_champion_of_real_data(store_of):
    assert store_of() == store_of(*SAMPLE) == SAMPLE_STORE
    assert store_of(*TABLES) == STORE
    assert STORE != SAMPLE_STORE


def test_the_model_of_one_problem_does_not_become_the_champion_of_another(store_of):
    another = "--problem", "examples.digits"
    assert store_of(*another) == ".jukebox/problems/examples.digits/sample-store"
    assert store_of(*another, "--data", "folder") == ".jukebox/problems/examples.digits/store"
    assert store_of(*another, "--store", "mine") == "mine"


def test_a_store_that_is_named_is_the_store(store_of, monkeypatch):
    assert store_of("--store", "mine") == store_of(*TABLES, "--store", "mine") == "mine"
    monkeypatch.setenv("JUKEBOX_STORE", "s3://bucket/store")
    only = "--no-promote"
    assert store_of(only) == store_of(*TABLES, only) == "s3://bucket/store"


def test_a_store_that_takes_attested_models_only_refuses_before_anything_is_trained(tmp_path):
    line = assert_one_line(called("run", "--store", "s3://bucket/store", cwd=tmp_path), 2)
    assert "takes attested models only" in line
    assert not (tmp_path / ".jukebox").exists()


@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("place", [(), ("--store", "my store")])
def test_the_end_of_a_run_names_the_next_command_with_its_store(capsys, place, synthetic):
    train._show_end(CANDIDATE, None, place, ("--policy", "p.yaml"), (), synthetic=synthetic)
    shown = capsys.readouterr().out
    assert CANDIDATE in shown
    store = "--store 'my store' " if place else ""
    assert f"`jukebox promote {CANDIDATE[:12]} {store}--policy p.yaml`" in shown
    assert ("your own tables" in shown) is synthetic
    assert message_problems(shown) == []


def test_who_has_run_the_sample_only_is_told_where_its_models_are(tmp_path):
    shown = f"`jukebox models --store {SAMPLE_STORE}` shows the models of the sample"
    (tmp_path / SAMPLE_STORE).mkdir(parents=True)
    for verb in (["models"], ["promote", CANDIDATE], ["rollback"]):
        assert shown in assert_one_line(called(*verb, cwd=tmp_path), 2)
    (tmp_path / STORE).mkdir()
    assert shown in called("models", cwd=tmp_path).stdout.replace("\n", " ")
    other = called("models", "--store", SAMPLE_STORE, cwd=tmp_path)
    assert "`jukebox run` makes a model" in other.stdout


def test_without_any_store_a_run_is_what_comes_next(tmp_path):
    assert "`jukebox run` makes a model" in assert_one_line(called("models", cwd=tmp_path), 2)


def test_a_bucket_that_cannot_be_opened_is_no_reason_to_make_a_model(tmp_path):
    done = called("models", "--store", "s3://bucket/x", cwd=tmp_path, env={"AWS_SECRET_ACCESS_KEY": "x"})
    assert assert_one_line(done, 2).endswith("belong together: set both")


def test_the_next_command_names_a_problem_that_is_not_meant_anyway(monkeypatch):
    monkeypatch.delenv("JUKEBOX_PROBLEM", raising=False)
    assert problem_option("songs") == ()
    assert problem_option("churn") == ("--problem", "churn")
    monkeypatch.setenv("JUKEBOX_PROBLEM", "churn")
    assert problem_option("churn") == ()


@pytest.mark.parametrize("verb", [("gate", "evidence.json"), ("policy", "test"), ("follow", "a-run")])
def test_a_verb_that_decides_takes_the_policy_of_the_problem(tmp_path, verb):
    (tmp_path / "evidence.json").write_bytes(passing_evidence().to_bytes())
    line = assert_one_line(called(*verb, "--problem", "nothing", cwd=tmp_path), 2)
    assert "problem 'nothing': there is no module ml.problems.nothing.policy" in line
