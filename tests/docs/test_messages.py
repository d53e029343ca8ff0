"""Every message, page and script names verbs, flags, targets, variables and files that there are."""

import pytest
from messages import ROOT, code_of, constants, message_problems, problems, shell_problems, verbs

MODULES = sorted((ROOT / "ml").rglob("*.py"))
MUTANTS = ROOT / "docs" / "explanation" / "mutants.md"
"""It names the files of the commit that it is about."""

PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {MUTANTS})
MANIFESTS = sorted((ROOT / "tekton").rglob("*.yaml"))


def relative(path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_messages_name_what_is_there(path):
    assert [found for text in constants(path.read_text()) for found in message_problems(text)] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_pages_name_what_is_there(path):
    text = path.read_text()
    assert [*problems(text), *shell_problems(code_of(text))] == []


@pytest.mark.parametrize("path", MANIFESTS, ids=relative)
def test_manifests_name_what_is_there(path):
    text = path.read_text()
    assert [*problems(text), *shell_problems(text)] == []


@pytest.mark.parametrize("path", [ROOT / "Makefile", ROOT / ".ci" / "run"], ids=relative)
def test_scripts_name_what_is_there(path):
    assert shell_problems(path.read_text().replace("$(BIN)/", "")) == []


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("see `jukebox modls`", "`jukebox` has no verb modls"),
        ("see `jukebox policy explian`", "`jukebox policy` has no verb explian"),
        ("see `jukebox run --epoch 3`", "`jukebox run` has no flag --epoch"),
        ("see `.venv/bin/jukebox run --all=3`", "`jukebox run` has no flag --all"),
        ("give --rankngs and --songs", "no verb has the flag --rankngs"),
        ("run `make setpu`", "the Makefile has no target setpu"),
        ("name it with JUKEBOX_STOER", "nothing reads JUKEBOX_STOER"),
        ("see docs/none.md", "there is no file docs/none.md"),
    ],
)
def test_what_is_not_there_is_found(message, problem):
    assert message_problems(message) == [problem]


@pytest.mark.parametrize(
    "message",
    [
        "see `jukebox --help`, `jukebox policy explain` and `jukebox VERB --help`",
        "`jukebox promote abc --store .jukebox/store` or `make test`",
        "JUKEBOX_STORE, JUKEBOX_*, requirements/*.txt",
        "`jukebox` is a command",
    ],
)
def test_what_is_there_is_no_problem(message):
    assert message_problems(message) == []


def test_a_verb_that_goes_is_missed_where_it_is_named(monkeypatch):
    fewer = {path: flags for path, flags in verbs().items() if path != ("models",)}
    monkeypatch.setattr("messages.verbs", lambda: fewer)
    named = [text for text in constants((ROOT / "ml/cli/main.py").read_text()) if "`jukebox models`" in text]
    assert problems(named[0]) == ["`jukebox` has no verb models"]


def test_what_an_f_string_inserts_stands_for_anything():
    (text,) = constants('f"`jukebox promote {candidate} --stor {store}`"')
    assert problems(text) == ["`jukebox promote` has no flag --stor"]


def test_the_words_of_a_command_are_checked():
    assert [found for text in constants('command("promte", name)') for found in problems(text)] == [
        "`jukebox` has no verb promte"
    ]


def test_a_command_over_several_lines_is_one():
    assert shell_problems("$ jukebox run \\\n  --epoch 3   # much\n") == ["`jukebox run` has no flag --epoch"]
    assert shell_problems("        exec jukebox sumbit\n") == ["`jukebox` has no verb sumbit"]
    assert shell_problems(code_of("text\n\n    make tset\n\n```\nmake test\n```\n")) == [
        "the Makefile has no target tset"
    ]
