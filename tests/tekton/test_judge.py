"""What is handed from submit-run to measure to promote: who sees what, and that a changed byte ends it."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from types import MappingProxyType

import pytest
from tekton.harness import TaskEnd, World, execute, execute_alone
from tekton.manifests import ROOT, TEKTON, load

from ml.core.canonical import digest
from ml.core.errors import EvidenceError

CANDIDATE = "c" * 64
PARAMS = {
    "tools-image": "registry.example/jukebox/tools@sha256:" + "0" * 64,
    "judge-image": "registry.example/jukebox/judge@sha256:" + "0" * 64,
    "candidate": CANDIDATE,
    "store": "s3://models/jukebox",
    "ir-digest": f"sha256:{hashlib.sha256(b'an IR').hexdigest()}",
    "head": "configmap:jukebox-head",
    "store-secret": "jukebox-store",
    "judge-secret": "jukebox-judge",
    "signing-secret": "jukebox-signing-key",
    "promotion-secret": "jukebox-promotion",
    "asked": "$(tasks.submit-run.results.ASKED)",
    "measured": "$(tasks.measure.results.MEASURED)",
}
JUKEBOX = """#!/bin/sh
# Does what each verb does with files, and writes down what it is asked, what it is told and what it sees.
set -eu
sum() { printf 'sha256:%s' "$(sha256sum "$1" | cut -c 1-64)"; }
is() { [ -z "$2" ] || [ "$(sum "$1")" = "$2" ] || { echo "$1: its digest is another" >&2; exit 40; }; }
see() { (cd "$1" && find -L . -type f | sort | tr '\\n' ' ') >> "$SEEN"; echo >> "$SEEN"; }
verb="$1 $2"; [ "$1" = judge ] || verb="$1"
printf '%s|%s|%s\\n' "$verb" "${AWS_ACCESS_KEY_ID-}" "$*" >> "$CALLS"
[ "$1" != judge ] || printf '%s|%s\\n' "${JUKEBOX_ASKED-}" "${JUKEBOX_MEASURED-}" >> "$TOLD"
case $verb in
submit) printf '%s' "$CANDIDATE_ID" > "$JUKEBOX_RESULTS_DIR/CANDIDATE"
  printf pass > "$JUKEBOX_RESULTS_DIR/VERDICT"; echo '{}' > "$JUKEBOX_OUTCOME" ;;
"judge download") cd "$5"; mkdir model features labels
  echo asked > asked.json; echo onnx > model/model.onnx; echo champion > champion/model.onnx
  echo songs > features/features.parquet; echo classes > labels/labels.json
  sum asked.json > "$JUKEBOX_RESULTS_DIR/ASKED" ;;
"judge infer") is "$4/asked.json" "$JUKEBOX_ASKED"; see "$4"
  echo answers > "$4/answers/a.parquet" ;;
"judge score") is "$4/asked.json" "$JUKEBOX_ASKED"; see "$4"
  echo measured > "$4/measured.json"; sum "$4/measured.json" > "$JUKEBOX_RESULTS_DIR/MEASURED" ;;
"judge sign") is "$4/asked.json" "$JUKEBOX_ASKED"; is "$4/measured.json" "$JUKEBOX_MEASURED"
  cat "$6" >> "$SEEN"; echo "by $JUKEBOX_JUDGE_IMAGE" > "$JUKEBOX_OUTCOME"
  for last; do [ "$last" = --decided-ok ] || out=$last; done; echo attested > "$out" ;;
promote) printf '%s|%s\\n' "$JUKEBOX_ACTOR" "$JUKEBOX_HEAD" >> "$CALLS"; cat "$4" >> "$SEEN"
  printf 1 > "$JUKEBOX_RESULTS_DIR/PROMOTION"; printf s3://x > "$JUKEBOX_RESULTS_DIR/SERVED_AT" ;;
esac
"""
NOTHING = {"PROMOTION": "", "SERVED_AT": ""}
JUDGED = ("submit-run", "measure", "promote")


class Bench:
    """The three Tasks in a Pipeline of their own, and a `jukebox` that writes down what it is asked."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        self.command = folder / "bin" / "jukebox"
        self.command.write_text(JUKEBOX)
        self.command.chmod(0o755)
        objects = [found for file in sorted((TEKTON / "tasks").glob("*.yaml")) for found in load(file)]
        (pipeline,) = load(TEKTON / "pipelines" / "jukebox-train.yaml")
        tasks = [task for task in pipeline["spec"]["tasks"] if task["name"] in JUDGED]
        declared = {found["metadata"]["name"]: found for found in objects if found["kind"] == "Task"}
        for task in tasks:
            names = [param["name"] for param in declared[task["name"]]["spec"]["params"]]
            task["params"] = [{"name": name, "value": PARAMS.get(name, "something")} for name in names]
            task["retries"] = 0
        spec = {"params": [], "tasks": tasks, "finally": []}
        key = {"AWS_SECRET_ACCESS_KEY": "s3cret"}
        secrets = {
            f"jukebox-{name}": {"AWS_ACCESS_KEY_ID": f"key-of-{name}", **key}
            for name in ("store", "judge", "promotion")
        } | {"jukebox-signing-key": {"key.pem": "a private key\n"}}
        self.volume = folder / "run" / "shared"
        env = {
            "PATH": f"{self.command.parent}:{os.environ['PATH']}",
            "CALLS": str(folder / "calls"),
            "SEEN": str(folder / "seen"),
            "TOLD": str(folder / "told"),
            "CANDIDATE_ID": CANDIDATE,
        }
        pipeline = {"kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec}
        self.world = World(folder, [*objects, pipeline], secrets, env)

    def run(self, known: Mapping[str, TaskEnd] = MappingProxyType({})) -> dict[str, TaskEnd]:
        """Run all three but those whose ends are known."""
        for name in ("calls", "seen", "told"):
            (self.folder / name).write_text("")
        (self.volume / "commit").mkdir(parents=True, exist_ok=True)
        (self.volume / "commit" / "pipeline.yaml").write_text("an IR")
        spec = {
            "pipelineRef": {"name": "p"},
            "workspaces": [{"name": "shared", "volumeClaimTemplate": {}}],
            "taskRunSpecs": [],
        }
        return execute(self.world, spec, "run", known).tasks

    def lines(self, name: str) -> list[str]:
        """Return what was written down."""
        return (self.folder / name).read_text().splitlines()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_each_step_is_given_its_own_key_and_its_own_part(bench):
    ends = bench.run()
    log = "".join(end.log for end in ends.values())
    assert {name: end.status for name, end in ends.items()} == dict.fromkeys(JUDGED, "Succeeded"), log
    work = str(bench.volume / "judge" / "work")
    calls = [line.replace(str(bench.folder), "").replace(work, "WORK") for line in bench.lines("calls")]
    assert [call.split("|")[:2] for call in calls if call.count("|") == 2] == [
        ["submit", "key-of-store"],
        ["judge download", "key-of-judge"],
        ["judge infer", ""],
        ["judge score", ""],
        ["judge sign", ""],
        ["promote", "key-of-promotion"],
    ]
    assert bench.lines("seen") == [
        "./asked.json ./champion/model.onnx ./features/features.parquet ./model/model.onnx ",
        "./answers/a.parquet ./asked.json ./features/features.parquet ./labels/labels.json ",
        "a private key",
        "attested",
    ]
    assert ends["promote"].results == {"PROMOTION": "1", "SERVED_AT": "s3://x"}


def test_a_site_with_a_sigstore_signs_with_the_identity_of_the_task_and_promotes_by_its_trust_root(bench):
    bench.world.mounted = {
        "/etc/jukebox/sigstore": {"sigstore.json": "{}"},
        "/etc/jukebox/identity": {"token": "a token\n"},
        "/etc/jukebox/trust": {"trust.json": "{}"},
    }
    assert bench.run()["promote"].status == "Succeeded"
    sign, promote = (
        line.split("|")[2].split() for line in bench.lines("calls") if "attestation.json" in line
    )
    assert [Path(word).name for word in sign[4:8]] == [
        "--keyless",
        "sigstore.json",
        "--identity-token",
        "token",
    ]
    assert "--key-file" not in sign
    assert Path(promote[-2]).name == "trust.json"


def test_one_digest_is_told_to_all_and_pins_everything(bench):
    ends = bench.run()
    work = bench.volume / "judge" / "work"
    assert (work / "model" / "model.onnx").read_text() == "onnx\n", "what was hidden from score is back"
    asked, measured = (digest((work / name).read_bytes()) for name in ("asked.json", "measured.json"))
    assert ends["submit-run"].results["ASKED"] == asked
    assert ends["measure"].results == {"MEASURED": measured}
    # download, infer, score, sign
    assert bench.lines("told") == ["|", f"{asked}|", f"{asked}|", f"{asked}|{measured}"]


def test_the_statement_names_the_image_that_has_measured(bench):
    bench.run()
    assert (bench.volume / "outcome" / "judge.json").read_text() == f"by {PARAMS['judge-image']}\n"


@pytest.mark.parametrize("before", ["measure", "promote"])
def test_what_was_changed_on_the_way_is_not_used(bench, before):
    """The real verbs refuse it. They do the same with the files that asked.json names: tests/unit/judge."""
    ends = bench.run()
    with (bench.volume / "judge" / "work" / "asked.json").open("a") as changed:
        changed.write("more")
    verbs = f'PYTHONPATH={quote(str(ROOT))} exec {quote(sys.executable)} -m ml.cli "$@"'
    bench.command.write_text(f"#!/bin/sh\n{verbs}\n")
    again = bench.run({name: ends[name] for name in JUDGED[: JUDGED.index(before)]})
    assert "asked.json: its digest is " in again[before].log
    if before == "measure":
        assert (again["measure"].status, again["promote"].status) == ("Failed", "None")
    else:
        # It is decided, so that it is not tried again; the Task verdict fails with it.
        assert (again["promote"].status, again["promote"].results) == ("Succeeded", NOTHING)
        found = json.loads((bench.volume / "outcome" / "judge.json").read_text())
        assert found["exit_code"] == EvidenceError.exit_code


@pytest.mark.parametrize("file", ["labels/labels.json", "asked.json"])
def test_what_infer_leaves_elsewhere_is_not_believed(bench, file):
    """It has no labels to write to, and what it writes into Tekton's folder of results is written again."""
    change = f'"judge infer") echo forged > "$RESULTS/MEASURED"; echo more >> "$4/{file}" || true;'
    bench.command.write_text(bench.command.read_text().replace('"judge infer")', change))
    # A pod mounts asked.json read only; here it is changed after infer has read it.
    bench.command.write_text(bench.command.read_text().replace('true; is "$4/asked.json"', "true; : "))
    ends = bench.run()
    assert "forged" not in str(ends["measure"].results)
    assert ends["measure"].status == ("Failed" if file == "asked.json" else "Succeeded"), ends["measure"].log


@pytest.mark.parametrize("verb", ["judge download", "judge infer", "judge score", "judge sign"])
def test_a_verb_of_the_judge_that_fails_ends_the_run(bench, verb):
    bench.command.write_text(bench.command.read_text().replace(f'"{verb}")', f'"{verb}") exit 10;'))
    ends = bench.run()
    assert ends["promote"].status != "Succeeded"
    assert bench.lines("calls")[-1].startswith(f"{verb}|")


def test_a_second_try_finds_nothing_of_the_first(bench):
    bench.run()
    old = bench.volume / "judge" / "work" / "model" / "old.onnx"
    old.write_text("of an earlier try")
    assert bench.run()["promote"].status == "Succeeded"
    assert not old.exists()


def test_who_promotes_is_the_run_or_the_task_run_that_is_run_alone(bench):
    ends = bench.run()
    assert "PipelineRun music/run|configmap:jukebox-head" in bench.lines("calls")
    (sample,) = load(TEKTON / "samples" / "promote.yaml")
    (bench.folder / "jukebox-samples").symlink_to(bench.volume)
    given = {param["name"]: param for param in sample["spec"]["params"]}
    given["asked"]["value"] = ends["submit-run"].results["ASKED"]
    given["measured"]["value"] = ends["measure"].results["MEASURED"]
    end = execute_alone(bench.world, sample["spec"], "promote-x7k2p")
    assert (end.status, end.results) == ("Succeeded", {"PROMOTION": "1", "SERVED_AT": "s3://x"}), end.log
    assert "TaskRun music/promote-x7k2p|configmap:jukebox-head" in bench.lines("calls")


@pytest.mark.parametrize("there", [True, False])
def test_a_policy_of_the_site_is_the_one_that_decides(bench, there):
    bench.command.write_text(
        bench.command.read_text().replace(
            "set -eu\n", 'set -eu\necho "${JUKEBOX_POLICY-}|${JUKEBOX_ADMISSION-}|"\n'
        )
    )
    if there:
        files = {"policy.yaml": "a policy", "admission.yaml": "a policy"}
        bench.world.mounted = {"/etc/jukebox/policy": files}
    ends = bench.run()
    policies = [line.split("|")[:2] for end in ends.values() for line in end.log.splitlines() if "|" in line]
    names = [[Path(path).name for path in paths] for paths in policies]
    policy, admission = ("policy.yaml", "admission.yaml") if there else ("", "")
    assert names == [[policy, admission], ["", ""], ["", ""], ["", ""], [policy, ""], [policy, ""]]
