"""Where the nodes of a graph are drawn: a column for the longest way to a node, a lane within the column."""

from dataclasses import dataclass
from itertools import pairwise

from .graphs import Graph

SWEEPS = 4


@dataclass(frozen=True)
class Layout:
    """Columns and lanes. A lane is a number around 0, the middle; lanes of a column differ by 1 or more.

    ``ways`` are the edges, each as the places that it passes: its two ends, and one in each column between.
    """

    column: dict[str, int]
    lane: dict[str, float]
    ways: tuple[tuple[str, ...], ...]

    @property
    def lowest(self) -> float:
        """The lane of the lowest node; the highest is as far above 0 as this is below at most."""
        return max(abs(lane) for lane in self.lane.values())


def laid_out(graph: Graph) -> Layout:
    """Lay a graph out from left to right; the same graph is always laid out in the same way."""
    column: dict[str, int] = {}
    for name, before in graph.before.items():
        column[name] = max((column[node] + 1 for node in before), default=0)
    ways = []
    for node, name in [(node, name) for name, before in graph.before.items() for node in before]:
        between = {f"{node}>{name}@{at}": at for at in range(column[node] + 1, column[name])}
        column |= between
        ways.append((node, *between, name))
    hops = [hop for way in ways for hop in pairwise(way)]
    columns = [[place for place in column if column[place] == at] for at in range(max(column.values()) + 1)]
    _order(columns, hops)
    lane = {place: at - (len(places) - 1) / 2 for places in columns for at, place in enumerate(places)}
    # Where a way passes a column, the node that it comes from is on it: a long way is straight.
    for places in reversed(columns):
        for place in places:
            after = [end for start, end in hops if start == place]
            if len(after) == 1 and "@" in after[0]:
                lane[place] = lane[after[0]]
        for upper, lower in pairwise(sorted(places, key=lane.__getitem__)):
            lane[lower] = max(lane[lower], lane[upper] + 1)
    return Layout(column, lane, tuple(ways))


def _order(columns: list[list[str]], hops: list[tuple[str, str]]) -> None:
    """Order each column by the mean place of what its nodes are connected to, so that few ways cross."""
    pairs = [*hops, *((end, start) for start, end in hops)]
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for at in range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1):
            beside = columns[at - 1 if forth else at + 1]
            places = {place: index - (len(beside) - 1) / 2 for index, place in enumerate(beside)}
            near = {
                place: [places[end] for start, end in pairs if start == place and end in places] or [0.0]
                for place in columns[at]
            }
            columns[at].sort(key=lambda place, near=near: sum(near[place]) / len(near[place]))
