"""What a forge is told has no mention, no reference, no link and no other commit in it."""

import re

import pytest

from ml.forge.plain import plain

COMMIT = "1a2b3c4d" * 5


@pytest.mark.parametrize(
    "text",
    [
        "promoted: 23 of 23 checks pass",
        "the gate blocked the model (merit.gain, parity.keras)",
        "log_loss 0.61 is not <= 0.55 [0.5, 0.6]; 5% of 1234567 songs; why? no!",
        "s3: HTTP 503, 10 < 20, a & b, 2 * 3",
        f"{COMMIT[:12]} and {COMMIT}",
        "",
    ],
)
def test_a_sentence_stays_as_it_is(text):
    assert plain(text, COMMIT) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("@team look", "@ team look"),
        ("closes #12, fixes a/b#3, !4, $5, %6, &7, ~8", "closes # 12, fixes a/b# 3, ! 4, $ 5, % 6, & 7, ~ 8"),
        ("see GH-12", "see GH- 12"),
        ("[x](https://evil.example)", "[x] (https:/ /evil.example)"),
        ("www.evil.example", "www. evil.example"),
        ("<img src=x> </b> <!-- a", "< img src=x> < /b> < !-- a"),
        ("of deadbeef1 and DEADBEEF", "of deadbe… and DEADBE…"),
        ("a\r\nb\x1b[31mc\u202ed\u200be", "a b [31mc d e"),
    ],
)
def test_a_forge_finds_text_only(text, told):
    assert plain(text, COMMIT) == told


def test_what_is_plain_stays_plain():
    hostile = "@a #1 [x](http://y) <b> `c` deadbeef"
    assert plain(plain(hostile, COMMIT), COMMIT) == plain(hostile, COMMIT)
    assert not re.search(r"[@#]\w|\]\(|://|<\w|[0-9a-f]{7}", plain(hostile, COMMIT))
