"""Canonical JSON: one value has one sequence of bytes, and what is not strict JSON is refused."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.core.canonical import canonical_bytes, digest, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@given(JSON)
def test_bytes_read_back_are_the_same_value_and_the_same_bytes(value):
    data = canonical_bytes(value)
    assert parse(data) == value
    assert canonical_bytes(parse(data)) == data


def test_keys_are_sorted_at_every_depth_without_white_space_in_utf8():
    expected = '{"a":0.5,"b":[{"c":"é","d":1}]}\n'.encode()
    assert canonical_bytes({"b": [{"d": 1, "c": "é"}], "a": 0.5}) == expected
    assert digest(b"jukebox") == "sha256:" + hashlib.sha256(b"jukebox").hexdigest()


@pytest.mark.parametrize("value", [{1, 2}, *map(float, ("nan", "inf", "-inf"))])
def test_what_is_not_json_cannot_be_written(value):
    with pytest.raises((TypeError, ValueError), match="not JSON"):
        canonical_bytes({"deep": [value]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        *((f"[{name}]".encode(), f"{name} is not a number") for name in ("NaN", "Infinity", "-Infinity")),
        (b'{"a":1e999}', "1e999 is too large a number"),
        (b'[{"x":{"a":1,"b":2,"a":1}}]', "key 'a' stands twice in one object"),
        (b"[" * 100_000, "nested too deeply"),
        *((data, ".*") for data in (b"", b"{} {}", b"\xff", b"[1,]")),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_not_strict_json_is_refused(data, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse(data)
