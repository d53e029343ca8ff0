"""Request bodies, read as strictly as protojson reads them."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dspa_server.errors import malformed
from dspa_server.records import Request

STRINGS = (
    "experiment_id",
    "run_id",
    "display_name",
    "description",
    "service_account",
    "namespace",
    "pipeline_root",
)


def read_message(value: Any, allowed: Iterable[str], kind: str) -> dict[str, Any]:
    """Read a message as protojson does: either spelling of a name, null for absent, nothing unknown."""
    if not isinstance(value, Mapping):
        raise malformed(f"proto: syntax error: unexpected token for {kind}")
    found = {}
    for given, item in value.items():
        name = re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", given)
        if name not in allowed:
            raise malformed(f'proto: (line 1:2): unknown field "{given}"')
        if item is not None:
            found[name] = item
    for name in STRINGS:
        if not isinstance(found.get(name, ""), str):
            raise malformed(
                f"proto: (line 1:2): invalid value for string field {name}: {json.dumps(found[name])}"
            )
    return found


def read_body(request: Request, allowed: Iterable[str], kind: str) -> dict[str, Any]:
    """Read the body of a POST; an empty one is an empty message."""
    if not request.body:
        return {}
    try:
        value = json.loads(request.body)
    except ValueError as error:
        raise malformed(f"proto: syntax error (line 1:1): {error}") from error
    return read_message(value, allowed, kind)
