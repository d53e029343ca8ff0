"""Prose is not read below tests/unit, and a test that tries is told so."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_reading_prose_is_refused(name):
    with pytest.raises(AssertionError, match="belongs to tests/docs"):
        (ROOT / name).read_text()
