"""The runs on this machine: list them, and find the one that a user means."""

import re
from functools import cache
from pathlib import Path

from ml.core.errors import EvidenceError, UsageError
from ml.gate.evidence import read_evidence
from ml.pipeline.run_folder import promotions_in, read_run, started
from ml.pipeline.run_record import Run

EXECUTING = re.compile(r"^.*Executing task '([a-z0-9-]+)'$\n", re.MULTILINE)
"""The line of kfp.local before what a step prints."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SHORTEST = 4
"""Characters of a run's name that name it."""


def list_runs(folder: Path, last: int) -> list[Run]:
    """Read the newest runs of a folder, newest first; a folder without a run is listed as a broken one.

    Raises:
        UsageError: the folder cannot be listed.
    """
    numbers = cache(promotions_in)
    return [read_run(one, numbers) for one in _folders(folder)[:last]]


def is_path(text: str) -> bool:
    """Tell a path from a run's name."""
    path = Path(text)
    return path.suffix == ".json" or len(path.parts) > 1 or path.is_file()


def find_run(text: str, folder: Path) -> Run:
    """Find the run that a user means.

    Args:
        text: a run's name, an unambiguous beginning of it or of its last part; the path of a run's folder; or
            that of an ``evidence.json``, also a candidate's.
        folder: the folder of all runs.

    Raises:
        UsageError: none is meant, or several are.
    """
    if is_path(text):
        return _read_path(Path(text))
    if len(text) < SHORTEST:
        raise UsageError(
            f"run {text!r}: give {SHORTEST} characters of its name or more; `jukebox runs` lists them"
        )
    names = [one.name for one in _folders(folder)]
    matches = (
        [text]
        if text in names
        else [name for name in names if name.startswith(text) or name.rpartition("-")[2].startswith(text)]
    )
    if not matches:
        raise UsageError(f"run {text!r}: there is none in {folder}; `jukebox runs` lists them")
    if len(matches) > 1:
        few = ", ".join(matches[:3])
        raise UsageError(
            f"run {text!r}: {len(matches)} runs have such names ({few}); `jukebox runs` lists them"
        )
    return read_run(folder / matches[0], promotions_in)


def local_logs(run: Run, step: str) -> list[tuple[str, str]]:
    """Return what the steps of a run on this machine printed, each with its name, in order.

    Args:
        run: as `find_run` found it.
        step: the only step to look at, "" for all.

    Raises:
        UsageError: there is no log of it.
    """
    path = run.where / "run.log"
    try:
        text = COLOUR.sub("", path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    # What is printed before the first step belongs to none.
    _, *parts = EXECUTING.split(text)
    logs = [(name, log) for name, log in zip(parts[::2], parts[1::2], strict=True) if step in ("", name)]
    if not logs:
        which = f"step {step}" if step else "a step"
        raise UsageError(f"{path} has no log of {which}; has it begun?")
    return logs


def _read_path(path: Path) -> Run:
    """Read the run of a folder, or of evidence that may lie anywhere."""
    place = path if path.is_dir() else path.parent
    if (place / "parameters.json").exists():
        return read_run(place.absolute(), promotions_in)
    try:
        evidence = read_evidence(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; `jukebox runs` lists the runs") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    subject = evidence.subject
    data = evidence.reports.get("data_report")
    return Run(
        id=subject.run_id,
        where=path,
        state="pass" if evidence.verdict.passed else "blocked",
        synthetic=data.get("synthetic") if isinstance(data, dict) else None,
        policy=evidence.policy_digest,
        evidence=evidence,
        **subject.model_dump(exclude={"run_id", "nonce"}),
    )


def _folders(folder: Path) -> list[Path]:
    """List the folders of all runs, newest first."""
    try:
        folders = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"--runs {folder}: {error.strerror}") from error
    return sorted(folders, key=lambda one: (started(one), one.name), reverse=True)


def evidence_of(text: str, folder: Path) -> Path:
    """Return where the evidence lies that a user means: a run's, or a file.

    Args:
        text: as for `find_run`.
        folder: the folder of all runs.

    Raises:
        UsageError: no run is meant, or several are.
        EvidenceError: the run left none.
    """
    if is_path(text):
        path = Path(text)
        return path / "evidence.json" if path.is_dir() else path
    run = find_run(text, folder)
    if run.evidence is None:
        raise EvidenceError(
            f"run {run.id} left no evidence ({run.verdict}); `jukebox runs` shows those that did"
        )
    return run.where / "evidence.json"
