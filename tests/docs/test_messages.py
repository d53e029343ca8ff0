"""Every message, page and script names verbs, flags, targets, variables and files that there are."""

import pytest
from messages import ROOT, code_of, constants, message_problems, problems, shell_problems, verbs

MUTANTS = ROOT / "docs" / "explanation" / "mutants.md"
"""It names the files of the commit that it is about."""

PAGES = {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {MUTANTS}
FILES = sorted({*(ROOT / "ml").rglob("*.py"), *PAGES, *(ROOT / "tekton").rglob("*.yaml")})
FILES += [ROOT / "Makefile", ROOT / ".ci" / "run"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_names_what_is_there(path):
    text = path.read_text()
    if path.suffix == ".py":
        found = [problem for each in constants(text) for problem in message_problems(each)]
    elif path.suffix == ".md":
        found = [*problems(text), *shell_problems(code_of(text))]
    elif path.suffix == ".yaml":
        found = [*problems(text), *shell_problems(text)]
    else:
        found = shell_problems(text.replace("$(BIN)/", ""))
    assert found == []


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (message_problems, "see `jukebox modls`", ["`jukebox` has no verb modls"]),
        (message_problems, "see `jukebox policy explian`", ["`jukebox policy` has no verb explian"]),
        (message_problems, "see `jukebox run --epoch 3`", ["`jukebox run` has no flag --epoch"]),
        (message_problems, "see `.venv/bin/jukebox run --all=3`", ["`jukebox run` has no flag --all"]),
        (message_problems, "give --snapshto and --data", ["no verb has the flag --snapshto"]),
        (message_problems, "run `make setpu`", ["the Makefile has no target setpu"]),
        (message_problems, "name it with JUKEBOX_STOER", ["nothing reads JUKEBOX_STOER"]),
        (message_problems, "see docs/none.md", ["there is no file docs/none.md"]),
        (message_problems, "see `jukebox --help`, `jukebox policy explain` and `jukebox VERB --help`", []),
        (message_problems, "`jukebox promote abc --store .jukebox/store` or `make test`", []),
        (message_problems, "JUKEBOX_STORE, JUKEBOX_*, requirements/*.txt", []),
        (message_problems, "`jukebox` is a command", []),
        (shell_problems, "$ jukebox run \\\n  --epoch 3   # much\n", ["`jukebox run` has no flag --epoch"]),
        (shell_problems, "        exec jukebox sumbit\n", ["`jukebox` has no verb sumbit"]),
        (
            *(lambda text: shell_problems(code_of(text)), "text\n\n    make tset\n\n```\nmake test\n```\n"),
            ["the Makefile has no target tset"],
        ),
        # What an f-string inserts is anything; the words of command() are checked.
        (
            *(lambda text: problems(*constants(text)), 'f"`jukebox promote {candidate} --stor {store}`"'),
            ["`jukebox promote` has no flag --stor"],
        ),
        (
            *(lambda text: problems("\n".join(constants(text))), 'command("promte", name)'),
            ["`jukebox` has no verb promte"],
        ),
    ],
)
def test_what_is_not_there_is_found(check, text, found):
    assert check(text) == found


def test_a_verb_that_goes_is_missed_where_it_is_named(monkeypatch):
    fewer = {path: flags for path, flags in verbs().items() if path != ("models",)}
    monkeypatch.setattr("messages.verbs", lambda: fewer)
    named = [text for text in constants((ROOT / "ml/cli/main.py").read_text()) if "`jukebox models`" in text]
    assert problems(named[0]) == ["`jukebox` has no verb models"]
