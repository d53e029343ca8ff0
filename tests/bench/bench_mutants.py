"""What the tests notice: mutants of gate, DSPA client and releases, each against the tests of its line.

    python tests/bench/bench_mutants.py record     run all tests, and note which lines each covers
    python tests/bench/bench_mutants.py run        run the mutants, first against the tests of `make test`

`--like` takes the mutants of an earlier result, as far as their lines still read the same: so two versions
of the tests are compared on the same mutants. A run that was interrupted goes on where it was.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench import mutant_page
from bench.covering import Covering, durations, record
from bench.mutant_runs import Bench, End
from bench.mutants import Mutant, seeded, shares

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ml/gate", "ml/dspa", "ml/release")
TIERS = ("fast", "all")
EVERY = ("-m", "")
EXAMPLES = {"JUKEBOX_EXAMPLES": "50"}
"""With what `make test-all` calls pytest; `make test` calls it with nothing."""

RESERVE = 12
"""Mutants of a module beyond its share, for those whose lines another version no longer has."""

Results = dict[str, Any]


def chosen(tree: Path, seed: int, count: int) -> tuple[list[Mutant], list[Mutant]]:
    """Return the seeded mutants of a checkout, and the reserves of each module in their order."""
    first, reserves = [], []
    for path, share in shares(tree, PACKAGES, count).items():
        if share:
            ordered = seeded(path, (tree / path).read_text(), seed)
            first += [mutant for mutant, _ in zip(ordered, range(share), strict=False)]
            reserves += [mutant for mutant, _ in zip(ordered, range(RESERVE), strict=False)]
    return first, reserves


def still_there(tree: Path, first: list[Mutant], reserves: list[Mutant]) -> list[Mutant]:
    """Replace the mutants whose lines a checkout no longer has by reserves, of the same module first."""

    def applies(mutant: Mutant) -> bool:
        path = tree / mutant.path
        return path.exists() and mutant.line(path.read_text()) is not None

    spare = [mutant for mutant in reserves if applies(mutant)]
    kept = []
    for mutant in first:
        near = sorted(
            spare, key=lambda other: (other.path != mutant.path, _package(other) != _package(mutant))
        )
        if not applies(mutant):
            if not near:
                raise SystemExit("bench_mutants: too few mutants of the earlier result still apply")
            spare.remove(near[0])
        kept.append(mutant if applies(mutant) else near[0])
    return kept


def _package(mutant: Mutant) -> str:
    return "/".join(mutant.path.split("/")[:2])


def outcome(bench: Bench, mutant: Mutant, parts: list[tuple[str, set[str], dict[str, str]]]) -> Results:
    """Run a mutant against tests part by part, each with its tier and variables, until one kills it."""
    seconds, flaky, killed_in, end = 0.0, [], "", End()
    for tier, tests, variables in parts:
        if tests and not killed_in:
            end = bench.run(mutant, sorted(tests), **variables)
            seconds, flaky = seconds + end.seconds, [*flaky, *end.flaky]
            killed_in = end.killed_by and tier
    met = set().union(*(tests for _, tests, _ in parts))
    return {
        "mutant": dataclasses.asdict(mutant),
        "tests": len(met),
        "test_seconds": round(sum(bench.seconds[test] for test in met), 1),
        "tier": killed_in,
        "killed_by": end.killed_by,
        "seconds": round(seconds, 1),
        "flaky": flaky,
    }


def run(given: argparse.Namespace) -> Results:
    """Run the mutants tier by tier, and write the results after each mutant."""
    if given.like:
        like = json.loads(given.like.read_text())
        reserves = [Mutant(**one) for one in like["reserves"]]
        first = still_there(given.tree, [Mutant(**one["mutant"]) for one in like["results"]], reserves)
    else:
        first, reserves = chosen(given.tree, given.seed, given.count)
    done: list[Results] = json.loads(given.out.read_text())["results"] if given.out.exists() else []
    known = [one["mutant"] for one in done]
    with tempfile.TemporaryDirectory(prefix="mutants") as folder, ThreadPoolExecutor(given.jobs) as pool:
        bench = Bench(Path(folder), given.budget)
        bench.copy(given.tree)
        every = bench.collected([*EVERY, *given.tests])
        fast = set(bench.collected(given.tests)["all"]) if "fast" in given.tiers else set()
        bench.seconds = durations(given.junit, every["all"])
        bench.late = set(every["finished_run"])
        covering = Covering(given.tree, given.coverage, every["finished_run"])
        results = {
            "commit": _commit(given.tree),
            "seed": given.seed,
            "tests": {"fast": len(fast), "all": len(every["all"])},
            "results": done,
            "reserves": [dataclasses.asdict(mutant) for mutant in reserves],
        }
        under_way = []
        for mutant in first:
            if dataclasses.asdict(mutant) not in known:
                tests = covering.tests(mutant) & bench.seconds.keys()
                # The tests of properties meet more examples in `make test-all` than in `make test`.
                again = tests & fast & set(every["properties"])
                parts = [
                    ("fast", tests & fast, {}),
                    ("all", tests - fast, EXAMPLES),
                    ("all", again, EXAMPLES),
                ]
                parts = [part for part in parts if part[0] in given.tiers]
                under_way.append(pool.submit(outcome, bench, mutant, parts))
        for future in as_completed(under_way):
            done.append(one := future.result())
            given.out.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{len(done)}/{len(first)} {mutant_page.line(one)}", flush=True)
    return results


def _commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("record", "run"))
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "mutants", help="for what is recorded and found"
    )
    parser.add_argument("--coverage", type=Path, help="instead of the one in the folder")
    parser.add_argument("--junit", type=Path, help="likewise")
    parser.add_argument("--out", type=Path, help="the results; likewise")
    parser.add_argument("--tests", nargs="*", default=[], help="only these tests, as pytest is told of them")
    parser.add_argument("--tiers", nargs="+", choices=TIERS, default=TIERS, help="all alone is for one tier")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument(
        "--budget", type=float, default=900.0, help="seconds of tests that a mutant meets at most"
    )
    parser.add_argument("--like", type=Path, help="an earlier result")
    parser.add_argument("--page", type=Path, help="the page to write")
    given = parser.parse_args()
    given.tree = given.tree.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, file in {"coverage": "coverage", "junit": "junit.xml", "out": "results.json"}.items():
        setattr(given, name, (getattr(given, name) or given.folder / file).resolve())
    if given.command == "record":
        record(given.tree, PACKAGES, given.folder.resolve(), [*EVERY, *given.tests], EXAMPLES)
        return
    text = mutant_page.page(run(given), json.loads(given.like.read_text()) if given.like else None)
    print(text)
    if given.page:
        given.page.write_text(text)


if __name__ == "__main__":
    main()
