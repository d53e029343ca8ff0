"""What tests of several steps need."""

import json

import pytest

from ml.pipeline.step import EVENTS


@pytest.fixture
def events(tmp_path, monkeypatch):
    """Return a function that reads the events so far."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS, str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]
