"""What the pages have in common: the line that says who writes them, tables, and links within the site."""

from collections.abc import Iterable, Sequence

WRITTEN = "<!-- Written by `make docs-write` from the code; a change here is lost. -->\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, each cell on one line, its bars escaped, without columns that are empty."""
    cells = [[" ".join(str(value).split()).replace("|", "\\|") for value in row] for row in rows]
    kept = [index for index in range(len(header)) if any(row[index] for row in cells)]
    lines = [[row[index] for index in kept] for row in (header, ["---"] * len(header), *cells)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: object) -> str:
    """Return text in code font, nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def page(title: str, *parts: str) -> str:
    """Return a page: its title, and its parts with a blank line between them."""
    return "\n".join([f"# {title}\n", WRITTEN, *(f"{part.strip()}\n" for part in parts if part.strip())])


def paragraphs(docstring: str | None) -> str:
    """Return a docstring with each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").strip().split("\n\n"))


def sentence(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return paragraphs(docstring).partition("\n\n")[0]
