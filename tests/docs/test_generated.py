"""The pages and pictures that follow from the code are as the code is now, and say what it does."""

import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import jsonschema
import pytest
from attestations import statement_about
from policies import default_policy

from ml.dspa.failures import Unavailable

from . import settings
from .generated import PAGES, SCHEMAS
from .graphs import ROOT, Graph, kfp, reduced, tekton
from .layout import laid_out
from .markdown import table
from .picture import Panel, svg
from .schemas import documents, modules, schemas
from .states import exit_code, failing
from .tekton import described, tasks, tasks_readme
from .verbs import verbs

WRITE = "run `make docs-write`"


@pytest.mark.parametrize("path", PAGES)
def test_what_follows_from_the_code_is_current(path):
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), WRITE


def test_the_schemas_are_current():
    found = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / SCHEMAS).iterdir()}
    assert found == schemas(), WRITE


def test_every_document_has_a_schema():
    stating = {
        file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for file in (ROOT / "ml").rglob("*.py")
        if re.search(r"^    (schema_|predicate_type): ", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert stating <= set(modules())
    assert {kind.__module__ for kind in documents().values()} == stating


def test_a_schema_takes_what_its_type_takes_and_nothing_else():
    schema = json.loads(schemas()["policy.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    policy = default_policy().to_json()
    jsonschema.validate(policy, schema)
    for wrong in ({**policy, "extra": 1}, {**policy, "schema": "jukebox.policy/v1"}, {**policy, "data": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_an_attestation_is_as_its_schema_says():
    schema = json.loads(schemas()["attestation.json"])
    statement = statement_about().to_json()
    jsonschema.validate(statement, schema)
    for key in statement:
        without = {name: value for name, value in statement.items() if name != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(without, schema)


def test_the_picture_shows_the_graphs_is_small_and_can_be_heard():
    text = svg()
    picture = ElementTree.fromstring(text)
    shown = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    for graph in (tekton(), kfp()):
        assert set(graph.before) <= set(shown)
        assert all(any(name in each for each in shown) for name in graph.last)
        # The nodes of a column do not touch.
        layout = laid_out(graph)
        places = sorted((layout.column[name], layout.lane[name]) for name in layout.column)
        assert all(one != other or lower - upper >= 1 for (one, upper), (other, lower) in pairwise(places))
    assert len(text.encode()) < 20_000
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\(|@import", text)
    told = {element.get("id"): element.text for element in picture if element.get("id")}
    assert set((picture.get("aria-labelledby") or "").split()) == set(told)
    assert "build-image after lint and unit-test" in told["desc"]
    assert "gate after evaluate and parity and serving" in told["desc"]


def test_another_task_is_drawn_and_an_edge_that_follows_from_others_is_not():
    before = reduced({"c": {"a", "b"}, "b": {"a"}, "a": set()})
    assert before == {"a": (), "b": ("a",), "c": ("b",)}
    fewer = {name: before[name] for name in "ab"}
    drawn = ["\n".join(Panel(Graph("g", "", each), 0, "", "").drawn(500)) for each in (fewer, before)]
    assert "c</tspan>" in drawn[1]
    assert [each.count('class="way"') for each in drawn] == [1, 2]


def test_every_verb_is_there_with_its_options_variables_and_defaults():
    found = {verb.name: verb for verb in verbs()}
    assert {"run", "submit", "policy explain"} <= set(found)
    (store,) = (option for option in found["run"].options if option.name.startswith("--store"))
    assert store.variable == "JUKEBOX_STORE"
    assert store.help.startswith("The model store")
    assert "[" not in store.help


def test_a_variable_without_a_description_is_an_error(monkeypatch):
    monkeypatch.setattr(settings, "in_the_code", lambda: {"JUKEBOX_NEW"})
    with pytest.raises(ValueError, match="JUKEBOX_NEW"):
        settings.settings_page()


def test_a_state_that_waits_for_something_else_than_its_row_says_is_an_error(monkeypatch):
    monkeypatch.setattr("docs.states.LONG", 0.05)
    with pytest.raises(ValueError, match="not ended by the wait canceling"):
        exit_code(failing(Unavailable("no answer")), wait="canceling")


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a", "b"), [("x|y", "")]) == "| a |\n| --- |\n| x\\|y |\n"


def test_a_task_has_all_its_parts_and_says_what_must_be_given():
    text = tasks_readme()
    assert text.count("\n## ") == len(tasks()) == len(list((ROOT / "tekton" / "tasks").glob("*.yaml"))) - 1
    for task in tasks():
        section = text.partition(f"\n## {task['metadata']['name']}\n")[2].partition("\n## ")[0]
        assert f"(../samples/{task['metadata']['name']}.yaml)" in section
        items = [item for part in ("params", "results", "workspaces") for item in task["spec"].get(part, ())]
        assert [item for item in items if f"| `{item['name']}` | " not in section] == []
        assert [item for item in items if item["description"] not in section] == []
    (lint,) = (task for task in tasks() if task["metadata"]["name"] == "lint")
    lint["spec"]["params"] = [{"name": "a", "description": "A|B."}]
    lint["spec"]["params"] += [{"name": "b", "description": "B.", "default": each} for each in ("", "x")]
    said, needs, params, *_ = described(lint)
    assert said == lint["spec"]["description"]
    version = lint["metadata"]["labels"]["app.kubernetes.io/version"]
    assert needs == f"Version {version}; needs Tekton Pipelines 0.43.0 or later; runs on linux/amd64."
    assert params == (
        "| parameter | default | what it is |\n| --- | --- | --- |\n"
        "| `a` | must be given | A\\|B. |\n| `b` | empty | B. |\n| `b` | `x` | B. |\n"
    )
