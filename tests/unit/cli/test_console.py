"""What a person sees: verdicts, whole or folded to what did not pass, and lines as wide as the terminal."""

import io

import pytest
from mutations import MUTATIONS
from reports import edited, judge, passing_reports
from rich.cells import cell_len
from rich.text import Text

from ml.cli import console, tables
from ml.cli.tables import show_verdict

BROKEN = judge(edited(passing_reports(), MUTATIONS["evaluation.examples"].edits))
GOOD = judge(passing_reports())


def shown(capsys: pytest.CaptureFixture[str], *arguments, **options) -> list[str]:
    show_verdict(*arguments, **options)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_each_check_is_a_line(capsys):
    lines = shown(capsys, BROKEN)
    names = [line.split()[0] for line in lines[1:-1]]
    assert names == [check.name for check in BROKEN.checks]
    assert lines[-1] == f"BLOCKED: 1 of {len(names)} checks failed"


def test_folded_only_what_did_not_pass_is_a_line_and_the_rest_is_counted(capsys):
    _, row, counted, verdict = shown(capsys, BROKEN, folded=True)
    assert row.split()[0] == "evaluation.examples"
    assert "BLOCK" in row
    numbers = [int(word.rstrip(",;")) for word in counted.split() if word.rstrip(",;").isdigit()]
    assert sum(numbers) == len(BROKEN.checks) - 1
    assert verdict.startswith("BLOCKED")


class Terminal(io.StringIO):
    """A terminal, as far as anything that prints can tell."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def printed(monkeypatch):
    """Print a table on a terminal of some width, or into a pipe: what arrives, line by line."""

    def printed(width: int | None, header, rows) -> list[str]:
        file = Terminal() if width else io.StringIO()
        shape = {"width": width, "color_system": None} if width else {}
        console_of = console._Console(file=file, soft_wrap=True, emoji=False, highlight=False, **shape)
        monkeypatch.setattr(tables, "out", console_of)
        tables.show_table(header, rows)
        return file.getvalue().splitlines()

    return printed


ID = "0123456789ab" * 4
HEADER = ("candidate", "empty", "reason")
ROWS = [(ID, "", "it differs " * 30 + "much"), (ID[::-1], "", "`jukebox run --rankings FILE` does it")]


def test_a_pipe_has_no_width(printed):
    head, first, second = printed(None, HEADER, ROWS)
    assert head.split() == ["candidate", "reason"]
    assert first == f"{ID}  {ROWS[0][2]}"
    assert second == f"{ID[::-1]}  {ROWS[1][2]}"


@pytest.mark.parametrize("width", [80, 120, 400])
def test_on_a_terminal_other_columns_give_way_to_ids(printed, width):
    lines = printed(width, HEADER, ROWS)
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if line.startswith(("0", "b"))] == [ID, ID[::-1]]
    assert any("`jukebox run --rankings FILE`" in line for line in lines)
    assert " ".join(" ".join(lines).split()).count("it differs") == 30


def test_on_a_terminal_that_is_too_narrow_for_the_columns_each_row_is_a_block(printed):
    lines = printed(60, HEADER, ROWS)
    assert lines[0] == f"candidate  {ID}"
    assert lines[1].startswith("reason     it differs it differs")
    assert lines[2].startswith(" " * 11 + "differs it differs")
    assert "" in lines
    assert lines[-2] == f"candidate  {ID[::-1]}"
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("columns", range(20, 100, 7))
def test_no_width_breaks_a_word(columns):
    text = Text(f"  start {ID} and `jukebox models --store here`, wide 歌曲 é\n\nend")
    lines = console.fold(text, columns).plain.split("\n")
    assert "".join(lines).replace(" ", "") == text.plain.replace("\n", "").replace(" ", "")
    assert lines[0].startswith("  start")
    assert any(ID in line for line in lines)
    assert any("`jukebox models --store here`," in line for line in lines)
    assert all(cell_len(line) <= columns or " " not in line.strip() or "`" in line for line in lines)


def test_a_text_on_a_terminal_is_broken_between_words_and_in_a_pipe_not_at_all():
    words = "word " * 40 + ID
    for file, most in ((Terminal(), 60), (io.StringIO(), len(words))):
        console._Console(file=file, width=60, soft_wrap=True, color_system=None).print(words)
        lines = file.getvalue().splitlines()
        assert max(map(len, lines)) <= most
        assert lines[-1].endswith(ID)
        assert len(lines) > 1 or most == len(words)
