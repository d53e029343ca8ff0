"""Make a model on this machine: run the pipeline, or write data to try it on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml.cli.console import out
from ml.cli.options import (
    FOLDER,
    SAMPLE_STORE,
    STORE,
    AsJson,
    Data,
    ModelName,
    ModelVersion,
    Param,
    PolicyFile,
    Problem,
    Snapshot,
    absolute,
    own_store,
    policy_text_of,
    table_uris_of,
)
from ml.cli.progress import shown_steps
from ml.cli.results import command, near, print_json, problem_option, say
from ml.cli.tables import show_verdict
from ml.core.errors import GateBlocked, Interrupted, PlatformError, ReaderGone, RunFailed, UsageError
from ml.core.version import short_commit

if TYPE_CHECKING:
    from ml.release.production import LogChange


def run(
    data: Data = None,
    snapshot: Snapshot = "",
    problem: Problem = "",
    store: Annotated[
        str | None,
        typer.Option(
            envvar="JUKEBOX_STORE",
            help=f"The model store: a folder or s3://bucket/prefix; by default {STORE}, on the sample "
            f"{SAMPLE_STORE}, each in .jukebox/problems/NAME for any problem but the repository's own.",
        ),
    ] = None,
    runs: Annotated[
        Path, typer.Option(envvar="JUKEBOX_RUNS", help="The folder in which each run gets its own.")
    ] = FOLDER / "runs",
    policy: PolicyFile = None,
    pipeline: Annotated[
        Path | None, typer.Option(help="A compiled pipeline to run, instead of compiling this one.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Promote the candidate when the gate passes.")
    ] = True,
    model_name: ModelName = "jukebox",
    model_version: ModelVersion = "1",
    param: Param = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline on this machine: data in, a gated model out.

    Without --data it runs on the problem's sample, which is synthetic. Its models go into a store of their
    own, so that no model of real data is compared with them. With --snapshot it repeats a run of the cluster
    on the tables of that run.
    """
    from ml.core.problems import problem_name
    from ml.data.snapshots import read_snapshot
    from ml.data.uris import SAMPLE, describe_data
    from ml.pipeline.here import Order, begin, conclude
    from ml.pipeline.hyperparameters import typed
    from ml.pipeline.local import execute
    from ml.problem import load_solution

    tables = table_uris_of(problem, data, snapshot)
    snapshot = absolute(snapshot) if snapshot else ""
    uris = tables.values()
    synthetic = read_snapshot(snapshot).synthetic if snapshot else any(uri.startswith(SAMPLE) for uri in uris)
    problem = problem_name(problem)
    store = store or own_store(problem, synthetic=synthetic)
    order = Order(
        problem=problem,
        tables=tables,
        snapshot=snapshot,
        store=absolute(store),
        runs=runs,
        policy_text=policy_text_of(policy, problem),
        model_name=model_name,
        model_version=model_version,
        hyperparameters=typed(load_solution(problem), param or []),
        pipeline=pipeline,
        promote=promote,
    )
    this = begin(order)
    with shown_steps(quiet=as_json) as shown:
        commit = short_commit(this.parameters["commit"], dirty=this.parameters["dirty"])
        out.print(
            f"run {this.folder.name} on {describe_data(tables, snapshot)}, commit {commit}", markup=False
        )
        try:
            execute(this, shown)
        except ReaderGone:
            raise
        except Interrupted:
            raise RunFailed(f"interrupted; nothing was promoted (log: {near(this.log)})") from None
        except (RunFailed, PlatformError) as error:
            raise type(error)(f"{error} (log: {near(this.log)})", {"run": this.folder.name}) from None
    done = conclude(order, this)
    verdict = done.verdict
    result: dict[str, Any] = {
        "run": this.folder.name,
        "synthetic": synthetic,
        "commit": this.parameters["commit"],
        "dirty": this.parameters["dirty"],
        "passed": verdict.passed,
        "checks": [check.to_json() for check in verdict.checks],
        "evidence": str(this.evidence),
        "artifacts": str(this.artifacts),
        "log": str(this.log),
        "steps": shown.finished,
    }
    if not as_json:
        out.print()
        show_verdict(verdict, folded=True)
        _show_places({"evidence": this.evidence, "artifacts": this.artifacts, "log": this.log})
    judged = (*(("--policy", str(policy)) if policy else ()), *problem_option(problem))
    if not verdict.passed:
        names = ", ".join(check.name for check in verdict.failures)
        again = command("gate", near(this.evidence), *judged)
        raise GateBlocked(
            f"the self-check blocks the model ({names}); nothing was promoted; "
            f"{again} shows every check with its reason",
            result,
        )
    result["candidate"] = done.candidate
    if change := done.promotion:
        result["promotion"] = {**change.promotion.to_json(), "new": change.new, "model": change.served_at}
    if as_json:
        print_json(result)
    else:
        place = () if store == STORE else ("--store", store)
        _show_end(done.candidate, change, place, judged, problem_option(problem), synthetic=synthetic)


def _show_places(places: Mapping[str, Path]) -> None:
    for name, path in places.items():
        out.print(f"{name + ':':<10} {near(path)}", markup=False)


def _show_end(
    candidate: str,
    outcome: "LogChange | None",
    place: tuple[str, ...],
    judged: tuple[str, ...],
    about: tuple[str, ...],
    *,
    synthetic: bool,
) -> None:
    """Print the state of a candidate, and the next commands, for this store, policy and problem."""
    out.print(f"candidate: {candidate}")
    if outcome:
        say(outcome)
        out.print(f"next:      {command('models', *place)} shows what is in production", markup=False)
    else:
        promote = command("promote", candidate[:12], *place, *judged)
        out.print(f"next:      {promote} promotes it", markup=False)
    if synthetic:
        again = command("run", "--data", "FOLDER", *about)
        out.print(f"           {again} trains on your own tables", markup=False)


def sample(
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the tables.")],
    which: Annotated[
        str, typer.Option("--sample", help="Which sample: its URI, as the problem's definition reads it.")
    ] = "sample:",
    problem: Problem = "",
) -> None:
    """Write a problem's sample as tables, NAME.parquet each: `jukebox run` trains on it without --data."""
    from ml.data.sources import count_rows, resolve_version
    from ml.data.uris import SAMPLE, table_paths
    from ml.problem import load_definition

    definition = load_definition(problem)
    if not which.startswith(SAMPLE):
        raise UsageError(f"--sample {which}: a sample's URI begins with {SAMPLE}")
    resolve_version(definition, which)
    try:
        out_folder.mkdir(parents=True, exist_ok=True)
        paths = table_paths(definition.TABLES, out_folder)
        definition.write_sample(which, paths)
        counted = count_rows(paths)
    except OSError as error:
        raise UsageError(
            f"cannot write to {out_folder}: {error.strerror}; name another folder with --out"
        ) from error
    out.print(f"{out_folder}: {counted} (synthetic)", markup=False)
