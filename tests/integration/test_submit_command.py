"""`jukebox submit`, `promote` and `follow`, processes of their own, against a server that runs runs.

The steps get what they need of S3 from a secret, as from a data connection; the command has its variables.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import obstore
import pytest
from candidates import store_run
from command import SAMPLE, UNHURRIED, jukebox, unhurried
from dspa_command import IMAGE, PLACES, TOKEN, Ended, ended
from dspa_server import Dspa, RunRecord, Script, kfp_local, serving
from reports import DAY, DIGESTS, KERAS, MANIFEST, ONNX, POLICY, PROFILE, SERVED, edited, passing_reports
from servers import Site, s3_server
from servers import serving as serving_site
from tiers import SLOW

from ml.core.canonical import canonical_bytes
from ml.gate.evidence import Subject, make_evidence
from ml.gate.policy import parse_policy
from ml.release.store import ModelStore
from ml.storage.objects import put_object

DATA = ("--data", SAMPLE)
TASKS = (
    "champion",
    "fetch",
    "validate",
    "preprocess",
    "train",
    "evaluate",
    "convert",
    "parity",
    "serving",
    "gate",
    "save",
)
RESULTS = {"RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST", "TEST_OUTPUT"}
ARTIFACT = "model-ARTIFACT_OUTPUTS"
COMMIT = "1a2b3c4d5e" * 4
CAUSE = "push of 1a2b3c4d5e1a to main by alice"
HEAVY = {"kfp", "kfp_server_api", "tensorflow", "keras", "numpy", "pandas", "pyarrow", "duckdb", "sklearn"}
SECRET = "jukebox-store"


@dataclass
class Cluster:
    """A DSPA that executes runs, an object store, and a compiled pipeline."""

    home: Path
    dspa: Dspa
    s3: dict[str, str]
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def pipeline(self) -> Path:
        return self.home / "pipeline.yaml"

    def submit(self, *arguments: object, **options) -> Ended:
        where = ("--host", self.dspa.url, "--namespace", "music")
        return ended(
            self.home, "submit", self.pipeline, *where, *PLACES, *DATA, *arguments, env=self.s3, **options
        )

    def follow(self, run_id: str, *arguments: object) -> Ended:
        return ended(self.home, "follow", run_id, "--host", self.dspa.url, *arguments, env=self.s3)

    def log(self, run: RunRecord) -> str:
        return (self.home / "runs" / run.run_id / "run.log").read_text()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    home = tmp_path_factory.mktemp("cluster")
    done = jukebox(
        "compile", "-o", home / "pipeline.yaml", "--image", IMAGE, "--store-secret", SECRET, cwd=home
    )
    assert done.returncode == 0, done.stderr
    with s3_server() as s3:
        connection = {
            "AWS_ACCESS_KEY_ID": s3["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": s3["AWS_SECRET_ACCESS_KEY"],
            "AWS_S3_ENDPOINT": s3["AWS_ENDPOINT_URL"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        dspa = Dspa(tokens={TOKEN}, executor=kfp_local(home / "runs", {}, {SECRET: connection}))
        policy = unhurried(home)
        path = Path(policy["JUKEBOX_POLICY"])
        path.write_text(path.read_text().replace("self_checked: folder", "self_checked: always"))
        with serving(dspa):
            yield Cluster(home, dspa, {**s3, **policy})


@dataclass
class Way:
    """A run from its submission to production, and what each command on the way said."""

    run: RunRecord
    submitted: Ended
    adopted: Ended
    as_json: Ended
    promoted: subprocess.CompletedProcess
    followed: Ended
    after: Ended
    report: dict
    outcome: dict


@pytest.fixture(scope="module")
def way(cluster) -> Way:
    """Submit, submit again twice, promote, follow, submit once more: one attempt."""
    attempt = ("--attempt", "pipelinerun-uid-1", "--commit", COMMIT)
    outcome = cluster.home / "outcome" / "submit.json"
    before = set(cluster.dspa.runs)
    submitted = cluster.submit(*attempt, "--cause", CAUSE, "--outcome", outcome)
    (run,) = (run for name, run in cluster.dspa.runs.items() if name not in before)
    assert submitted.code == 0, submitted.stdout + submitted.stderr + cluster.log(run)
    report = cluster.home / "report.json"
    adopted = cluster.submit(*attempt, report=report)
    as_json = cluster.submit(*attempt, "--json")
    told = {"JUKEBOX_STORE": "s3://bucket/store", "JUKEBOX_RESULTS_DIR": str(cluster.home / "promotion")}
    promoted = jukebox(
        "promote", submitted.results["CANDIDATE"], cwd=cluster.home, env={**cluster.s3, **told}
    )
    followed = cluster.follow(run.run_id)
    after = cluster.submit(*attempt)
    assert set(cluster.dspa.runs) - before == {run.run_id}
    reports = (json.loads(path.read_text()) for path in (report, outcome))
    return Way(run, submitted, adopted, as_json, promoted, followed, after, *reports)


@dataclass
class Blocked:
    """A run under a policy that nothing passes."""

    run: RunRecord
    done: Ended
    report: dict
    as_json: Ended
    outcome: dict


@pytest.fixture(scope="module")
def blocked(cluster) -> Blocked:
    before = set(cluster.dspa.runs)
    policy = json.loads(parse_policy(UNHURRIED).text)
    policy["budget"]["max_model_bytes"] = 1
    (cluster.home / "strict.yaml").write_text(json.dumps(policy))
    report = cluster.home / "blocked.json"
    strict = ("--policy", "strict.yaml")
    quick = ("--param", "epochs=25", "--param", "learning_rate=0.02", "--outcome", "blocked-outcome.json")
    done = cluster.submit(*strict, *quick, report=report)
    assert len(cluster.dspa.runs) == len(before) + 1, done.stderr
    (run_id,) = set(cluster.dspa.runs) - before
    as_json = cluster.follow(run_id, *strict, "--json")
    outcome = json.loads((cluster.home / "blocked-outcome.json").read_text())
    return Blocked(cluster.dspa.runs[run_id], done, json.loads(report.read_text()), as_json, outcome)


# The whole way.


@SLOW
def test_a_submission_passes_and_says_where_everything_is(cluster, way):
    out = way.submitted.stdout
    assert way.submitted.stderr == ""
    assert way.run.state == "SUCCEEDED"
    assert f"{cluster.dspa.url}/apis/v2beta1/runs/{way.run.run_id}" in out
    assert "PASS: " in out
    for task in TASKS:
        assert any(line.split() == [task, "SUCCEEDED"] for line in out.splitlines()), task
    for word in ("evidence:", "candidate:", "model:", "s3://bucket/store/candidates/"):
        assert word in out


@SLOW
def test_the_results_of_a_pass(way):
    found = way.submitted.results
    assert set(found) == RESULTS | {ARTIFACT}
    assert json.loads(found[ARTIFACT]) == {"uri": found["MODEL_URI"], "digest": found["MODEL_DIGEST"]}
    assert found["CANDIDATE"] == found["MODEL_URI"].split("/")[-2]
    assert (found["RUN_ID"], found["VERDICT"]) == (way.run.run_id, "pass")
    assert json.loads(found["TEST_OUTPUT"])["result"] == "SUCCESS"
    assert found["MODEL_URI"].startswith("s3://bucket/store/candidates/")
    assert found["MODEL_URI"].endswith("/model.onnx")
    assert found["MODEL_DIGEST"].startswith("sha256:")
    assert found["EVIDENCE_DIGEST"].startswith("sha256:")
    assert sum(len(value.encode()) for value in found.values()) < 2048


@SLOW
def test_the_outcome_of_a_pass_is_what_json_would_say(way):
    assert way.outcome == {**way.as_json.json, "exit_code": 0}


@SLOW
def test_the_commit_that_was_given_is_the_runs(way):
    assert (way.run.parameters["commit"], way.run.parameters["dirty"]) == (COMMIT, False)
    assert "note: the code differs from commit" not in way.submitted.stdout


@SLOW
def test_the_cause_is_in_the_runs_description_and_in_no_parameter(way):
    assert way.run.description == f"jukebox submit, attempt pipelinerun-uid-1: {CAUSE}"
    assert CAUSE not in json.dumps(way.run.parameters)


@SLOW
def test_the_same_attempt_adopts_the_run(way):
    assert (way.adopted.code, way.adopted.stderr) == (0, "")
    assert f"run {way.run.run_id} of this attempt exists already" in way.adopted.stdout
    assert way.adopted.results["MODEL_DIGEST"] == way.submitted.results["MODEL_DIGEST"]


@SLOW
def test_json_of_a_pass_is_one_object(way):
    found = way.as_json.json
    assert (way.as_json.code, way.as_json.stderr) == (0, "")
    assert (found["passed"], found["run_id"], found["state"]) == (True, way.run.run_id, "SUCCEEDED")
    assert found["model_uri"] == way.submitted.results["MODEL_URI"]
    assert all(check["passed"] or check["level"] == "warn" for check in found["checks"])


@SLOW
def test_promotion_serves_the_very_model_that_passed(cluster, way, monkeypatch):
    assert way.promoted.returncode == 0, way.promoted.stderr
    results = {path.name: path.read_text() for path in (cluster.home / "promotion").iterdir()}
    assert json.loads(results.pop("HEAD"))["number"] == 1
    assert results == {"PROMOTION": "1", "SERVED_AT": "s3://bucket/store/serving/jukebox/1/model.onnx"}
    for name, value in cluster.s3.items():
        monkeypatch.setenv(name, value)
    from ml.core.files import file_digest
    from ml.storage.objects import get_object

    data = get_object("s3://bucket/store/serving/jukebox/1/model.onnx", 1 << 24)
    (cluster.home / "served.onnx").write_bytes(data)
    assert file_digest(cluster.home / "served.onnx") == way.submitted.results["MODEL_DIGEST"]


@SLOW
def test_following_a_run_that_has_passed(way):
    assert way.followed.code == 0, way.followed.stderr
    assert "PASS: " in way.followed.stdout
    assert way.followed.results["MODEL_DIGEST"] == way.submitted.results["MODEL_DIGEST"]


@SLOW
def test_an_attempt_from_before_a_promotion_does_not_pass_again(way):
    assert way.after.code == 40
    assert "another model was in production" in way.after.line
    assert way.after.results["VERDICT"] == "error"


@SLOW
def test_a_blocking_policy_blocks(blocked):
    assert blocked.done.code == 10, blocked.done.stderr
    assert blocked.run.state == "FAILED"
    assert "budget.model_bytes" in blocked.done.line
    assert "BLOCKED: 1 of" in blocked.done.stdout
    row = next(line for line in blocked.done.stdout.splitlines() if line.startswith("budget.model_bytes"))
    assert "BLOCK" in row
    assert any(line.split() == ["save", "FAILED"] for line in blocked.done.stdout.splitlines())


@SLOW
def test_the_results_of_a_block(blocked):
    found = blocked.done.results
    assert set(found) == RESULTS
    assert (found["RUN_ID"], found["VERDICT"]) == (blocked.run.run_id, "block")
    assert (found["CANDIDATE"], found["MODEL_URI"], found["MODEL_DIGEST"]) == ("", "", "")
    assert json.loads(found["TEST_OUTPUT"])["failures"] == 1


@SLOW
def test_the_outcome_of_a_block_says_which_checks(blocked):
    assert (blocked.outcome["exit_code"], blocked.outcome["passed"]) == (10, False)
    assert blocked.outcome["error"] == blocked.done.line.removeprefix("jukebox: ").strip()
    assert blocked.outcome["checks"] == blocked.as_json.json["checks"]
    assert blocked.outcome["link"].startswith("http")


@SLOW
def test_json_of_a_block_is_one_object(blocked):
    found = blocked.as_json.json
    assert (blocked.as_json.code, found["exit_code"]) == (10, 10)
    assert (found["run_id"], found["state"]) == (blocked.run.run_id, "FAILED")
    assert [
        check["name"] for check in found["checks"] if not check["passed"] and check["level"] == "block"
    ] == ["budget.model_bytes"]
    assert "budget.model_bytes" in blocked.as_json.line


@SLOW
def test_a_submission_on_the_sample_is_light(way, blocked):
    # Of a run that failed, the pods are asked: Kubernetes' client has its weight.
    # Hyperparameters that are given are read by the solution that is installed, which takes arrays.
    for report, most, more in ((way.report, 100, set()), (blocked.report, 150, {"numpy"})):
        assert HEAVY & set(report["modules"]) == more
        assert report["peak_mb"] < most


def leave(run: RunRecord) -> None:
    """Do what the steps gate and save do."""
    fields = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    about = Subject(**fields, run_id=run.run_id)
    reports = passing_reports(DIGESTS, about.champion)
    reports = edited(reports, {"data_report.data_version": about.data_version})
    evidence = make_evidence(about, MANIFEST, reports, POLICY, DAY).to_bytes()
    put_object(run.parameters["evidence_uri"].replace("{run_id}", run.run_id), evidence)
    files = {f"{name}.json": canonical_bytes(report) for name, report in reports.items()}
    files |= {"model.keras": KERAS, "model.onnx": ONNX, "labels.json": b"[]\n", "evidence.json": evidence}
    files |= {"served.json": canonical_bytes(SERVED), "profile.json": PROFILE}
    store_run(ModelStore(run.parameters["store_uri"], create=True), files)


@pytest.mark.slow
def test_a_submission_on_tables_elsewhere_is_light(tmp_path, local, monkeypatch):
    site = Site(files={"/charts.csv": b"a"})
    dspa = Dspa(tokens={TOKEN}, script=Script(running=1), on_finish=leave)
    with s3_server() as s3, serving_site(site), serving(dspa):
        for name, value in s3.items():
            monkeypatch.setenv(name, value)
        put_object("s3://bucket/tables/songs.csv", b"b")
        data = ("--data", f"rankings={site.url}/charts.csv", "--data", "songs=s3://bucket/tables/songs.csv")
        report = tmp_path / "report.json"
        places = ("--evidence", "s3://bucket/light/evidence", "--store", "s3://bucket/light/store")
        (tmp_path / "admission.yaml").write_text(
            resources.files("ml.dspa").joinpath("admission.yaml").read_text().replace("https://", site.url)
        )
        rules = ("--admission", tmp_path / "admission.yaml")
        arguments = (local / "fit.yaml", "--host", dspa.url, *places, *data, *rules)
        done = ended(tmp_path, "submit", *arguments, env=s3, report=report)
    assert (done.code, done.results["VERDICT"]) == (0, "pass"), done.stderr
    found = json.loads(report.read_text())
    assert HEAVY & set(found["modules"]) == set()
    assert found["peak_mb"] < 100


def test_the_help_imports_nothing_heavy(tmp_path):
    done = ended(tmp_path, "submit", "--help", report=tmp_path / "report.json")
    assert done.code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (HEAVY | {"requests", "obstore"}) & set(report["modules"]) == set()


@SLOW
def test_evidence_and_candidates_are_all_that_a_probe_finds(cluster, way, blocked, monkeypatch):
    """The token is in no object of the bucket either."""
    for name, value in cluster.s3.items():
        monkeypatch.setenv(name, value)
    from ml.storage.objects import open_folder

    store = open_folder("s3://bucket/evidence")
    names = [item["path"] for batch in obstore.list(store) for item in batch]
    assert {name.rpartition("/")[2] for name in names} >= {
        f"{way.run.run_id}.json",
        f"{blocked.run.run_id}.json",
    }
    for name in names:
        assert TOKEN.encode() not in bytes(obstore.get(store, name).bytes())


def test_no_module_of_the_command_is_heavy():
    code = "import ml.cli.dspa, ml.cli.doctor, ml.dspa.run, ml.dspa.doctor, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()
