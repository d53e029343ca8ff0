"""A neutralised sentence has no mention, no reference, no link and no other commit."""

import pytest

from ml.forge.plain import plain

COMMIT = "1a2b3c4d" * 5
UNCHANGED = [
    "log_loss 0.61 is not <= 0.55 [0.5, 0.6]; 5% of 1234567 rows; why? no!",
    "s3: HTTP 503, 10 < 20, a & b, 2 * 3",
    f"{COMMIT[:12]} and {COMMIT}",
]
CHANGED = {
    "@team look": "@ team look",
    "closes #12, a/b#3, !4, $5, %6, &7, ~8": "closes # 12, a/b# 3, ! 4, $ 5, % 6, & 7, ~ 8",
    "see GH-12": "see GH- 12",
    "[x](https://evil.example)": "[x] (https:/ /evil.example)",
    "www.evil.example": "www. evil.example",
    "<img src=x> </b> <!-- a": "< img src=x> < /b> < !-- a",
    "of deadbeef1 and DEADBEEF": "of deadbe… and DEADBE…",
    "a\r\nb\x1b[31mc\u202ed\u200be": "a b [31mc d e",
}


@pytest.mark.parametrize(("text", "shown"), [*zip(UNCHANGED, UNCHANGED, strict=True), *CHANGED.items()])
def test_a_forge_reads_text_only(text, shown):
    assert plain(text, COMMIT) == plain(shown, COMMIT) == shown
