"""How the model is made: a small neural network of scikit-learn.

The constants and functions are those of `ml.problem.Solution`.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ml.onnx.sklearn_model import ask_classifier, export_classifier, save_classifier
from ml.problem import Examples, Trained

SUFFIX = ".skops"
FRAMEWORK = "scikit-learn"

export, predict = export_classifier, ask_classifier


class Hyperparameters(BaseModel):
    """Set with ``--param NAME=VALUE``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    units: int = Field(128, ge=1, description="hidden units")
    alpha: float = Field(0.01, ge=0, description="strength of regularisation")
    epochs: int = Field(150, ge=1, description="most passes over the images")
    seed: int = Field(7, ge=0, description="seed of weights and order")


def train(training: Examples, validation: Examples, hyper: Hyperparameters, model: Path) -> Trained:
    """Fit the network on scaled pixels."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    network = MLPClassifier(
        (hyper.units,), alpha=hyper.alpha, max_iter=hyper.epochs, tol=1e-3, random_state=hyper.seed
    )
    classifier = make_pipeline(MinMaxScaler(), network).fit(training.features, training.counts.argmax(axis=1))
    save_classifier(classifier, training.features, model)
    right = predict(model, validation.features).argmax(axis=1) == validation.counts.argmax(axis=1)
    headline = f"{np.mean(right):.1%} of {len(right)} validation images right"
    return Trained(headline, {"loss": network.loss_curve_})
