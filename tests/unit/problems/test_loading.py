"""A problem's modules by its name: one that is not there is one line, an error inside is its own."""

import sys

import pytest

from examples.digits import policy
from ml.core.errors import UsageError
from ml.core.problems import VARIABLE, load_part, problem_name
from ml.problem import load_definition, load_solution
from ml.problems.songs import definition, solution


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that writes the definition of the problem made.up."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made" / "up").mkdir(parents=True)
    yield (tmp_path / "made" / "up" / "definition.py").write_text
    for name in [name for name in sys.modules if name.partition(".")[0] == "made"]:
        del sys.modules[name]


def test_the_name_is_the_one_given_that_of_the_environment_or_the_repositorys_own(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (problem_name(), load_definition(), load_solution("songs")) == ("songs", definition, solution)
    monkeypatch.setenv(VARIABLE, "examples.digits")
    assert (problem_name(), load_part("", "policy")) == ("examples.digits", policy)
    assert load_definition("songs") == definition


@pytest.mark.parametrize(
    ("name", "part", "module"),
    [
        ("nothing", "definition", "ml.problems.nothing.definition"),
        ("made.up", "solution", "made.up.solution"),
        ("made.down", "definition", "made.down.definition"),
        ("./examples/digits", "definition", "./examples/digits.definition"),
    ],
)
def test_a_problem_that_is_not_there_is_one_line(package, name, part, module):
    package("")
    with pytest.raises(UsageError) as refused:
        load_part(name, part)
    missing = f"problem {name!r}: there is no module {module}; `jukebox init NAME` writes a problem"
    assert str(refused.value) == missing


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import not_installed", "No module named 'not_installed'"),
        ("import made.up.other", "No module named 'made.up.other'"),
        ("import made.x", "No module named 'made.x'"),
        ("from os import nothing_of_the_kind", "nothing_of_the_kind"),
    ],
)
def test_an_import_error_inside_a_problem_is_its_own(package, text, told):
    package(text)
    with pytest.raises(ImportError, match=told):
        load_definition("made.up")
