"""The usual problem, one table with a row an example: its checks, entries and examples."""

import numpy as np
import pandas as pd
import pytest

from ml.core.errors import DataError
from ml.data.one_table import check_table, make_table_examples, read_table_entries
from ml.problem import TableContract

FEATURES = ("width", "height")
CONTRACT = TableContract({"id": "text", "kind": "text", **dict.fromkeys(FEATURES, "a number")}, id="id")
VALUES = {"id": list("cabd"), "kind": list("yxxz"), "width": [0.0, 1, 2, 0.5], "height": [4, 5, 6, 7]}
TABLE = pd.DataFrame({**VALUES, "place": ["here", None, "there", "here"]})
TWICE = pd.concat([TABLE, TABLE[:1]])


@pytest.fixture
def put(tmp_path):
    """Return a function that writes a table, and gives its path and its entries."""

    def put(table):
        path = tmp_path / "things.parquet"
        table.to_parquet(path, index=False)
        return path, read_table_entries(path, CONTRACT, FEATURES)

    return put


@pytest.mark.parametrize(
    ("least", "column", "values", "expected"),
    [
        (4, "height", [9e9, -9e9, 2, 2.1], []),
        (5, "height", VALUES["height"], [("rows", 4, "only 4 rows")]),
        (4, "kind", ["y", None, "x", None], [("present", 2, "column kind: 2 rows, e.g. nan (id a, row 2)")]),
        (4, "height", [4, 5, None, 7], [("present", 1, "column height: 1 rows, e.g. nan (id b, row 3)")]),
        (4, "id", ["c", None, None, "d"], [("present", 2, "column id: 2 rows, e.g. nan (id nan, row 2)")]),
        (4, "id", ["c", "a", "d", "d"], [("unique", 2, "column id: 2 rows, e.g. d (id d, row 3)")]),
        (4, "width", [0, -1, 2, np.inf], [("in_range", 2, "column width: 2 rows, e.g. -1.0 (id a, row 2)")]),
    ],
)
def test_each_check_breaks_by_itself(put, least, column, values, expected):
    path, _ = put(TABLE.assign(**{column: values}))
    checks, set_aside = check_table("things", path, CONTRACT, {"width": (0.0, 2.0)}, least)
    names = [f"things.{name}" for name in ("rows", "present", "unique", "in_range")]
    assert [check.name for check in checks] == names
    failed = [(each.name, each.value, each.detail) for each in checks if not each.passed]
    assert (failed, set_aside) == ([(f"things.{name}", *about) for name, *about in expected], {})


def test_entries_are_in_the_order_of_the_ids_and_each_id_once(put):
    _, entries = put(TWICE)
    assert entries.columns.tolist() == ["id", *FEATURES, "title"]
    assert entries["id"].tolist() == ["a", "b", "c", "d"]
    assert entries["height"].tolist() == [5, 6, 4, 7]
    assert (entries["height"].dtype, entries["title"].tolist()) == ("float32", [""] * 4)


def test_an_example_has_one_class_and_the_parts_of_its_families(put):
    path, entries = put(TWICE)
    examples = make_table_examples(path, CONTRACT, "kind", FEATURES, entries, None, ("place",))
    assert (examples.ids, examples.classes) == (["a", "b", "c", "d"], ("x", "y", "z"))
    assert examples.counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert examples.features.tolist() == [[1, 5], [2, 6], [0, 4], [0.5, 7]]
    assert (examples.features.dtype, examples.counts.dtype) == (np.float32, np.int32)
    assert examples.slices["place"].tolist() == ["", "there", "here", "here"]


def test_classes_that_are_given_keep_their_order_and_leave_others_out_and_may_be_numbers(put):
    path, entries = put(TABLE.assign(kind=[10, 9, 9, 8]))
    examples = make_table_examples(path, CONTRACT, "kind", FEATURES, entries[1:], ["8", "9"])
    assert (examples.ids, examples.classes, examples.slices) == (["b", "d"], ("8", "9"), {})
    assert examples.counts.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"^things: column kind: no example has one of the classes q$"):
        make_table_examples(path, CONTRACT, "kind", FEATURES, entries, ["q"])
