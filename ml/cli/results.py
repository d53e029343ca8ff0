"""How a verb gives its result: lines of text, one JSON object, results of a Tekton Task, the next command."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.cli.console import out
from ml.core.version import short_commit

if TYPE_CHECKING:
    from ml.release.log import Promotion
    from ml.release.production import LogChange


def near(path: Path) -> str:
    """Return a path as short as it can be: from here, if it is below this folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def command(*words: str) -> str:
    """Return a command of jukebox in backticks, as a shell takes it: verb, options and arguments."""
    return f"`{shlex.join(('jukebox', *words))}`"


def problem_option(problem: str) -> tuple[str, ...]:
    """Return the option that names a problem, () where it is the one that is meant without an option."""
    from ml.core.problems import problem_name

    return ("--problem", problem) if problem not in ("", problem_name()) else ()


def write_results(folder: Path | None, results: Mapping[str, str]) -> None:
    """Write the results of a Tekton Task, where a folder for them is given.

    Args:
        folder: `--results-dir`; `require_folder` has been asked about it before anything began.
        results: their texts by name.
    """
    from ml.core.files import write_bytes

    if folder:
        for name, text in results.items():
            write_bytes(folder / name, text.encode())


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object, in place of all text."""
    try:
        sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        out.on_broken_pipe()


def say(outcome: "LogChange", registry: str = "", *, as_json: bool = False) -> None:
    """Print what a promotion or rollback did; ``registry`` is the line of `ml.cli.registry.register`."""
    entry = outcome.promotion
    candidate = entry.candidate[:12]
    if as_json:
        about = {
            "new": outcome.new,
            "unpublished": outcome.unpublished,
            "model": outcome.served_at,
            "head": outcome.head.to_json(),
            "checked": outcome.checked,
            "registry": registry,
        }
        print_json({**entry.to_json(), **about})
        return
    if outcome.found:
        out.print(f"found:     {outcome.found}")
    if not outcome.new and outcome.unpublished:
        done = "rollback" if entry.action == "rollback" else "promotion"
        restores = f", which restores {entry.restores}," if entry.restores else ""
        out.print(f"published: {done} {entry.number}{restores} is in production now; nothing else was done")
    elif not outcome.new:
        out.print(f"nothing to do: this model is in production already (promotion {entry.number})")
    elif entry.action == "rollback":
        out.print(f"rolled back: promotion {entry.number} restores {entry.restores}, candidate {candidate}")
    else:
        made = " (trained on synthetic data)" if entry.synthetic else ""
        out.print(f"promoted:  number {entry.number}, champion before: {entry.champion[:12] or 'none'}{made}")
    waived = f", although it fails {', '.join(entry.waived)} (waived)" if entry.waived else ""
    commit = short_commit(entry.commit, dirty=entry.dirty) or "unknown"
    out.print(f"commit:    {commit}", markup=False)
    out.print(f"by:        {entry.who or 'unknown'}{f': {entry.why}' if entry.why else ''}", markup=False)
    out.print(f"policy:    {entry.policy_digest[7:19]}{waived}")
    out.print(f"basis:     {basis_of(entry)}")
    out.print(f"model:     {outcome.served_at}")
    out.print(f"head:      {outcome.head.number} {outcome.head.digest} ({outcome.checked})", markup=False)
    if registry:
        out.print(f"registry:  {registry}", markup=False)


def basis_of(entry: "Promotion") -> str:
    """Say what an entry of the log was promoted on."""
    if entry.attestation:
        return f"attested ({entry.attestation[7:19]})"
    return f"{entry.promoted_as}: on the report of its own run"
