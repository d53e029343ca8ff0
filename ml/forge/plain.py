"""Neutralise a sentence for a forge, which could read words of a commit in it as links and commands.

The forges show the description of a status as text, but it is repeated in mails, chats and dashboards. So it
must not mention people, close issues, link anywhere, or name another commit.
"""

import re

SIGNS = re.compile(r"[@#!$%&~](?=\w)|<(?=[a-z/!?])|\](?=\()|:/(?=/)|\bGH-(?=\d)|\bwww\.(?=\w)", re.IGNORECASE)
"""The characters that turn the next word into a mention, a reference, a tag or a link at a forge."""

HASH = re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{7,64}\b", re.IGNORECASE)
"""A word that a forge reads as a commit. Numbers do not match."""

SHORT = 6
"""The number of digits of a hash that is too short to be read as a commit."""


def plain(text: str, commit: str) -> str:
    """Return the text as one line without mentions, references, links and other commits.

    Args:
        text: text that may have words of the commit.
        commit: the full hash of the commit that the text is about; the text may name it.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = HASH.sub(lambda match: match[0] if commit.startswith(match[0]) else f"{match[0][:SHORT]}…", line)
    return SIGNS.sub(r"\g<0> ", line)
