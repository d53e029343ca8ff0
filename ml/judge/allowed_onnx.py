"""Check an ONNX file before any runtime loads it: standard operators only, and everything in the one file.

A runtime is a large program that was not written to be fed by strangers. So what reaches it is parsed first
with protobuf alone, and holds nothing but operators from a list: arithmetic, reductions, shapes and the usual
layers, which is what tf2onnx makes of a Keras model on plain features.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ml.core.errors import GateBlocked

if TYPE_CHECKING:
    import onnx

LARGEST_MODEL = 256 << 20
"""Bytes of an ONNX file or of Keras weights; the networks here have some ten thousand."""

MOST_NODES = 10_000

DOMAINS = ("", "ai.onnx")
"""ONNX's own operators, by both of its names."""

IMPORTED = (*DOMAINS, "ai.onnx.ml")
"""Operator sets that a model may name. tf2onnx always names the last; no node may use it."""

OPERATORS = frozenset(
    # Arithmetic, element by element.
    "Abs Add Ceil Clip Cos Div Erf Exp Floor Log Max Mean Min Mod Mul Neg Pow Reciprocal Round Sign Sin Sqrt "
    "Sub Sum Tan "
    # Comparison and logic.
    "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor "
    # Reductions and searches.
    "ArgMax ArgMin CumSum ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare TopK "
    # Matrices and layers.
    "BatchNormalization Dropout Einsum Gemm GlobalAveragePool GlobalMaxPool GroupNormalization "
    "InstanceNormalization LayerNormalization LpNormalization MatMul MeanVarianceNormalization "
    # Activations.
    "Celu Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid "
    "Softmax Softplus Softsign Sqrt Swish Tanh ThresholdedRelu "
    # Shapes, types and constants.
    "Cast CastLike Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND "
    "Identity OneHot Pad Range Reshape ScatterElements ScatterND Shape Size Slice Split Squeeze Tile "
    "Transpose Trilu Unsqueeze".split()
)
"""No control flow, no subgraphs, no strings, nothing random, nothing that reads a file."""

RANDOM_DROPOUT = 2
"""Inputs of a Dropout that only answers; the third says whether to train, and if so it draws at random."""

IR_VERSION_FIRST = b"\x08"
"""How every ONNX file begins: with its field 1. Runtimes take other beginnings for formats of their own."""

ORT_FORMAT = b"ORTM"
"""At byte 4: what makes onnxruntime read a file as its own format, whatever else it is."""

OPENVINO_FORMAT = re.compile(rb"<net\s")
"""What makes OpenVINO read a file as its own format, wherever it stands: XML, whatever else is around it."""

REMEDY = "export the model in standard ONNX operators (from Keras: its own layers and operations)"


def check_onnx(path: Path) -> None:
    """Check an ONNX file.

    Raises:
        GateBlocked: it is too large, is not ONNX, refers to other files, or holds an operator, function or
            subgraph that is not allowed; the message names it.
        OSError: it cannot be read.
    """
    name = path.name
    if path.stat().st_size > LARGEST_MODEL:
        raise GateBlocked(f"{name} has {path.stat().st_size:,} bytes, and {LARGEST_MODEL:,} are allowed")
    if reason := next(_problems(path.read_bytes()), ""):
        raise GateBlocked(f"{name} {reason}")


def _problems(data: bytes) -> Iterator[str]:
    """List what is wrong with an ONNX file, in words that follow its name."""
    import onnx

    if data[:1] != IR_VERSION_FIRST or data[4:8] == ORT_FORMAT or OPENVINO_FORMAT.search(data):
        yield "is not an ONNX model"
        return
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception:
        # protobuf has an error of its own for each of its implementations.
        yield "is not an ONNX model"
        return
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        yield "holds fields that ONNX does not know"
    if not model.graph.node:
        yield "is not an ONNX model: it has no operators"
    if len(model.graph.node) > MOST_NODES:
        yield f"has {len(model.graph.node):,} operators, and {MOST_NODES:,} are allowed"
    for entry in model.opset_import:
        if entry.domain not in IMPORTED:
            yield f"uses operators of {entry.domain!r}, which the judge does not run; {REMEDY}"
    if model.functions:
        yield f"defines the function {model.functions[0].name!r}, which the judge does not run; {REMEDY}"
    if model.training_info:
        yield "holds training graphs; export it for inference alone"
    if model.graph.sparse_initializer:
        yield "holds sparse weights; export it with dense ones"
    for tensor in model.graph.initializer:
        yield from _external(tensor)
    for node in model.graph.node:
        yield from _node(node)


def _node(node: "onnx.NodeProto") -> Iterator[str]:
    from onnx import AttributeProto

    if node.domain not in DOMAINS or node.op_type not in OPERATORS:
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        yield f"uses the operator {name}, which the judge does not run; {REMEDY}"
    if node.op_type == "Dropout" and len(node.input) > RANDOM_DROPOUT:
        yield "says to Dropout whether to train: then it is random; export it for inference"
    plain = (
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.STRING,
        AttributeProto.TENSOR,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
    )
    for attribute in node.attribute:
        if attribute.type not in plain or attribute.ref_attr_name:
            yield f"gives the operator {node.op_type} a graph or another thing as {attribute.name}; {REMEDY}"
        # What is there but not of the stated type would be for another reader to find.
        fields = {field.name for field, _ in attribute.ListFields()}
        if fields & {"g", "graphs", "sparse_tensor", "sparse_tensors", "tensors", "type_protos", "tp"}:
            yield f"gives the operator {node.op_type} a graph or another thing as {attribute.name}; {REMEDY}"
        if attribute.HasField("t"):
            yield from _external(attribute.t)


def _external(tensor: "onnx.TensorProto") -> Iterator[str]:
    from onnx import TensorProto

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        yield f"keeps the weights {tensor.name!r} in another file; export it as one file"
