"""What the data is; the constants and functions are those of `ml.problem.Definition`.

It has what the other problems lack together: two classes, labels with a space and an umlaut, two tables,
several rows an example, titles, near copies and a family of slices.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.core.errors import DataError
from ml.data.contract import data_check
from ml.data.one_table import check_table, read_table_entries
from ml.gate.nouns import Nouns
from ml.problem import Contents, Examples, NearCopies, TableContract

VERSION = "spam/v1"
WORDS = ("message", "messages", "verdict", "verdicts", "vote", "votes")
NOUNS = Nouns(**dict(zip(("example", "examples", "class_", "classes", "row", "rows"), WORDS, strict=True)))
FEATURES = ("length", "links", "capitals", "urgency", "is_reply")
TABLES = {
    "votes": TableContract({"message": "text", "verdict": "text", "day": "a date"}, id="message"),
    "messages": TableContract({"message": "text", **dict.fromkeys(FEATURES, "a number")}, id="message"),
}
EXAMPLES_TABLE = "messages"
NEAR_COPIES: NearCopies | None = NearCopies(ignored=("is_reply",), sorted_by="length")
RANGES = {"length": (1, 10_000), "links": (0, 1000), **dict.fromkeys(FEATURES[2:], (0, 1))}
CLASSES = ("not spam", "späm")


def describe_sample(uri: str) -> Mapping[str, Any]:
    """Return how many messages a sample has, and its seed: ``sample:MESSAGES,SEED``."""
    messages, _, seed = uri.removeprefix("sample:").partition(",")
    return {"messages": int(messages or 400), "seed": int(seed or 7)}


def write_sample(uri: str, targets: Mapping[str, Path]) -> None:
    for table, path in zip(make_sample(**describe_sample(uri)), targets.values(), strict=True):
        table.to_parquet(path, index=False)


def make_sample(messages: int = 400, seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make votes and messages: who shouts and links is called spam more often."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.random((messages, len(FEATURES))).round(6), columns=list(FEATURES))
    table["length"], table["links"] = (table["length"] * 9000 + 20).round(), (table["links"] * 40).round()
    table["is_reply"] = table["is_reply"] > 0.5
    table.insert(0, "message", [f"m{row:05}" for row in range(messages)])
    table["subject"] = [f"Subject {row}" for row in range(messages)]
    table["language"] = rng.choice(["de", "sv", None], messages, p=[0.5, 0.4, 0.1])
    votes = table.loc[np.repeat(np.arange(messages), rng.integers(1, 7, messages))]
    odds = 8 * (votes["capitals"] + votes["links"] / 40 - 1)
    spam = rng.random(len(votes)) < 1 / (1 + np.exp(-odds))
    verdicts = np.where(rng.random(len(votes)) < 0.03, None, np.where(spam, CLASSES[1], CLASSES[0]))
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 30, len(votes)), unit="D")
    about = {"message": votes["message"].to_numpy(), "verdict": verdicts, "day": days}
    return pd.DataFrame(about), table


def _messages(tables: Mapping[str, Path]) -> pd.DataFrame:
    return pd.read_parquet(tables["messages"]).drop_duplicates("message").set_index("message")


def check_contents(tables: Mapping[str, Path]) -> Contents:
    """Check the messages, and that the votes are about them."""
    votes = pd.read_parquet(tables["votes"])
    checks, _ = check_table("messages", tables["messages"], TABLES["messages"], RANGES, 100)
    unknown = (~votes["message"].isin(_messages(tables).index)).sum()
    about = data_check("votes.unknown", unknown, "<=", 0, "votes on messages that are not there")
    return Contents([*checks, about], {"votes without a verdict": int(votes["verdict"].isna().sum())})


def read_entries(tables: Mapping[str, Path]) -> pd.DataFrame:
    """Return the messages; those of one subject are one recording."""
    entries, table = read_table_entries(tables["messages"], TABLES["messages"], FEATURES), _messages(tables)
    if "subject" not in table.columns:
        return entries
    return entries.assign(title=table["subject"].reindex(entries["id"]).fillna("").to_list())


def make_examples(
    tables: Mapping[str, Path], entries: pd.DataFrame, classes: Sequence[str] | None
) -> Examples:
    """Return an example for each message with a vote that has a verdict."""
    votes = pd.read_parquet(tables["votes"])
    votes = votes[votes["message"].isin(entries["id"]) & votes["verdict"].notna()]
    named = tuple(sorted(votes["verdict"].unique()) if classes is None else classes)
    votes = votes[votes["verdict"].isin(named)]
    if votes.empty:
        raise DataError("votes: column verdict: no message has a verdict")
    counts = pd.crosstab(votes["message"], votes["verdict"]).reindex(columns=named, fill_value=0)
    rows, table = entries[entries["id"].isin(counts.index)], _messages(tables)
    slices = {
        name: table.loc[rows["id"], name].fillna("").to_numpy(object)
        for name in {"language"} & set(table.columns)
    }
    inputs = rows[list(FEATURES)].to_numpy("float32")
    return Examples(rows["id"].to_list(), inputs, counts.loc[rows["id"]].to_numpy("int32"), named, slices)
