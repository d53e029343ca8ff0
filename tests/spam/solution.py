"""How the model is made: a logistic regression; the names are those of `ml.problem.Solution`."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ml.onnx.sklearn_model import ask_classifier, export_classifier, save_classifier
from ml.problem import Examples, Trained

SUFFIX = ".skops"

export, predict = export_classifier, ask_classifier


class Hyperparameters(BaseModel):
    """Set with ``--param NAME=VALUE``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = Field(1.0, gt=0, description="inverse of the regularisation")


def train(training: Examples, validation: Examples, hyper: Hyperparameters, model: Path) -> Trained:
    """Fit on each vote."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    message, verdict = np.nonzero(training.counts)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=hyper.strength))
    weights = training.counts[message, verdict]
    fitted = pipeline.fit(training.features[message], verdict, logisticregression__sample_weight=weights)
    save_classifier(fitted, training.features, model)
    answers = np.maximum(predict(model, validation.features), 1e-9)
    loss = -(validation.counts * np.log(answers)).sum() / validation.counts.sum()
    return Trained(f"validation loss {loss:.3f}", {"val_loss": [float(loss)]})
