"""What the tests notice: seeded mutants of four packages, each against the tests that cover its line.

    python tests/bench/bench_mutants.py record              run all tests, and note which lines each covers
    python tests/bench/bench_mutants.py run --page FILE     run the mutants: first the tests of `make test`

Both work on copies of the commit, and keep what they have in mutants/COMMIT: either goes on where it was
interrupted. A test runs with all its parameters; what a shared fixture runs stands for the tests of its file.
"""

import argparse
import ast
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import psutil
from coverage import CoverageData

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.mutants import FUNCTIONS, Mutant, seeded, shares

PACKAGES = ("ml/gate", "ml/dspa", "ml/judge", "ml/release")
SEED = 16
EXAMPLES = {"JUKEBOX_EXAMPLES": "50"}
TIERS = {"make test": ("not slow", 300, {}), "make test-all": ("slow or hypothesis", 1800, EXAMPLES)}
"""Which tests each runs (the second: those that the first does not run, or with fewer examples), the seconds
that one test may take, and variables."""

SETTINGS = """[run]
source =
    {sources}
parallel = true
data_file = {folder}/parts/coverage
context = ${{PYTEST_CURRENT_TEST-}}
sigterm = true
disable_warnings = no-data-collected,module-not-imported,module-not-measured
"""
"""A process that a test starts reads them anew, so its context is that test's."""


def git(tree: Path, *arguments: object) -> str:
    command = ["git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def pytest(tree: Path, *arguments: str, **variables: object) -> bool:
    """Tell whether pytest passes in a copy (or has nothing to do); where it does not end, it does not."""
    env = {**os.environ, "PYTHONPATH": str(tree), **{name: str(value) for name, value in variables.items()}}
    env.pop("PYTEST_CURRENT_TEST", "")
    command = [sys.executable, "-m", "pytest", "--tb=short", *arguments]
    with (tree.parent / "log").open("w") as log:
        how = {"cwd": tree, "env": env, "stdout": log, "stderr": log, "timeout": 7200}
        try:
            return subprocess.run(command, check=False, **how).returncode in (0, 5)
        except subprocess.TimeoutExpired:
            return False


def record(tree: Path, folder: Path) -> None:
    """Run all tests in a copy; leaves it, ``coverage``, and ``failed``: options that leave out what fails."""
    if (folder / "failed").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    original = folder / "original"
    (folder / "parts").mkdir(parents=True)
    git(folder, "clone", "-q", "--depth=1", f"file://{tree}", original)
    settings = folder / "coverage.ini"
    sources = "\n    ".join(str(original / package) for package in PACKAGES)
    settings.write_text(SETTINGS.format(sources=sources, folder=folder))
    variables = {"COVERAGE_PROCESS_START": settings, **EXAMPLES}
    pytest(original, "-p", "tests.bench.mutant_plugin", "-m", "", **variables)
    combine = ["combine", "--quiet", f"--data-file={folder}/coverage", folder / "parts"]
    subprocess.run([sys.executable, "-m", "coverage", *combine], cwd=folder, check=True)
    failed = original / ".pytest_cache/v/cache/lastfailed"
    names = json.loads(failed.read_text()) if failed.exists() else {}
    if not all("::" in name for name in names):
        raise SystemExit(f"bench_mutants: not all tests could be collected, see {folder}/log")
    (folder / "failed").write_text("".join(f"--deselect={name}\n" for name in names))


def covering(folder: Path, mutant: Mutant) -> set[str]:
    """Return the tests, and files of tests, that cover a mutant.

    What runs as a module is imported is covered by the first import alone: a mutant there meets every test
    that runs a function of the module, or of its package where the module has none.
    """
    original, data = folder / "original", CoverageData(folder / "coverage")
    data.read()

    def of(path: str, lines: set[int]) -> set[str]:
        contexts = data.contexts_by_lineno(str(original / path))
        return {context for line in lines for context in contexts.get(line, ())} - {""}

    def functions(path: Path) -> set[str]:
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, FUNCTIONS)]
        lines = {line for node in nodes for line in range(node.body[0].lineno, node.end_lineno + 1)}
        return of(str(path.relative_to(original)), lines)

    package = original.joinpath(*Path(mutant.path).parts[:2])
    if mutant.last:
        contexts = of(mutant.path, set(range(mutant.first, mutant.last + 1)))
    else:
        contexts = functions(original / mutant.path) or set().union(*map(functions, package.rglob("*.py")))
    tests = set()
    for context in contexts:
        # Only that of a process says in which phase of the test it was started.
        context = context.partition("|")[0]
        test, _, phase = context.rpartition(" (") if context.endswith(")") else (context, "", "call)")
        tests.add(test.partition("[" if phase == "call)" else "::")[0])
        if phase == "setup)":
            # Whoever began the finished run stands for all that share it.
            tests.update(git(original, "grep", "-l", "finished_run", "--", "tests/**/test_*.py").split())
    return {test for test in tests if "::" not in test or test.partition("::")[0] not in tests}


def killed_by(folder: Path, mutant: Mutant, tests: set[str]) -> str:
    """Return the tier that kills a mutant, or nothing. A failure counts when it comes again."""
    near = f"tests/unit/{Path(mutant.path).parts[1]}/"
    chosen = sorted(tests, key=lambda test: (not test.startswith(near), test))
    temporary = tempfile.mkdtemp(prefix="m")
    tree, listed = Path(temporary, "tree"), Path(temporary, "tests")
    listed.write_text("\n".join([*chosen, (folder / "failed").read_text()]).strip())
    try:
        Path(temporary, "tmp").mkdir()
        shutil.copytree(
            folder / "original", tree, symlinks=True, ignore=shutil.ignore_patterns(".pytest_cache")
        )
        (tree / mutant.path).write_text(mutant.applied((tree / mutant.path).read_text()))
        git(tree, "commit", "-qam", "mutant")
        for tier, (marks, seconds, variables) in TIERS.items():
            options = ["-x", "-n0", "-m", marks, "--hypothesis-seed=0", f"-ofaulthandler_timeout={seconds}"]
            options += ["-ofaulthandler_exit_on_timeout=true", f"@{listed}"]
            variables = {**variables, "TMPDIR": f"{temporary}/tmp"}
            for _ in range(3):
                if pytest(tree, *options, **variables):
                    break
                if not pytest(tree, "--last-failed", *options, **variables):
                    return tier
        return ""
    finally:
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("TMPDIR", "").startswith(temporary):
                process.kill()
        shutil.rmtree(temporary, ignore_errors=True)


def run(tree: Path, folder: Path, count: int) -> list[dict]:
    """Run the mutants, and write the results after each."""
    out = folder / "results.json"
    done = json.loads(out.read_text()) if out.exists() else []
    known = [Mutant(**one["mutant"]) for one in done]

    def outcome(mutant: Mutant) -> dict:
        tests = covering(folder, mutant)
        tier = killed_by(folder, mutant, tests) if tests else ""
        return {"mutant": dataclasses.asdict(mutant), "tests": len(tests), "tier": tier}

    with ThreadPoolExecutor(2) as pool:
        under_way = []
        for path, share in shares(folder / "original", PACKAGES, count).items():
            source = (folder / "original" / path).read_text()
            chosen = itertools.islice(seeded(path, source, SEED), share)
            under_way += [pool.submit(outcome, mutant) for mutant in chosen if mutant not in known]
        for future in as_completed(under_way):
            done.append(one := future.result())
            out.write_text(json.dumps(done, indent=1) + "\n")
            end = one["tier"] or "survived"
            print(f"{len(done)}/{count} {one['mutant']['path']} {one['mutant']['where']}: {end}", flush=True)
    return sorted(done, key=lambda one: list(one["mutant"].values()))


def page(commit: str, results: list[dict]) -> str:
    """Return the page from its first number on: how many were killed by which tests, and which survived."""
    lines = [
        f"Measured at commit {commit} with seed {SEED}: {len(results)} mutants.",
        "",
        "| package | mutants | killed by `make test` | killed by `make test-all` | by `make test`, % |",
        "|---|--:|--:|--:|--:|",
    ]
    for package in (*PACKAGES, ""):
        part = [one["tier"] for one in results if one["mutant"]["path"].startswith(package)]
        killed, fast = len(part) - part.count(""), part.count("make test")
        share = f"{100 * fast / max(killed, 1):.0f}"
        lines.append(f"| {package or '**all**'} | {len(part)} | {fast} | {killed} | {share} |")
    lines += ["", "## The survivors"]
    for one in results:
        if not one["tier"]:
            mutant = Mutant(**one["mutant"])
            where = f"`{mutant.path}`" + (mutant.where and f", `{mutant.where}`")
            diff = [
                f"{sign}{text}".replace("\n", f"\n{sign}")
                for sign, text in (("-", mutant.before), ("+", mutant.after))
            ]
            lines += ["", f"{where} ({one['tests']:,} tests):", "", "```diff", *diff, "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("record", "run"))
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2], help="the checkout")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--page", type=Path, help="the page whose numbers to write")
    given = parser.parse_args()
    tree = given.tree.resolve()
    commit = git(tree, "rev-parse", "--short", "HEAD")
    folder = tree / "mutants" / commit
    if given.command == "record":
        record(tree, folder)
        return
    text = page(commit, run(tree, folder, given.count))
    print(text)
    if given.page:
        given.page.write_text(given.page.read_text().partition("Measured at")[0] + text)


if __name__ == "__main__":
    main()
