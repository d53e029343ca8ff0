"""How the model is made: a classifier of scikit-learn. A commit may change all of it.

The constants and functions are those of `ml.problem.Solution`. The judge loads no scikit-learn model, so the
policy must say that parity with it may be self-reported (``parity.reference``).
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

    units: int = Field(32, ge=1, description="hidden units")
    alpha: float = Field(0.01, ge=0, description="strength of regularisation")
    epochs: int = Field(300, ge=1, description="most passes over the examples")
    seed: int = Field(7, ge=0, description="seed of weights and order")


def train(training: Examples, validation: Examples, hyper: Hyperparameters, model: Path) -> Trained:
    """Fit a pipeline that ends with a classifier."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(
        (hyper.units,),
        alpha=hyper.alpha,
        learning_rate_init=0.01,
        max_iter=hyper.epochs,
        random_state=hyper.seed,
    )
    classifier = make_pipeline(StandardScaler(), network)
    save_classifier(
        classifier.fit(training.features, training.counts.argmax(axis=1)), training.features, model
    )
    right = predict(model, validation.features).argmax(axis=1) == validation.counts.argmax(axis=1)
    return Trained(
        f"{np.mean(right):.1%} of {len(right)} validation examples right", {"loss": network.loss_curve_}
    )
