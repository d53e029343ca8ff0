"""Lists: filters, order, pages. The filter is unescaped once more than the client expects."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from dspa_server.errors import internal, invalid, malformed

Item = TypeVar("Item")
Fields = Mapping[str, Callable[[Any], Any]]
"""The fields that a list can be filtered and sorted by; `id` is the key."""

OPERATIONS = (
    "OPERATION_UNSPECIFIED EQUALS NOT_EQUALS GREATER_THAN _ GREATER_THAN_EQUALS LESS_THAN LESS_THAN_EQUALS"
    " IN IS_SUBSTRING".split()
)
VALUES = {"string_value": str, "int_value": int, "long_value": int | str, "timestamp_value": str}
VALUES |= {"int_values": dict, "long_values": dict, "string_values": dict}
DEFAULT_PAGE, LARGEST_PAGE = 20, 200
IN_TOKEN = {"SortByFieldName", "SortByFieldValue", "KeyFieldValue", "IsDesc", "ModelName", "Filter"}


def select(
    items: Sequence[Item], query: Mapping[str, str], fields: Fields, model: str
) -> tuple[list[Item], int, str]:
    """Return a page of the items, the size of all pages, and the next page's token."""
    size = _page_size(query.get("page_size", ""))
    given, sort_by, filter_ = (query.get(name, "") for name in ("page_token", "sort_by", "filter"))
    token = _read_token(given, model) if given else None
    if token is None or sort_by or filter_:
        asked = {"SortByFieldName": "created_at", "IsDesc": False, **_sort(sort_by, fields, model)}
        asked["Filter"] = _predicates(filter_, fields)
        if token is None:
            token = {**asked, "ModelName": model}
        elif any(token.get(name) != value for name, value in asked.items()):
            raise invalid("page token does not match the supplied sort by and/or filtering criteria")
    chosen = [item for item in items if _matches(item, token["Filter"], fields)]
    field, descending = fields[token["SortByFieldName"]], token["IsDesc"]

    def key(item: Item) -> tuple[Any, str]:
        return field(item), fields["id"](item)

    rows = sorted(chosen, key=key, reverse=descending)
    if "KeyFieldValue" in token:
        first = (token["SortByFieldValue"], token["KeyFieldValue"])
        rows = [item for item in rows if (key(item) <= first if descending else key(item) >= first)]
    if len(rows) <= size:
        return rows, len(chosen), ""
    value, name = key(rows[size])
    following = {**token, "SortByFieldValue": value, "KeyFieldName": "UUID", "KeyFieldValue": name}
    return rows[:size], len(chosen), base64.b64encode(json.dumps(following).encode()).decode()


def _page_size(text: str) -> int:
    try:
        size = int(text or 0)
    except ValueError as error:
        raise malformed(
            f'type mismatch, parameter: page_size, error: parsing "{text}": invalid syntax'
        ) from error
    if size < 0:
        raise invalid(f"The page size should be greater than 0. Got {size}")
    return min(size or DEFAULT_PAGE, LARGEST_PAGE)


def _read_token(text: str, model: str) -> dict[str, Any]:
    try:
        token = json.loads(base64.b64decode(text, validate=True))
        if not IN_TOKEN.issubset(token):
            raise ValueError(text)
    except (binascii.Error, ValueError, TypeError) as error:
        raise invalid("Invalid page token") from error
    if token["ModelName"] != model:
        raise internal("Failed to list: unknown column")
    return token


def _sort(text: str, fields: Fields, model: str) -> dict[str, Any]:
    words = text.lower().split()
    if len(words) > 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):
        raise invalid(f'Received invalid sort by format "{text}"')
    if words and words[0] not in fields:
        raise invalid(f'Invalid sorting field: "{words[0]}" on listable type {model}')
    return {"SortByFieldName": words[0], "IsDesc": words[-1] == "desc"} if words else {}


def _predicates(text: str, fields: Fields) -> list[list[Any]]:
    """Read a filter that the HTTP layer has unescaped already: the server unescapes it again."""
    if not text:
        return []
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise invalid(f'failed to parse valid filter from "{text}": invalid URL escape')
    try:
        message = json.loads(unquote_plus(text))
        if set(message) - {"predicates"}:
            raise ValueError(f"unknown field in {message}")
        return [_predicate(item, fields) for item in message.get("predicates", [])]
    except (ValueError, TypeError, AttributeError) as error:
        raise invalid(f'failed to parse valid filter from "{text}": proto: {error}') from error


def _predicate(given: Mapping[str, Any], fields: Fields) -> list[Any]:
    item = {snake(name): value for name, value in given.items()}
    values = {name: value for name, value in item.items() if name in VALUES}
    wrong = [name for name, value in values.items() if not isinstance(value, VALUES[name])]
    if set(item) - {"operation", "key", *VALUES} or len(values) > 1 or wrong:
        raise ValueError(f"unknown field or invalid value in {given}")
    operation = item.get("operation", 0)
    if isinstance(operation, int):
        operation = OPERATIONS[operation] if operation < len(OPERATIONS) else str(operation)
    elif operation not in OPERATIONS:
        raise ValueError(f"invalid value for enum: {operation}")
    if operation not in {"EQUALS", "NOT_EQUALS", "IS_SUBSTRING"} or not values:
        raise invalid(f"invalid predicate operation: {operation}")
    if item.get("key") not in fields:
        raise invalid(f'no support for filtering on unrecognized field "{item.get("key", "")}"')
    return [operation, item["key"], *values.values()]


def snake(name: str) -> str:
    """Return a name of protojson in its other spelling."""
    return re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", name)


def _matches(item: Any, predicates: Sequence[Sequence[Any]], fields: Fields) -> bool:
    """Return whether an item matches: the database ignores case, and its LIKE reads _ as any letter."""
    for operation, key, value in predicates:
        stored, given = str(fields[key](item)).casefold(), str(value).casefold()
        pattern = re.escape(given).replace("_", ".")
        same = bool(re.search(pattern, stored, re.DOTALL)) if operation == "IS_SUBSTRING" else stored == given
        if same == (operation == "NOT_EQUALS"):
            return False
    return True
