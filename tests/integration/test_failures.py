"""Each way to fail ends with one clear line, its exit code, and nothing half written.

The runs are made four at a time when the first test needs its own; each test looks at its own.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from command import AS_USER
from policies import default_policy
from processes import assert_nothing_half_written, assert_one_line, run_at
from servers import closed_port
from tables import Files, sample_tables, write_tables
from tiers import sampled

from ml.problems.songs.sample_spec import SampleSpec

SPEC = SampleSpec(songs=600, days=2, seed=7)
SAMPLE = ("--data", SPEC.uri)


class Failure(NamedTuple):
    """What goes wrong: it prepares a home and returns the arguments of `jukebox run`; and how that ends."""

    prepare: Callable[[Path], tuple[Any, ...]]
    code: int
    message: str


def _given(files: Files) -> tuple[str, ...]:
    return "--data", f"rankings={files.rankings}", "--data", f"songs={files.songs}"


def _good(home: Path) -> Files:
    return write_tables(home, *sample_tables(SPEC))


def _broken_file(change: Callable[[Path], Any]) -> Callable[[Path], tuple[str, ...]]:
    """Make a failure of a rankings file that something happened to."""

    def prepare(home: Path) -> tuple[str, ...]:
        files = _good(home)
        change(files.rankings)
        return _given(files)

    return prepare


def _energy_is_missing(home: Path) -> tuple[str, ...]:
    rankings, songs = sample_tables(SPEC)
    songs.loc[3, "energy"] = np.nan
    return _given(write_tables(home, rankings, songs))


def _policy(text: str) -> Callable[[Path], tuple[str, ...]]:
    def prepare(home: Path) -> tuple[str, ...]:
        (home / "policy.yaml").write_text(text)
        return *SAMPLE, "--policy", str(home / "policy.yaml")

    return prepare


def _pipeline(home: Path) -> tuple[str, ...]:
    (home / "pipeline.yaml").write_text("root: {}\n")
    return *SAMPLE, "--pipeline", "pipeline.yaml"


FAILURES = {
    "truncated parquet": Failure(
        _broken_file(lambda path: path.write_bytes(path.read_bytes()[:-100])),
        20,
        "fetch failed: rankings: the parquet file is cut off or damaged",
    ),
    "missing file": Failure(
        _broken_file(Path.unlink), 2, "cannot read {home}/rankings.parquet: No such file or directory"
    ),
    "file without permission": Failure(
        _broken_file(lambda path: path.chmod(0)), 2, "cannot read {home}/rankings.parquet: Permission denied"
    ),
    "NaN feature": Failure(_energy_is_missing, 20, "column energy: 1 rows, e.g. nan"),
    "policy with a typo": Failure(
        _policy(default_policy().text.replace("min_examples", "min_song")),
        2,
        "evaluation.min_song: unknown key",
    ),
    "pipeline that is none": Failure(_pipeline, 2, "is not a pipeline compiled by `jukebox compile`"),
    "server that is not there": Failure(
        lambda home: ("--data", f"http://127.0.0.1:{closed_port()}/tables"),
        30,
        "cannot reach http://127.0.0.1:",
    ),
    "password in a URI": Failure(
        lambda home: ("--data", "http://user:hunter2@127.0.0.1:1/tables"),
        2,
        "http://127.0.0.1:1/tables/rankings.parquet: a password in the URI",
    ),
    "unknown option": Failure(lambda home: (*SAMPLE, "--epoch", "3"), 2, "--epoch"),
    "option out of range": Failure(lambda home: (*SAMPLE, "--param", "epochs=0"), 2, "epochs"),
}

FAST = [name for name, failure in FAILURES.items() if failure.code != 20] + ["NaN feature"]
"""Those that end before the first step, and one that a step ends."""


def _fail(home: Path, failure: Failure) -> subprocess.CompletedProcess:
    home.mkdir()
    return run_at(home, "run", *failure.prepare(home))


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory) -> Iterator[dict[str, tuple[Path, Future]]]:
    """Start the run of every selected failure, some at a time; they wait more than they compute."""
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    homes = {name: tmp_path_factory.mktemp("failures") / "home" for name in FAILURES if name in wanted}
    with ThreadPoolExecutor(4) as pool:
        yield {name: (home, pool.submit(_fail, home, FAILURES[name])) for name, home in homes.items()}


@pytest.mark.parametrize("name", sampled(FAILURES, FAST))
def test_a_run_that_fails_says_why_in_one_line(runs, name):
    if name == "file without permission" and os.geteuid() == 0 and not AS_USER:
        pytest.skip("needs setpriv (util-linux), or a user other than root, who may read everything")
    home, run = runs[name]
    failure = FAILURES[name]
    line = assert_one_line(run.result(), failure.code)
    assert failure.message.format(home=home) in line
    assert "hunter2" not in line
    assert_nothing_half_written(home)


def test_a_failed_validation_leaves_its_report(runs):
    home, run = runs["NaN feature"]
    run.result()
    (report,) = home.glob(".jukebox/runs/*/artifacts/*/validate/data_report.json")
    assert '"name":"songs.features_present","passed":false' in report.read_text()
