"""YAML without what YAML expands: plain JSON values, each key once, no anchors, no tags, bounded.

What is read here was written by the commit under test, and is judged and sent exactly as it was read.
"""

from typing import Any

import yaml

from ml.core.canonical import canonical_bytes

MOST_BYTES = 4 << 20
"""Bytes of a file; a compiled pipeline has some sixty thousand."""

DEEPEST = 64
"""Levels of nesting; a compiled pipeline has twelve."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotPlain(ValueError):
    """The YAML uses something that none of our files needs; the message says what."""


class _Plain(_Loader):  # type: ignore[misc] # mypy does not know which of the two it is
    """A safe loader whose mappings have text for keys, each of them once."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    line = node.start_mark.line + 1
    found: dict[str, Any] = {}
    for key, value in node.value:
        # "<<" has a tag of its own: it would merge another mapping into this one.
        if key.tag != "tag:yaml.org,2002:str":
            raise NotPlain(f"a key of the mapping in line {line} is no text")
        if key.value in found:
            raise NotPlain(f"the key {key.value!r} stands twice in the mapping in line {line}")
        found[key.value] = loader.construct_object(value, deep=True)
    return found


_Plain.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_documents(data: bytes) -> list[Any]:
    """Return the documents of a file as plain JSON values.

    Raises:
        NotPlain: the bytes are too many, or use anchors, tags or keys that stand twice.
        ValueError, TypeError: they hold what is no JSON: NaN, a date.
        yaml.YAMLError: they are not YAML.
    """
    if len(data) > MOST_BYTES:
        raise NotPlain(f"more than {MOST_BYTES >> 20} MB")
    depth = 0
    # Before anything is built: a few lines of aliases can stand for terabytes.
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
