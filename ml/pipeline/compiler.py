"""Compile the graph to the IR that every place runs: laptop, CI and DSPA."""

import re
import tempfile
from pathlib import Path

import yaml

from ml.core.errors import UsageError
from ml.core.files import write_bytes
from ml.core.problems import problem_name
from ml.core.settings import Mounts
from ml.pipeline.hyperparameters import defaults
from ml.problem import load_solution

DIGEST = re.compile(r"^[\w.\-:/]+@sha256:[0-9a-f]{64}$")


def compile_pipeline(
    target: str | Path,
    image: str | None = None,
    mounts: Mounts | None = None,
    resources: str | Path | None = None,
    problem: str = "",
) -> None:
    """Write the IR; the same code, problem, image, mounts and resources give the same bytes.

    Args:
        target: the YAML file to write, whole or not at all.
        image: the component image by digest, ``REF@sha256:…``; None names a local one.
        mounts: what the steps that touch store, evidence or tables get of the cluster.
        resources: a site's file of what steps may use; None for the defaults.
        problem: the problem whose name and hyperparameters are the IR's defaults.

    Raises:
        UsageError: the image is not named by its digest, or the file of resources cannot be used.
        OSError: the file cannot be written.
    """
    if image is not None and not DIGEST.match(image):
        raise UsageError(f"--image {image}: name the image by digest, as REF@sha256:<64 hexadecimal digits>")
    from kfp import dsl
    from kfp.compiler import Compiler

    from ml.pipeline.bounds import bounded, default_bounds, read_bounds
    from ml.pipeline.mounts import for_any_server, mounted
    from ml.pipeline.training_pipeline import training_pipeline

    name = problem_name(problem)
    hyperparameters = defaults(load_solution(name))
    bounds = read_bounds(resources) if resources else default_bounds()
    with mounted(mounts or Mounts()), bounded(bounds):
        # dsl.pipeline traced the graph when it was imported; what a site gives needs a tracing of its own.
        decorate = dsl.pipeline(name=training_pipeline.name, description=training_pipeline.description)
        graph = decorate(training_pipeline.pipeline_func)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        Compiler().compile(graph, str(path))
        spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    parameters["problem"]["defaultValue"] = name
    parameters["problem"]["isOptional"] = True
    parameters["hyperparameters"]["defaultValue"] = hyperparameters
    if image is not None:
        for executor in spec["deploymentSpec"]["executors"].values():
            executor["container"]["image"] = image
        parameters["image"]["defaultValue"] = image
    text = yaml.safe_dump_all([spec, for_any_server(platform)], sort_keys=True, allow_unicode=True)
    write_bytes(target, text.encode())


def require_pipeline(ir: str | Path) -> None:
    """Check that a file is an IR of this pipeline, before a run begins with it.

    Raises:
        UsageError: it is not, or cannot be read.
    """
    try:
        spec = next(yaml.safe_load_all(Path(ir).read_text(encoding="utf-8")))
        spec["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"]
    except OSError as error:
        raise UsageError(f"cannot read {ir}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, StopIteration, KeyError, TypeError) as error:
        raise UsageError(f"{ir} is not a pipeline compiled by `jukebox compile`") from error
