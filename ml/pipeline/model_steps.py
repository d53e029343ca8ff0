"""The steps that train a model, export it and measure it.

Nothing heavy is imported before the step that needs it runs.
"""

from typing import Any

from ml.core.files import read_json
from ml.pipeline.artifacts import (
    Artifact,
    ClassificationMetrics,
    MetricsArtifact,
    describe_model,
    output_file,
)
from ml.pipeline.step import step

UNPINNED = "openvino"
"""The runtime of the parity report that has none of the settings with which the model is served."""


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
    targets = output_file(model, solution.SUFFIX), output_file(history, ".json")
    headline = train(solution, train_split.path, val_split.path, *targets, hyperparameters)
    describe_model(model, solution.FRAMEWORK)
    return headline


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

    report, matrix = output_file(evaluation, ".json"), output_file(confusion, ".json")
    sources = model.path, train_split.path, test_split.path, labels.path
    headline = evaluate(load_solution(problem), *sources, champion_model.path, champion, report, matrix)
    measured, table = read_json(report), read_json(matrix)
    for name in ("log_loss", "top1_mass", "top5_mass", "hit_at_5"):
        metrics.log_metric(name, measured["model"][name]["value"])
    for name in ("gain_over_prior", "gain_over_logistic"):
        metrics.log_metric(name, measured[name]["value"])
    if measured["champion"] and measured["champion"]["shared"]:
        metrics.log_metric(
            "gain_over_champion", measured["champion"]["shared"]["log_loss"]["difference"]["value"]
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

    targets = (
        output_file(onnx_model, ".onnx"),
        output_file(reference, ".parquet"),
        output_file(served, ".json"),
    )
    headline = convert(load_solution(problem), model.path, test_split.path, labels.path, *targets, lineage)
    describe_model(onnx_model, "onnx")
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
    report = output_file(parity_report, ".json")
    headline = check_parity(*inputs, report)
    measured = read_json(report)
    for runtime in measured["runtimes"]:
        name, families = runtime["name"], runtime["families"]
        if name == UNPINNED:
            name = f"advisory_{UNPINNED}"
            metrics.metadata[name] = "with its own settings, not those it is served with: it decides nothing"
        metrics.log_metric(f"{name}_max_difference", max(family["max_difference"] for family in families))
        metrics.log_metric(f"{name}_violations", sum(family["violations"] for family in families))
    metrics.log_metric("p99_latency_ms", measured["latency"]["p99_ms"])
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

    report = output_file(serving_report, ".json")
    headline = check_serving(onnx_model.path, served.path, reference.path, labels.path, report)
    measured = read_json(report)
    metrics.log_metric("p99_latency_ms", measured["latency"]["p99_ms"])
    for name in ("ready_seconds", "peak_memory_mb"):
        metrics.log_metric(name, measured[name])
    return headline
