"""Every message, page and script names verbs, flags, targets, variables and files that there are."""

import pytest
from messages import ROOT, code_of, constants, message_problems, problems, shell_problems, verbs

PAGES = {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")}
# It names the files of the commit that it is about.
PAGES -= {ROOT / "docs" / "explanation" / "mutants.md"}
FILES = sorted({*(ROOT / "ml").rglob("*.py"), *PAGES, *(ROOT / "tekton").rglob("*.yaml")})
FILES += [ROOT / "Makefile", ROOT / ".ci" / "run"]


CHECKS = {
    ".py": lambda text: [problem for each in constants(text) for problem in message_problems(each)],
    ".md": lambda text: [*problems(text), *shell_problems(code_of(text))],
    ".yaml": lambda text: [*problems(text), *shell_problems(text)],
    "": lambda text: shell_problems(text.replace("$(BIN)/", "")),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_names_what_is_there(path):
    assert CHECKS[path.suffix](path.read_text()) == []


@pytest.mark.parametrize(
    ("check", "text", "told"),
    [
        (".py", "'see `jukebox policy explian`'", ["`jukebox policy` has no verb explian"]),
        (".py", "'see `.venv/bin/jukebox run --all=3`'", ["`jukebox run` has no flag --all"]),
        (".py", "'give --snapshto and --data'", ["no verb has the flag --snapshto"]),
        (".py", "'run `make setpu`'", ["the Makefile has no target setpu"]),
        (".py", "'name it with JUKEBOX_STOER'", ["nothing reads JUKEBOX_STOER"]),
        (".py", "'see docs/none.md'", ["there is no file docs/none.md"]),
        (".py", "'see `jukebox --help`, `jukebox policy explain` and `jukebox VERB --help`'", []),
        ("", "$ jukebox run \\\n  --epoch 3   # much\n", ["`jukebox run` has no flag --epoch"]),
        (".yaml", "        exec jukebox sumbit\n", ["`jukebox` has no verb sumbit"]),
        (".md", "text\n\n    make tset\n\n```\nmake test\n```\n", ["the Makefile has no target tset"]),
        # What an f-string inserts is anything; the words of command() are checked.
        (".py", 'f"`jukebox promote {name} --stor {store}`"', ["`jukebox promote` has no flag --stor"]),
        (".py", 'command("promte", name)', ["`jukebox` has no verb promte"]),
    ],
)
def test_what_is_not_there_is_told(check, text, told):
    assert CHECKS[check](text) == told


def test_a_verb_that_goes_is_missed_where_it_is_named(monkeypatch):
    fewer = {path: flags for path, flags in verbs().items() if path != ("models",)}
    monkeypatch.setattr("messages.verbs", lambda: fewer)
    assert "`jukebox` has no verb models" in CHECKS[".py"]((ROOT / "ml/cli/main.py").read_text())
