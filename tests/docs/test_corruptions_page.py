"""docs/explanation/drift.md lists the corruptions of tests/corruptions.py, and which check finds each."""

import re

from corruptions import CORRUPTIONS, UNCAUGHT

from .graphs import ROOT


def test_it_lists_each_corruption_with_its_check_and_what_nothing_catches():
    text = (ROOT / "docs" / "explanation" / "drift.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| `([a-z_.]+)` \| (blocks|warns) \|$", text, re.MULTILINE)
    assert rows == [
        (corruption.name, corruption.check, "blocks" if corruption.blocks else "warns")
        for corruption in CORRUPTIONS
    ]
    _, _, uncaught = text.partition("## What no check of the data catches")
    assert re.findall(r"^- \*\*(.+?)\*\*", uncaught, re.MULTILINE) == [name for name, _ in UNCAUGHT]
