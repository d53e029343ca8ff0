"""Requests as the server reads them: messages as strictly as protojson, the IR, and parameters."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dspa_server.errors import internal, invalid, malformed
from dspa_server.listing import snake
from dspa_server.records import Profile, Request, struct

STRINGS = "experiment_id run_id display_name description service_account namespace pipeline_root".split()
NEW_RUN = "Failed to create a new run: Failed to"
CONTEXT = f"{NEW_RUN} create a run due to error fetching manifest"
KINDS = {
    "NUMBER_INTEGER": ("double or integer", "number", int | float),
    "NUMBER_DOUBLE": ("double or integer", "number", int | float),
    "STRING": ("string", "string", str),
    "BOOLEAN": ("bool", "bool", bool),
    "LIST": ("list", "list", list),
    "STRUCT": ("struct", "struct", dict),
}


def read_message(value: Any, allowed: Iterable[str], kind: str) -> dict[str, Any]:
    """Read a message as protojson does: either spelling of a name, null for absent, no unknown fields."""
    if not isinstance(value, Mapping):
        raise malformed(f"proto: syntax error: unexpected token for {kind}")
    fields = {}
    for given, item in value.items():
        name = snake(given)
        if name not in allowed:
            raise malformed(f'proto: (line 1:2): unknown field "{given}"')
        if name in STRINGS and not isinstance(item, str | None):
            raise malformed(f"proto: (line 1:2): invalid value for string field {name}: {json.dumps(item)}")
        if item is not None:
            fields[name] = item
    return fields


def read_body(request: Request, allowed: Iterable[str], kind: str) -> dict[str, Any]:
    """Read the body of a POST; an empty one is an empty message."""
    try:
        value = json.loads(request.body or b"{}")
    except ValueError as error:
        raise malformed(f"proto: syntax error (line 1:1): {error}") from error
    return read_message(value, allowed, kind)


def read_spec(given: Any, profile: Profile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the `pipeline_spec` of a request, nested or not, as strictly as the server's decoder."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    if not isinstance(given, dict) or not given:
        raise internal("Failed to fetch a template with an empty pipeline spec manifest", CONTEXT)
    nested = "pipeline_spec" in given
    spec, platform = (given["pipeline_spec"], given.get("platform_spec") or {}) if nested else (given, {})
    if not isinstance(spec, dict) or "pipelineInfo" not in spec:
        raise internal("unknown template format", CONTEXT)
    later = profile.unknown_spec_fields.intersection(_names([spec, platform]))
    if later:
        raise internal(f'invalid v2 pipeline spec: proto: unknown field "{min(later)}"', CONTEXT)
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise internal(f"invalid v2 pipeline spec: {error}", CONTEXT) from error
    if spec.get("schemaVersion", "") != "2.1.0":
        raise internal("KFP only supports schema version 2.1.0", CONTEXT)
    if not spec["pipelineInfo"].get("name") or "root" not in spec:
        raise internal("invalid v2 pipeline spec: name or root component is empty", CONTEXT)
    return struct(spec), struct(platform) if platform.get("platforms") else {}


def _names(value: Any) -> Iterator[str]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(item)
    if isinstance(value, dict):
        yield from value


def check_parameters(spec: dict[str, Any], given: dict[str, Any]) -> None:
    """Check that the parameters are those of the pipeline, complete, and each of its type."""
    context = f"{NEW_RUN} generate the ExecutionSpec: invalid pipeline job inputs"
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in declared.items():
        if name not in given:
            if not parameter.get("isOptional") and parameter.get("defaultValue") is None:
                lacks = "is not optional, yet has neither default value nor user provided value"
                raise invalid(f"parameter {name} {lacks}", context)
            continue
        required, noun, types = KINDS[parameter["parameterType"]]
        value = given[name]
        if not isinstance(value, types) or (isinstance(value, bool) and required != "bool"):
            kinds = f"requires type {required}, but the parameter value is not of {noun} value type"
            raise invalid(f"input parameter {name} {kinds}", context)
    extra = ", ".join(name for name in given if name not in declared)
    if extra:
        raise invalid(f"parameter(s) provided are not required by pipeline: {extra}", context)


def task_names(spec: dict[str, Any]) -> list[str]:
    """List the root DAG's tasks, each after those that it depends on, otherwise by name.

    A specification that came as a `Struct` has its keys in another order in every process.
    """
    tasks = spec["root"].get("dag", {}).get("tasks", {})
    names: list[str] = []
    while ready := sorted(
        name
        for name, task in tasks.items()
        if name not in names and set(task.get("dependentTasks", ())).issubset(names)
    ):
        names += ready
    return names
