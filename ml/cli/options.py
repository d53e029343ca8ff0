"""What the verbs share: options, and how what a user typed becomes what the package takes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.results import command
from ml.core.errors import UsageError
from ml.core.problems import load_part
from ml.gate.policy import Default, default_policy, parse_policy

if TYPE_CHECKING:
    from ml.release.store import ModelStore

FOLDER = Path(".jukebox")
STORE = str(FOLDER / "store")
SAMPLE_STORE = str(FOLDER / "sample-store")
"""Where models of the sample go unless a store is named: none of them becomes the champion of real data."""


def own_store(problem: str, *, synthetic: bool) -> str:
    """Return where a problem's models go unless a store is named: one store has one champion.

    Args:
        problem: its name; the repository's own has the stores above, any other has a folder.
        synthetic: whether the data are the problem's sample.
    """
    from ml.core.problems import default_problem

    store = Path(SAMPLE_STORE if synthetic else STORE)
    return str(store if problem == default_problem() else store.parent / "problems" / problem / store.name)


COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit in full."""

Store = Annotated[
    str, typer.Option(envvar="JUKEBOX_STORE", help="The model store: a folder or s3://bucket/prefix.")
]
Head = Annotated[
    str | None,
    typer.Option(
        envvar="JUKEBOX_HEAD",
        help="Where the log's head (its newest number and digest) is kept: a file, or configmap:NAME.",
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", envvar="JUKEBOX_POLICY", help="A policy file; the package's own by default."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print the checks that pass, too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

Problem = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_PROBLEM",
        help="The problem: a package of ml/problems, or any package by its dotted path; the repository's own "
        "by default. It has data, policy defaults and model.",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        envvar="JUKEBOX_DATA",
        help="The tables: a folder or URI with NAME.parquet for each, or NAME=URI for each (given several "
        "times). A table is Parquet or CSV, a path, http(s):// or s3://. By default the problem's sample:.",
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        help="A hyperparameter, as epochs=50; may be given several times. An unknown name lists all.",
    ),
]
Snapshot = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_SNAPSHOT",
        help="A training snapshot of `jukebox judge holdout`, in place of the tables: a folder or s3://.",
    ),
]
ModelName = Annotated[str, typer.Option(envvar="JUKEBOX_MODEL_NAME", help="The model's name.")]
ModelVersion = Annotated[str, typer.Option(envvar="JUKEBOX_MODEL_VERSION", help="The model's version.")]


def problem_policy(problem: str = "") -> Mapping[str, Default]:
    """Return what a problem says of the policy's defaults; "" means the problem of this repository."""
    thresholds: Mapping[str, Default] = load_part(problem, "policy").THRESHOLDS
    return thresholds


def policy_text_of(path: Path | None, problem: str = "") -> str:
    """Return the policy as one line; a run must not begin under one that cannot be read."""
    if path is None:
        return default_policy(problem_policy(problem)).text
    try:
        return parse_policy(path.read_text(encoding="utf-8")).text
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the policy {path} cannot be used: {error}; `jukebox policy default` prints a whole one"
        ) from error


def absolute(uri: str) -> str:
    """Make a path absolute, so that it means the same in every step."""
    return uri if ":" in uri.split("/", maxsplit=1)[0] else str(Path(uri).absolute())


def table_uris_of(problem: str, data: list[str] | None, snapshot: str) -> dict[str, str]:
    """Return the URI of each table, {} where a snapshot has them.

    Raises:
        UsageError: both are given, or the tables are not the problem's.
    """
    from ml.data.uris import SAMPLE, table_uris
    from ml.problem import load_definition

    if snapshot:
        if data:
            raise UsageError("--snapshot has all tables: leave out --data, or --snapshot")
        return {}
    uris = table_uris(list(load_definition(problem).TABLES), data or [SAMPLE])
    return {name: absolute(uri) for name, uri in uris.items()}


def open_store(store: str, head: str | None = None) -> "ModelStore":
    """Open a store that is there; where the default one is not, say where models of the sample are.

    Args:
        store: the store.
        head: where its log's head is kept.

    Raises:
        UsageError: it is not there, or cannot be opened.
    """
    from ml.release.store import ModelStore

    try:
        return ModelStore(absolute(store), head=head)
    except UsageError as error:
        if "://" in store:
            raise
        raise UsageError(f"{error}; {next_store(store)}") from error


def next_store(store: str) -> str:
    """Return what to do about a store that has nothing: look at the sample's, or make a model."""
    if store == STORE and Path(SAMPLE_STORE).is_dir():
        return f"{command('models', '--store', SAMPLE_STORE)} shows the models of the sample"
    return "`jukebox run` makes a model, --store names another store"
