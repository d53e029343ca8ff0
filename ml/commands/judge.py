"""The judge's verbs: what the trusted side runs, with keys that no run has."""

import typer

app = typer.Typer(
    name="judge",
    help="The trusted side: seal the holdout, measure a candidate on it, attest what was measured.",
    no_args_is_help=True,
)


@app.callback()
def judge() -> None:
    """Take the options that stand before a verb of the judge."""
