"""The IR as the server reads it: what it accepts as a pipeline, which parameters fit, which tasks it has."""

from collections.abc import Iterator
from typing import Any

import yaml

from dspa_server.errors import internal, invalid
from dspa_server.profiles import Profile
from dspa_server.records import struct

Documents = tuple[dict[str, Any], dict[str, Any]]
CONTEXT = "Failed to create a new run: Failed to create a run due to error fetching manifest"
KINDS = {
    "NUMBER_INTEGER": ("double or integer", "number", int | float),
    "NUMBER_DOUBLE": ("double or integer", "number", int | float),
    "STRING": ("string", "string", str),
    "BOOLEAN": ("bool", "bool", bool),
    "LIST": ("list", "list", list),
    "STRUCT": ("struct", "struct", dict),
}


def read_spec(given: Any, profile: Profile) -> Documents:
    """Read the `pipeline_spec` of a request, nested or not, into the IR's two documents."""
    if not isinstance(given, dict) or not given:
        raise internal("Failed to fetch a template with an empty pipeline spec manifest", CONTEXT)
    nested = "pipeline_spec" in given
    spec, platform = (given["pipeline_spec"], given.get("platform_spec")) if nested else (given, None)
    return check(spec, platform or {}, profile)


def read_file(data: bytes, profile: Profile) -> Documents:
    """Read an uploaded file."""
    try:
        documents = [document for document in yaml.safe_load_all(data) if document]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise internal(f"unable to decode yaml document: {error}", CONTEXT) from error
    specs = [item for item in documents if isinstance(item, dict) and "pipelineInfo" in item]
    platforms = [item for item in documents if isinstance(item, dict) and "platforms" in item]
    if len(specs) != 1 or len(platforms) > 1:
        raise internal("unknown template format", CONTEXT)
    return check(specs[0], platforms[0] if platforms else {}, profile)


def check(spec: Any, platform: Any, profile: Profile) -> Documents:
    """Check both documents against their messages, as the server's strict decoder does."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

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
    version = spec.get("schemaVersion", "")
    if version != "2.1.0":
        message = f"KFP only supports schema version 2.1.0, but the pipeline spec has version {version}"
        raise internal(message, CONTEXT)
    if not spec["pipelineInfo"].get("name"):
        raise internal("invalid v2 pipeline spec: name is empty", CONTEXT)
    if "root" not in spec:
        raise internal("invalid v2 pipeline spec: root component is empty", CONTEXT)
    return struct(spec), struct(platform) if platform.get("platforms") else {}


def _names(value: Any) -> Iterator[str]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(item)
    if isinstance(value, dict):
        yield from value


def check_parameters(spec: dict[str, Any], given: dict[str, Any]) -> None:
    """Check that the parameters are those of the pipeline, all that it needs, each of its type."""
    context = "Failed to create a new run: Failed to generate the ExecutionSpec: invalid pipeline job inputs"
    wanted = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in wanted.items():
        if name not in given:
            if not parameter.get("isOptional") and parameter.get("defaultValue") is None:
                message = (
                    f"parameter {name} is not optional, yet has neither default value nor user provided value"
                )
                raise invalid(message, context)
            continue
        kind = parameter.get("parameterType")
        if kind not in KINDS:
            raise invalid(f"input parameter {name} requires type unknown", context)
        required, noun, types = KINDS[kind]
        value = given[name]
        if not isinstance(value, types) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise invalid(
                f"input parameter {name} requires type {required}, "
                f"but the parameter value is not of {noun} value type",
                context,
            )
    extra = [name for name in given if name not in wanted]
    if extra:
        raise invalid(f"parameter(s) provided are not required by pipeline: {', '.join(extra)}", context)


def task_names(spec: dict[str, Any]) -> list[str]:
    """List the root DAG's tasks, each after those that it depends on, and by name where they are free.

    By name, because a specification that came as a `Struct` has its keys in another order in every process.
    """
    tasks = spec["root"].get("dag", {}).get("tasks", {})
    found: list[str] = []
    while len(found) < len(tasks):
        ready = [
            name
            for name, task in tasks.items()
            if name not in found and set(task.get("dependentTasks", ())).issubset(found)
        ]
        if not ready:
            break
        found += sorted(ready)
    return found
