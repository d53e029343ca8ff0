"""Check a Keras file before TensorFlow is even imported: known layers and operations only, plain weights.

A ``.keras`` file is a ZIP archive with a description of the model and its weights. Keras builds whatever
classes the description names; its safe mode refuses some of them, and was bypassed more than once. So every
description in it, however deep, must name a class from a list, with the module that Keras itself writes.
"""

import io
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ml.core.errors import GateBlocked
from ml.judge.allowed_onnx import LARGEST_MODEL, REMEDY

MEMBERS = {"metadata.json": 64 << 10, "config.json": 4 << 20, "model.weights.h5": LARGEST_MODEL}
"""The files of the archive, no others, and the most bytes of each."""

DEEPEST = 100
"""Levels of a description: far more than any model here has, far fewer than Python can recurse."""

LAYERS = (
    "Activation ActivityRegularization Add AlphaDropout Average BatchNormalization Concatenate Dense Dot "
    "Dropout ELU EinsumDense Embedding Flatten GaussianDropout GaussianNoise GroupNormalization Identity "
    "InputLayer LayerNormalization LeakyReLU Maximum Minimum MultiHeadAttention Multiply Normalization PReLU "
    "Permute RMSNormalization ReLU RepeatVector Rescaling Reshape Softmax Subtract UnitNormalization"
)
NUMPY = (
    "Absolute Add All Amax Amin Any Arctan Argmax Argmin Average BroadcastTo Ceil Clip Concatenate Cos "
    "Cumprod Cumsum Divide DivideNoNan Dot Einsum Equal Exp ExpandDims Expm1 Flip Floor FloorDivide "
    "FullLike GetItem Greater GreaterEqual Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2 "
    "LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean Min Minimum Mod Moveaxis Multiply "
    "NanToNum Negative NotEqual OnesLike Pad Power Prod Ravel Reciprocal Repeat Reshape Round Sign Sin "
    "Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh Tile Transpose "
    "TrueDivide Var Where ZerosLike"
)
ALLOWED: Mapping[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "keras": "DTypePolicy Functional Model Sequential",
        "keras.models": "Functional Model Sequential",
        "keras.src.models.functional": "Functional",
        "keras.layers": LAYERS,
        "keras.initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal "
        "LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros",
        "keras.regularizers": "L1 L1L2 L2 OrthogonalRegularizer",
        "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
        "keras.dtype_policies": "DTypePolicy",
        "keras.src.ops.core": "Cast ConvertToTensor Slice StopGradient Unstack",
        "keras.src.ops.math": "Erf Logsumexp Rsqrt TopK",
        "keras.src.ops.nn": "Celu Elu Gelu HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax "
        "Normalize OneHot Relu Relu6 Selu Sigmoid Silu Softmax Softplus Softsign",
        "keras.src.ops.numpy": NUMPY,
    }.items()
}
"""By module: the classes that a description may name, as Keras writes both."""

VALUES = frozenset(("__keras_tensor__", "__numpy__", "__tensor__", "__ellipsis__", "__slice__"))
"""What Keras writes for plain values that JSON has no words for; the others of this kind hold code."""

NAMES: Mapping[str, frozenset[str]] = {
    "activation": frozenset(
        "celu elu exponential gelu hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid "
        "log_softmax mish relu relu6 selu sigmoid silu softmax softplus softsign tanh".split()
    ),
    "initializer": frozenset(
        "glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform ones orthogonal "
        "random_normal random_uniform truncated_normal uniform zeros".split()
    ),
    "regularizer": frozenset(("l1", "l1_l2", "l2")),
    "constraint": frozenset(("max_norm", "min_max_norm", "non_neg", "unit_norm")),
}
"""By the last word of a key: the names that Keras looks up there. Any other might be a function's."""


def check_keras(path: Path) -> None:
    """Check a Keras file.

    Raises:
        GateBlocked: it is too large, is not a Keras file, or holds a class, function, link or file that is
            not allowed; the message names it.
        OSError: it cannot be read.
    """
    try:
        config, weights = _unpacked(path)
        model = json.loads(config, object_pairs_hook=_unique)
        if not isinstance(model, dict) or "class_name" not in model:
            raise ValueError("its config.json does not describe a model")
        # It is loaded without what it was trained with, so nothing of that is built.
        model.pop("compile_config", None)
        _walk(model, "the model", 0)
        for problem in _weights_problems(weights):
            raise ValueError(problem)
    except (ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile, EOFError) as error:
        raise GateBlocked(f"{path.name}: {' '.join(str(error).split()) or 'nested too deeply'}") from error


def _unpacked(path: Path) -> tuple[bytes, bytes]:
    """Return description and weights of a Keras file, once its archive holds nothing else."""
    if path.stat().st_size > sum(MEMBERS.values()):
        raise ValueError(f"has {path.stat().st_size:,} bytes, and {sum(MEMBERS.values()):,} are allowed")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a Keras file, which is a ZIP archive")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if sorted(names) != sorted(MEMBERS):
            odd = sorted(set(names) ^ set(MEMBERS)) or [name for name in names if names.count(name) > 1]
            raise ValueError(f"its archive holds other files than a model's, or lacks one: {odd[0]!r}")
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
                raise ValueError(f"{entry.filename} is a link or encrypted, not a plain file")
            if entry.file_size > MEMBERS[entry.filename]:
                most = MEMBERS[entry.filename]
                raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes, and {most:,} are allowed")
        return archive.read("config.json"), archive.read("model.weights.h5")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("config.json has a key twice in one object")
    return fields


def _walk(value: Any, where: str, depth: int) -> None:
    """Check a value of a description and everything in it.

    Args:
        value: parsed JSON.
        where: the layer that it belongs to, for messages.
        depth: levels above it.
    """
    if depth > DEEPEST:
        raise ValueError("config.json is nested too deeply")
    if isinstance(value, list):
        for entry in value:
            _walk(entry, where, depth + 1)
    if not isinstance(value, dict):
        return
    if "class_name" in value:
        where = _described(value, where)
    for key, entry in value.items():
        known = NAMES.get(key.rpartition("_")[2])
        if known and isinstance(entry, str) and entry not in known:
            _refuse(f"{key} {entry!r}", where)
        _walk(entry, where, depth + 1)


def _described(value: dict[str, Any], where: str) -> str:
    """Check what class a description names, and return what to call it."""
    name, module, registered = (value.get(key) for key in ("class_name", "module", "registered_name"))
    config = value.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    label = value.get("name") or inner
    if label:
        where = f"layer {str(label)[:80]!r}"
    if isinstance(name, str) and name in VALUES:
        return where
    if not isinstance(name, str) or not isinstance(module, str) or name not in ALLOWED.get(module, ()):
        _refuse(f"{module}.{name}" if module else str(name), where)
    if registered not in (None, name):
        _refuse(f"the registered object {registered!r}", where)
    if value.get("compile_config"):
        raise ValueError(f"{where} holds an optimizer or a loss; save it uncompiled")
    return where


def _refuse(what: str, where: str) -> NoReturn:
    raise ValueError(f"{where} uses {what[:120]}, which the judge does not load; {REMEDY}")


def _weights_problems(data: bytes) -> Iterator[str]:
    """List what in an HDF5 file is not plain numbers in that very file."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            links: list[tuple[str, int]] = []
            # The low-level walk tells of every link without following any out of the file.
            file.id.links.visit(lambda name, info: links.append((name.decode(), info.type)), info=True)
            total = 0
            for name, kind in links:
                if kind != h5py.h5l.TYPE_HARD:
                    yield f"model.weights.h5 has the link {name!r}; the weights must be in the file itself"
                    return
                item = file[name]
                if isinstance(item, h5py.Group):
                    continue
                if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
                    yield f"model.weights.h5 holds {name!r}, which is not an array of numbers"
                    return
                if item.external or item.is_virtual:
                    yield f"model.weights.h5 keeps {name!r} in another file"
                total += item.nbytes
            if total > LARGEST_MODEL:
                yield f"model.weights.h5 unpacks to {total:,} bytes, and {LARGEST_MODEL:,} are allowed"
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        yield f"model.weights.h5 is not an HDF5 file that can be read: {error}"
