"""Run a compiled IR with kfp.local's DockerRunner, each step in a container as OpenShift would run it.

    python docker_run.py FOLDER

The folder holds pipeline.yaml and parameters.json; everything that the steps write lands in it. DOCKER_HOST
leads to podman.
"""

import json
import os
import sys
from pathlib import Path

from docker.models.containers import ContainerCollection
from kfp import components, local

sys.path.insert(0, str(Path(__file__).parents[1]))
from image.workshop import RESTRICTED


def keep_containers() -> None:
    """Keep each container that has ended, until the workshop goes.

    kfp.local has them removed at once, and then asks how they ended: without an answer it fails, or takes
    the step for done.
    """
    run = ContainerCollection.run
    ContainerCollection.run = lambda self, *given, **options: run(
        self, *given, **{**options, "auto_remove": False}
    )


def main(folder: Path) -> None:
    """Run the IR."""
    keep_containers()
    # What is made here belongs to group 0, which the containers' user is in.
    os.umask(0o002)
    environment = {"JUKEBOX_EVENTS": str(folder / "events.jsonl"), "HOME": "/nowhere"}
    runner = local.DockerRunner(**RESTRICTED, environment=environment)
    local.init(runner=runner, pipeline_root=str(folder), enable_caching=False)
    parameters = json.loads((folder / "parameters.json").read_bytes())
    components.load_component_from_file(str(folder / "pipeline.yaml"))(**parameters)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
