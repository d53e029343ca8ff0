"""No test here reads prose: `jukebox ci answer` leaves these tests out where nothing else has changed."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROSE = (f"{ROOT / 'docs'}{os.sep}", *(str(page) for page in ROOT.glob("*.md")))
WATCHED = {"reading": False}


def _refuse_prose(event: str, args: tuple) -> None:
    if WATCHED["reading"] and event == "open" and str(args[0]).startswith(PROSE):
        raise AssertionError(f"{args[0]} is prose: a test that reads it belongs to tests/docs")


sys.addaudithook(_refuse_prose)


@pytest.fixture(autouse=True)
def _no_prose():
    WATCHED["reading"] = True
    yield
    WATCHED["reading"] = False
