"""A problem's modules by its name: one that is not there is one line, an error inside is its own."""

import sys

import pytest

from examples.digits import policy
from ml.core.errors import UsageError
from ml.core.problems import VARIABLE, load_part, problem_name
from ml.problem import load_definition, load_solution
from ml.problems.songs import definition, solution


@pytest.fixture(autouse=True)
def unnamed(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that writes the definition of the problem made.up."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made" / "up").mkdir(parents=True)

    def write(text: str) -> None:
        (tmp_path / "made" / "up" / "definition.py").write_text(text)

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "made"]:
        del sys.modules[name]


def test_the_name_is_the_one_given_that_of_the_environment_or_the_repositorys_own(monkeypatch):
    assert (problem_name(), load_definition(), load_solution("songs")) == ("songs", definition, solution)
    monkeypatch.setenv(VARIABLE, "examples.digits")
    assert (problem_name(), load_part("", "policy")) == ("examples.digits", policy)
    assert (problem_name("songs"), load_definition("songs")) == ("songs", definition)


@pytest.mark.parametrize(
    ("name", "part", "module"),
    [
        ("nothing", "definition", "ml.problems.nothing.definition"),
        ("made", "solution", "ml.problems.made.solution"),
        ("made.up", "solution", "made.up.solution"),
        ("made.down", "definition", "made.down.definition"),
        ("./examples/digits", "definition", "./examples/digits.definition"),
        ("not.there.at.all", "policy", "not.there.at.all.policy"),
    ],
)
def test_a_problem_that_is_not_there_is_one_line(package, name, part, module):
    package("")
    with pytest.raises(UsageError) as refused:
        load_part(name, part)
    wanted = f"problem {name!r}: there is no module {module}; `jukebox init NAME` writes a problem"
    assert str(refused.value) == wanted


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import not_installed", "not_installed"),
        ("import made.up.other", "made.up.other"),
        ("import made.x", "made.x"),
    ],
)
def test_a_module_that_a_problem_lacks_is_an_error_of_its_own(package, text, missing):
    package(text)
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{missing}'"):
        load_definition("made.up")


def test_an_import_error_inside_a_problem_is_not_swallowed(package):
    package("from os import nothing_of_the_kind")
    with pytest.raises(ImportError, match="nothing_of_the_kind"):
        load_definition("made.up")
