"""What each step may use of a cluster: CPU, memory, time, tries; and which steps are never cached.

The defaults are in `resources.yaml`. As with mounts, the graph is the same whatever a site has chosen:
`bounded` says it, around its tracing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from kfp import dsl, kubernetes
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.core.errors import UsageError
from ml.core.records import first_problem
from ml.dspa.admission_policy import amount

Cpu = Annotated[str, Field(pattern=r"^([1-9][0-9]*m|[1-9][0-9]*|[0-9]+\.[0-9]{1,3})$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]


class Bound(BaseModel):
    """What a step asks for, the most that it gets, and the minutes after which it has failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: Cpu
    cpu_limit: Cpu
    memory: Memory
    memory_limit: Memory
    minutes: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _asks_for_no_more_than_it_may_take(self) -> Self:
        """Kubernetes makes no pod that asks for more than its limit."""
        pairs = {"cpu": (self.cpu, self.cpu_limit), "memory": (self.memory, self.memory_limit)}
        for name, (asked, limit) in pairs.items():
            if amount(asked) > amount(limit):
                raise ValueError(f"{name} {asked} is more than {name}_limit {limit}")
        return self


RETRIED = ("champion", "fetch")
"""They read from the world outside the cluster. `save` ends a blocked run, which is final.

`jukebox submit` retries a run that failed for a transient cause (`ml.dspa.retry`)."""

NEVER_CACHED = ("gate", "save")
"""A verdict is about this run, and a candidate has to be in the store now: neither is ever old."""

_now: ContextVar[Mapping[str, Bound]] = ContextVar("bounds")


@cache
def default_bounds() -> Mapping[str, Bound]:
    """Return the bounds of each step, by its name."""
    text = resources.files("ml.pipeline").joinpath("resources.yaml").read_text(encoding="utf-8")
    return {name: Bound(**given) for name, given in yaml.safe_load(text).items()}


def read_bounds(path: str | Path) -> Mapping[str, Bound]:
    """Return the bounds of each step: what a site's file names, and the defaults for the rest.

    Raises:
        UsageError: the file cannot be read, or names no step, no bound, or something that is not a quantity.
    """
    what = f"--resources {path}"
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
        raise UsageError(f"{what}: write a line for a step, as `train: {{memory: 2Gi, memory_limit: 8Gi}}`")
    default = default_bounds()
    if unknown := [str(name) for name in given if name not in default]:
        raise UsageError(f"{what}: {', '.join(unknown)} is not a step; the steps are {', '.join(default)}")
    return {name: _changed(f"{what}: {name}", bound, given.get(name, {})) for name, bound in default.items()}


def _changed(what: str, bound: Bound, given: dict[str, Any]) -> Bound:
    try:
        return Bound(**{**bound.model_dump(), **given})
    except (ValidationError, TypeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise UsageError(
            f"{what}: {problem}; write a CPU as 500m or 2, and memory as 512Mi or 4Gi"
        ) from error


@contextmanager
def bounded(bounds: Mapping[str, Bound]) -> Iterator[None]:
    """Trace a graph with these bounds."""
    token = _now.set(bounds)
    try:
        yield
    finally:
        _now.reset(token)


def bound(*tasks: dsl.PipelineTask) -> None:
    """Give every step its bounds.

    Raises:
        KeyError: a step has none.
    """
    bounds = _now.get(default_bounds())
    for task in tasks:
        given = bounds[task.name]
        task.set_cpu_request(given.cpu).set_cpu_limit(given.cpu_limit)
        task.set_memory_request(given.memory).set_memory_limit(given.memory_limit)
        kubernetes.set_timeout(task, seconds=60 * given.minutes)
        if task.name in RETRIED:
            task.set_retry(num_retries=2, backoff_duration="5s", backoff_factor=2.0)
        if task.name in NEVER_CACHED:
            task.set_caching_options(enable_caching=False)
