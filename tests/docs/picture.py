"""The picture of the README: Tekton's Pipeline, the run that it submits, and what passes between them.

It is readable on light and on dark backgrounds, and loads nothing. Each node is in the column of the longest
way to it, and in a lane of the column: a number around 0, the middle.
"""

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import yaml

from .graphs import ROOT, Graph, kfp, tekton

BOX, HEIGHT, GAP, LANE = 112, 42, 30, 54
EDGE, PAD, HEAD, BETWEEN, FOOT = 4, 20, 66, 30, 44
WRAP = 12
STARTED_BY = {"push": "a push", "push-gitlab": "a push", "data": "new data", "alert": "a drift alert"}
"""The triggers of tekton/triggers/ in words."""

STYLE = """
text { font: 500 15px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.note { font-weight: 400; font-size: 14px; fill: #59636e }
.panel { fill: #ffffff; stroke: #d1d9e0 }
.node { fill: #f6f8fa; stroke: #818b98 }
.last { stroke-dasharray: 5 4 }
.gate { fill: #fff1c2; stroke: #9a6700; stroke-width: 2.5 }
.gate + text { font-weight: 700 }
.way { fill: none; stroke: #818b98; stroke-width: 1.5 }
.tip { fill: #818b98 }
.pass { fill: none; stroke: #0969da; stroke-width: 1.75; stroke-dasharray: 6 4 }
.passed { fill: #0969da }
.word { fill: #0969da; font-size: 14px; stroke: #ffffff; stroke-width: 5; paint-order: stroke }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note { fill: #9198a1 }
.panel { fill: #0d1117; stroke: #3d444d }
.node { fill: #212830; stroke: #7d8590 }
.gate { fill: #4b3200; stroke: #d9a521 }
.way { stroke: #7d8590 }
.tip { fill: #7d8590 }
.pass { stroke: #58a6ff }
.passed { fill: #58a6ff }
.word { fill: #58a6ff; stroke: #0d1117 }
}
"""


Places = dict[str, float]


def laid_out(graph: Graph) -> tuple[dict[str, int], Places, list[tuple[str, ...]]]:
    """Return the column and the lane of each place, and the edges as the places that each passes.

    Places are the nodes, and one for an edge in each column between its ends.
    """
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
    for before, places in pairwise(columns):
        # By the mean lane of the places before it, so that few ways cross.
        ranks = _around_0(before)
        near = {place: [ranks[start] for start, end in hops if end == place] for place in places}
        places.sort(key=lambda place, near=near: sum(near[place]) / len(near[place]))
    lane = {place: at for places in columns for place, at in _around_0(places).items()}
    # Where a way passes a column, the node that it comes from is on it: a long way is straight.
    for places in reversed(columns):
        for place in places:
            after = [end for start, end in hops if start == place]
            if len(after) == 1 and "@" in after[0]:
                lane[place] = lane[after[0]]
        for upper, lower in pairwise(sorted(places, key=lane.__getitem__)):
            lane[lower] = max(lane[lower], lane[upper] + 1)
    return column, lane, ways


def _around_0(places: list[str]) -> Places:
    return {place: index - (len(places) - 1) / 2 for index, place in enumerate(places)}


class Panel:
    """One graph on a background of its own, with a title and a line below it."""

    def __init__(self, graph: Graph, top: float, title: str, note: str) -> None:
        self.graph, self.top, self.title, self.note = graph, top, title, note
        self.column, self.lane, self.ways = laid_out(graph)
        lowest = max(map(abs, self.lane.values()))
        self.middle = top + HEAD + lowest * LANE + HEIGHT / 2
        self.bottom = self.middle + lowest * LANE + HEIGHT / 2 + PAD + (FOOT if graph.last else 0)
        self.columns = max(self.column.values()) + 1

    def place(self, name: str) -> tuple[float, float]:
        """Return the left end and the middle of a node."""
        return EDGE + PAD + self.column[name] * (BOX + GAP), self.middle + self.lane[name] * LANE

    def drawn(self, width: float) -> Iterator[str]:
        """Draw the panel, its ways and its nodes."""
        size = f'width="{width - 2 * EDGE:g}" height="{self.bottom - self.top:g}"'
        yield f'<rect class="panel" x="{EDGE}" y="{self.top:g}" {size} rx="10"/>'
        yield f'<text class="title" x="{EDGE + PAD}" y="{self.top + 29:g}">{escape(self.title)}</text>'
        yield f'<text class="note" x="{EDGE + PAD}" y="{self.top + 50:g}">{escape(self.note)}</text>'
        for way in self.ways:
            yield from self._way(way)
        for name in self.graph.before:
            yield from box(*self.place(name), BOX, name, "node gate" if name == "gate" else "node")
        if self.graph.last:
            bar = (BOX + GAP) * (self.columns - 4) - GAP
            label = f"finally: {' and '.join(self.graph.last)}, whatever happened"
            yield from box(EDGE + PAD, self.bottom - PAD - 15, bar, label, "node last", height=30)

    def _way(self, way: tuple[str, ...]) -> Iterator[str]:
        x, y = self.place(way[0])
        path = f"M{x + BOX:g} {y:g}"
        for name in way[1:]:
            to, lower = self.place(name)
            turn, bend = to - GAP / 2 - 3, min(8.0, abs(lower - y) / 2)
            if lower != y:
                sign = 1 if lower > y else -1
                path += f"H{turn - bend:g}Q{turn:g} {y:g} {turn:g} {y + sign * bend:g}"
                path += f"V{lower - sign * bend:g}Q{turn:g} {lower:g} {turn + bend:g} {lower:g}"
            y = lower
        yield f'<path class="way" d="{path}H{to - 6:g}"/>'
        yield f'<path class="tip" d="M{to - 1:g} {y:g}l-8 -4.5v9z"/>'


def box(x: float, y: float, width: float, label: str, kind: str, height: float = HEIGHT) -> Iterator[str]:
    """Draw a node; a long name is broken behind its last dash."""
    head, dash, tail = label.rpartition("-")
    lines = [head + dash, tail] if width == BOX and dash and len(label) > WRAP else [label]
    size = f'width="{width:g}" height="{height:g}"'
    yield f'<rect class="{kind}" x="{x:g}" y="{y - height / 2:g}" {size} rx="7"/>'
    first, spans = y + 5 - 8.5 * (len(lines) - 1), ""
    for index, line in enumerate(lines):
        spans += f'<tspan x="{x + width / 2:g}" y="{first + 17 * index:g}">{escape(line)}</tspan>'
    yield f'<text text-anchor="middle">{spans}</text>'


def described(graph: Graph) -> str:
    """Say in a sentence what comes after what, for those who hear the picture."""
    told = [" after ".join(filter(None, (name, " and ".join(each)))) for name, each in graph.before.items()]
    return ", ".join([*told, *(f"{name} in the end, whatever happened" for name in graph.last)])


def started_by() -> str:
    """Say what starts the Pipeline, from the triggers that there are."""
    files = sorted((ROOT / "tekton" / "triggers").glob("*.yaml"))
    objects = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    names = {one["metadata"]["name"] for one in objects if one["kind"] == "Trigger"}
    assert names <= STARTED_BY.keys(), "a trigger without words"
    return (
        ", ".join(dict.fromkeys(words for name, words in STARTED_BY.items() if name in names))
        + " or a person"
    )


def svg() -> str:
    """Return the picture."""
    upper, lower = tekton(), kfp()
    tasks = Panel(upper, EDGE, f"Tekton Pipeline {upper.name}", f"Started by {started_by()}.")
    title = f"The run: Kubeflow pipeline {lower.name}"
    note = "On Data Science Pipelines, or on a laptop with jukebox run."
    steps = Panel(lower, tasks.bottom + BETWEEN, title, note)
    width = max(tasks.columns, steps.columns) * (BOX + GAP) - GAP + 2 * (PAD + EDGE)
    told = (
        f"{upper.description} {started_by()} starts it. Tasks: {described(upper)}. submit-run starts a run:"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {steps.bottom + EDGE:g}" role="img" '
        'aria-labelledby="title desc">',
        "<!-- Written by `make docs-write`. -->",
        '<title id="title">From a push to a promoted model</title>',
        f'<desc id="desc">{escape(f"{told} {lower.description}")} Steps: {escape(described(lower))}.</desc>',
        f"<style>{STYLE}</style>",
        *tasks.drawn(width),
        *steps.drawn(width),
        *_passed(tasks, steps, "submit-run", "gate", "submits once", -26),
        *_passed(tasks, steps, "submit-run", "gate", "evidence", 10),
        *_passed(tasks, steps, "promote", "save", "candidate", -20),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _passed(tasks: Panel, steps: Panel, task: str, step: str, word: str, beside: float) -> Iterator[str]:
    """Draw what passes between a task and a step of the run, ``beside`` their middle."""
    (x, y), (x_below, y_below) = tasks.place(task), steps.place(step)
    x, x_below = x + BOX / 2 + beside, x_below + BOX / 2 + beside
    y, y_below = y + HEIGHT / 2, y_below - HEIGHT / 2
    anchor, shift = "start", 8
    if word == "submits once":
        # A run begins at its first steps: the arrow ends at the panel.
        anchor, shift = "end", -8
        yield f'<path class="pass" d="M{x:g} {y:g}V{steps.top - 8:g}"/>'
        yield f'<path class="passed" d="M{x:g} {steps.top - 1:g}l-5 -9h10z"/>'
    else:
        yield f'<path class="pass" d="M{x_below:g} {y_below:g}L{x:g} {y + 8:g}"/>'
        yield f'<path class="passed" d="M{x:g} {y + 1:g}l-5 9h10z"/>'
    at = (y + tasks.bottom) / 2 + 5
    yield f'<text class="word" text-anchor="{anchor}" x="{x + shift:g}" y="{at:g}">{word}</text>'
