"""Run a compiled pipeline with kfp.local's DockerRunner: ``python docker_run.py FOLDER``.

The folder has pipeline.yaml and parameters.json; each step writes into it, in a container as on OpenShift.
"""

import json
import os
import sys
from pathlib import Path

from docker.models.containers import ContainerCollection
from kfp import components, local

sys.path.insert(0, str(Path(__file__).parents[1]))
from image.workshop import RESTRICTED

FOLDER, run = Path(sys.argv[1]), ContainerCollection.run
# kfp.local has a container removed when it ends, and then asks for its exit code: without an answer it
# fails, or takes the step for done.
ContainerCollection.run = lambda self, *given, **options: run(
    self, *given, **{**options, "auto_remove": False}
)
# What is made here belongs to group 0, which the containers' user is in.
os.umask(0o002)
environment = {"JUKEBOX_EVENTS": str(FOLDER / "events.jsonl"), "HOME": "/nowhere"}
runner = local.DockerRunner(**RESTRICTED, environment=environment)
local.init(runner=runner, pipeline_root=str(FOLDER), enable_caching=False)
parameters = json.loads((FOLDER / "parameters.json").read_bytes())
components.load_component_from_file(str(FOLDER / "pipeline.yaml"))(**parameters)
