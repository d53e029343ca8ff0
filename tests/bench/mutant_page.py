"""The page about the mutants: how many were killed by which tests, and which survived."""

import collections
import textwrap
from collections.abc import Sequence
from typing import Any

Result = dict[str, Any]

HEAD = """# What the tests notice

`make mutants` changes the code in one small way at a time (a bound, a condition, a constant, an argument that
is left out, an error that is not raised) and runs the tests that cover the changed line: first those of
`make test`, then, if none fails, the others of `make test-all`. A mutant is killed when a test fails or does
not end. Mutants are drawn by a seed, evenly over the packages, and within each over the modules by size.
"""


def line(result: Result) -> str:
    """Say in one line what came of a mutant."""
    mutant = result["mutant"]
    end = f"killed by {result['killed_by']}" if result["tier"] else "survived"
    where = f"{mutant['path']} {mutant['where']}".rstrip()
    return f"{where} ({mutant['operator']}, {result['tests']} tests): {end}, {result['seconds']:.0f} s"


def page(found: Result, before: Result | None) -> str:
    """Write the page.

    Args:
        found: the results of `bench_mutants.run`.
        before: those of the version that it is compared with.
    """
    results, tests = found["results"], found["tests"]
    told = (
        f"Measured at commit {found['commit']} with seed {found['seed']}: {len(results)} mutants, "
        f"{tests['fast']:,} tests in `make test`, {tests['all']:,} in `make test-all`."
    )
    names = ["package", "mutants", "killed by `make test`", "killed by `make test-all`", "by `make test`, %"]
    if before:
        told += (
            f" Beside it, what the {before['tests']['all']:,} tests of commit {before['commit']} killed of "
            "the same mutants."
        )
        names.append(f"killed at {before['commit']}")
    survivors = [_survivor(one) for one in sorted(results, key=_place) if not one["tier"]]
    parts = [
        HEAD,
        *textwrap.wrap(told, 110, break_long_words=False),
        "",
        *_table(names, _rows(results, before)),
        "",
        "## The survivors",
        "",
        *survivors,
    ]
    return "\n".join(parts).rstrip() + "\n"


def _rows(results: Sequence[Result], before: Result | None) -> list[list[str]]:
    packages = collections.defaultdict(list)
    for one in sorted(results, key=_place):
        packages["/".join(one["mutant"]["path"].split("/")[:2])].append(one)
    old = [one["mutant"] for one in before["results"] if one["tier"]] if before else []
    rows = []
    for name, part in [*packages.items(), ("**all**", results)]:
        killed = [one["tier"] for one in part if one["tier"]]
        share = f"{100 * killed.count('fast') / max(len(killed), 1):.0f}"
        row = [name, str(len(part)), str(killed.count("fast")), str(len(killed)), share]
        rows.append([*row, str(sum(one["mutant"] in old for one in part))] if before else row)
    return rows


def _table(names: Sequence[str], rows: list[list[str]]) -> list[str]:
    head = [f"| {' | '.join(names)} |", "|" + "|".join(["---", *["--:"] * (len(names) - 1)]) + "|"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def _survivor(result: Result) -> str:
    mutant = result["mutant"]
    where = f"`{mutant['path']}`" + (f", `{mutant['where']}`" if mutant["where"] else "")
    removed = [f"-{text}" for text in mutant["before"].split("\n")]
    added = [f"+{text}" for text in mutant["after"].split("\n")]
    return "\n".join([f"{where} ({result['tests']:,} tests):", "", "```diff", *removed, *added, "```", ""])


def _place(result: Result) -> tuple[str, str, str]:
    mutant = result["mutant"]
    return mutant["path"], mutant["where"], mutant["after"]
