"""Options that the judge's verbs about a candidate share, and what two of them name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.core.errors import UsageError

if TYPE_CHECKING:
    from ml.gate.statement import Claimed
    from ml.judge.attest import Signer

Candidate = Annotated[str, typer.Argument(help="A candidate's id, or the beginning of it.")]
Holdout = Annotated[
    str,
    typer.Option(
        "--holdout", envvar="JUKEBOX_HOLDOUT", help="The sealed holdouts: a folder or s3://bucket/prefix."
    ),
]
Version = Annotated[
    str, typer.Option("--version", envvar="JUKEBOX_HOLDOUT_VERSION", help="The data version to measure on.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", envvar="JUKEBOX_KEY_FILE", help="The private key that signs, in PEM."),
]
Keyless = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_KEYLESS",
        help="Sign keyless instead: the site's Sigstore client trust configuration, in JSON.",
    ),
]
IdentityToken = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_IDENTITY_TOKEN",
        help="With --keyless: a file with a token of the audience sigstore for the identity that signs.",
    ),
]
JudgeImage = Annotated[
    str,
    typer.Option(envvar="JUKEBOX_JUDGE_IMAGE", help="What this runs in, for the statement: REF@sha256:…"),
]
Claims = Annotated[
    Path | None,
    typer.Option(
        envvar="JUKEBOX_CLAIMS",
        help="What is claimed of the run: what `jukebox submit --outcome` has written; by default the report "
        "beside the candidate.",
    ),
]
Run = Annotated[str, typer.Option(help="The run whose report it is; by default the newest.")]
Envelope = Annotated[Path, typer.Option("--out", help="The file for the signed attestation.")]
Work = Annotated[Path, typer.Option("--work", help="The judge's work folder.")]
ResultsDir = Annotated[
    Path | None,
    typer.Option(envvar="JUKEBOX_RESULTS_DIR", help="Write the step's result there, for Tekton."),
]
AskedDigest = Annotated[
    str, typer.Option("--asked", envvar="JUKEBOX_ASKED", help="The digest that asked.json must have.")
]
MeasuredDigest = Annotated[
    str,
    typer.Option("--measured", envvar="JUKEBOX_MEASURED", help="The digest that measured.json must have."),
]

LOCAL = "none: run from a checkout"


def signer_of(key_file: Path | None, keyless: Path | None, identity_token: Path | None) -> "Signer":
    """Return the signer; what it lacks is reported before anything is measured."""
    if (key_file is None) == (keyless is None) or (keyless is None) != (identity_token is None):
        raise UsageError("give either --key-file, or --keyless with --identity-token")
    if keyless and identity_token:
        from ml.release.keyless import sigstore_in
        from ml.release.signing import sign_keyless

        site, token = sigstore_in(keyless), identity_token
        return lambda statement: sign_keyless(statement, site, token)
    if key_file is None or not key_file.is_file():
        raise UsageError(f"--key-file {key_file} is not there; `jukebox judge keys` makes a pair")

    from ml.release.signing import sign

    return lambda statement: sign(statement, key_file)


def claimed_in(path: Path | None) -> "Claimed | None":
    """Return what the submission claimed about the run, None without a file."""
    from ml.core.files import read_json
    from ml.gate.statement import Claimed

    try:
        return Claimed.load(read_json(path)["claimed"]) if path else None
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"--claims {path}: {error}; `jukebox submit --outcome FILE` writes it") from error
