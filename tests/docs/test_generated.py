"""The pages and pictures that follow from the code are as the code is now, and say what it does."""

import json
import re
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest
from attestations import statement_about
from policies import default_policy

from ml.dspa.failures import Unavailable

from . import settings
from .__main__ import PAGES, SCHEMAS
from .graphs import ROOT, kfp, tekton
from .picture import svg
from .schemas import schemas
from .states import exit_code, failing
from .tekton import tasks

WRITE = "run `make docs-write`"


@pytest.mark.parametrize("path", PAGES)
def test_what_follows_from_the_code_is_current(path):
    assert (ROOT / path).read_text() == PAGES[path](), WRITE


def test_the_schemas_are_current():
    assert {file.name: file.read_text() for file in SCHEMAS.iterdir()} == schemas(), WRITE


def test_a_schema_takes_what_its_type_takes_and_nothing_else():
    policy, statement = default_policy().to_json(), statement_about().to_json()
    wrong = [
        ("policy", {**policy, **one}) for one in ({"extra": 1}, {"schema": "jukebox.policy/v1"}, {"data": {}})
    ]
    for left_out in statement:
        wrong.append(("attestation", {key: value for key, value in statement.items() if key != left_out}))
    known = {name: json.loads(schemas()[f"{name}.json"]) for name in ("policy", "attestation")}
    jsonschema.validate(policy, known["policy"])
    jsonschema.validate(statement, known["attestation"])
    for name, document in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, known[name])


def test_the_picture_shows_the_graphs_is_small_and_can_be_heard():
    text = svg()
    picture = ElementTree.fromstring(text)
    shown = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    for graph in (tekton(), kfp()):
        assert set(graph.before) <= set(shown)
        assert all(any(name in each for each in shown) for name in graph.last)
    assert len(text.encode()) < 20_000
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\(|@import", text)
    told = {element.get("id"): element.text for element in picture if element.get("id")}
    assert set(picture.get("aria-labelledby").split()) == set(told)
    assert "build-image after lint and unit-test" in told["desc"]
    assert "gate after evaluate and parity and serving" in told["desc"]


def test_a_variable_without_a_description_is_an_error(monkeypatch):
    monkeypatch.setattr(settings, "in_the_code", lambda: {"JUKEBOX_NEW"})
    with pytest.raises(ValueError, match="JUKEBOX_NEW"):
        settings.settings_page()


def test_a_state_that_waits_for_something_else_than_its_row_says_is_an_error(monkeypatch):
    monkeypatch.setattr("docs.states.LONG", 0.05)
    with pytest.raises(ValueError, match="not ended by the wait canceling"):
        exit_code(failing(Unavailable("no answer")), wait="canceling")


def test_each_task_is_in_the_pipeline():
    assert len(tasks()) == len(list((ROOT / "tekton" / "tasks").glob("*.yaml"))) - 1
