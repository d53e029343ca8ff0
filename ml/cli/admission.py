"""Judge a compiled pipeline before it is submitted."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ml.cli.console import out, tame
from ml.cli.dspa_options import ComponentImage
from ml.cli.options import AsJson
from ml.cli.results import print_json


def admit(
    pipeline: Annotated[Path, typer.Argument(help="What `jukebox compile --image REF@sha256:…` wrote.")],
    image: ComponentImage,
    policy: Annotated[
        Path | None,
        typer.Option(
            envvar="JUKEBOX_ADMISSION",
            dir_okay=False,
            help="What a pipeline may ask of the cluster; the package's own admission.yaml by default.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what a compiled pipeline asks of the cluster, and print each thing that is not allowed.

    Images, secrets, config maps, claims, resources, timeouts, graph and places are held against a policy;
    what it does not name is refused, and so is every field of the IR that `jukebox compile` does not write.
    Commands are not judged: the image may run anything. `jukebox submit` checks the same before it asks the
    DSPA for anything.

    Ends with 10 if it is refused: jukebox admit pipeline.yaml --image quay.io/team/jukebox@sha256:…
    """
    from ml.dspa.admission import examine, require_admitted
    from ml.dspa.admission_policy import read_admission
    from ml.dspa.compiled import read_pipeline

    compiled = read_pipeline(pipeline, image)
    violations = examine(compiled, read_admission(policy))
    if not as_json:
        for line in violations:
            out.print(escape(tame(line)))
    require_admitted(violations, str(pipeline))
    if as_json:
        print_json({"admitted": True, "violations": [], "image": compiled.image, "pipeline": compiled.digest})
        return
    out.print(f"admitted: {len(compiled.executors)} executors, {compiled.digest}")
