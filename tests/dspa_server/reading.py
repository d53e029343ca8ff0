"""Requests as the server reads them, and its refusals: bodies, the IR, parameters, filters and pages."""

import base64
import json
import re
from urllib.parse import unquote_plus

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from dspa_server.records import message, struct

CODES = {
    3: (400, "Invalid input: "),
    5: (404, "ResourceNotFoundError: "),
    6: (409, "Already exist: "),
    13: (500, "InternalServerError: "),
}
STRINGS = "experiment_id run_id display_name description service_account namespace pipeline_root".split()
NUMBER = ("double or integer", int | float)
KINDS = {
    **{"NUMBER_INTEGER": NUMBER, "NUMBER_DOUBLE": NUMBER, "STRING": ("string", str)},
    **{"BOOLEAN": ("bool", bool), "LIST": ("list", list), "STRUCT": ("struct", dict)},
}
SORTED_BY = {
    "created_at": lambda item: int(item.created_at.timestamp()),
    "display_name": lambda item: item.display_name,
}


class ApiError(Exception):
    """A request is refused with a code of gRPC, as google.rpc.Status in JSON."""

    def __init__(self, code: int, text: str):
        self.status, prefix = CODES[code]
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}
        self.body = {"code": code, "message": f"{prefix}{text}", "details": [detail]}


def read_message(value, allowed):
    """Read a message as protojson does: either spelling of a name, null for absent, no unknown fields."""
    fields = {snake(name): item for name, item in value.items() if item is not None}
    for name, item in fields.items():
        if name not in allowed:
            raise ApiError(3, f'proto: (line 1:2): unknown field "{name}"')
        if name in STRINGS and not isinstance(item, str):
            raise ApiError(3, f"proto: (line 1:2): invalid value for string field {name}: {item!r}")
    return fields


def read_spec(given, profile):
    """Read the `pipeline_spec` of a request, nested or not, as strictly as the server's decoder."""
    given = given or {}
    spec, platform = given.get("pipeline_spec", given), given.get("platform_spec") or {}
    text = json.dumps([spec, platform])
    try:
        for name in profile.unknown_spec_fields:
            if f'"{name}":' in text:
                raise json_format.ParseError(f'unknown field "{name}"')
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise ApiError(13, f"invalid v2 pipeline spec: {error}") from error
    if spec.get("schemaVersion") != "2.1.0" or not spec.get("pipelineInfo", {}).get("name"):
        raise ApiError(13, "invalid v2 pipeline spec: no schema version 2.1.0, or no name")
    return struct(spec), struct(platform)


def check_parameters(spec, given):
    """Check that the parameters are those of the pipeline, complete, and each of its type."""
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in declared.items():
        required, types = KINDS[parameter["parameterType"]]
        if name not in given:
            if not parameter.get("isOptional") and parameter.get("defaultValue") is None:
                raise ApiError(3, f"parameter {name} is not optional, and has no value")
        elif not isinstance(given[name], types) or (isinstance(given[name], bool) and required != "bool"):
            raise ApiError(3, f"input parameter {name} requires type {required}")
    if extra := ", ".join(name for name in given if name not in declared):
        raise ApiError(3, f"parameter(s) provided are not required by pipeline: {extra}")


def select(kind, items, query, shown):
    """Return the message of a list: a page of the items, the size of all pages, and the next page's token."""
    asked = {name: query[name] for name in ("sort_by", "filter") if query.get(name)}
    try:
        token = query.get("page_token")
        page = json.loads(base64.b64decode(token, validate=True)) if token else {**asked, "first": 0}
        if any(page.get(name) != value for name, value in asked.items()):
            raise ValueError("it does not match the supplied sort by and/or filtering criteria")
    except (ValueError, AttributeError) as error:
        raise ApiError(3, f"Invalid page token: {error}") from error
    size = query.get("page_size", "20")
    name, _, direction = page.get("sort_by", "created_at").partition(" ")
    if not size.isdigit() or name not in SORTED_BY or direction not in {"", "asc", "desc"}:
        raise ApiError(3, f'Received invalid page size "{size}" or sort by format "{name} {direction}"')
    matches = _filter(page.get("filter", ""))
    chosen = [item for item in items if matches(item.display_name.casefold())]
    chosen.sort(
        key=lambda item: (SORTED_BY[name](item), getattr(item, "run_id", item.experiment_id)),
        reverse=direction == "desc",
    )
    last = page["first"] + min(int(size), 200)
    token = base64.b64encode(json.dumps({**page, "first": last}).encode()).decode()
    rows = [shown(item) for item in chosen[page["first"] : last]]
    more = token if last < len(chosen) else ""
    return message({kind: rows, "total_size": len(chosen), "next_page_token": more})


def _filter(text):
    """Read a filter that the HTTP layer has unescaped already: the server unescapes it again.

    The database ignores case, and its LIKE reads _ as any letter.
    """
    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            raise ValueError("invalid URL escape")
        predicates = json.loads(unquote_plus(text or "{}")).get("predicates", [])
        patterns = []
        for each in predicates:
            one = {snake(name): value for name, value in each.items()}
            pattern = re.escape(one.pop("string_value").casefold())
            operation = one.pop("operation")
            if one != {"key": "display_name"} or operation not in {"EQUALS", 1, "IS_SUBSTRING"}:
                raise ValueError(f"unsupported: {operation}, {one}")
            patterns.append(f".*{pattern.replace('_', '.')}.*" if operation == "IS_SUBSTRING" else pattern)
        return lambda name: all(re.fullmatch(pattern, name, re.DOTALL) for pattern in patterns)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ApiError(3, f'failed to parse valid filter from "{text}": {error}') from error


def snake(name: str) -> str:
    """Return a name of protojson in its other spelling."""
    return re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", name)
