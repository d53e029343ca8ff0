"""The benchmark: our whole pipeline beside the lab's algorithm, on the same 1.1 million chart rows.

1. data     `jukebox sample` makes the tables, unless real ones are given
2. lab      fetch, preprocess, train, convert, evaluate, parity of lab.py, a process each
3. ours     `jukebox run --no-promote --json` from its first to its last moment; 2 and 3 alternate
4. quality  lab_score.py, untimed: the lab's network on the test songs that ours was evaluated on
5. the table of bench_table.py; --out keeps the raw numbers

    python tests/bench/bench_pipeline.py [--repeat 3] [--out results.json] [--rankings F --songs-table F]

It works in a folder of its own below TMPDIR (2 GB), which goes away at the end; the lab takes 7 GB of memory.
Linux only. This process imports nothing heavy: see `run_measured`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_table import table
from measure import Measured, run_measured

ROOT = Path(__file__).resolve().parents[2]
LAB, SCORE = ROOT / "tests/bench/lab.py", ROOT / "tests/bench/lab_score.py"
LAB_STEPS = ("fetch", "preprocess", "train", "convert", "evaluate", "parity")
SONGS, DAYS, GOAL_ROWS = 12_400, 316, 1_100_000
# The first to import a library finds it cold on the disk; that should be neither side.
WARM_UP = "import tensorflow, sklearn.model_selection, tf2onnx, onnxruntime, ibis, duckdb, pandera, kfp"


class BenchError(Exception):
    """The benchmark has no result; the message says why."""


class Bench:
    """A folder, and the children that run in it one after the other."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder = folder
        self.epochs = ("--epochs", epochs)
        self._log = folder / "children.log"
        (folder / "tmp").mkdir()
        # A setting of the caller's (store, policy, commit …) must not change what is measured.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JUKEBOX_")}
        self._env = {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}

    def child(self, title: str, *arguments: object, stdout: Path | None = None) -> Measured:
        """Run Python with the arguments to its end; its output goes to the log, or stdout to a file.

        Raises:
            BenchError: it failed.
        """
        print(f"{title:<22}", end="", file=sys.stderr, flush=True)
        begin = self._log.stat().st_size if self._log.exists() else 0
        with open(self._log, "ab") as log, open(stdout or self._log, "ab") as out:
            done = run_measured([sys.executable, *map(str, arguments)], self._env, out, log)
        if done.returncode:
            print("failed", file=sys.stderr)
            text = self._log.read_bytes()[begin:].decode(errors="replace")
            tail = "\n".join(re.sub(r".*[\r\b]", "", line) for line in text.splitlines()[-30:])
            raise BenchError(f"{title}: exit code {done.returncode}; the end of its log:\n{tail}")
        print(f"{done.seconds:8.1f} s {done.peak_mb:7.0f} MB", file=sys.stderr)
        return done

    def sample(self, songs: int, days: int) -> tuple[Path, Path]:
        """Make the tables; return rankings and songs.

        Raises:
            BenchError: at full size there are fewer chart rows than the benchmark is about.
        """
        out, said = self.folder / "data", self.folder / "sample.txt"
        sizes = ("--sample", f"sample:songs={songs},days={days}", "--out", out)
        self.child("data", "-m", "ml.cli", "sample", *sizes, stdout=said)
        rows = int(re.findall(r"([\d,]+) rows of rankings", said.read_text())[0].replace(",", ""))
        if rows < GOAL_ROWS and songs >= SONGS and days >= DAYS:
            raise BenchError(f"the sample has {rows:,} chart rows, fewer than {GOAL_ROWS:,}")
        return out / "rankings.parquet", out / "songs.parquet"

    def lab(self, rankings: Path, songs: Path) -> dict[str, Measured]:
        """Run the lab's steps; return the cost of each, and of all."""
        work = self._fresh("lab")
        extra = {"fetch": ("--rankings", rankings, "--songs", songs), "train": self.epochs}
        costs = {}
        for step in LAB_STEPS:
            costs[step] = self.child(f"lab {step}", LAB, step, "--work", work, *extra.get(step, ()))
        every = list(costs.values())
        seconds, cpu = sum(cost.seconds for cost in every), sum(cost.cpu_seconds for cost in every)
        return {**costs, "all": Measured(seconds, max(cost.peak_mb for cost in every), cpu_seconds=cpu)}

    def ours(self, rankings: Path, songs: Path) -> tuple[dict[str, Measured], dict[str, Any]]:
        """Run our pipeline; return the cost of each step and of all, and what the command printed."""
        work = self._fresh("ours")
        tables = ("--data", f"rankings={rankings}", "--data", f"songs={songs}")
        places = ("--store", work / "store", "--runs", work / "runs", "--no-promote", "--json")
        whole = self.child("ours", "-m", "ml.cli", "run", *tables, *places, stdout=work / "run.json")
        result = json.loads((work / "run.json").read_bytes())
        costs = {step["step"]: Measured(step["seconds"], step["peak_mb"]) for step in result["steps"]}
        return {**costs, "all": whole}, result

    def quality(self, result: dict[str, Any]) -> dict[str, Any]:
        """Train and score the lab's network on the split by song; return both sides' figures.

        Args:
            result: what the last `jukebox run` printed.

        Raises:
            BenchError: the two were not scored on the same songs and chart rows.
        """
        work = self._fresh("quality")
        (work / "dataset.csv").symlink_to(self.folder / "lab/dataset.csv")
        (test_split,) = Path(result["artifacts"]).glob("*/preprocess/test_split.parquet")
        self.child("quality: lab split", SCORE, "split", "--work", work)
        self.child("quality: lab train", LAB, "train", "--work", work, *self.epochs)
        self.child("quality: lab score", SCORE, "score", "--work", work, "--test-split", test_split)
        lab = json.loads((work / "lab_score.json").read_bytes())
        ours = json.loads(Path(result["evidence"]).read_bytes())["reports"]["evaluation"]
        ours["songs"] = ours["examples"]
        scored = [f"{side['songs']:,} songs with {side['rows']:,} chart rows" for side in (lab, ours)]
        if scored[0] != scored[1]:
            raise BenchError(f"the lab was scored on {scored[0]}, ours on {scored[1]}")
        losses = {name: ours[name]["log_loss"]["value"] for name in ("prior", "logistic", "model")}
        return {"lab": lab, **losses, "songs": ours["songs"], "rows": ours["rows"]}

    def _fresh(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


def run(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark; return all that was measured."""
    tables = (args.rankings, args.songs_table) if args.rankings else bench.sample(args.songs, args.days)
    bench.child("warm-up", "-c", WARM_UP)
    load = os.getloadavg()[0]
    lab, ours = [], []
    for _ in range(args.repeat):
        lab.append(bench.lab(*tables))
        costs, result = bench.ours(*tables)
        ours.append(costs)
    report = json.loads(Path(result["evidence"]).read_bytes())["reports"]["data_report"]
    source = args.rankings or f"jukebox sample --sample sample:songs={args.songs},days={args.days}"
    return {
        "data": {"source": str(source), "rows": report["rows"]["rankings"], "songs": report["rows"]["songs"]},
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": load},
        "epochs": args.epochs,
        "steps": {step["step"]: step["headline"] for step in result["steps"]},
        "lab": lab,
        "ours": ours,
        "quality": bench.quality(result),
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Our pipeline beside the lab's algorithm.")
    parser.add_argument("--songs", type=int, default=SONGS, help="songs of the sample")
    parser.add_argument("--days", type=int, default=DAYS, help="days of charts of the sample")
    parser.add_argument("--rankings", type=Path, help="chart rows, parquet, instead of the sample")
    parser.add_argument("--songs-table", type=Path, help="song features, parquet, instead of the sample")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the lab's training")
    parser.add_argument("--repeat", type=int, default=1, help="how often; medians count")
    parser.add_argument("--out", type=Path, help="JSON file for all that was measured")
    args = parser.parse_args()
    if bool(args.rankings) != bool(args.songs_table):
        parser.error("--rankings and --songs-table go together")
    if args.repeat < 1 or args.epochs < 1:
        parser.error("--repeat and --epochs are at least 1")
    if args.out and not args.out.absolute().parent.is_dir():
        parser.error(f"--out: there is no folder {args.out.absolute().parent}")
    return args


def main() -> int:
    """Run the benchmark and print its table; 1 if it could not, 130 if it was interrupted."""
    args = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="jukebox-bench-") as folder:
            result = run(Bench(Path(folder), args.epochs), args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    if args.out:
        args.out.write_text(json.dumps(result, indent=2, default=vars) + "\n")
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
