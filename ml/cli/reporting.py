"""Report how a run of the DSPA ended: to a person, to a machine, and to Tekton."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml.cli.console import out, tame
from ml.cli.results import print_json
from ml.cli.tables import show_verdict
from ml.core.errors import Interrupted, JukeboxError, PlatformError, RunFailed, UsageError
from ml.core.files import require_folder, write_bytes
from ml.gate.check import Check
from ml.gate.verdict import sum_up


@contextmanager
def reporting(
    folder: Path | None,
    file: Path | None = None,
    *,
    as_json: bool,
    verbose: bool = False,
    decided_ok: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield a dictionary for what becomes known, and report it together with how the block ended.

    Args:
        folder: where to write Tekton results; None for nowhere.
        file: where to write everything that is known, as JSON; None for nowhere.
        as_json: print JSON instead of text.
        verbose: print the checks that pass, too.
        decided_ok: as for `outcome_in`.

    Raises:
        UsageError: the folder cannot be written.
        BaseException: whatever is raised within.
    """
    from ml.dspa.results import write_results

    if folder:
        require_folder(folder)
    with outcome_in(file, decided_ok=decided_ok) as known:
        try:
            yield known
        except BaseException as error:
            details = error.details if isinstance(error, JukeboxError) else {}
            if folder:
                write_results(folder, details, error)
            if not as_json:
                _show(details, verbose=verbose)
            raise
    if folder:
        write_results(folder, known, None)
    if as_json:
        print_json(known)
    else:
        _show(known, verbose=verbose)


@contextmanager
def outcome_in(file: Path | None, *, decided_ok: bool = False) -> Iterator[dict[str, Any]]:
    """Give a dictionary for what becomes known, and write it with how it ended, for `jukebox ci report`.

    Args:
        file: where to write it as JSON; None for nowhere.
        decided_ok: exit with 0 on a decision, that is every error except those of the platform and an
            interruption: Tekton retries a Task that fails, and retrying a decision is of no use. `jukebox ci
            verdict` exits with the code in the file.

    Raises:
        UsageError: the file's folder cannot be written, or there is no file for what was decided.
        BaseException: whatever is raised within; its details are known too.
    """
    if decided_ok and not file:
        raise UsageError(
            "--decided-ok needs --outcome FILE: `jukebox ci verdict` reads there what was decided"
        )
    if file:
        require_folder(file.parent, "--outcome")
    known: dict[str, Any] = {}
    try:
        yield known
    except BaseException as error:
        details = error.details if isinstance(error, JukeboxError) else {}
        if isinstance(error, Interrupted):
            details = {"interrupted": True}
        if file:
            code = getattr(error, "exit_code", RunFailed.exit_code)
            reason = tame(str(error)) or "interrupted"
            _write(file, {**known, **details, "error": reason, "exit_code": code})
        passing = isinstance(error, PlatformError) or details.get("interrupted")
        if decided_ok and isinstance(error, JukeboxError) and not passing:
            error.exit_code = 0
        raise
    if file:
        _write(file, {**known, "exit_code": 0})


def _write(file: Path, known: dict[str, Any]) -> None:
    """Write what is known as JSON; half a character, which a server may send, becomes a question mark."""
    write_bytes(file, json.dumps(known, sort_keys=True, ensure_ascii=False).encode(errors="replace"))


def _show(known: dict[str, Any], *, verbose: bool) -> None:
    """Print the checks or why it was not admitted, and where everything is, as far as it is known."""
    for line in known.get("violations", ()):
        out.print(tame(line), markup=False)
    if checks := known.get("checks"):
        out.print()
        verdict = sum_up(Check.load(check) for check in checks)
        show_verdict(verdict, folded=not verbose, more="--verbose")
    places = {"run": "link", "evidence": "evidence", "candidate": "candidate", "model": "model_uri"}
    for name, key in places.items():
        if value := known.get(key):
            out.print(f"{name + ':':<10} {value}", markup=False)
    if known.get("passed"):
        attest = f"`jukebox judge attest {known['candidate'][:12]} …`"
        out.print(f"not promoted: first the judge attests it ({attest}), then `jukebox promote` takes it")
