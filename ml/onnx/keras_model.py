"""Keras networks as models: what happens to nonsense, and the export with tf2onnx."""

from pathlib import Path
from typing import TYPE_CHECKING

from ml.core.files import write_bytes
from ml.onnx.keras_file import load_keras
from ml.problem import INPUT, LARGEST, OUTPUT

if TYPE_CHECKING:
    import keras

OPSET = 18


def guard_network(network: "keras.Model") -> "keras.Model":
    """Return a network with NaN for an answer to each row that holds something beyond `LARGEST`.

    It shares its weights with the network, and comes after training: Keras computes the loss from what goes
    into a softmax only where that is the last layer.

    Args:
        network: a Functional model with one input, float32 [N, F], and one output.
    """
    keras = load_keras()

    (inputs,) = network.inputs
    # NaN is not below anything, so it fails the comparison like what is too large.
    sound = keras.ops.all(keras.ops.less_equal(keras.ops.abs(inputs), LARGEST), axis=1, keepdims=True)
    answers = keras.ops.where(sound, network.outputs[0], float("nan"))
    return keras.Model(inputs, answers, name=network.name)


def export_network(model: Path, onnx_model: Path) -> None:
    """Write the network of a ``.keras`` file as ONNX."""
    keras = load_keras()
    import tensorflow as tf
    import tf2onnx

    network = keras.saving.load_model(model, compile=False)
    network.output_names = [OUTPUT]
    signature = [tf.TensorSpec([None, network.input_shape[1]], tf.float32, name=INPUT)]
    proto, _ = tf2onnx.convert.from_keras(network, signature, opset=OPSET)
    write_bytes(onnx_model, proto.SerializeToString(deterministic=True))
