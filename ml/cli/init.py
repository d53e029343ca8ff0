"""Start a problem of your own."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ml.cli.console import out
from ml.cli.results import near
from ml.core.skeleton import write_skeleton


def init(
    name: Annotated[str, typer.Argument(help="The problem's name, a name in Python, as churn.")],
    template: Annotated[
        Literal["keras", "sklearn"], typer.Option(help="What the model is made with.")
    ] = "keras",
) -> None:
    """Write a new problem with its tests into this checkout: data, policy and model for you to replace.

    It works as it is, on made-up data: `jukebox run --problem NAME` gates its model. Then change its
    definition (your tables), its policy, and its solution (your model), as docs/how-to/gate-your-own-model.md
    says.

    Example: jukebox init churn --template sklearn
    """
    for path in write_skeleton(name, template, Path.cwd()):
        out.print(f"wrote {near(path)}", markup=False)
    out.print(f"next: jukebox run --problem {name}", markup=False)
    out.print(f"      pytest tests/unit/problems/test_{name}.py", markup=False)
