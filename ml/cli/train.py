"""Make a model: run the pipeline here, compile it for elsewhere, make data to try it on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ml.cli.console import out, show_verdict, shown_steps
from ml.cli.options import (
    FOLDER,
    SAMPLE,
    SAMPLE_STORE,
    STORE,
    AsJson,
    ModelName,
    ModelVersion,
    PolicyFile,
    Rankings,
    Snapshot,
    Songs,
    absolute,
    command,
    near,
    policy_text_of,
    print_json,
    say,
    tables_or_snapshot,
)
from ml.core.errors import GateBlocked, Interrupted, PlatformError, ReaderGone, RunFailed, UsageError
from ml.core.records import first_problem
from ml.core.settings import STORE_MOUNT, Hyperparameters, Mounts
from ml.core.version import short_commit
from ml.gate.policy import parse_policy

if TYPE_CHECKING:
    from ml.release.production import LogChange

DEFAULTS = Hyperparameters()


def run(
    rankings: Rankings = SAMPLE,
    songs: Songs = SAMPLE,
    snapshot: Snapshot = "",
    store: Annotated[
        str | None,
        typer.Option(
            envvar="JUKEBOX_STORE",
            help=f"The model store: a folder or s3://bucket/prefix; by default {STORE}, on the sample "
            f"{SAMPLE_STORE}.",
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
    epochs: Annotated[int, typer.Option(min=1, help="Most passes over the songs.")] = DEFAULTS.epochs,
    patience: Annotated[int, typer.Option(min=1, help="Passes without progress.")] = DEFAULTS.patience,
    batch_size: Annotated[int, typer.Option(min=1, help="Songs in a step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0, help="Step size.")] = DEFAULTS.learning_rate,
    hidden_layers: Annotated[int, typer.Option(min=1, help="Hidden layers.")] = DEFAULTS.hidden_layers,
    hidden_units: Annotated[int, typer.Option(min=1, help="Units in each.")] = DEFAULTS.hidden_units,
    dropout: Annotated[float, typer.Option(min=0, max=0.99, help="Share dropped.")] = DEFAULTS.dropout,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = DEFAULTS.seed,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline on this machine: data in, a gated model out.

    Without --rankings and --songs it runs on the embedded sample, which is synthetic. Its models go into a
    store of their own, so that no model of real data is compared with them. With --snapshot it repeats a
    run of the cluster on the tables of that run.
    """
    from ml.pipeline.local import collect, execute, prepare
    from ml.release.judgement import prove
    from ml.release.promotion import promote as promote_candidate
    from ml.release.self_checked import require_self_checked_allowed
    from ml.release.store import ModelStore

    policy_text = policy_text_of(policy)
    hyper = _hyperparameters(
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hidden_layers=hidden_layers,
        hidden_units=hidden_units,
        dropout=dropout,
        seed=seed,
    )
    tables, data, synthetic = _tables(rankings, songs, snapshot)
    store = store or (SAMPLE_STORE if synthetic else STORE)
    if promote:
        require_self_checked_allowed(absolute(store), parse_policy(policy_text))
    this = prepare(
        *tables,
        absolute(store),
        runs,
        policy_text,
        (model_name, model_version),
        hyper,
        pipeline,
    )
    with shown_steps(quiet=as_json) as shown:
        commit = short_commit(this.parameters["commit"], dirty=this.parameters["dirty"])
        out.print(f"run {this.folder.name} on {data}, commit {commit}", markup=False)
        try:
            execute(this, shown)
        except ReaderGone:
            raise
        except Interrupted:
            raise RunFailed(f"interrupted; nothing was promoted (log: {near(this.log)})") from None
        except (RunFailed, PlatformError) as error:
            raise type(error)(f"{error} (log: {near(this.log)})", {"run": this.folder.name}) from None
    judgement = collect(this)
    verdict = judgement.verdict
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
    judged = ("--policy", str(policy)) if policy else ()
    if not verdict.passed:
        names = ", ".join(check.name for check in verdict.failures)
        raise GateBlocked(
            f"the self-check blocks the model ({names}); nothing was promoted; "
            f"{command('gate', near(this.evidence), *judged)} shows every check with its reason",
            result,
        )
    models = ModelStore(absolute(store))
    candidate = prove(models, judgement.evidence).candidate
    result["candidate"] = candidate
    outcome = None
    if promote:
        outcome = promote_candidate(models, candidate, policy_text)
        result["promotion"] = {**outcome.promotion.to_json(), "new": outcome.new, "model": outcome.served_at}
    if as_json:
        print_json(result)
    else:
        place = () if store == STORE else ("--store", store)
        _show_end(candidate, outcome, place, judged, synthetic=synthetic)


def _hyperparameters(**values: float) -> Hyperparameters:
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"--{first_problem(error)}") from error


def _tables(rankings: str, songs: str, snapshot: str) -> tuple[tuple[str, str, str], str, bool]:
    """Return the three URIs as a run takes them, what to call the data, and whether they are synthetic."""
    from ml.data.snapshots import read_snapshot
    from ml.data.uris import public_uri

    rankings, songs = tables_or_snapshot(rankings, songs, snapshot)
    if snapshot:
        uri = absolute(snapshot)
        return ("", "", uri), f"snapshot {public_uri(uri)}", read_snapshot(uri).synthetic
    synthetic = rankings.startswith(SAMPLE)
    data = "the synthetic sample" if synthetic else public_uri(rankings)
    return (absolute(rankings), absolute(songs), ""), data, synthetic


def _show_places(places: Mapping[str, Path]) -> None:
    for name, path in places.items():
        out.print(f"{name + ':':<10} {near(path)}", markup=False)


def _show_end(
    candidate: str,
    outcome: "LogChange | None",
    place: tuple[str, ...],
    judged: tuple[str, ...],
    *,
    synthetic: bool,
) -> None:
    """Print what became of a candidate, and the commands that come next, for this store and this policy."""
    out.print(f"candidate: {candidate}")
    if outcome:
        say(outcome)
        out.print(f"next:      {command('models', *place)} shows what is in production", markup=False)
    else:
        out.print(
            f"next:      {command('promote', candidate[:12], *place, *judged)} promotes it", markup=False
        )
    if synthetic:
        out.print("           `jukebox run --rankings FILE --songs FILE` trains on your own tables")


def compile(
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")],
    image: Annotated[
        str | None,
        typer.Option(envvar="JUKEBOX_IMAGE", help="The component image by digest: REF@sha256:…"),
    ] = None,
    store_pvc: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_STORE_PVC",
            help=f"A claim to mount at {STORE_MOUNT} in the steps that touch tables, evidence or store.",
        ),
    ] = "",
    store_secret: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_STORE_SECRET",
            help="A data connection (a secret) whose AWS_* keys those steps get.",
        ),
    ] = "",
    ca_config_map: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_CA_CONFIG_MAP",
            help="A config map whose ca-bundle.crt those steps trust, e.g. odh-trusted-ca-bundle.",
        ),
    ] = "",
    resources: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_RESOURCES",
            help="CPU, memory and minutes of steps, in YAML, where they are not the defaults.",
        ),
    ] = None,
) -> None:
    """Compile the pipeline to the IR that Data Science Pipelines runs, and `jukebox run` too."""
    from ml.pipeline.compiler import compile_pipeline

    try:
        mounts = Mounts(store_pvc=store_pvc, store_secret=store_secret, ca_config_map=ca_config_map)
        compile_pipeline(output, image, mounts, resources)
    except ValidationError as error:
        (field, *_), name = error.errors()[0]["loc"], error.errors()[0]["input"]
        raise UsageError(
            f"--{str(field).replace('_', '-')} {name!r} names nothing in Kubernetes: use lower-case letters, "
            "digits and dashes"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}; name another file with --output"
        ) from error
    named = image or "an image of this machine only; name one with --image to run it elsewhere"
    out.print(f"{output}: compiled for {named}")


def sample(
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the two tables.")],
    songs: Annotated[int, typer.Option(help="Songs in the songs table.")] = 2000,
    days: Annotated[int, typer.Option(help="Days of charts.")] = 14,
    seed: Annotated[int, typer.Option(help="Seed of the generator.")] = 7,
) -> None:
    """Write the synthetic sample at any size: rankings.parquet and songs.parquet."""
    from ml.data.sample import write_sample
    from ml.data.sample_spec import SampleSpec

    try:
        spec = SampleSpec(songs=songs, days=days, seed=seed)
        rows, count = write_sample(spec, out_folder / "rankings.parquet", out_folder / "songs.parquet")
    except ValidationError as error:
        raise UsageError(f"--{first_problem(error)}") from error
    except OSError as error:
        raise UsageError(
            f"cannot write to {out_folder}: {error.strerror}; name another folder with --out"
        ) from error
    out.print(f"{out_folder}: {rows:,} chart rows, {count:,} songs (synthetic)")
