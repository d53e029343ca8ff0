"""The judge's verbs: what the trusted side runs, with keys that no run has."""

from pathlib import Path
from typing import Annotated

import typer

from ml.cli import measure
from ml.cli.console import out
from ml.cli.dspa_options import DecidedOk, OutcomeFile
from ml.cli.options import AsJson, Problem, absolute, table_uris_of
from ml.cli.reporting import outcome_in
from ml.cli.results import print_json, write_results
from ml.core.errors import DataError, GateBlocked

app = typer.Typer(
    name="judge",
    help="The trusted side: seal the holdout, measure a candidate on it, attest what was measured.",
    no_args_is_help=True,
)

HoldoutUri = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_HOLDOUT",
        help="Where ledger and sealed holdouts lie: a folder or s3://bucket/prefix that no run can read.",
    ),
]
SnapshotsUri = Annotated[
    str,
    typer.Option(
        envvar="JUKEBOX_SNAPSHOTS",
        help="Where training snapshots lie, for runs: a folder or s3://bucket/prefix.",
    ),
]


for verb in (measure.attest, measure.download, measure.infer, measure.score, measure.sign):
    app.command()(verb)


@app.callback()
def judge() -> None:
    """Take the options that stand before a verb of the judge."""


@app.command()
def keys(
    folder: Annotated[
        Path, typer.Option("--out", help="The folder to write them into; made where it is not there.")
    ],
    namespace: Annotated[
        str, typer.Option(help="The namespace in keys.yaml; without it, the one that kubectl uses.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make the judge's keys: the secret key of the holdout, and the key that signs attestations.

    Each is written as a file, and all of them into keys.yaml for Kubernetes: the Secrets jukebox-holdout-key
    and jukebox-signing-key and the ConfigMap jukebox-trust. A file that is there already is not replaced.

    To replace the signing key, make keys in another folder, and give --trust both trust.pem in one file
    until no attestation by the old key is needed. Keep the holdout key: another one seals only recordings
    that are first seen after it.

    Example: jukebox judge keys --out ~/jukebox-keys --namespace jukebox
    """
    from ml.judge.keys import HOLDOUT, MANIFEST, SIGNING, TRUST, make_keys

    made = make_keys(folder, namespace)
    if as_json:
        print_json({"folder": str(made.folder), "files": list(made.files), "key_id": made.key_id})
        return
    meanings = {
        HOLDOUT: "secret; decides which recordings are sealed",
        SIGNING: "secret; signs attestations",
        TRUST: f"public; verifies attestations by the key {made.key_id[:12]}: give it as --trust",
        MANIFEST: "secret; all of them, as manifests for Kubernetes",
    }
    for name, meaning in meanings.items():
        out.print(f"{folder / name}: {meaning}", markup=False)
    out.print(
        f"next: kubectl create -f {folder / MANIFEST} (unlike apply, it never replaces a key)", markup=False
    )
    out.print(
        "      keep the secret files where no run can read them, and a copy of each; lost keys stay lost"
    )


@app.command()
def holdout(
    data: Annotated[
        list[str],
        typer.Option(
            envvar="JUKEBOX_DATA",
            help="The source tables: a folder or URI with NAME.parquet for each, or NAME=URI for each.",
        ),
    ],
    holdout: HoldoutUri,
    snapshots: SnapshotsUri,
    key_file: Annotated[
        Path,
        typer.Option(
            envvar="JUKEBOX_HOLDOUT_KEY",
            help="The secret key that decides for new recordings; `jukebox judge keys` makes one.",
        ),
    ],
    results_dir: Annotated[
        Path | None,
        typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write Tekton results into this folder."),
    ] = None,
    outcome: OutcomeFile = None,
    decided_ok: DecidedOk = False,
    problem: Problem = "",
    as_json: AsJson = False,
) -> None:
    """Seal the holdout of the source tables, and write the training snapshot that runs read.

    A fifth of all recordings is sealed, for ever. The ledger says which: it is appended to and never
    changed. Run this once for each version of the tables; a second time, it finds what is there. Tables
    that break the data contract end it with exit code 10.

    Example: jukebox judge holdout --data s3://tables/jukebox --holdout s3://judge/holdout --snapshots
    s3://snapshots/jukebox --key-file holdout.key
    """
    from ml.core.files import require_folder
    from ml.data.manifests import SHARES
    from ml.judge.holdout import seal_holdout
    from ml.judge.holdout_key import read_key
    from ml.judge.versions import Places
    from ml.problem import load_definition

    if results_dir:
        require_folder(results_dir)
    # Tekton fails a run in which a successful Task did not write a result that another refers to.
    write_results(results_dir, dict.fromkeys(("SNAPSHOT", "HOLDOUT_VERSION", "DATA_VERSION"), ""))
    with outcome_in(outcome, decided_ok=decided_ok):
        key, definition = read_key(key_file), load_definition(problem)
        places = Places(absolute(holdout), absolute(snapshots))
        try:
            sealing = seal_holdout(definition, table_uris_of(problem, data, ""), places, key)
        except DataError as error:
            raise GateBlocked(str(error)) from error
    version = sealing.snapshot.version
    results = {"SNAPSHOT": sealing.snapshot_uri, "HOLDOUT_VERSION": version, "DATA_VERSION": version}
    write_results(results_dir, results)
    if as_json:
        print_json(
            {
                "snapshot_uri": sealing.snapshot_uri,
                "new": sealing.new,
                "snapshot": sealing.snapshot.to_json(),
                "holdout": sealing.holdout.to_json(),
            }
        )
        return
    sealed, left = sealing.holdout.sealed, sealing.snapshot.left_out
    shares = ", ".join(f"{sealing.snapshot.shares[share].examples:,} {share}" for share in SHARES)
    out.print(
        f"version:   {version} {'' if sealing.new else '(was there already; nothing was changed)'}".rstrip()
    )
    out.print(f"ledger:    entry {sealing.holdout.ledger}, key {sealing.holdout.key_id}")
    nouns = definition.NOUNS
    out.print(f"sealed:    {sealed.examples:,} {nouns.examples}, {sealed.rows:,} {nouns.rows}")
    out.print(f"snapshot:  {shares} {nouns.examples}; left out: {left.both_sides} on both sides, ", end="")
    out.print(f"{left.near_copies} near copies")
    out.print(f"next:      jukebox run --snapshot {sealing.snapshot_uri}", markup=False)
