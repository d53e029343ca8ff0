"""The benchmark: our whole pipeline beside the lab's algorithm, on the same 1.1 million chart rows.

1. data     `jukebox sample` makes the tables, unless real ones are given
2. lab      fetch, preprocess, train, convert, evaluate, parity of lab.py, a process each
3. ours     `jukebox run --no-promote --json`
4. quality  untimed: the lab's network, trained by song, on the test songs that ours was evaluated on

    python tests/bench/bench_pipeline.py [--rankings F --songs F]

It works in a folder of its own below TMPDIR (2 GB), which goes away at the end; the lab takes 7 GB of memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests/bench/lab.py"
LAB_STEPS = ("fetch", "preprocess", "train", "convert", "evaluate", "parity")
SAMPLE = "sample:songs=12400,days=316"
# The first to import a library finds it cold on the disk; that should be neither side.
WARM_UP = "import tensorflow, sklearn.model_selection, tf2onnx, onnxruntime, ibis, duckdb, pandera, kfp"


class Cost(NamedTuple):
    """Of a process and of all that it waited for: seconds, CPU seconds, the largest resident set in MB."""

    seconds: float
    cpu: float
    peak: float


def child(title: str, *arguments: object, stdout: object = subprocess.DEVNULL) -> Cost:
    """Run Python to its end.

    A process starts with the peak of the one that started it: this one imports nothing heavy.
    """
    # A setting of the caller's (store, policy, commit …) must not change what is measured.
    env = {name: value for name, value in os.environ.items() if not name.startswith("JUKEBOX_")}
    start = time.perf_counter()
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, env={**env, "PYTHONPATH": str(ROOT)}, stdout=stdout)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    if process.returncode:
        raise SystemExit(f"bench: {title}: exit code {process.returncode}")
    print(f"{title:<22}{cost.seconds:8.1f} s {cost.peak:7.0f} MB", file=sys.stderr)
    return cost


def measured(folder: Path, rankings: Path, songs: Path) -> tuple[Cost, Cost, dict, dict]:
    """Return the cost of both sides, and the figures of both on the same songs and chart rows."""
    child("warm-up", "-c", WARM_UP)
    lab, quality = folder / "lab", folder / "quality"
    extra = {"fetch": ("--rankings", rankings, "--songs", songs)}
    steps = [child(f"lab {step}", LAB, step, "--work", lab, *extra.get(step, ())) for step in LAB_STEPS]
    seconds, cpu, peaks = zip(*steps, strict=True)
    places = ("--store", folder / "store", "--runs", folder / "runs", "--no-promote", "--json")
    tables = ("--data", f"rankings={rankings}", "--data", f"songs={songs}")
    with (folder / "run.json").open("wb") as out:
        ours = child("ours", "-m", "ml.cli", "run", *tables, *places, stdout=out)
    run = json.loads((folder / "run.json").read_bytes())
    (splits,) = Path(run["artifacts"]).glob("*/preprocess")
    quality.mkdir()
    (quality / "dataset.csv").symlink_to(lab / "dataset.csv")
    child("quality: lab split", LAB, "split", "--work", quality, "--splits", splits)
    child("quality: lab train", LAB, "train", "--work", quality)
    child("quality: lab score", LAB, "score", "--work", quality)
    theirs = json.loads((quality / "lab_score.json").read_bytes())
    evaluation = json.loads(Path(run["evidence"]).read_bytes())["reports"]["evaluation"]
    same = [(theirs["songs"], theirs["rows"]), (evaluation["examples"], evaluation["rows"])]
    assert same[0] == same[1], f"the two were scored on other songs and chart rows: {same}"
    return Cost(sum(seconds), sum(cpu), max(peaks)), ours, theirs, evaluation


def main() -> None:
    parser = argparse.ArgumentParser(description="Our pipeline beside the lab's algorithm.")
    parser.add_argument("--rankings", type=Path, help="chart rows, parquet, instead of the sample")
    parser.add_argument("--songs", type=Path, help="song features, parquet, instead of the sample")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jukebox-bench-") as name:
        folder = Path(name)
        if not given.rankings:
            child("data", "-m", "ml.cli", "sample", "--sample", SAMPLE, "--out", folder / "data")
        rankings = given.rankings or folder / "data/rankings.parquet"
        songs = given.songs or folder / "data/songs.parquet"
        lab, ours, theirs, evaluation = measured(folder, rankings, songs)
    print("\n| | the lab's | this pipeline | ratio |\n|---|---|---|---|")
    names = ("wall time of all steps, s", "CPU time, s", "memory of the largest process, MB")
    for name, one, other in zip(names, lab, ours, strict=True):
        print(f"| {name} | {one:,.1f} | {other:,.1f} | {one / other:.1f} |")
    model, *others = (evaluation[name]["log_loss"]["value"] for name in ("model", "logistic", "prior"))
    print(
        f"| log loss on the same {theirs['songs']:,} test songs | {theirs['log_loss']:.3f} | {model:.3f} | |"
    )
    print("\nlog loss of our logistic regression and of the prior:", *others, "the lab's network:", theirs)


if __name__ == "__main__":
    main()
