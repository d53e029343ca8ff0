"""Make a sentence plain: it holds words of a commit, and a forge takes some words for links and commands.

A description of a status is text at the forges that we know, but it is repeated in mails, chats and
dashboards. So it mentions nobody, closes and links nothing, and names no commit but its own.
"""

import re

SIGNS = re.compile(r"[@#!$%&~](?=\w)|<(?=[a-z/!?])|\](?=\()|:/(?=/)|\bGH-(?=\d)|\bwww\.(?=\w)", re.IGNORECASE)
"""What makes a mention, a reference at GitHub, GitLab or Gitea, a tag or a link of what follows."""

HASH = re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{7,64}\b", re.IGNORECASE)
"""What a forge takes for a commit; numbers are left as they are."""

SHORT = 6
"""Digits of a hash that no forge takes for a commit."""


def plain(text: str, commit: str) -> str:
    """Return one line of a text in which a forge finds nothing but text.

    Args:
        text: what may hold words of the commit.
        commit: the full hash of the commit that the text is about; it may be named.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = HASH.sub(lambda found: found[0] if commit.startswith(found[0]) else f"{found[0][:SHORT]}…", line)
    return SIGNS.sub(r"\g<0> ", line)
