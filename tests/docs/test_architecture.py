"""docs/architecture.md names functions and rooms that are there, and every room."""

import pkgutil
import re

import pytest
from messages import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
NAMES = sorted(set(re.findall(r"`(ml(?:\.\w+){2,})`", TEXT)))


def test_the_page_names_functions():
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_there(name):
    assert callable(pkgutil.resolve_name(name))


def test_every_room_is_named():
    rooms = {path.parent.name for path in (ROOT / "ml").glob("*/__init__.py")}
    assert set(re.findall(r"`ml/(\w+)`", TEXT)) == rooms
