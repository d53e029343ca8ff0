"""The accepted part of the IR: what kfp 2.17 writes for a flat graph of container steps.

Every other field is refused: importers, resolvers, nested graphs, conditions, loops, exit handlers, security
contexts, host paths and other volumes, tolerations, pod metadata. So is a field under its other name
(``secret_as_env``), which a server would accept too.
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
    """The base of all parts of an IR: no unknown fields, strict types, field names in camel case."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, alias_generator=to_camel
    )


class ArtifactType(Part):
    """The type of an artifact."""

    schema_title: Text
    schema_version: Text


class Artifact(Part):
    """An input or output artifact of a step."""

    artifact_type: ArtifactType
    description: str = ""
    is_optional: bool = False


class Parameter(Part):
    """An input or output parameter of a step, or a parameter of the pipeline."""

    parameter_type: Kind
    default_value: Plain = None
    is_optional: bool = False
    description: str = ""


class Definitions(Part):
    """The inputs or the outputs of a component."""

    artifacts: dict[Text, Artifact] = {}
    parameters: dict[Text, Parameter] = {}


class Component(Part):
    """A step's interface, and the executor that runs it."""

    executor_label: Text
    input_definitions: Definitions = Definitions()
    output_definitions: Definitions = Definitions()


class EnvVar(Part):
    """An environment variable with a literal value."""

    name: Text
    value: str


class Resources(Part):
    """Requests and limits of a step; kfp writes each of them twice, and older servers read the numbers."""

    cpu_limit: NonNegative
    cpu_request: NonNegative
    memory_limit: NonNegative
    memory_request: NonNegative
    resource_cpu_limit: Text
    resource_cpu_request: Text
    resource_memory_limit: Text
    resource_memory_request: Text


class Container(Part):
    """The container of a step. Command and arguments are not checked: the image may run anything."""

    image: Text
    command: list[str] = []
    args: list[str] = []
    env: list[EnvVar] = []
    resources: Resources


class Executor(Part):
    """How a component runs: in a container."""

    container: Container


class Deployment(Part):
    """All executors by name."""

    executors: dict[Text, Executor]


class TaskOutputArtifact(Part):
    """An artifact of another task."""

    output_artifact_key: Text
    producer_task: Text


class TaskOutputParameter(Part):
    """An output parameter of another task."""

    output_parameter_key: Text
    producer_task: Text


class InputArtifact(Part):
    """The source of a task's input artifact."""

    task_output_artifact: TaskOutputArtifact


class Constant(Part):
    """A literal value."""

    constant: Plain


class InputParameter(Part):
    """The source of a task's input parameter."""

    component_input_parameter: str = ""
    runtime_value: Constant | None = None
    task_output_parameter: TaskOutputParameter | None = None


class TaskInputs(Part):
    """The inputs of a task."""

    artifacts: dict[Text, InputArtifact] = {}
    parameters: dict[Text, InputParameter] = {}


class Caching(Part):
    """Whether a step may use the server's cache."""

    enable_cache: bool = False


class Named(Part):
    """A name."""

    name: Text


class Retry(Part):
    """The retries of a step."""

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
    """The inputs of a pipeline: parameters only."""

    parameters: dict[Text, Parameter]


class Root(Part):
    """The pipeline as a component."""

    dag: Graph
    input_definitions: Parameters


class Info(Part):
    """The name of the pipeline, which is part of paths, and its description."""

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
