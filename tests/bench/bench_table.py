"""The table of the benchmark: seconds and memory of both sides by step, ratios, and what was compared."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from measure import Measured

PAIRS = (
    ("champion", (), ("champion",)),
    ("fetch", ("fetch",), ("fetch",)),
    ("preprocess", ("preprocess",), ("validate", "preprocess")),
    ("  · validate", (), ("validate",)),
    ("  · preprocess", (), ("preprocess",)),
    ("train", ("train",), ("train",)),
    ("convert", ("convert",), ("convert",)),
    ("evaluate", ("evaluate",), ("evaluate",)),
    ("parity", ("parity",), ("parity",)),
    ("gate", (), ("gate",)),
    ("save", (), ("save",)),
)
"""What stands in a row: its title, the lab's steps, and ours that do the same."""

Run = dict[str, Measured]
"""The cost of each step and, as "all", of the whole."""

Cost = tuple[float, float] | None
"""Seconds, and MiB (0: not known)."""


def table(result: dict[str, Any]) -> str:
    """Return the table, the quality and the notes, from what `bench_pipeline.run` returns."""
    lab, ours = result["lab"], result["ours"]
    rows = [(title, cost(lab, theirs), cost(ours, own)) for title, theirs, own in PAIRS]
    rows.append(("around the steps", None, (median(map(_around, ours)), 0.0)))
    every = ("all", cost(lab, ("all",)), cost(ours, ("all",)))
    header = ("step", "lab s", "ours s", "ratio", "lab MB", "ours MB", "ratio")
    rule = "-" * len(_line(header))
    lines = [
        _line(header),
        rule,
        *map(_cells, rows),
        rule,
        _cells(every),
        _cells(("  CPU seconds", _cpu(lab), _cpu(ours))),
    ]
    return "\n".join([*lines, "", *_quality(result["quality"]), "", *_notes(result)])


def cost(runs: list[Run], steps: Sequence[str]) -> Cost:
    """Return the median seconds of steps one after the other, and the median peak; None without steps."""
    if not steps:
        return None
    seconds = median(sum(run[step].seconds for step in steps) for run in runs)
    return seconds, median(max(run[step].peak_mb for step in steps) for run in runs)


def _around(run: Run) -> float:
    return run["all"].seconds - sum(step.seconds for name, step in run.items() if name != "all")


def _cpu(runs: list[Run]) -> Cost:
    return median(run["all"].cpu_seconds for run in runs), 0.0


def _cells(row: tuple[str, Cost, Cost]) -> str:
    title, lab, ours = row
    cells = [title]
    for index, shape in enumerate(("{:.1f}", "{:,.0f}")):
        values = [side[index] if side else 0.0 for side in (lab, ours)]
        cells += [shape.format(value) if value else "" for value in values]
        cells.append(f"{values[0] / values[1]:.1f}" if all(values) else "")
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<16}" + "".join(f"{cell:>9}" for cell in cells[1:])


def _quality(found: dict[str, Any]) -> list[str]:
    lab = found["lab"]
    return [
        f"test log loss by song (nats), on {found['songs']:,} songs with {found['rows']:,} chart rows:",
        f"  prior      {found['prior']:.4f}",
        f"  lab        {lab['log_loss']:.4f}   as served: sigmoids, divided by their sum",
        f"             {lab['softmax_log_loss']:.4f}   as trained: softmax of its logits",
        f"  logistic   {found['logistic']:.4f}   our evaluation's third baseline",
        f"  ours       {found['model']:.4f}",
    ]


def _notes(result: dict[str, Any]) -> list[str]:
    data, machine = result["data"], result["machine"]
    repeats = len(result["lab"])
    times = "measured once" if repeats == 1 else f"medians of {repeats}, in turns"
    return [
        f"data      {data['rows']:,} chart rows, {data['songs']:,} songs: {data['source']}",
        f"machine   {machine['cpus']} CPUs, Python {machine['python']}, load {machine['load']:.1f}; {times}",
        "ratio     lab / ours; MB is the largest resident set of any one process",
        "all       the lab's processes one after the other, beside one whole `jukebox run`; CPU seconds,",
        "          summed over CPUs, suffer less from whatever else runs on the machine",
        "around    the command, the compiler, kfp.local, and each step's process before and after its own",
        "          clock runs; the lab's steps are whole processes, run bare, so theirs is in their rows",
        f"lab       {result['epochs']} epochs over chart rows; without pip freeze, registry, uploads, KFP;",
        "          columns without any value go before its dropna(), which would keep no row otherwise",
        "ours      epochs over songs until the validation loss stops falling; does more: the data contract,",
        "          three baselines, bootstrap intervals, lineage, gate, candidate",
        f"          {result['steps']['train']}",
        "log loss  on songs in neither side's training: the lab's own split, by row, leaks, so its network",
        "          was trained again by song, untimed; songs that our contract calls broken do not count:",
        f"          {result['quality']['lab']['left_out']} of the test songs",
    ]
