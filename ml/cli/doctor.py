"""Check everything that a submission needs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ml.cli.console import out
from ml.cli.dspa_options import (
    Ca,
    Dspa,
    Host,
    Namespace,
    TokenFile,
)
from ml.cli.options import AsJson, Data, Problem, table_uris_of
from ml.cli.results import print_json
from ml.core.errors import PlatformError


def doctor(
    evidence: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_EVIDENCE", help="Where runs leave evidence; not checked if left out."),
    ] = "",
    store: Annotated[
        str, typer.Option(envvar="JUKEBOX_STORE", help="The model store; not checked if left out.")
    ] = "",
    runs_key: Annotated[
        bool,
        typer.Option(
            "--runs-key",
            help="The AWS_* variables hold the key that runs get: also try what it must not reach.",
        ),
    ] = False,
    holdout: Annotated[
        str, typer.Option(envvar="JUKEBOX_HOLDOUT", help="The judge's place; for --runs-key.")
    ] = "",
    data: Data = None,
    problem: Problem = "",
    host: Host = None,
    dspa: Dspa = "dspa",
    namespace: Namespace = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Check everything that `jukebox submit` needs, and say for each failure what to change.

    In the buckets a small object is written, read, and deleted where the key may do that. With --runs-key it
    must be denied to write promoted models or the log, and to read the holdout or the source tables.
    """
    from ml.dspa.connection import connect
    from ml.dspa.doctor import examine
    from ml.dspa.settings_checks import KNOWN

    connection = connect(host, dspa, namespace, ca, token_file)
    closed = {"holdout": holdout, **table_uris_of(problem, data, "")} if runs_key else None
    checkout = Path.cwd() if KNOWN.is_file() else None
    places = {"evidence": evidence, "store": store}
    checks = examine(connection, places, closed=closed, checkout=checkout)
    if not as_json:
        out.print(f"{connection.host}, namespace {connection.namespace or 'unknown'}")
        words = {"ok": "[green]ok[/]", "failed": "[red]FAILED[/]", "skipped": "[dim]skipped[/]"}
        width = max(len(check.name) for check in checks)
        for check in checks:
            out.print(f"{check.name:<{width}}  {words[check.result]}  {escape(check.detail)}")
            if check.remedy:
                out.print(f"{'':<{width}}  to do: {escape(check.remedy)}")
    failed = [check.name for check in checks if check.result == "failed"]
    result = {"host": connection.host, "checks": [check.model_dump() for check in checks]}
    if failed:
        raise PlatformError(f"{', '.join(failed)}: see above what to change", result)
    if as_json:
        print_json(result)
