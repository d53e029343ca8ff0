"""How a pipeline run ended: a summary, one status of the commit, and the exit code of the run itself."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from ml.cli.console import out, tame
from ml.cli.options import COMMIT, STORE, AsJson, Store, open_store
from ml.cli.results import print_json
from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed, UsageError

if TYPE_CHECKING:
    from ml.forge.outcomes import TaskOutcome

TOKEN = "JUKEBOX_REPORT_TOKEN"  # noqa: S105 - the variable's name
LONGEST = 2000
"""Characters of a reason that are kept with a decision."""

OutcomeFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--outcome",
        envvar="JUKEBOX_OUTCOME",
        dir_okay=False,
        help="What the verbs of the run wrote with --outcome, in their order, as far as it came: later ones "
        "count more. The variable has colons between them.",
    ),
]

SupersededBy = Annotated[
    str, typer.Option(envvar="JUKEBOX_SUPERSEDED_BY", help="The newer run that has ended this one.")
]


def report(
    tasks: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_TASKS",
            help="How each task ended, as Tekton says it: 'lint=Succeeded promote=None'.",
        ),
    ],
    commit: Annotated[str, typer.Option(help="The commit, in full; '' where none was fetched.")] = "",
    repository: Annotated[
        str, typer.Option(envvar="JUKEBOX_REPOSITORY_URL", help="The address it is cloned from.")
    ] = "",
    provider: Annotated[
        str, typer.Option(envvar="JUKEBOX_PROVIDER", help="github, gitlab or gitea.")
    ] = "github",
    api: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_API", help="The API's address; the usual one of that host by default."),
    ] = "",
    context: Annotated[
        str, typer.Option(envvar="JUKEBOX_CONTEXT", help="The status's name: one commit has one of each.")
    ] = "jukebox",
    outcome: OutcomeFiles = None,
    superseded_by: SupersededBy = "",
    ca: Annotated[
        Path | None, typer.Option(envvar="JUKEBOX_CA", help="PEM file of the CA to trust, for the forge.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sum up a run, and set the status of its commit; without a token the summary is all.

    The token is the variable JUKEBOX_REPORT_TOKEN. The exit code says whether the report was made, not how
    the run ended.
    """
    from ml.forge.statuses import Forge, Provider, require_token
    from ml.forge.summary import read_tasks, summarise
    from ml.image.logins import require_certificates

    if provider not in get_args(Provider):
        raise UsageError(f"--provider {provider}: there are {', '.join(get_args(Provider))}")
    if ca:
        require_certificates(ca)
    known = COMMIT.fullmatch(commit)
    summary = summarise(read_tasks(tasks), _read(outcome or []), commit if known else "", superseded_by)
    token = os.environ.get(TOKEN, "").strip()
    require_token(TOKEN, token)
    told = "" if token else f"no status was set: {TOKEN} is empty"
    if token and not known:
        told = "no status was set: the run has no commit"
    if not as_json:
        for line in summary.lines():
            out.print(tame(line) if not line.startswith("  ") else f"  {tame(line)}", markup=False)
    if not told:
        forge = Forge(provider, api, repository, token, str(ca or ""))
        forge.set_status(commit, context, summary.state, tame(summary.sentence), summary.link)
        told = f"{provider}: {context} of {commit[:12]} is set to {summary.state}"
    if as_json:
        print_json({**summary.model_dump(), "told": told})
    else:
        out.print(tame(told), markup=False)


def verdict(
    outcome: OutcomeFiles = None,
    store: Store = STORE,
    superseded_by: SupersededBy = "",
) -> None:
    """Store the decision of a run, and exit with the code of its first verb that did not pass.

    A pass or a block is stored by its inputs, where `jukebox ci answer` finds it. The exit code is 40 where a
    candidate passed its self-check and was not promoted, and 0 where nothing was decided: a verb that was
    interrupted has failed, or was cancelled, in its own Task.
    """
    outcomes = _read(outcome or [])
    if outcomes is None or outcomes.interrupted or (superseded_by and not outcomes.promotion):
        out.print(f"superseded by {superseded_by}" if superseded_by else "nothing was decided", markup=False)
        return
    try:
        _keep(outcomes, store)
    except (PlatformError, EvidenceError) as error:
        # It costs time only: the next run with the same inputs is trained.
        out.print(f"note: the decision was not kept: {tame(str(error))}", markup=False)
    if outcomes.error:
        kinds = (UsageError, GateBlocked, PlatformError, EvidenceError)
        raise next((kind for kind in kinds if kind.exit_code == outcomes.exit_code), RunFailed)(
            outcomes.error
        )
    passed = outcomes.promotion or outcomes.answered
    if outcomes.candidate and not passed:
        raise EvidenceError(
            f"candidate {outcomes.candidate[:12]} passed its self-check, and was not promoted"
        )
    out.print("passed" if passed else "nothing was decided")


def _keep(outcome: "TaskOutcome", store: str) -> None:
    """Store a pass, or a block by a check, by its inputs.

    A run that is blocked because its state contradicts its evidence may have failed for another reason, so
    that it decides nothing about its inputs.
    """
    from ml.release.decisions import Decision, keep_decision
    from ml.release.production import now
    from ml.release.promotion import champion_of

    blocked = outcome.exit_code == GateBlocked.exit_code and any(check.blocks for check in outcome.checks)
    if not (outcome.inputs and outcome.run_id) or not (outcome.promotion or blocked):
        return
    if outcome.judged_by not in ("", outcome.policy_digest):
        # The site changed its policy between submission and judgement: the verdict is about other inputs.
        return
    opened = open_store(store)
    keep_decision(
        opened,
        Decision(
            inputs=outcome.inputs,
            verdict="block" if blocked else "pass",
            candidate="" if blocked else outcome.candidate,
            beside=champion_of(opened.log()) if outcome.champion is None else outcome.champion,
            run_id=outcome.run_id,
            link=outcome.link,
            at=now(),
            reason=outcome.error[:LONGEST],
        ),
    )


def _read(paths: list[Path]) -> "TaskOutcome | None":
    """Read what is known of a run: later files count more.

    Files after one with an error are of an earlier attempt.
    """
    from ml.core.canonical import parse
    from ml.forge.outcomes import TaskOutcome

    known: dict[str, Any] = {}
    for path in paths:
        try:
            record = {**parse(path.read_bytes()), "task": path.stem}
            TaskOutcome.load(record)
            known |= record
            if record.get("error"):
                break
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"--outcome {path}: {error.strerror}") from error
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"--outcome {path}: not what `jukebox submit --outcome` writes: {error}"
            ) from error
    return TaskOutcome.load(known) if known else None
