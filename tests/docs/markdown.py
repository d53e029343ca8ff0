"""What the pages have in common: the line that says who writes them, tables, and links within the site."""

from collections.abc import Iterable, Sequence

WRITTEN = "<!-- Written by `make docs-write` from the code; a change here is lost. -->\n"


def cell(text: object) -> str:
    """Return text for a cell of a table: on one line, its bars escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; a column that is empty throughout is left out."""
    found = [[cell(value) for value in row] for row in rows]
    kept = [index for index in range(len(header)) if any(row[index] for row in found)]
    lines = [[header[index] for index in kept], ["---"] * len(kept)]
    lines += [[row[index] for index in kept] for row in found]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    """Return text in code font, nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def page(title: str, *parts: str) -> str:
    """Return a page: its title, and its parts with a blank line between them."""
    return "\n".join([f"# {title}\n", WRITTEN, *(f"{part.strip()}\n" for part in parts if part.strip())])


def sentence(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def paragraphs(docstring: str | None) -> str:
    """Return a docstring with each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").strip().split("\n\n"))
