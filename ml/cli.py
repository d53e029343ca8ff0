"""The command `jukebox`: every verb is one call into the package.

This is the only module that prints to a person or ends the process. Exit codes: 0 pass, 2 wrong use,
10 the gate blocked, 20 the run failed or was cancelled, 30 a service could not be reached, 40 evidence is
missing, stale or not ours.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ml.console import err, out, progress, show_table, show_verdict
from ml.errors import EvidenceError, GateBlocked, JukeboxError, RunFailed, UsageError
from ml.gate.evidence import decide_again, policy_digest, read_evidence
from ml.gate.policy import default_policy, parse_policy
from ml.settings import Hyperparameters

app = typer.Typer(
    name="jukebox",
    help="Continuous training whose releases can be trusted: run the pipeline, gate the model, promote it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 pass · 2 wrong use · 10 the gate blocked · 20 the run failed or was cancelled · "
    "30 a service could not be reached · 40 evidence missing, stale or not ours",
)

DEFAULTS = Hyperparameters()
FOLDER = Path(".jukebox")

Store = Annotated[
    str, typer.Option(envvar="JUKEBOX_STORE", help="The model store: a folder or s3://bucket/prefix.")
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", envvar="JUKEBOX_POLICY", help="A policy file; the package's own by default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def run(
    rankings: Annotated[
        str,
        typer.Option(
            envvar="JUKEBOX_RANKINGS", help="Chart rows: Parquet or CSV, a path, http(s):// or s3://."
        ),
    ] = "sample:",
    songs: Annotated[
        str, typer.Option(envvar="JUKEBOX_SONGS", help="Audio features by spotify_id, likewise.")
    ] = "sample:",
    store: Store = str(FOLDER / "store"),
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
    model_name: Annotated[str, typer.Option(help="The model's name.")] = "jukebox",
    model_version: Annotated[str, typer.Option(help="The model's version.")] = "1",
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

    Without --rankings and --songs it runs on the embedded sample, which is synthetic.
    """
    from ml.pipeline.local import collect, execute, prepare
    from ml.release.promotion import promote as promote_candidate
    from ml.release.store import ModelStore

    policy_text = _policy(policy)
    hyper = Hyperparameters(
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hidden_layers=hidden_layers,
        hidden_units=hidden_units,
        dropout=dropout,
        seed=seed,
    )
    models = ModelStore(_absolute(store), create=True)
    this = prepare(
        _absolute(rankings),
        _absolute(songs),
        models,
        runs,
        policy_text,
        (model_name, model_version),
        hyper,
        pipeline,
    )
    synthetic = rankings.startswith("sample:")
    with progress(quiet=as_json) as shown:
        out.print(f"run {this.folder.name} on {'the synthetic sample' if synthetic else rankings}")
        try:
            execute(this, shown)
        except KeyboardInterrupt:
            raise RunFailed(f"interrupted; nothing was promoted; the log is {this.log}") from None
        except RunFailed as error:
            raise RunFailed(f"{error} (log: {this.log})") from None
    evidence = collect(this)
    verdict = decide_again(evidence, policy_text)
    result: dict[str, Any] = {
        "run": this.folder.name,
        "synthetic": synthetic,
        "passed": verdict.passed,
        "checks": [check.to_json() for check in verdict.checks],
        "evidence": str(this.evidence),
        "artifacts": str(this.artifacts),
        "log": str(this.log),
        "steps": shown.steps,
    }
    if not as_json:
        out.print()
        show_verdict(verdict)
        out.print(f"evidence:  {this.evidence}\nartifacts: {this.artifacts}\nlog:       {this.log}")
    if not verdict.passed or verdict != evidence.verdict:
        if as_json:
            _print_json(result)
        inconsistent = "the evidence and its own numbers disagree" if verdict.passed else ""
        names = ", ".join(check.name for check in verdict.failures) or inconsistent
        raise GateBlocked(f"the gate blocked the model ({names}); nothing was stored or promoted")
    candidate = models.find_by_evidence(this.evidence.read_bytes())
    result["candidate"] = candidate
    if promote:
        outcome = promote_candidate(models, candidate, policy_text)
        result["promotion"] = {**outcome.promotion.to_json(), "new": outcome.new, "model": outcome.served_at}
    if as_json:
        _print_json(result)
        return
    out.print(f"candidate: {models.uri}/candidates/{candidate}")
    if promote:
        _say(outcome)
    else:
        out.print(f"not promoted; `jukebox promote {candidate[:12]} --store {store}` does it")


@app.command()
def compile(
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")],
    image: Annotated[
        str | None,
        typer.Option(envvar="JUKEBOX_IMAGE", help="The component image by digest: REF@sha256:…"),
    ] = None,
) -> None:
    """Compile the pipeline to the IR that Data Science Pipelines runs, and `jukebox run` too."""
    from ml.pipeline.compiler import compile_pipeline

    try:
        compile_pipeline(output, image)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    named = image or "an image of this machine only; name one with --image to run it elsewhere"
    out.print(f"{output}: compiled for {named}")


@app.command()
def gate(
    evidence: Annotated[Path, typer.Argument(help="An evidence.json that a run has written.")],
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Decide again, from the raw numbers in a file, under the given policy."""
    try:
        found = read_evidence(evidence.read_bytes())
    except OSError as error:
        raise EvidenceError(f"cannot read {evidence}: {error.strerror}") from error
    except ValueError as error:
        raise EvidenceError(f"{evidence}: {error}") from error
    try:
        text = policy.read_text(encoding="utf-8") if policy else default_policy().text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the policy {policy}: {error}") from error
    verdict = decide_again(found, text)
    same_policy = found.policy_digest == policy_digest(text)
    if as_json:
        _print_json({**verdict.to_json(), "same_policy": same_policy})
    else:
        show_verdict(verdict)
        if not same_policy:
            out.print("note: the run was judged under another policy than this one")
    if same_policy and verdict != found.verdict:
        raise EvidenceError(f"{evidence}: the stated verdict is not what its own numbers give")
    if not verdict.passed:
        raise GateBlocked(f"blocked: {', '.join(check.name for check in verdict.failures)}")


@app.command()
def sample(
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the two tables.")],
    songs: Annotated[int, typer.Option(help="Songs in the songs table.")] = 2000,
    days: Annotated[int, typer.Option(help="Days of charts.")] = 14,
    seed: Annotated[int, typer.Option(help="Seed of the generator.")] = 7,
) -> None:
    """Write the synthetic sample at any size: rankings.parquet and songs.parquet."""
    from pydantic import ValidationError

    from ml.data.sample import SampleSpec, write_sample
    from ml.gate.reports import first_problem

    try:
        spec = SampleSpec(songs=songs, days=days, seed=seed)
        rows, count = write_sample(spec, out_folder / "rankings.parquet", out_folder / "songs.parquet")
    except ValidationError as error:
        raise UsageError(f"--{first_problem(error)}") from error
    except OSError as error:
        raise UsageError(f"cannot write to {out_folder}: {error.strerror}") from error
    out.print(f"{out_folder}: {rows:,} chart rows, {count:,} songs (synthetic)")


@app.command()
def models(store: Store = str(FOLDER / "store"), as_json: AsJson = False) -> None:
    """Show the store's promotion log and its candidates, newest first."""
    from ml.release.store import ModelStore

    opened = ModelStore(_absolute(store))
    log, candidates = opened.log(), opened.candidates()
    if as_json:
        _print_json({"promotions": [entry.to_json() for entry in log], "candidates": candidates})
        return
    if not candidates:
        out.print(f"{opened.uri}: no candidates yet; `jukebox run` makes one")
        return
    rows = [
        (
            str(entry.number),
            entry.action + (f" of {entry.restores}" if entry.restores else ""),
            entry.at,
            entry.model_name,
            entry.candidate[:12],
            "synthetic data" if entry.synthetic else "",
            "in production" if entry is log[-1] else "",
        )
        for entry in reversed(log)
    ]
    show_table(("number", "action", "at", "model", "candidate", "data", ""), rows)
    used = {entry.candidate: entry.number for entry in log}
    out.print()
    show_table(
        ("candidate", "promoted"),
        [(entry[:12], f"number {used[entry]}" if entry in used else "never") for entry in candidates],
    )


@app.command()
def promote(
    candidate: Annotated[str, typer.Argument(help="A candidate's id, or the beginning of it.")],
    store: Store = str(FOLDER / "store"),
    policy: PolicyFile = None,
) -> None:
    """Verify a candidate from its evidence, and put it into production."""
    from ml.release.promotion import promote as promote_candidate
    from ml.release.store import ModelStore

    opened = ModelStore(_absolute(store))
    _say(promote_candidate(opened, opened.find_candidate(candidate), _policy(policy)))


@app.command()
def rollback(store: Store = str(FOLDER / "store")) -> None:
    """Put the model back into production that the present one replaced."""
    from ml.release.promotion import rollback as roll_back
    from ml.release.store import ModelStore

    _say(roll_back(ModelStore(_absolute(store))))


def _say(outcome: Any) -> None:
    entry = outcome.promotion
    if not outcome.new:
        out.print(f"nothing to do: this model is in production already (promotion {entry.number})")
    elif entry.action == "rollback":
        out.print(f"rolled back: promotion {entry.number} restores {entry.restores}")
    else:
        made = " (trained on synthetic data)" if entry.synthetic else ""
        out.print(f"promoted:  number {entry.number}, champion before: {entry.champion[:12] or 'none'}{made}")
    out.print(f"model:     {outcome.served_at}")


def _policy(path: Path | None) -> str:
    """Return the policy as one line; a run must not begin under one that cannot be read."""
    if path is None:
        return default_policy().text
    try:
        return parse_policy(path.read_text(encoding="utf-8")).text
    except (OSError, ValueError) as error:
        raise UsageError(f"the policy {path} cannot be used: {error}") from error


def _absolute(uri: str) -> str:
    """Make a path absolute, so that it means the same in every step."""
    return uri if ":" in uri.split("/", maxsplit=1)[0] else str(Path(uri).absolute())


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")


def main() -> NoReturn:
    """Run the command; every known error is one line on stderr and its documented exit code."""
    # `docker stop`, a cancelled CI job and Ctrl-C are the same wish.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except JukeboxError as error:
        if "--json" in sys.argv:
            _print_json({"error": str(error), "exit_code": error.exit_code})
        err.print(f"jukebox: {error}", markup=False)
        raise SystemExit(error.exit_code) from None
    raise SystemExit(0)


if __name__ == "__main__":
    main()
