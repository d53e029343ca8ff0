"""Look at runs: list them, compare two, decide again on one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ml.cli.console import out, tame
from ml.cli.options import FOLDER, AsJson, PolicyFile, Problem, policy_text_of
from ml.cli.results import print_json
from ml.cli.tables import show_table, show_verdict
from ml.core.clock import today
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.evidence import decide_again, policy_digest, read_evidence

if TYPE_CHECKING:
    from ml.pipeline.differences import Differences, Fact, Measured
    from ml.pipeline.run_record import Run

RUNS = FOLDER / "runs"
Runs = Annotated[
    Path, typer.Option("--runs", envvar="JUKEBOX_RUNS", help="The folder in which each run has its own.")
]
Named = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's name, its beginning or that of its last part; or the path of an evidence.json.",
    ),
]


def runs(
    folder: Runs = RUNS,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the runs on this machine, newest first: commit, data, verdict, log loss.

    The name is the one that `jukebox run` prints first, and the one that `compare` and `gate` take. A commit
    is marked +dirty where the work tree had changes beside it. Times are UTC, log loss is in nats.

    Example: jukebox runs --last 5
    """
    from ml.pipeline.runs import list_runs

    listed = list_runs(folder, last)
    if as_json:
        print_json({"runs": [run.to_json() for run in listed]})
        return
    if not listed:
        out.print(f"{folder}: no runs yet; `jukebox run` makes one", markup=False)
        return
    rows = [
        (
            escape(tame(run.id)),
            run.started[:16].replace("T", " "),
            escape(tame(run.code)),
            escape(tame(" ".join(filter(None, (run.data_version[:12], run.source))))),
            escape(tame(run.verdict)),
            "" if run.log_loss is None else f"{run.log_loss:.4f}",
            f"number {run.promotion}" if run.promotion else "",
            escape(tame(run.problem)),
        )
        for run in listed
    ]
    show_table(("run", "started", "commit", "data", "verdict", "log loss", "promoted", "because"), rows)


def compare(first: Named, second: Named, folder: Runs = RUNS, as_json: AsJson = False) -> None:
    """Compare two runs: what was changed between them, and what came of it.

    The output has first the settings, data, code and results that differ, then the checks of the gate that
    differ, then the metrics on the test examples with their intervals. Metrics of different test
    examples are shown, but cannot be compared.

    Example: jukebox compare 20260801-120000-3f2a91 20260802-093000-77d0c4
    """
    from ml.pipeline.differences import compare_runs
    from ml.pipeline.runs import find_run

    pair = find_run(first, folder), find_run(second, folder)
    differences = compare_runs(*pair)
    if as_json:
        told = {**differences.model_dump(mode="json"), "comparable": differences.comparable}
        print_json({"runs": [run.to_json() for run in pair], **told})
    else:
        _show(pair, differences)


def gate(
    evidence: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE", help="A run's name, or an evidence.json that a run has written."),
    ],
    policy: PolicyFile = None,
    problem: Problem = "",
    folder: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """Decide again on a run, from the raw numbers in its evidence, under the given policy.

    Example: jukebox gate 20260801-120000-3f2a91 --policy stricter.yaml
    """
    from ml.pipeline.runs import evidence_of

    path = evidence_of(evidence, folder)
    try:
        judged = read_evidence(path.read_bytes())
    except OSError as error:
        raise EvidenceError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise EvidenceError(f"{path}: {error}") from error
    try:
        text = policy.read_text(encoding="utf-8") if policy else policy_text_of(None, problem)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the policy {policy}: {error}") from error
    verdict = decide_again(judged, text, today())
    same_policy = judged.policy_digest == policy_digest(text)
    result = {**verdict.to_json(), "same_policy": same_policy}
    if not as_json:
        show_verdict(verdict)
        if not same_policy:
            out.print("note: the run was judged under another policy than this one")
    if not verdict.passed:
        raise GateBlocked(f"blocked: {', '.join(check.name for check in verdict.failures)}", result)
    if as_json:
        print_json(result)


def _show(pair: "tuple[Run, Run]", differences: "Differences") -> None:
    """Print two runs side by side."""
    names = [escape(tame(run.id)) for run in pair]
    changed = [(name, *map(_fact, values)) for name, values in differences.changed.items()]
    if changed:
        show_table(("what changed", *names), changed)
    else:
        out.print(f"nothing differs between {names[0]} and {names[1]}")
    if differences.same:
        out.print(f"the same: {', '.join(differences.same)}")
    if differences.checks:
        out.print()
        show_table(
            ("check", *names), [(name, *map(_fact, words)) for name, words in differences.checks.items()]
        )
    if differences.metrics:
        out.print()
        rows = [
            (
                name.replace("_", " "),
                *map(_measured, values),
                _difference(*values) if differences.comparable else "",
            )
            for name, values in differences.metrics.items()
        ]
        show_table(("metric", *names, "difference"), rows)
    out.print(differences.note or "measured on the same test examples; log loss and gains in nats")


def _fact(value: "Fact") -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(tame(value)) if isinstance(value, str) else f"{value:,.6g}"


def _measured(measured: "Measured | None") -> str:
    if measured is None:
        return "-"
    between = "" if measured.low is None else f" [{measured.low:.3f}, {measured.high:.3f}]"
    return escape(f"{measured.value:.4f}{between}")


def _difference(first: "Measured | None", second: "Measured | None") -> str:
    return f"{second.value - first.value:+.4f}" if first and second else ""
