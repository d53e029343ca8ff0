"""How long `jukebox submit` takes to start, beside a bare Python, and how much memory a submission takes.

    .venv/bin/python tests/bench/bench_submit.py [--runs 9]

It prints medians of wall and CPU time, the ratio of the wall time to that of `python -c pass`, and the
highest peak memory: of the help, of wrong use, and of a submission that looks up its tables and the
champion and is then refused by a double of the DSPA. Nothing here decides a test.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from measure import run_measured

PLACES = ("--evidence", "s3://bucket/evidence", "--store", "s3://bucket/store")
IMAGE = f"quay.io/example/jukebox@sha256:{'a' * 64}"
CLI = (sys.executable, "-m", "ml.cli")
SERVERS = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dspa_server import Dspa, serving
from ml.pipeline.compiler import compile_pipeline
from servers import Site, s3_server, serving as serving_site
compile_pipeline(Path(sys.argv[2]), sys.argv[3])
site = Site(files={"/charts.csv": b"a", "/songs.csv": b"b"})
dspa = Dspa(tokens={"another"})
with s3_server() as s3, serving_site(site), serving(dspa):
    print(s3["AWS_ENDPOINT_URL"], site.url, dspa.url, flush=True)
    sys.stdin.read()
"""
"""In a process of their own: what is measured must not share their memory, or their interpreter."""


def main() -> None:
    """Measure, and print a table."""
    import subprocess

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    tests = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        ir = f"{folder}/pipeline.yaml"
        with subprocess.Popen(
            [sys.executable, "-c", SERVERS, tests, ir, IMAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as servers:
            s3, site, host = servers.stdout.readline().split()
            env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            env |= {"AWS_ENDPOINT_URL": s3, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
            env |= {"AWS_REGION": "us-east-1", "JUKEBOX_TOKEN": "t"}
            submit = (*CLI, "submit", ir, *PLACES, "--host", host)
            tables = ("--data", f"rankings={site}/charts.csv", "--data", f"songs={site}/songs.csv")
            commands = {
                "python -c pass": (sys.executable, "-c", "pass"),
                "jukebox submit --help": (*CLI, "submit", "--help"),
                "wrong use": (*submit, "--param", "no=1"),
                "refused, http:// tables": (*submit, *tables),
                "refused, sample:": submit,
            }
            table(commands, env, runs)
            servers.stdin.close()


def table(commands: dict[str, tuple[str, ...]], env: dict[str, str], runs: int) -> None:
    """Measure each command so many times, in turn, and print the medians."""
    measured = {name: [] for name in commands}
    with open(os.devnull, "wb") as null:
        for _ in range(runs):
            for name, command in commands.items():
                measured[name].append(run_measured(command, env, null, null))
    bare = statistics.median(one.seconds for one in measured["python -c pass"])
    print(f"{'':<26}{'s':>8}{'ratio':>8}{'CPU s':>8}{'MB':>8}{'exit':>6}")
    for name, found in measured.items():
        seconds = statistics.median(one.seconds for one in found)
        cpu = statistics.median(one.cpu_seconds for one in found)
        peak = max(one.peak_mb for one in found)
        print(
            f"{name:<26}{seconds:>8.2f}{seconds / bare:>8.1f}{cpu:>8.2f}{peak:>8.0f}{found[0].returncode:>6}"
        )


if __name__ == "__main__":
    main()
