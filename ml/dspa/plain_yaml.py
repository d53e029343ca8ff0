"""Read YAML that has JSON values only: unique keys, no anchors, no tags, bounded in size and depth.

The commit under test wrote the file; what is read is checked and sent unchanged.
"""

from typing import Any

import yaml

from ml.core.canonical import canonical_bytes

MOST_BYTES = 4 << 20
"""Most bytes of a file; a compiled pipeline has about sixty thousand."""

DEEPEST = 64
"""Most levels of nesting; a compiled pipeline has twelve."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotPlain(ValueError):
    """The YAML has a feature that is not allowed; the message names it."""


class _Plain(_Loader):  # type: ignore[misc] # mypy does not know which of the two it is
    """A safe loader whose mappings have unique strings as keys."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    line = node.start_mark.line + 1
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        # The key "<<" (merge) has a tag of its own and is refused as well.
        if key.tag != "tag:yaml.org,2002:str":
            raise NotPlain(f"a key of the mapping in line {line} is not a string")
        if key.value in mapping:
            raise NotPlain(f"the key {key.value!r} is twice in the mapping in line {line}")
        mapping[key.value] = loader.construct_object(value, deep=True)
    return mapping


_Plain.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_documents(data: bytes) -> list[Any]:
    """Return the documents of a file as plain JSON values.

    Raises:
        NotPlain: the file is too large, or has anchors, tags, duplicate keys or deep nesting.
        ValueError, TypeError: a value is not JSON, as NaN or a date.
        yaml.YAMLError: the file is not YAML.
    """
    if len(data) > MOST_BYTES:
        raise NotPlain(f"more than {MOST_BYTES >> 20} MB")
    depth = 0
    # Checked before objects are built: a few lines of aliases can expand to terabytes.
    for event in yaml.parse(data, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise NotPlain(f"an anchor or alias in line {line}")
        if getattr(event, "tag", None):
            raise NotPlain(f"a tag in line {line}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise NotPlain(f"more than {DEEPEST} levels in line {line}")
    documents = list(yaml.load_all(data, Loader=_Plain))
    canonical_bytes(documents)
    return documents
