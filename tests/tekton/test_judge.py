"""What is handed from submit-run to measure to promote: who sees what, and that a changed byte ends it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from tekton.harness import TaskEnd, World, execute, execute_alone
from tekton.manifests import TEKTON, load

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
    "given-digest": "$(tasks.submit-run.results.GIVEN_DIGEST)",
    "labels-digest": "$(tasks.submit-run.results.LABELS_DIGEST)",
    "measured-digest": "$(tasks.measure.results.MEASURED_DIGEST)",
}
JUKEBOX = """#!/bin/sh
# Does what each verb does with files, and writes down what it is asked and what it sees.
set -eu
verb="$1 $2"; [ "$1" = judge ] || verb="$1"
printf '%s|%s|%s\\n' "$verb" "${AWS_ACCESS_KEY_ID-}" "$*" >> "$CALLS"
case $verb in
submit) printf '%s' "$CANDIDATE_ID" > "$JUKEBOX_RESULTS_DIR/CANDIDATE"
  printf pass > "$JUKEBOX_RESULTS_DIR/VERDICT"; echo '{}' > "$JUKEBOX_OUTCOME" ;;
"judge download") cd "$5"; mkdir model features labels
  echo asked > asked.json; echo onnx > model/model.onnx; echo champion > champion/model.onnx
  echo songs > features/features.parquet; echo classes > labels/labels.json ;;
"judge infer") (cd "$4" && find -L . -type f | sort | tr '\\n' ' ') >> "$SEEN"; echo >> "$SEEN"
  echo answers > "$4/answers/a.parquet" ;;
"judge score") (cd "$4" && find -L . -type f | sort | tr '\\n' ' ') >> "$SEEN"; echo >> "$SEEN"
  echo measured > "$4/measured.json" ;;
"judge sign") cat "$6" >> "$SEEN"; echo attested > "$8" ;;
promote) printf '%s|%s\\n' "$JUKEBOX_ACTOR" "$JUKEBOX_HEAD" >> "$CALLS"; cat "$4" >> "$SEEN"
  printf 1 > "$JUKEBOX_RESULTS_DIR/PROMOTION"; printf s3://x > "$JUKEBOX_RESULTS_DIR/SERVED_AT" ;;
esac
"""
JUDGED = ("submit-run", "measure", "promote")


class Bench:
    """The three Tasks in a Pipeline of their own, and a `jukebox` that writes down what it is asked."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        command = folder / "bin" / "jukebox"
        command.write_text(JUKEBOX)
        command.chmod(0o755)
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
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "CALLS": str(folder / "calls"),
            "SEEN": str(folder / "seen"),
            "CANDIDATE_ID": CANDIDATE,
        }
        pipeline = {"kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec}
        self.world = World(folder, [*objects, pipeline], secrets, env)

    def run(self, known: Mapping[str, TaskEnd] = MappingProxyType({})) -> dict[str, TaskEnd]:
        """Run all three but those whose ends are known."""
        for name in ("calls", "seen"):
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


def test_the_digests_are_those_of_the_files(bench):
    ends = bench.run()
    work = bench.volume / "judge" / "work"
    assert (work / "model" / "model.onnx").read_text() == "onnx\n", "what was hidden from score is back"

    def sums(*names: str) -> str:
        lines = [f"{hashlib.sha256((work / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    given = ("asked.json", "model/model.onnx", "champion/model.onnx", "features/features.parquet")
    results = ends["submit-run"].results
    assert results["GIVEN_DIGEST"] == sums(*given)
    assert results["LABELS_DIGEST"] == sums("asked.json", "labels/labels.json")
    measured = hashlib.sha256((work / "measured.json").read_bytes()).hexdigest()
    assert ends["measure"].results == {"MEASURED_DIGEST": measured}


@pytest.mark.parametrize(
    ("before", "file", "asked"),
    [
        ("measure", "asked.json", ""),
        ("measure", "model/model.onnx", ""),
        ("measure", "model/another.onnx", ""),
        ("measure", "champion/model.onnx", ""),
        ("measure", "features/features.parquet", ""),
        ("measure", "labels/labels.json", "judge infer"),
        ("promote", "asked.json", ""),
        ("promote", "labels/labels.json", ""),
        ("promote", "measured.json", ""),
    ],
)
def test_what_was_changed_on_the_way_is_not_used(bench, before, file, asked):
    ends = bench.run()
    with (bench.volume / "judge" / "work" / file).open("a") as changed:
        changed.write("more")
    again = bench.run({name: ends[name] for name in JUDGED[: JUDGED.index(before)]})
    assert (again[before].status, again[before].results) == ("Failed", {})
    assert "that were given" in again[before].log or "did NOT match" in again[before].log
    assert "".join(bench.lines("calls")).partition("|")[0] == asked
    assert again["promote"].status != "Succeeded"


@pytest.mark.parametrize("file", ["labels/labels.json", "asked.json"])
def test_what_infer_leaves_elsewhere_is_not_believed(bench, file):
    """It has no labels to write to, and what it writes into Tekton's folder of results is written again."""
    command = bench.folder / "bin" / "jukebox"
    change = f'"judge infer") echo forged > "$RESULTS/MEASURED_DIGEST"; echo more >> "$4/{file}" || true;'
    command.write_text(command.read_text().replace('"judge infer")', change))
    ends = bench.run()
    assert "forged" not in str(ends["measure"].results)
    # A pod mounts asked.json read only; here score finds that it was changed.
    assert ends["measure"].status == ("Failed" if file == "asked.json" else "Succeeded"), ends["measure"].log


@pytest.mark.parametrize("verb", ["judge download", "judge infer", "judge score", "judge sign"])
def test_a_verb_of_the_judge_that_fails_ends_the_run(bench, verb):
    command = bench.folder / "bin" / "jukebox"
    command.write_text(command.read_text().replace(f'"{verb}")', f'"{verb}") exit 10;'))
    ends = bench.run()
    assert ends["promote"].status != "Succeeded"
    assert bench.lines("calls")[-1].startswith(f"{verb}|")


def test_a_second_try_finds_nothing_of_the_first(bench):
    ends = bench.run()
    (bench.volume / "judge" / "work" / "model" / "old.onnx").write_text("of an earlier try")
    again = bench.run()
    assert again["submit-run"].results["GIVEN_DIGEST"] == ends["submit-run"].results["GIVEN_DIGEST"]
    assert again["promote"].status == "Succeeded"


def test_who_promotes_is_the_run_or_the_task_run_that_is_run_alone(bench):
    ends = bench.run()
    assert "PipelineRun music/run|configmap:jukebox-head" in bench.lines("calls")
    (sample,) = load(TEKTON / "samples" / "promote.yaml")
    (bench.folder / "jukebox-samples").symlink_to(bench.volume)
    given = {param["name"]: param for param in sample["spec"]["params"]}
    given["labels-digest"]["value"] = ends["submit-run"].results["LABELS_DIGEST"]
    given["measured-digest"]["value"] = ends["measure"].results["MEASURED_DIGEST"]
    end = execute_alone(bench.world, sample["spec"], "promote-x7k2p")
    assert (end.status, end.results) == ("Succeeded", {"PROMOTION": "1", "SERVED_AT": "s3://x"}), end.log
    assert "TaskRun music/promote-x7k2p|configmap:jukebox-head" in bench.lines("calls")


@pytest.mark.parametrize("there", [True, False])
def test_a_policy_of_the_site_is_the_one_that_decides(bench, there):
    command = bench.folder / "bin" / "jukebox"
    command.write_text(
        command.read_text().replace(
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
    assert names == [["", admission], ["", ""], ["", ""], ["", ""], [policy, ""], [policy, ""]]
