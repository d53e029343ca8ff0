"""The usual problem, one table with a row an example: its checks, entries and examples."""

import numpy as np
import pandas as pd
import pytest

from ml.core.errors import DataError
from ml.data.one_table import check_table, make_table_examples, read_table_entries
from ml.problem import TableContract

FEATURES = ("width", "height")
CONTRACT = TableContract({"id": "text", "kind": "text", **dict.fromkeys(FEATURES, "a number")}, id="id")
RANGES = {"width": (0.0, 2.0)}


@pytest.fixture
def table() -> pd.DataFrame:
    values = {
        "id": list("cabd"),
        "kind": ["y", "x", "x", "z"],
        "width": [0.0, 1, 2, 0.5],
        "height": [4, 5, 6, 7],
    }
    return pd.DataFrame({**values, "place": ["here", None, "there", "here"]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "things.parquet"


def put(path, table: pd.DataFrame):
    table.to_parquet(path, index=False)
    return path


def failed(path, table: pd.DataFrame, least: int = 4) -> dict[str, tuple[float, float, str]]:
    found = check_table("things", put(path, table), CONTRACT, RANGES, least)
    assert [check.name for check in found.checks] == [
        f"things.{name}" for name in ("rows", "present", "unique", "in_range")
    ]
    assert found.set_aside == {}
    return {
        check.name: (check.value, check.bound, check.detail) for check in found.checks if not check.passed
    }


def test_a_sound_table_at_its_bounds_passes(path, table):
    assert failed(path, table) == {}


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("kind", ["y", None, "x", None], {"things.present": (2, 0,
         "column kind: 2 rows, e.g. nan (id a, row 2)")}),
        ("height", [4, 5, None, 7], {"things.present": (1, 0,
         "column height: 1 rows, e.g. nan (id b, row 3)")}),
        ("id", ["c", "a", None, "d"], {"things.present": (1, 0,
         "column id: 1 rows, e.g. nan (id nan, row 3)")}),
        ("id", ["c", None, None, "d"],
         {"things.present": (2, 0, "column id: 2 rows, e.g. nan (id nan, row 2)")}),
        ("id", ["c", "a", "d", "d"], {"things.unique": (2, 0, "column id: 2 rows, e.g. d (id d, row 3)")}),
        ("width", [0, -0.1, 2, 2.1], {"things.in_range": (2, 0,
         "column width: 2 rows, e.g. -0.1 (id a, row 2)")}),
        ("width", [0, np.inf, 2, 1], {"things.in_range": (1, 0,
         "column width: 1 rows, e.g. inf (id a, row 2)")}),
        ("height", [9e9, -9e9, 2, 2.1], {}),
    ],
)  # fmt: skip
def test_each_check_breaks_by_itself(path, table, column, values, expected):
    assert failed(path, table.assign(**{column: values})) == expected


def test_too_few_rows_are_refused(path, table):
    assert failed(path, table, least=5) == {"things.rows": (4, 5, "only 4 rows")}


def test_entries_are_in_the_order_of_the_ids_and_each_id_once(path, table):
    entries = read_table_entries(put(path, pd.concat([table, table[:1]])), CONTRACT, FEATURES)
    assert entries.columns.tolist() == ["id", *FEATURES, "title"]
    assert entries["id"].tolist() == ["a", "b", "c", "d"]
    assert entries["height"].tolist() == [5, 6, 4, 7]
    assert (entries["height"].dtype, entries["title"].tolist()) == ("float32", [""] * 4)


def test_an_example_has_one_class_and_the_parts_of_its_families(path, table):
    entries = read_table_entries(put(path, pd.concat([table, table[:1]])), CONTRACT, FEATURES)
    found = make_table_examples(path, CONTRACT, "kind", FEATURES, entries, None, ("place",))
    assert (found.ids, found.classes) == (["a", "b", "c", "d"], ("x", "y", "z"))
    assert found.counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert found.features.tolist() == [[1, 5], [2, 6], [0, 4], [0.5, 7]]
    assert (found.features.dtype, found.counts.dtype) == (np.float32, np.int32)
    assert found.slices["place"].tolist() == ["", "there", "here", "here"]


def test_classes_that_are_given_keep_their_order_and_leave_others_out(path, table):
    entries = read_table_entries(put(path, table), CONTRACT, FEATURES)[1:]
    found = make_table_examples(path, CONTRACT, "kind", FEATURES, entries, ["z", "x"])
    assert (found.ids, found.classes, found.slices) == (["b", "d"], ("z", "x"), {})
    assert found.counts.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"^things: column kind: no example has one of the classes q$"):
        make_table_examples(path, CONTRACT, "kind", FEATURES, entries, ["q"])


def test_a_class_may_be_a_number(path, table):
    put(path, table.assign(kind=[10, 9, 9, 10]))
    found = make_table_examples(
        path, CONTRACT, "kind", FEATURES, read_table_entries(path, CONTRACT, FEATURES), None
    )
    assert (found.classes, found.counts.sum(axis=0).tolist()) == (("10", "9"), [2, 2])
