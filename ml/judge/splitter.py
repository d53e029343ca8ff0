"""Sealed or open: what the ledger knows decides, and for recordings that nobody has seen the secret key.

Old ids, as first recorded in the ledger, and the ids of the tables are grouped together. So a copy belongs to
its recording under any id, also when the original has left the tables.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.data.recordings import feature_digests, joined, recording_keys, title_digests
from ml.judge.holdout_key import HoldoutKey
from ml.judge.ledger import Ledger
from ml.problem import Definition

SPLITTER = "recording/v2"
"""The version of these rules."""

SHARES = {"train": 60, "validation": 10, "self-test": 10}
"""The open recordings' shares, in percent of all; 20 are sealed."""

NEAR = 0.01
"""A near copy has each other feature within this share of the larger of the two values."""

LEAST = 0.01
"""What counts as the larger value at least: 0 and 0.00001 are near."""

ROUNDING = 1e-3
"""Added to `NEAR`, as a share of it: a copy at the bound is within it, in float32 too."""

PAIRS = 1 << 20
"""Pairs of examples that are compared at once."""


@dataclass(frozen=True)
class Split:
    """The decision about each example, [N], in the order of the examples given.

    Attributes:
        recording: the key of its recording.
        place: ``sealed``, ``open``, ``both_sides`` or ``near_copies``; the last two are in neither part.
        share: one of `SHARES`, for open examples.
        news: the rows for the ledger that are new, without key and version of this call.
    """

    recording: np.ndarray
    place: np.ndarray
    share: np.ndarray
    news: pd.DataFrame

    def count(self, place: str) -> int:
        """Return how many examples are at a place."""
        return int((self.place == place).sum())


def split(
    definition: Definition, entries: pd.DataFrame, ledger: Ledger, key: HoldoutKey, source_version: str
) -> Split:
    """Decide for each entry.

    Args:
        definition: the problem's.
        entries: as `ml.problem.Definition.read_entries` returns them.
        ledger: what was decided before; it stays as it is.
        key: decides for new recordings.
        source_version: the version of the source tables.
    """
    features = entries[list(definition.FEATURES)].to_numpy("float32")
    count, old = len(entries), ledger.rows
    nodes = pd.DataFrame(
        {
            "id": [*entries["id"], *old["id"]],
            "features": [*feature_digests(features), *feature_digests(ledger.features)],
            "title": [*title_digests(entries["title"].to_list()), *old["title"]],
            "recording": [*[""] * count, *old["recording"]],
            "side": [*[""] * count, *old["side"]],
            "key_id": [*[""] * count, *old["key_id"]],
        }
    )
    nodes["group"] = joined(*(nodes[name].to_list() for name in ("id", "features", "title", "recording")))
    ours, known = nodes[:count], nodes[count:]
    groups = _decide(ours, known, key)
    decided = groups.loc[ours["group"]].reset_index(drop=True)

    place = decided["side"].to_numpy("object")
    sealed = np.concatenate(
        [features[place == "sealed"], ledger.features[(old["side"] == "sealed").to_numpy()]]
    )
    near = np.zeros(count, dtype=bool)
    near[place == "open"] = near_copies(definition, features[place == "open"], sealed)
    # All examples of a recording go where one of them goes.
    copied = ours["group"].isin(ours["group"][near]).to_numpy() & (place == "open")

    new = ~entries["id"].isin(old["id"]).to_numpy() & (place != "both_sides")
    news = pd.DataFrame(
        {
            "id": entries["id"].to_numpy()[new],
            "recording": decided["recording"].to_numpy()[new],
            "side": place[new],
            "key_id": decided["key_id"].to_numpy()[new],
            "first_version": source_version,
            "title": ours["title"].to_numpy()[new],
            "features": list(features[new]),
        }
    )
    place = np.where(copied, "near_copies", place)
    return Split(decided["recording"].to_numpy("object"), place, decided["share"].to_numpy("object"), news)


def _decide(ours: pd.DataFrame, known: pd.DataFrame, key: HoldoutKey) -> pd.DataFrame:
    """Return recording, side, key and share of each group that has one of our examples."""
    keys = recording_keys(ours["features"].to_list(), ours["title"].to_list(), ours["group"].to_numpy())
    groups = pd.DataFrame({"recording": keys}, index=ours["group"]).groupby(level=0).first()
    groups["side"] = ["sealed" if key.seals(recording) else "open" for recording in groups["recording"]]
    groups["key_id"] = key.id
    groups["share"] = [share_of(recording) for recording in groups["recording"]]
    # Rows of the ledger that share nothing with an example of ours are ignored here.
    known = known[known["group"].isin(groups.index)].sort_values("recording")
    first = known.drop_duplicates("group").set_index("group")
    groups.loc[first.index, ["recording", "side", "key_id"]] = first[["recording", "side", "key_id"]]
    both = known.groupby("group")["side"].nunique()
    groups.loc[both.index[both > 1], "side"] = "both_sides"
    # Of recordings that a new id joins, one may be trained on: then all are, and none tests what it trained.
    shares = known["recording"].map(share_of).map(list(SHARES).index)
    smallest = shares.groupby(known["group"]).min()
    groups.loc[smallest.index, "share"] = [list(SHARES)[index] for index in smallest]
    return groups


def share_of(recording: str) -> str:
    """Return the share of an open recording: one of `SHARES`, by the hash of its key, for ever."""
    drawn = int(hashlib.sha256(f"share:{recording}".encode()).hexdigest()[:16], 16) % sum(SHARES.values())
    train, validation, _ = np.cumsum(list(SHARES.values()))
    return "train" if drawn < train else "validation" if drawn < validation else "self-test"


def near_copies(definition: Definition, features: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Tell which examples are near copies of an original, bool [N].

    The definition says which features are ignored, and by which the examples are sorted.

    Args:
        definition: the problem's.
        features: float32 [N, F].
        originals: float32 [M, F].
    """
    rule, names = definition.NEAR_COPIES, list(definition.FEATURES)
    if rule is None:
        return np.zeros(len(features), dtype=bool)
    numbers = [index for index, name in enumerate(names) if name not in rule.ignored]
    length = numbers.index(names.index(rule.sorted_by))
    one = features[:, numbers].astype("float64")
    other = originals[:, numbers].astype("float64")
    other = other[np.argsort(other[:, length], kind="stable")]
    within = NEAR * (1 + ROUNDING)
    low = np.searchsorted(other[:, length], one[:, length] * (1 - within), side="left")
    high = np.searchsorted(other[:, length], one[:, length] / (1 - within), side="right")
    return _any_near(one, other, low, high)


def _any_near(one: np.ndarray, other: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return for each row of one whether a row of other from low to high is near it in every number."""
    matched = np.zeros(len(one), dtype=bool)
    sizes = np.maximum(high - low, 0)
    part = np.cumsum(sizes) // PAIRS
    for number in np.unique(part):
        rows = np.flatnonzero((part == number) & (sizes > 0))
        size = sizes[rows]
        mine = np.repeat(rows, size)
        theirs = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(low[rows], size)
        a, b = one[mine], other[theirs]
        scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), LEAST)
        near = (np.abs(a - b) <= NEAR * (1 + ROUNDING) * scale).all(axis=1)
        matched[mine[near]] = True
    return matched
