"""The policy as code: what each threshold is and why, and what a policy would have decided."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ml.cli.console import out, tame
from ml.cli.options import (
    FOLDER,
    STORE,
    AsJson,
    PolicyFile,
    Problem,
    Store,
    absolute,
    policy_text_of,
    problem_policy,
)
from ml.cli.results import print_json
from ml.cli.tables import show_table
from ml.core.clock import today
from ml.core.errors import EvidenceError
from ml.gate.explained import explain as explain_policy
from ml.gate.policy import default_text, parse_policy

app = typer.Typer(
    name="policy",
    help="What the gate asks for: explain every threshold, or try a changed policy on earlier runs.",
    no_args_is_help=True,
)


@app.command()
def default(problem: Problem = "") -> None:
    """Print a problem's default policy as YAML, to change it: `jukebox policy default > policy.yaml`."""
    out.print(default_text(problem_policy(problem)), markup=False, end="")


@app.command()
def explain(policy: PolicyFile = None, problem: Problem = "", as_json: AsJson = False) -> None:
    """Print every threshold of a policy with its unit and the reason for its default, and the waivers."""
    parsed = parse_policy(policy_text_of(policy, problem))
    thresholds = explain_policy(parsed, problem_policy(problem))
    day = today()
    if as_json:
        print_json(
            {
                "digest": parsed.digest,
                "thresholds": [threshold.to_json() for threshold in thresholds],
                "waivers": [
                    {**waiver.to_json(), "in_force": day <= waiver.until} for waiver in parsed.waivers
                ],
            }
        )
        return
    rows = [
        (
            threshold.name,
            escape(threshold.shown),
            "" if threshold.value == threshold.default else "changed",
            threshold.unit,
            escape(threshold.reason),
        )
        for threshold in thresholds
    ]
    show_table(("threshold", "value", "", "unit", "reason for the default"), rows)
    out.print()
    for waiver in parsed.waivers:
        state = "waived" if day <= waiver.until else "no longer waived"
        out.print(
            f"{state}: {waiver.check}, by {waiver.who} until {waiver.until}: {waiver.why}", markup=False
        )
    out.print(f"policy {parsed.digest}, {len(thresholds)} thresholds, {len(parsed.waivers)} waivers")


@app.command()
def test(
    policy: PolicyFile = None,
    problem: Problem = "",
    store: Store = STORE,
    evidence: Annotated[
        list[str] | None,
        typer.Option(
            help="Folders or s3:// prefixes with evidence, also of runs that were blocked; "
            ".jukebox/runs where it is there. May be given several times."
        ),
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Try it on so many of the newest runs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Replay a policy on stored evidence: what would it have decided on the last runs?

    Ends with 0 whatever it would have decided, and with 40 when there is no evidence that can be read.
    """
    from ml.release.replay import find_evidence, replay

    text = policy_text_of(policy, problem)
    runs = str(FOLDER / "runs")
    asked = evidence or ([runs] if Path(runs).is_dir() else [])
    folders = [absolute(folder) for folder in (f"{store.rstrip('/')}/candidates", *asked)]
    if not Path(folders[0]).is_dir() and ":" not in folders[0]:
        # A store without a candidate is not an error where the evidence of blocked runs is elsewhere.
        folders = folders[1:] or folders
    results = replay(find_evidence(folders, last), text)
    readable = [result for result in results if not result.problem]
    counts = {
        "same": sum(result.passes_now == result.passed_then for result in readable),
        "newly blocked": sum(result.passed_then and not result.passes_now for result in readable),
        "newly passing": sum(result.passes_now and not result.passed_then for result in readable),
        "unreadable": len(results) - len(readable),
    }
    ours = parse_policy(text).digest
    report = {"policy": ours, "runs": [result.to_json() for result in results], **counts}
    if not readable:
        raise EvidenceError(
            f"no evidence that can be read among {len(results)} documents in {', '.join(folders)}; "
            "name another place with --store or --evidence",
            report,
        )
    if as_json:
        print_json(report)
        return
    word = {True: "pass", False: "BLOCK"}
    rows = [
        (
            escape(tame(result.run_id or result.where)),
            result.day,
            word[result.passed_then] if not result.problem else "unreadable",
            result.policy_digest[7:19] + (" (this one)" if result.policy_digest == ours else ""),
            word[result.passes_now] if not result.problem else "",
            escape(tame(result.problem or _difference(result.newly_blocking, result.no_longer_blocking))),
        )
        for result in results
    ]
    show_table(("run", "day", "then", "under policy", "under this one", "because of"), rows)
    out.print()
    out.print(f"policy {ours[7:19]}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def _difference(blocking: tuple[str, ...], passing: tuple[str, ...]) -> str:
    told = [f"blocks: {', '.join(blocking)}"] if blocking else []
    return "; ".join([*told, *([f"no longer blocks: {', '.join(passing)}"] if passing else [])])
