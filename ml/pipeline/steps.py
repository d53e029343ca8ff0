"""What each step of the pipeline does: one call into the package, its log, its metrics.

The components of `ml.pipeline.components` call these inside the step's own process. A step announces its
start, its end with the number that matters, and its failure in one line, on stderr and as an event in the
file that JUKEBOX_EVENTS names. Nothing heavy is imported before the step that needs it runs.
"""

import functools
import gc
import importlib.metadata
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Protocol

from ml.core.errors import GateBlocked, JukeboxError, PlatformError
from ml.core.files import file_digest, read_json, write_bytes

EVENTS = "JUKEBOX_EVENTS"
"""Names the file to which each step appends its events, one JSON object a line."""

LAST_WORD = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last word, to show it with the pod; elsewhere there is none."""

UNPINNED = "openvino"
"""The runtime of the parity report that has none of the settings with which the model is served."""

STEMS = ("model", "model", "served")
"""What a candidate calls its files: the trained model, the exported one, and how that is to be served."""

P = ParamSpec("P")


class Artifact(Protocol):
    """As much of a KFP artifact as a step uses."""

    path: str
    metadata: dict[str, Any]


class MetricsArtifact(Artifact, Protocol):
    """As much of KFP's Metrics artifact as a step uses."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show a number in the dashboard."""


class ClassificationMetrics(Artifact, Protocol):
    """As much of KFP's ClassificationMetrics artifact as a step uses."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Show a confusion matrix in the dashboard."""


def _event(step: str, event: str, **values: Any) -> None:
    if path := os.environ.get(EVENTS):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "event": event, **values}) + "\n")


def step(body: Callable[P, str]) -> Callable[P, None]:
    """Wrap a step: log its start, its end with the headline that it returns, and its failure.

    A failure that the user can mend ends the process with its one line, anything else with a traceback
    before it; in a pod the line is the container's termination message too, which `ml.dspa.pods` reads.
    """
    name = body.__name__.rstrip("_")

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        start = time.monotonic()
        _event(name, "start")
        print(f"{name}: started", file=sys.stderr, flush=True)
        try:
            headline = body(*args, **kwargs)
        except Exception as error:
            known = isinstance(error, JukeboxError)
            message = str(error) if known else f"{type(error).__name__}: {error}"
            message = " ".join(message.split())
            blocked, passing = isinstance(error, GateBlocked), isinstance(error, PlatformError)
            _event(name, "error", message=message, blocked=blocked, permanent=not passing)
            if not known:
                traceback.print_exc()
            if os.access(LAST_WORD, os.W_OK):
                word = f"{type(error).__name__}: {message}" if known else message
                LAST_WORD.write_text(word[:4000], encoding="utf-8")
            raise SystemExit(f"{name}: {message}") from None
        seconds = time.monotonic() - start
        peak = _peak_mb()
        # What is still alive dies with the process: a last collection would take a second beside TensorFlow.
        # DuckDB is alone in wanting one: it complains of leaks without.
        if "tensorflow" in sys.modules and "duckdb" not in sys.modules:
            gc.freeze()
        _event(name, "end", headline=headline, seconds=seconds, peak_mb=peak)
        print(f"{name}: {headline} ({seconds:.1f} s, {peak} MB)", file=sys.stderr, flush=True)

    return run


def _peak_mb() -> int:
    """Return the peak resident size of this process in MiB: getrusage counts KiB, but bytes on macOS."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def _file(artifact: Artifact, suffix: str) -> Path:
    """Give an output artifact's file the suffix that its readers expect, and return its path."""
    artifact.path += suffix
    return Path(artifact.path)


def _describe(model: Artifact, framework: str) -> None:
    """Tell the dashboard what a model is made with, and its digest."""
    model.metadata |= {
        "framework": framework,
        "framework_version": importlib.metadata.version(framework),
        "digest": file_digest(model.path),
    }


@step
def fetch(
    problem: str,
    table_uris: dict[str, str],
    snapshot_uri: str,
    data_version: str,
    tables: Artifact,
    source: Artifact,
) -> str:
    """Copy the tables into a folder, and check that they are the version that was asked for."""
    from ml.data.sources import rows_of
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition, folder = load_definition(problem), Path(tables.path)
    folder.mkdir(parents=True, exist_ok=True)
    if snapshot_uri:
        from ml.data.snapshots import fetch_snapshot

        headline = fetch_snapshot(definition, snapshot_uri, data_version, folder, _file(source, ".json"))
    else:
        from ml.data.sources import fetch

        headline = fetch(definition, table_uris, data_version, folder, _file(source, ".json"))
    for name, path in table_paths(definition.TABLES, folder).items():
        tables.metadata[f"rows of {name}"] = rows_of(path)
    return headline


@step
def validate(
    problem: str,
    tables: Artifact,
    source: Artifact,
    champion_profile: Artifact,
    champion: str,
    data_report: Artifact,
    profile: Artifact,
) -> str:
    """Check the tables against the data contract, and measure their drift from the champion's."""
    from ml.data.contract import validate
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition = load_definition(problem)
    paths = table_paths(definition.TABLES, Path(tables.path))
    targets = _file(data_report, ".json"), _file(profile, ".json")
    return validate(definition, paths, source.path, champion_profile.path, champion, *targets)


@step
def preprocess(
    problem: str,
    tables: Artifact,
    train_split: Artifact,
    val_split: Artifact,
    test_split: Artifact,
    labels: Artifact,
) -> str:
    """Make the examples of the tables, split by recording."""
    from ml.data.preprocess import make_splits
    from ml.data.sources import rows_of
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition = load_definition(problem)
    splits = {"train": train_split, "val": val_split, "test": test_split}
    targets = {name: _file(artifact, ".parquet") for name, artifact in splits.items()}
    paths = table_paths(definition.TABLES, Path(tables.path))
    headline = make_splits(definition, paths, targets, _file(labels, ".json"))
    for artifact in splits.values():
        artifact.metadata["rows"] = rows_of(Path(artifact.path))
    return headline


@step
def train(
    problem: str,
    train_split: Artifact,
    val_split: Artifact,
    model: Artifact,
    history: Artifact,
    hyperparameters: dict[str, Any],
) -> str:
    """Train the problem's solution."""
    from ml.pipeline.training import train
    from ml.problem import load_solution

    solution = load_solution(problem)
    targets = _file(model, solution.SUFFIX), _file(history, ".json")
    headline = train(solution, train_split.path, val_split.path, *targets, hyperparameters)
    _describe(model, solution.FRAMEWORK)
    return headline


@step
def champion(champion: str, store_uri: str, champion_model: Artifact, champion_profile: Artifact) -> str:
    """Fetch the model that is in production, and the profile of its training data, if it has one."""
    from ml.release.store import ModelStore

    store = ModelStore(store_uri) if champion else None
    files = store.read_promoted(champion) if store else {}
    profile = files.get("profile.json", b"")
    if store and not profile:
        reports = store.read_reports(champion).values()
        profile = next((found["profile.json"] for found in reports if "profile.json" in found), b"")
    write_bytes(_file(champion_model, ".onnx"), files.get("model.onnx", b""))
    write_bytes(_file(champion_profile, ".json"), profile)
    if not champion:
        return "no champion: absolute checks only"
    return f"champion {champion[:12]}" + ("" if profile else ", which has no profile")


@step
def evaluate(
    problem: str,
    model: Artifact,
    train_split: Artifact,
    test_split: Artifact,
    labels: Artifact,
    champion_model: Artifact,
    champion: str,
    evaluation: Artifact,
    metrics: MetricsArtifact,
    confusion: ClassificationMetrics,
) -> str:
    """Evaluate the trained model beside the baselines and the champion."""
    from ml.pipeline.evaluation import evaluate
    from ml.problem import load_solution

    report, matrix = _file(evaluation, ".json"), _file(confusion, ".json")
    sources = model.path, train_split.path, test_split.path, labels.path
    headline = evaluate(load_solution(problem), *sources, champion_model.path, champion, report, matrix)
    found, table = read_json(report), read_json(matrix)
    for name in ("log_loss", "top1_mass", "top5_mass", "hit_at_5"):
        metrics.log_metric(name, found["model"][name]["value"])
    for name in ("gain_over_prior", "gain_over_logistic"):
        metrics.log_metric(name, found[name]["value"])
    if found["champion"] and found["champion"]["shared"]:
        metrics.log_metric(
            "gain_over_champion", found["champion"]["shared"]["log_loss"]["difference"]["value"]
        )
    confusion.log_confusion_matrix(table["classes"], table["matrix"])
    return headline


@step
def convert(
    problem: str,
    model: Artifact,
    test_split: Artifact,
    labels: Artifact,
    onnx_model: Artifact,
    reference: Artifact,
    served: Artifact,
    lineage: dict[str, str],
) -> str:
    """Export the model to ONNX, with its answers for reference, and how to serve it."""
    from ml.onnx.conversion import convert
    from ml.problem import load_solution

    targets = _file(onnx_model, ".onnx"), _file(reference, ".parquet"), _file(served, ".json")
    headline = convert(load_solution(problem), model.path, test_split.path, labels.path, *targets, lineage)
    _describe(onnx_model, "onnx")
    return headline


@step
def parity(
    onnx_model: Artifact,
    reference: Artifact,
    test_split: Artifact,
    labels: Artifact,
    served: Artifact,
    parity_report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Check that the ONNX model computes what the trained model computed, in each runtime."""
    from ml.onnx.parity import check_parity

    inputs = onnx_model.path, reference.path, test_split.path, labels.path, served.path
    report = _file(parity_report, ".json")
    headline = check_parity(*inputs, report)
    found = read_json(report)
    for runtime in found["runtimes"]:
        name, families = runtime["name"], runtime["families"]
        if name == UNPINNED:
            name = f"advisory_{UNPINNED}"
            metrics.metadata[name] = "with its own settings, not those it is served with: it decides nothing"
        metrics.log_metric(f"{name}_max_difference", max(family["max_difference"] for family in families))
        metrics.log_metric(f"{name}_violations", sum(family["violations"] for family in families))
    metrics.log_metric("p99_latency_ms", found["latency"]["p99_ms"])
    return headline


@step
def serving(
    onnx_model: Artifact,
    served: Artifact,
    reference: Artifact,
    labels: Artifact,
    serving_report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Check that a real model server loads the ONNX model, and answers over HTTP as the trained one does."""
    from ml.onnx.serving import check_serving

    report = _file(serving_report, ".json")
    headline = check_serving(onnx_model.path, served.path, reference.path, labels.path, report)
    found = read_json(report)
    metrics.log_metric("p99_latency_ms", found["latency"]["p99_ms"])
    for name in ("ready_seconds", "peak_memory_mb"):
        metrics.log_metric(name, found[name])
    return headline


@step
def gate(
    subject: dict[str, Any],
    policy: str,
    evidence_uri: str,
    reports: dict[str, Artifact],
    files: Sequence[Artifact],
    evidence: Artifact,
    verdict: Artifact,
) -> str:
    """Decide, and leave the evidence and the verdict; a verdict that blocks ends the run in `save`."""
    from ml.core.clock import today
    from ml.gate.candidate import manifest_of
    from ml.gate.evidence import Subject, make_evidence
    from ml.release.policy_file import read_policy
    from ml.storage.objects import put_object

    found = make_evidence(
        Subject(**subject),
        manifest_of(_candidate_files(files)),
        {name: _report(artifact.path) for name, artifact in reports.items()},
        read_policy(evidence_uri, policy),
        today(),
    )
    data = found.to_bytes()
    write_bytes(_file(evidence, ".json"), data)
    write_bytes(_file(verdict, ".md"), found.verdict.to_markdown().encode())
    put_object(evidence_uri.replace("{run_id}", found.subject.run_id), data)
    return f"self-check {found.verdict.summary}"


def _candidate_files(artifacts: Sequence[Artifact]) -> dict[str, bytes]:
    """Return the bytes of a candidate's files; a trained model is one only where the judge can load it."""
    from ml.gate.candidate import CANDIDATE_FILES

    paths = {f"{stem}{path.suffix}": path for stem, path in zip(STEMS, map(_path, artifacts), strict=True)}
    return {name: path.read_bytes() for name, path in paths.items() if name in CANDIDATE_FILES}


def _path(artifact: Artifact) -> Path:
    return Path(artifact.path)


def _report(path: str) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}


@step
def save(store_uri: str, evidence: Artifact, files: Sequence[Artifact], reports: dict[str, Artifact]) -> str:
    """Store the model as a candidate with the reports beside it; refuse what the self-check blocks."""
    from ml.gate.evidence import read_evidence
    from ml.release.store import ModelStore

    data = Path(evidence.path).read_bytes()
    found = read_evidence(data)
    if not found.verdict.passed:
        raise GateBlocked(f"the self-check {found.verdict.summary}")
    contents = _candidate_files(files)
    beside = {name: Path(artifact.path).read_bytes() for name, artifact in reports.items()}
    store = ModelStore(store_uri, create=True)
    return (
        f"candidate {store.put_candidate(contents, found.subject.run_id, {**beside, 'evidence.json': data})}"
    )
