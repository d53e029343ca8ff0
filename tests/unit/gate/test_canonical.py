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


@given(st.dictionaries(TEXT, SCALARS))
def test_order_of_keys_does_not_matter(value):
    assert canonical_bytes(dict(reversed(value.items()))) == canonical_bytes(value)


def test_keys_are_sorted_at_every_depth_without_white_space_in_utf8():
    assert (
        canonical_bytes({"b": [{"d": 1, "c": "é"}], "a": 0.5}) == '{"a":0.5,"b":[{"c":"é","d":1}]}\n'.encode()
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_cannot_be_written(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_bytes({"deep": [number]})


def test_what_is_not_json_cannot_be_written():
    with pytest.raises(TypeError):
        canonical_bytes({"a": {1, 2}})


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_cannot_be_read(constant):
    with pytest.raises(ValueError, match=f"^{constant} is not a number$"):
        parse(f'{{"a":[{constant}]}}'.encode())


def test_a_number_too_large_for_a_float_cannot_be_read():
    with pytest.raises(ValueError, match=r"^1e999 is too large a number$"):
        parse(b'{"a":1e999}')


@pytest.mark.parametrize("data", [b'{"a":1,"b":2,"a":3}', b'[{"x":{"a":1,"a":1}}]'])
def test_a_key_that_stands_twice_is_refused_by_name(data):
    with pytest.raises(ValueError, match=r"^key 'a' stands twice in one object$"):
        parse(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{} {}", b"{'a':1}", b"\xff", b'"\xe9"', b"[1,]", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_not_json_is_refused(data):
    with pytest.raises(ValueError):
        parse(data)


def test_what_is_nested_too_deeply_is_said_to_be():
    with pytest.raises(ValueError, match=r"^nested too deeply$"):
        parse(b"[" * 100_000)


def test_a_digest_names_its_algorithm():
    assert digest(b"jukebox") == "sha256:" + hashlib.sha256(b"jukebox").hexdigest()
