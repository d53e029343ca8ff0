"""`jukebox submit`, `follow` and `promote`: all that a pass and a block say, and a run that is executed.

The steps get what they need of S3 from a secret, as from a data connection; the command has its variables.
"""

import json
from importlib import resources
from pathlib import Path

import obstore
import pytest
from candidates import store_run
from command import SAMPLE, jukebox, unhurried
from dspa_command import IMAGE, PLACES, TOKEN, ended, ended_here
from dspa_server import Dspa, Script, kfp_local, serving
from servers import Site
from servers import serving as serving_site
from submissions import files_of
from tiers import SLOW

from ml.core.canonical import digest
from ml.gate.evidence import Subject
from ml.release.policy_file import read_policy
from ml.release.store import ModelStore
from ml.storage.objects import get_object, open_folder, put_object

DATA = ("--data", SAMPLE)
RESULTS = {"RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST", "TEST_OUTPUT"}
ARTIFACT = "model-ARTIFACT_OUTPUTS"
COMMIT = "1a2b3c4d5e" * 4
CAUSE = "push of 1a2b3c4d5e1a to main by alice"
HEAVY = {"kfp", "kfp_server_api", "tensorflow", "keras", "numpy", "pandas", "pyarrow", "duckdb", "sklearn"}


@pytest.fixture
def s3(s3, monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return s3


def leave(run, broken=""):
    """Do what the steps gate and save do."""
    fields = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    where = run.parameters["evidence_uri"].replace("{run_id}", run.run_id)
    policy = read_policy(where, run.parameters["policy"])
    files = files_of(Subject(**fields, run_id=run.run_id), broken, policy)
    put_object(where, files["evidence.json"])
    if not broken:
        store_run(ModelStore(run.parameters["store_uri"], create=True), files)


def test_a_pass_and_its_second_submission(local, s3, tmp_path):
    attempt = ("submit", "fit.yaml", *PLACES, *DATA, "--attempt", "uid-1", "--commit", COMMIT)
    with serving(Dspa(tokens={TOKEN}, on_finish=leave)) as dspa:
        where = ("--host", dspa.url, "--namespace", "music")
        outcome = tmp_path / "outcome" / "submit.json"
        done = ended_here(local, *attempt, *where, "--cause", CAUSE, "--outcome", outcome, env=s3)
        (run,) = dspa.runs.values()
        adopted = ended_here(local, *attempt, *where, "--json", "--outcome", outcome, env=s3)
        followed = ended_here(local, "follow", run.run_id, *where, env=s3)
        assert list(dspa.runs) == [run.run_id]
    assert (done.code, done.stderr) == (0, "")
    for word in (f"{dspa.url}/apis/v2beta1/runs/{run.run_id}", "PASS: ", "evidence:", "candidate:", "model:"):
        assert word in done.stdout
    assert any(line.split() == ["serving", "SUCCEEDED"] for line in done.stdout.splitlines())
    assert "note: the code differs" not in done.stdout
    assert run.description == f"jukebox submit, attempt uid-1: {CAUSE}"
    assert (run.parameters["commit"], run.parameters["dirty"]) == (COMMIT, False)
    assert CAUSE not in json.dumps(run.parameters)
    told = done.results
    assert set(told) == RESULTS | {ARTIFACT}
    assert json.loads(told[ARTIFACT]) == {"uri": told["MODEL_URI"], "digest": told["MODEL_DIGEST"]}
    assert told["MODEL_URI"] == f"s3://bucket/store/candidates/{told['CANDIDATE']}/model.onnx"
    assert (told["RUN_ID"], told["VERDICT"]) == (run.run_id, "pass")
    assert told["MODEL_DIGEST"] == digest(b"graph of A")
    shown = adopted.json
    assert (adopted.code, adopted.stderr, shown["passed"], shown["run_id"]) == (0, "", True, run.run_id)
    assert all(check["passed"] or check["level"] == "warn" for check in shown["checks"])
    assert json.loads(outcome.read_text()) == {**shown, "exit_code": 0}
    assert (followed.code, "PASS: " in followed.stdout) == (0, True)
    assert followed.results["MODEL_DIGEST"] == adopted.results["MODEL_DIGEST"] == told["MODEL_DIGEST"]


def test_a_block(local, s3, tmp_path):
    check, script = "budget.model_bytes", Script(final="FAILED", failed_task="save")
    dspa = Dspa(tokens={TOKEN}, script=script, on_finish=lambda run: leave(run, check))
    with serving(dspa):
        outcome = ("--outcome", tmp_path / "submit.json", "--host", dspa.url)
        done = ended_here(local, "submit", "fit.yaml", *PLACES, *DATA, *outcome, env=s3)
        (run,) = dspa.runs.values()
        followed = ended_here(local, "follow", run.run_id, "--host", dspa.url, "--json", env=s3)
    assert (done.code, check in done.line, "BLOCKED: 1 of" in done.stdout) == (10, True, True)
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(check)]
    assert "BLOCK" in row
    assert set(done.results) == RESULTS
    named = ("RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST")
    assert [done.results[name] for name in named] == [run.run_id, "block", "", "", ""]
    told, shown = json.loads((tmp_path / "submit.json").read_text()), followed.json
    assert (told["exit_code"], told["passed"], told["checks"]) == (10, False, shown["checks"])
    assert told["error"] == done.line.removeprefix("jukebox: ").strip()
    assert (followed.code, shown["exit_code"], shown["state"]) == (10, 10, "FAILED")
    assert [each["name"] for each in shown["checks"] if not each["passed"]] == [check]


@SLOW
def test_a_run_that_is_executed_passes_and_the_very_model_is_served(tmp_path, s3):
    secret = {name: s3[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    secret |= {"AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"], "AWS_DEFAULT_REGION": "us-east-1"}
    done = jukebox(
        "compile", "-o", "pipeline.yaml", "--image", IMAGE, "--store-secret", "jukebox-store", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    env = {**s3, **unhurried(tmp_path)}
    policy = Path(env["JUKEBOX_POLICY"])
    policy.write_text(policy.read_text().replace("self_checked: folder", "self_checked: always"))
    places = ("--evidence", "s3://bucket/real/evidence", "--store", "s3://bucket/real/store")
    dspa = Dspa(tokens={TOKEN}, executor=kfp_local(tmp_path / "runs", {}, {"jukebox-store": secret}))
    with serving(dspa):
        submit = ("submit", "pipeline.yaml", "--host", dspa.url, *places, *DATA, "--attempt", "one")
        report = tmp_path / "report.json"
        passed = ended(tmp_path, *submit, env=env, report=report, timeout=600)
        (run,) = dspa.runs.values()
        log = (tmp_path / "runs" / run.run_id / "run.log").read_text()
        assert (passed.code, passed.stderr) == (0, ""), passed.stdout + passed.stderr + log
        told = {"JUKEBOX_STORE": places[3], "JUKEBOX_RESULTS_DIR": str(tmp_path / "promotion")}
        promoted = jukebox("promote", passed.results["CANDIDATE"], cwd=tmp_path, env={**env, **told})
        assert promoted.returncode == 0, promoted.stderr
        again = ended_here(tmp_path, *submit, env=env)
    assert any(line.split() == ["save", "SUCCEEDED"] for line in passed.stdout.splitlines())
    assert_light(report)
    results = {path.name: path.read_text() for path in (tmp_path / "promotion").iterdir()}
    assert json.loads(results.pop("HEAD"))["number"] == 1
    served = "s3://bucket/real/store/serving/jukebox/1/model.onnx"
    assert results == {"PROMOTION": "1", "SERVED_AT": served}
    assert digest(get_object(served, 1 << 24)) == passed.results["MODEL_DIGEST"]
    # The champion is another one now.
    assert (again.code, again.results["VERDICT"]) == (40, "error")
    assert "another model was in production" in again.line
    store = open_folder("s3://bucket/real")
    names = [item["path"] for batch in obstore.list(store) for item in batch]
    assert any(name.endswith(f"/{run.run_id}.json") for name in names)
    assert all(TOKEN.encode() not in bytes(obstore.get(store, name).bytes()) for name in names)


def assert_light(report, peak=100):
    told = json.loads(report.read_text())
    assert HEAVY & set(told["modules"]) == set()
    assert told["peak_mb"] < peak


@SLOW
def test_a_submission_on_tables_elsewhere_is_light(tmp_path, local, s3):
    site = Site(files={"/charts.csv": b"a"})
    with serving_site(site), serving(Dspa(tokens={TOKEN}, on_finish=leave)) as dspa:
        put_object("s3://bucket/tables/songs.csv", b"b")
        data = ("--data", f"rankings={site.url}/charts.csv", "--data", "songs=s3://bucket/tables/songs.csv")
        rules = resources.files("ml.dspa").joinpath("admission.yaml").read_text()
        (tmp_path / "admission.yaml").write_text(rules.replace("https://", site.url))
        more = ("--host", dspa.url, *PLACES, *data, "--admission", tmp_path / "admission.yaml")
        report = tmp_path / "report.json"
        done = ended(tmp_path, "submit", local / "fit.yaml", *more, env=s3, report=report)
    assert (done.code, done.results["VERDICT"]) == (0, "pass"), done.stderr
    assert_light(report)


def test_the_help_imports_nothing_heavy(tmp_path):
    report = tmp_path / "report.json"
    assert ended(tmp_path, "submit", "--help", report=report).code == 0
    assert (HEAVY | {"requests", "obstore"}) & set(json.loads(report.read_text())["modules"]) == set()
