"""As much of KFP's artifacts as the steps use: a step runs without kfp, too."""

import importlib.metadata
from pathlib import Path
from typing import Any, Protocol

from ml.core.files import file_digest


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


def output_file(artifact: Artifact, suffix: str) -> Path:
    """Give an output artifact's file the suffix that its readers expect, and return its path."""
    artifact.path += suffix
    return Path(artifact.path)


def describe_model(model: Artifact, framework: str) -> None:
    """Tell the dashboard what a model is made with, and its digest."""
    model.metadata |= {
        "framework": framework,
        "framework_version": importlib.metadata.version(framework),
        "digest": file_digest(model.path),
    }
