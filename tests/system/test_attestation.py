"""A commit that measures itself wrongly, against the judge: real runs, a sealed holdout, signed attestations.

Two commits are run on one training snapshot. The honest one is this checkout. The leaking one is a copy of it
in which the training split holds the songs that it is tested on: one line of `ml/data/preprocess.py`.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from candidates import read
from command import UNHURRIED, called
from tiers import SLOW

from ml.core.canonical import canonical_bytes, parse
from ml.gate.candidate import manifest_of
from ml.gate.evidence import read_evidence
from ml.gate.subjects.evaluation import Evaluation
from ml.release.store import ModelStore

pytestmark = SLOW

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "sample:songs=3000,days=7,seed=7"
SPLIT = "        chosen = np.flatnonzero(split == name)\n"
LEAK = '        chosen = np.flatnonzero((split == name) | ((name == "train") & (split == "test")))\n'
"""The line of the leak."""


@dataclass(frozen=True)
class Site:
    """The trusted side's keys and holdout, a store, and the candidates of two commits."""

    home: Path
    version: str
    honest: str
    leaking: str

    @property
    def store(self) -> ModelStore:
        """The store."""
        return ModelStore(str(self.home / "store"))

    def call(self, *arguments: object) -> subprocess.CompletedProcess:
        """Run a verb with the policy that no busy machine decides under."""
        return called(*arguments, cwd=self.home, env={"JUKEBOX_POLICY": str(self.home / "policy.yaml")})

    def attest(self, candidate: str) -> subprocess.CompletedProcess:
        """Attest a candidate."""
        place = ("--store", "store", "--holdout", "holdout", "--version", self.version)
        return self.call(
            "judge", "attest", candidate, *place, "--key-file", "keys/signing.pem", "--out", candidate[:12]
        )

    def promote(self, candidate: str) -> subprocess.CompletedProcess:
        """Promote a candidate on its attestation."""
        signed = ("--attestation", candidate[:12], "--trust", "keys/trust.pem")
        return self.call("promote", candidate, "--store", "store", *signed)

    def measured(self, candidate: str) -> Evaluation:
        """Return what the judge measured."""
        signed = ("--attestation", candidate[:12], "--trust", "keys/trust.pem")
        told = self.call("verify", candidate, "--store", "store", *signed, "--json")
        assert told.returncode == 0, told.stderr
        return Evaluation.load(json.loads(told.stdout)["measured"]["reports"]["evaluation"])

    def reported(self, candidate: str) -> Evaluation:
        """Return what its own run reports."""
        (reports,) = self.store.read_reports(candidate).values()
        return Evaluation.load(read_evidence(reports["evidence.json"]).reports["evaluation"])


def run(home: Path, code: Path, snapshot: str) -> str:
    """Run the pipeline with the code of a commit; return its candidate."""
    command = [sys.executable, "-m", "ml.cli", "run", "--snapshot", snapshot, "--store", "store"]
    done = subprocess.run(
        [*command, "--no-promote", "--json", "--runs", f"runs-{code.name}"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(code), "JUKEBOX_POLICY": str(home / "policy.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["candidate"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    home = tmp_path_factory.mktemp("site")
    (home / "policy.yaml").write_text(UNHURRIED)
    assert called("judge", "keys", "--out", "keys", cwd=home).returncode == 0
    # The same songs are sealed each time: how far two models are apart on them is not for chance to decide.
    (home / "keys" / "holdout.key").write_text("1" * 64)
    tables = ("--data", SAMPLE, "--holdout", "holdout", "--snapshots", "snapshots")
    sealed = called("judge", "holdout", *tables, "--key-file", "keys/holdout.key", "--json", cwd=home)
    assert sealed.returncode == 0, sealed.stderr
    found = json.loads(sealed.stdout)
    leaking = home / "leaking"
    shutil.copytree(ROOT / "ml", leaking / "ml", ignore=shutil.ignore_patterns("__pycache__"))
    source = leaking / "ml" / "data" / "preprocess.py"
    assert source.read_text().count(SPLIT) == 1
    source.write_text(source.read_text().replace(SPLIT, LEAK))
    return Site(
        home,
        found["snapshot"]["version"],
        run(home, ROOT, found["snapshot_uri"]),
        run(home, leaking, found["snapshot_uri"]),
    )


def test_what_a_run_says_of_itself_decides_nothing(site):
    """One test, so that both runs are made once however the tests are distributed."""
    a_leak_makes_the_self_report_better_and_the_judge_does_not_see_it(site)
    text_with_typed_reports_is_refused_in_one_line(site)
    after_the_repair_the_honest_model_passes_beside_the_leaking_champion(site)
    who_overwrites_candidates_changes_nothing_of_what_is_in_production(site)


def a_leak_makes_the_self_report_better_and_the_judge_does_not_see_it(site):
    for candidate in (site.honest, site.leaking):
        done = site.attest(candidate)
        assert done.returncode == 0, done.stdout + done.stderr
    boast = site.reported(site.honest).model.log_loss.value - site.reported(site.leaking).model.log_loss.value
    truth = site.measured(site.honest).model.log_loss.value - site.measured(site.leaking).model.log_loss.value
    assert boast > 0.05
    assert truth < boast / 2


def text_with_typed_reports_is_refused_in_one_line(site):
    (reports,) = site.store.read_reports(site.honest).values()
    files = {**site.store.read_candidate(site.honest), "model.onnx": b"the best model there is\n"}
    typed = {**parse(reports["evidence.json"]), "files": manifest_of(files).to_json()["files"]}
    typed["reports"]["evaluation"]["model"]["log_loss"] = {"value": 0.1, "low": 0.1, "high": 0.1}
    candidate = site.store.put_candidate(files, "typed", {**reports, "evidence.json": canonical_bytes(typed)})
    done = site.attest(candidate)
    assert done.returncode == 10
    assert done.stderr.count("\n") == 1
    assert "model.onnx" in done.stderr
    assert not (site.home / candidate[:12]).exists()
    bare = site.call("promote", candidate, "--store", "store", "--trust", "keys/trust.pem")
    assert bare.returncode == 40
    assert "has no attestation" in bare.stderr


def after_the_repair_the_honest_model_passes_beside_the_leaking_champion(site):
    first = site.promote(site.leaking)
    assert first.returncode == 0, first.stderr
    stale = site.promote(site.honest)
    assert stale.returncode == 40, "it was attested when nothing was in production"
    assert "judge attest" in stale.stderr
    assert site.attest(site.honest).returncode == 0
    second = site.promote(site.honest)
    assert second.returncode == 0, second.stderr
    log = [(entry.candidate, entry.kind) for entry in site.store.log()]
    assert log == [(site.leaking, "attested"), (site.honest, "attested")]


def who_overwrites_candidates_changes_nothing_of_what_is_in_production(site):
    """The runs' key may write there."""
    before = site.store.read_promoted(site.honest)
    for path in (site.home / "store" / "candidates").rglob("model.*"):
        path.write_bytes(b"another model")
    refused = site.promote(site.leaking)
    assert refused.returncode == 40
    assert site.store.read_promoted(site.honest) == before
    assert read(site.store.uri, "serving/jukebox/2/model.onnx") == before["model.onnx"]
    back = site.call("rollback", "--store", "store")
    assert back.returncode == 0, back.stderr
    assert site.store.log()[-1].candidate == site.leaking
