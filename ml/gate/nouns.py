"""What a problem calls its examples, classes and rows: messages take their nouns from here."""

from ml.core.records import Record, Text


class Nouns(Record):
    """Singular and plural of what is classified, of what it is classified as, and of what is counted."""

    example: Text = "example"
    examples: Text = "examples"
    class_: Text = "class"
    classes: Text = "classes"
    row: Text = "row"
    rows: Text = "rows"


PLAIN = Nouns()
"""What is said where no report names the problem's own nouns."""
