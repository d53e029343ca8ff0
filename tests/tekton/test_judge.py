"""From submit-run to measure to promote: each step sees only its part, and a changed byte ends it."""

import json
import os
import sys
from pathlib import Path
from shlex import quote

import pytest
from tekton.harness import TaskEnd, World, execute, execute_task, run_spec
from tekton.manifests import ROOT, files

from ml.core.canonical import digest
from ml.core.errors import EvidenceError

CANDIDATE = "c" * 64
JUDGE_IMAGE = f"registry.example/jukebox/judge@sha256:{'0' * 64}"
PARAMS = {
    "judge-image": JUDGE_IMAGE,
    "candidate": CANDIDATE,
    "ir-digest": digest(b"an IR"),
    "head": "configmap:jukebox-head",
    "store-secret": "jukebox-store",
    "judge-secret": "jukebox-judge",
    "signing-secret": "jukebox-signing-key",
    "promotion-secret": "jukebox-promotion",
    "asked": "$(tasks.submit-run.results.ASKED)",
    "measured": "$(tasks.measure.results.MEASURED)",
}
JUKEBOX = """#!/bin/sh
# Does what each verb does with files, and writes down its call, its digests and what it sees.
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
JUDGED = ("submit-run", "measure", "promote")
PASSED = {"PROMOTION": "1", "SERVED_AT": "s3://x"}


class Bench:
    """The three Tasks in a Pipeline of their own, and a `jukebox` that writes down its calls."""

    def __init__(self, folder):
        self.folder, self.volume = folder, folder / "run" / "shared"
        self.command = folder / "bin" / "jukebox"
        self.command.parent.mkdir()
        self.command.write_text(JUKEBOX)
        self.command.chmod(0o755)
        self.work = self.volume / "judge" / "work"
        objects = files("tasks")
        declared = {found["metadata"]["name"]: found["spec"]["params"] for found in objects}
        tasks = [task for task in files("pipelines")[0]["spec"]["tasks"] if task["name"] in JUDGED]
        for task in tasks:
            names = [param["name"] for param in declared[task["name"]]]
            task["params"] = [{"name": name, "value": PARAMS.get(name, "something")} for name in names]
            task["retries"] = 0
        pipeline = {"kind": "Pipeline", "metadata": {"name": "p"}}
        pipeline["spec"] = {"params": [], "tasks": tasks, "finally": []}
        secrets = {
            f"jukebox-{name}": {"AWS_ACCESS_KEY_ID": f"key-of-{name}", "AWS_SECRET_ACCESS_KEY": "s3cret"}
            for name in ("store", "judge", "promotion")
        }
        secrets["jukebox-signing-key"] = {"key.pem": "a private key\n"}
        env = {name.upper(): str(folder / name) for name in ("calls", "seen", "told")}
        env |= {"PATH": f"{self.command.parent}:{os.environ['PATH']}", "CANDIDATE_ID": CANDIDATE}
        self.world = World(folder, [*objects, pipeline], secrets, env)

    def run(self, **known: TaskEnd) -> dict[str, TaskEnd]:
        """Run all three but those whose ends are known."""
        for name in ("calls", "seen", "told"):
            (self.folder / name).write_text("")
        (self.volume / "commit").mkdir(parents=True, exist_ok=True)
        (self.volume / "commit" / "pipeline.yaml").write_text("an IR")
        known = {name.replace("_", "-"): end for name, end in known.items()}
        return execute(self.world, run_spec("p", {}), "run", known).tasks

    def lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()

    def patch(self, old: str, new: str) -> None:
        """Change the double of `jukebox`."""
        text = self.command.read_text()
        assert old in text
        self.command.write_text(text.replace(old, new))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_each_step_has_its_own_key_its_own_part_and_the_digests_before_it(bench):
    ends = bench.run()
    log = "".join(end.log for end in ends.values())
    assert {name: end.status for name, end in ends.items()} == dict.fromkeys(JUDGED, "Succeeded"), log
    assert [call.split("|")[:2] for call in bench.lines("calls") if call.count("|") == 2] == [
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
    assert (bench.work / "model" / "model.onnx").read_text() == "onnx\n", "what was hidden from score is back"
    asked, measured = (digest((bench.work / name).read_bytes()) for name in ("asked.json", "measured.json"))
    assert ends["submit-run"].results["ASKED"] == asked
    assert (ends["measure"].results, ends["promote"].results) == ({"MEASURED": measured}, PASSED)
    # download, infer, score, sign
    assert bench.lines("told") == ["|", f"{asked}|", f"{asked}|", f"{asked}|{measured}"]
    assert (bench.volume / "outcome" / "judge.json").read_text() == f"by {JUDGE_IMAGE}\n"


def test_a_site_with_a_sigstore_signs_keyless_and_promotes_by_its_trust_root(bench):
    bench.world.mounted = {
        "/etc/jukebox/sigstore": {"sigstore.json": "{}"},
        "/etc/jukebox/identity": {"token": "a token\n"},
        "/etc/jukebox/trust": {"trust.json": "{}"},
    }
    assert bench.run()["promote"].status == "Succeeded"
    sign, promote = (
        line.split("|")[2].split() for line in bench.lines("calls") if "attestation.json" in line
    )
    given = ["--keyless", "sigstore.json", "--identity-token", "token"]
    assert [Path(word).name for word in sign[4:8]] == given
    assert "--key-file" not in sign
    assert Path(promote[-2]).name == "trust.json"


@pytest.mark.parametrize("before", ["measure", "promote"])
def test_what_was_changed_on_the_way_is_not_used(bench, before):
    """The real verbs refuse it. They do the same with the files that asked.json names: tests/unit/judge."""
    ends = bench.run()
    with (bench.work / "asked.json").open("a") as changed:
        changed.write("more")
    verbs = f'PYTHONPATH={quote(str(ROOT))} exec {quote(sys.executable)} -m ml.cli "$@"'
    bench.command.write_text(f"#!/bin/sh\n{verbs}\n")
    known = {"submit_run": ends["submit-run"]} | ({"measure": ends["measure"]} if before == "promote" else {})
    again = bench.run(**known)
    assert "asked.json: its digest is " in again[before].log
    if before == "measure":
        assert (again["measure"].status, again["promote"].status) == ("Failed", "None")
    else:
        # It is decided, so that it is not retried; the Task verdict fails with it.
        assert (again["promote"].status, again["promote"].results) == ("Succeeded", dict.fromkeys(PASSED, ""))
        found = json.loads((bench.volume / "outcome" / "judge.json").read_text())
        assert found["exit_code"] == EvidenceError.exit_code


@pytest.mark.parametrize("file", ["labels/labels.json", "asked.json"])
def test_what_infer_leaves_elsewhere_is_not_believed(bench, file):
    """It has no labels to write to, and what it writes into Tekton's folder of results is written again."""
    change = f'"judge infer") echo forged > "$RESULTS/MEASURED"; echo more >> "$4/{file}" || true'
    # A pod mounts asked.json read only; here it is changed after infer has read it.
    bench.patch('"judge infer") is "$4/asked.json" "$JUKEBOX_ASKED"', change)
    ends = bench.run()
    assert "forged" not in str(ends["measure"].results)
    assert ends["measure"].status == ("Failed" if file == "asked.json" else "Succeeded"), ends["measure"].log


@pytest.mark.parametrize("verb", ["judge download", "judge infer", "judge score", "judge sign"])
def test_a_verb_of_the_judge_that_fails_ends_the_run(bench, verb):
    bench.patch(f'"{verb}")', f'"{verb}") exit 10;')
    assert bench.run()["promote"].status != "Succeeded"
    assert bench.lines("calls")[-1].startswith(f"{verb}|")


def test_a_second_try_finds_nothing_of_the_first(bench):
    bench.run()
    (bench.work / "model" / "old.onnx").write_text("of an earlier try")
    assert bench.run()["promote"].status == "Succeeded"
    assert not (bench.work / "model" / "old.onnx").exists()


def test_who_promotes_is_the_run_or_the_single_task_run(bench):
    ends = bench.run()
    assert "PipelineRun music/run|configmap:jukebox-head" in bench.lines("calls")
    given = {name: PARAMS[name] for name in ("candidate", "head", "judge-image")}
    given |= {name: PARAMS[name] for name in ("signing-secret", "promotion-secret")}
    given |= {"asked": ends["submit-run"].results["ASKED"], "measured": ends["measure"].results["MEASURED"]}
    end = execute_task(bench.world, "promote", "run", alone=True, **given)
    assert (end.status, end.results) == ("Succeeded", PASSED), end.log
    assert "TaskRun music/run-promote|configmap:jukebox-head" in bench.lines("calls")


@pytest.mark.parametrize("there", [True, False])
def test_a_policy_of_the_site_is_the_one_that_decides(bench, there):
    bench.patch("set -eu\n", 'set -eu\necho "${JUKEBOX_POLICY-}|${JUKEBOX_ADMISSION-}|"\n')
    if there:
        names = ("policy.yaml", "admission.yaml")
        bench.world.mounted = {"/etc/jukebox/policy": dict.fromkeys(names, "a policy")}
    ends = bench.run()
    said = [line.split("|")[:2] for end in ends.values() for line in end.log.splitlines() if "|" in line]
    policy, admission = ("policy.yaml", "admission.yaml") if there else ("", "")
    assert [[Path(path).name for path in paths] for paths in said] == [
        [policy, admission],  # submit
        *([["", ""]] * 3),  # download, infer, score
        *([[policy, ""]] * 2),  # sign, promote
    ]
