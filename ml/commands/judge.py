"""The judge's verbs: what the trusted side runs, with keys that no run has."""

from pathlib import Path
from typing import Annotated

import typer

from ml.commands import measure
from ml.commands.options import AsJson, print_json
from ml.console import out

app = typer.Typer(
    name="judge",
    help="The trusted side: seal the holdout, measure a candidate on it, attest what was measured.",
    no_args_is_help=True,
)


for verb in (measure.attest, measure.download, measure.infer, measure.score, measure.sign):
    app.command()(verb)


@app.callback()
def judge() -> None:
    """Take the options that stand before a verb of the judge."""


@app.command()
def keys(
    folder: Annotated[Path, typer.Option("--out", help="The folder to write them into; made if need be.")],
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
    told = {
        HOLDOUT: "secret; decides which recordings are sealed",
        SIGNING: "secret; signs attestations",
        TRUST: f"public; verifies attestations by the key {made.key_id[:12]}: give it as --trust",
        MANIFEST: "secret; all of them, as manifests for Kubernetes",
    }
    for name, meaning in told.items():
        out.print(f"{folder / name}: {meaning}", markup=False)
    out.print(
        f"next: kubectl create -f {folder / MANIFEST} (unlike apply, it never replaces a key)", markup=False
    )
    out.print(
        "      keep the secret files where no run can read them, and a copy of each; lost keys stay lost"
    )
