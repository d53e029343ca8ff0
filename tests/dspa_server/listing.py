"""Lists: filters, order, pages. The filter is unescaped once more than the client expects."""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from dspa_server.errors import invalid, malformed

Item = TypeVar("Item")
Fields = Mapping[str, Callable[[Any], Any]]
"""The fields that a list can be filtered and sorted by; `id` is the key."""

OPERATIONS = {"EQUALS": "EQUALS", 1: "EQUALS", "IS_SUBSTRING": "IS_SUBSTRING", 9: "IS_SUBSTRING"}
"""The operations of the API that this double knows, by name and number."""


def select(items: Sequence[Item], query: Mapping[str, str], fields: Fields) -> dict[str, Any]:
    """Return a page of the items as ``rows``, the size of all pages, and the next page's token."""
    asked = {name: query[name] for name in ("sort_by", "filter") if query.get(name)}
    page = _read_token(query["page_token"]) if query.get("page_token") else {**asked, "first": 0}
    if any(page.get(name) != value for name, value in asked.items()):
        raise invalid("page token does not match the supplied sort by and/or filtering criteria")
    size = query.get("page_size", "20")
    if not size.isdigit():
        raise malformed(f'type mismatch, parameter: page_size, error: parsing "{size}": invalid syntax')
    name, _, direction = page.get("sort_by", "created_at").partition(" ")
    if name not in fields or direction not in {"", "asc", "desc"}:
        raise invalid(f'Received invalid sort by format "{page["sort_by"]}"')
    predicates = _predicates(page.get("filter", ""), fields)
    chosen = [item for item in items if all(_matches(item, *one, fields) for one in predicates)]
    chosen.sort(key=lambda item: (fields[name](item), fields["id"](item)), reverse=direction == "desc")
    last = page["first"] + int(size)
    token = base64.b64encode(json.dumps({**page, "first": last}).encode()).decode()
    answer = {"rows": chosen[page["first"] : last], "total_size": len(chosen)}
    return {**answer, "next_page_token": token if last < len(chosen) else ""}


def _read_token(text: str) -> dict[str, Any]:
    try:
        token = json.loads(base64.b64decode(text, validate=True))
        return {**token, "first": int(token["first"])}
    except (ValueError, TypeError, KeyError) as error:
        raise invalid("Invalid page token") from error


def _predicates(text: str, fields: Fields) -> list[tuple[str, str, str]]:
    """Read a filter that the HTTP layer has unescaped already: the server unescapes it again."""
    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            raise ValueError("invalid URL escape")
        given = json.loads(unquote_plus(text or "{}")).get("predicates", [])
        read = [{snake(name): value for name, value in one.items()} for one in given]
        predicates = [(one.pop("operation"), one.pop("key"), one.pop("string_value"), one) for one in read]
        for operation, key, value, more in predicates:
            if operation not in OPERATIONS or key not in fields or not isinstance(value, str) or more:
                raise ValueError(f"unsupported {operation}, {key}, {value}, {more}")
        return [(OPERATIONS[one[0]], *one[1:3]) for one in predicates]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise invalid(f'failed to parse valid filter from "{text}": {error}') from error


def snake(name: str) -> str:
    """Return a name of protojson in its other spelling."""
    return re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", name)


def _matches(item: Any, operation: str, key: str, value: str, fields: Fields) -> bool:
    """Return whether an item matches: the database ignores case, and its LIKE reads _ as any letter."""
    stored, given = str(fields[key](item)).casefold(), value.casefold()
    if operation == "EQUALS":
        return stored == given
    return bool(re.search(re.escape(given).replace("_", "."), stored, re.DOTALL))
