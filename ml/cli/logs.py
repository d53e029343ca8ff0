"""Print what the steps of a run printed."""

import re
from typing import Annotated

import typer

from ml.cli.console import out, printable
from ml.cli.dspa_options import Namespace, PipelineRoot
from ml.cli.options import AsJson
from ml.cli.results import print_json
from ml.cli.runs import RUNS, Runs
from ml.core.errors import UsageError

OF_THE_DSPA = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def logs(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run of the DSPA by its id, or one on this machine by its name."
        ),
    ],
    step: Annotated[
        str,
        typer.Argument(metavar="STEP", help="Only this step, as train; all by default.", show_default=False),
    ] = "",
    namespace: Namespace = None,
    pipeline_root: PipelineRoot = "",
    folder: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """Print the log of each step of a run, or of one.

    Those of the DSPA's runs are read from the pods, with the right of the kubeconfig or of this pod's account
    to read pods and their logs; where the pods are gone, from the bucket at --pipeline-root.

    Example: jukebox logs 7d7a1f7e-5f0b-4f6b-9d55-3f4e2c1b0a99 validate --namespace jukebox-runs
    """
    if OF_THE_DSPA.fullmatch(run):
        from ml.dspa.cluster import Cluster
        from ml.dspa.connection import namespace_of
        from ml.dspa.step_logs import step_logs

        where = namespace_of(namespace)
        if not where:
            raise UsageError("--namespace: name the namespace of the DSPA and its runs")
        texts = step_logs(Cluster(where), run, step, pipeline_root)
    else:
        from ml.pipeline.runs import find_run, local_logs

        texts = local_logs(find_run(run, folder), step)
    if as_json:
        print_json({"logs": [{"step": name, "log": text} for name, text in texts]})
        return
    for name, text in texts:
        if not step:
            out.print(f"== {name}", markup=False)
        for line in text.splitlines():
            out.print(printable(line), markup=False)
