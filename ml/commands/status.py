"""Tell how a pipeline run ended: in the log for people, and as one status of the commit."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from ml.commands.options import COMMIT, AsJson, print_json
from ml.console import out, tame
from ml.errors import UsageError

if TYPE_CHECKING:
    from ml.status.summary import Outcome

TOKEN = "JUKEBOX_REPORT_TOKEN"  # noqa: S105 - the variable's name


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
    outcome: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="JUKEBOX_OUTCOME",
            dir_okay=False,
            help="What `jukebox submit --outcome` wrote, if it came so far; then what `judge sign` and "
            "`promote` wrote, which counts more. The variable has colons between them.",
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(envvar="JUKEBOX_CA", help="PEM file of the CA to trust, for the forge.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sum up a run, and set the status of its commit; without a token the summary is all.

    The token is the variable JUKEBOX_REPORT_TOKEN. The exit code says whether the report was made, not how
    the run ended.
    """
    from ml.image.logins import require_certificates
    from ml.status.forge import Forge, Provider, require_token
    from ml.status.summary import read_tasks, summarise

    if provider not in get_args(Provider):
        raise UsageError(f"--provider {provider}: there are {', '.join(get_args(Provider))}")
    if ca:
        require_certificates(ca)
    known = COMMIT.fullmatch(commit)
    summary = summarise(read_tasks(tasks), _read(outcome or []), commit if known else "")
    token = os.environ.get(TOKEN, "").strip()
    require_token(TOKEN, token)
    told = "" if token else f"no status was set: {TOKEN} is empty"
    if token and not known:
        told = "no status was set: the run never came to a commit"
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


def _read(paths: list[Path]) -> "Outcome | None":
    """Read what is known of submission, judgement and promotion, as far as it came: later files count more.

    What is behind an error is of an earlier try.
    """
    from ml.gate.canonical import parse
    from ml.status.summary import Outcome

    known: dict[str, Any] = {}
    for path in paths:
        try:
            found = parse(path.read_bytes())
            Outcome.load(found)
            known |= found
            if found.get("error"):
                break
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"--outcome {path}: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(
                f"--outcome {path}: not what `jukebox submit --outcome` writes: {error}"
            ) from error
    return Outcome.load(known) if known else None
