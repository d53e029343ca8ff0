"""What shapes the training: the one declaration of its names, defaults, bounds and meanings."""

from pydantic import BaseModel, ConfigDict, Field


class Hyperparameters(BaseModel):
    """Set with ``--param NAME=VALUE``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(300, ge=1, description="most passes over the training songs")
    patience: int = Field(12, ge=1, description="passes without a better validation loss before stopping")
    batch_size: int = Field(128, ge=1, description="songs in a step")
    learning_rate: float = Field(0.003, gt=0, description="Adam's step size")
    hidden_layers: int = Field(1, ge=1, description="hidden layers")
    hidden_units: int = Field(128, ge=1, description="units in each hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of hidden units dropped while training")
    seed: int = Field(7, ge=0, description="seed of weights, order and dropout")
