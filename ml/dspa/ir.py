"""The IR as far as we know it: what kfp 2.17 writes for a flat graph of container steps, and nothing else.

A field that is not here is refused, whatever it means: importers, resolvers, nested graphs, conditions,
loops, exit handlers, security contexts, host paths and other volumes, tolerations, pod metadata. So is a
field under its other name (``secret_as_env``), which a server would read too.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ml.core.records import Count, NonNegative, Text


def is_scalar(value: Any) -> bool:
    """Tell whether a value is a text, a number or a boolean."""
    return isinstance(value, str | bool | int | float)


def is_flat(value: Any) -> bool:
    """Tell whether a value is an object of scalars, by name."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and is_scalar(one) for name, one in value.items()
    )


def _plain(value: Any) -> Any:
    if value is not None and not is_scalar(value) and not is_flat(value):
        raise ValueError("not a text, a number, a boolean, or an object of these")
    return value


Plain = Annotated[Any, AfterValidator(_plain)]
Kind = Literal["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"]


class Part(BaseModel):
    """The base of everything in an IR: closed, strict, with the field names of the IR."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, alias_generator=to_camel
    )


class ArtifactType(Part):
    """What kind of artifact it is."""

    schema_title: Text
    schema_version: Text


class Artifact(Part):
    """An artifact that a step takes or makes."""

    artifact_type: ArtifactType
    description: str = ""
    is_optional: bool = False


class Parameter(Part):
    """A parameter that a step or the pipeline takes, or a step returns."""

    parameter_type: Kind
    default_value: Plain = None
    is_optional: bool = False
    description: str = ""


class Definitions(Part):
    """What a component takes or makes."""

    artifacts: dict[Text, Artifact] = {}
    parameters: dict[Text, Parameter] = {}


class Component(Part):
    """A step's interface, and the executor that runs it."""

    executor_label: Text
    input_definitions: Definitions = Definitions()
    output_definitions: Definitions = Definitions()


class EnvVar(Part):
    """A variable with a literal value."""

    name: Text
    value: str


class Resources(Part):
    """What a step requests and may use; kfp writes each bound twice, and older servers read the numbers."""

    cpu_limit: NonNegative
    cpu_request: NonNegative
    memory_limit: NonNegative
    memory_request: NonNegative
    resource_cpu_limit: Text
    resource_cpu_request: Text
    resource_memory_limit: Text
    resource_memory_request: Text


class Container(Part):
    """What a step runs. Command and arguments are not judged: the image may run anything."""

    image: Text
    command: list[str] = []
    args: list[str] = []
    env: list[EnvVar] = []
    resources: Resources


class Executor(Part):
    """How a component is run: in a container."""

    container: Container


class Deployment(Part):
    """All executors by name."""

    executors: dict[Text, Executor]


class TaskOutputArtifact(Part):
    """An artifact of another task."""

    output_artifact_key: Text
    producer_task: Text


class TaskOutputParameter(Part):
    """A value that another task has returned."""

    output_parameter_key: Text
    producer_task: Text


class InputArtifact(Part):
    """Where a task has an artifact from."""

    task_output_artifact: TaskOutputArtifact


class Constant(Part):
    """A value that is written in the IR."""

    constant: Plain


class InputParameter(Part):
    """Where a task has a value from."""

    component_input_parameter: str = ""
    runtime_value: Constant | None = None
    task_output_parameter: TaskOutputParameter | None = None


class TaskInputs(Part):
    """What a task is given."""

    artifacts: dict[Text, InputArtifact] = {}
    parameters: dict[Text, InputParameter] = {}


class Caching(Part):
    """Whether a step may be served from the cache, under the server's own key."""

    enable_cache: bool = False


class Named(Part):
    """A name."""

    name: Text


class Retry(Part):
    """How often a step is tried again."""

    max_retry_count: Count
    backoff_duration: str = ""
    backoff_factor: NonNegative = 0
    backoff_max_duration: str = ""


class Task(Part):
    """A node of the graph."""

    caching_options: Caching = Caching()
    component_ref: Named
    dependent_tasks: list[Text] = []
    inputs: TaskInputs = TaskInputs()
    retry_policy: Retry | None = None
    task_info: Named


class Graph(Part):
    """The graph: tasks by name."""

    tasks: dict[Text, Task]


class Parameters(Part):
    """What a pipeline takes: parameters only."""

    parameters: dict[Text, Parameter]


class Root(Part):
    """The pipeline as a component."""

    dag: Graph
    input_definitions: Parameters


class Info(Part):
    """What the pipeline is called. The name becomes part of paths, so it is a plain one."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    description: str = ""
    display_name: str = ""


class Specification(Part):
    """The first document of a compiled pipeline."""

    components: dict[Text, Component]
    default_pipeline_root: str = ""
    deployment_spec: Deployment
    pipeline_info: Info
    root: Root
    schema_version: Literal["2.1.0"]
    sdk_version: Text
