# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that compute, as ATen calls: layers, norms, attention, and what works on each element."""

from __future__ import annotations

from typing import Any

import torch

from hlsgen.frontend.read.bounds import Damaged
from hlsgen.frontend.read.onnx_node import OPERATORS, Node, operator, shortest
from hlsgen.frontend.read.onnx_program import Unreadable

_UNARY = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Log": "log",
    "Mish": "mish", "Neg": "neg", "Not": "logical_not", "Relu": "relu", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Softplus": "softplus", "Sqrt": "sqrt",
    "Tanh": "tanh",
}  # fmt: skip
_BINARY = {
    "Add": "add.Tensor", "Sub": "sub.Tensor", "Mul": "mul.Tensor", "Equal": "eq.Tensor",
    "Less": "lt.Tensor", "LessOrEqual": "le.Tensor", "Greater": "gt.Tensor", "GreaterOrEqual": "ge.Tensor",
    "And": "logical_and.default", "Or": "logical_or.default",
}  # fmt: skip
_REDUCED = {"ReduceMean": "mean.dim", "ReduceSum": "sum.dim_IntList", "ReduceMax": "amax.default"}
_LINEAR = "aten.linear.default"


def _unary(at: Node) -> Any:
    return at.call(f"{_UNARY[at.kind]}.default", at.need(0))


def _binary(at: Node) -> Any:
    left, right = at.number(at.need(0)), at.number(at.need(1))
    if isinstance(left, float) and at.kind in ("Add", "Mul") and not isinstance(right, float):
        left, right = right, left
    return at.call(_BINARY[at.kind], at.need(0) if isinstance(left, float) else left, right)


OPERATORS.update(dict.fromkeys(_UNARY, _unary))
OPERATORS.update(dict.fromkeys(_BINARY, _binary))


@operator("Add")
def add(at: Node) -> Any:
    """A sum; one of a linear layer and its bias is the layer."""
    for x, bias in (at.inputs[:2], at.inputs[1::-1]):
        layer = at.producer(x)
        if layer is None or layer.target != _LINEAR or len(layer.args) != 2:
            continue
        if isinstance(bias, torch.Tensor) and bias.shape == at.shape(x)[-1:]:
            return at.program.replace(layer, (*_named(at, layer.args, bias), bias))
    return _binary(at)


def _named(at: Node, arguments: tuple[Any, ...], bias: torch.Tensor) -> tuple[Any, ...]:
    """A layer's own weight is named after its bias, whose name the exporter kept."""
    x, weight = arguments
    path = at.program.path(bias)
    if path.endswith("bias"):
        at.program.rename(weight, f"{path.removesuffix('bias')}weight")
    return x, weight


@operator("Div")
def div(at: Node) -> Any:
    """A quotient; one of integers is rounded towards zero."""
    left, right = at.need(0), at.number(at.need(1))
    if isinstance(left, torch.Tensor) and not left.is_floating_point():
        return at.call("div.Tensor_mode", left, right, rounding_mode="trunc")
    return at.call("div.Tensor", left, right)


@operator("Pow")
def power(at: Node) -> Any:
    """A constant power."""
    exponent = at.known(1, "a power")
    if exponent.numel() != 1:
        raise Unreadable("several powers")
    number = float(exponent)
    return at.call("pow.Tensor_Scalar", at.need(0), int(number) if number.is_integer() else number)


@operator("Mod")
def mod(at: Node) -> Any:
    """A remainder, with the divisor's sign."""
    if at.attributes.get("fmod", 0):
        raise Unreadable("fmod")
    return at.call("remainder.Tensor", at.need(0), at.need(1))


@operator("Reciprocal")
def reciprocal(at: Node) -> Any:
    """One divided by x; of a root it is the operator that PyTorch has for both."""
    root = at.producer(at.need(0))
    if root is not None and root.target == "aten.sqrt.default":
        return at.call("rsqrt.default", *root.args)
    return at.call("reciprocal.default", at.need(0))


@operator("Where")
def where(at: Node) -> Any:
    """One of two."""
    return at.call("where.self", at.need(0), at.need(1), at.need(2))


@operator("Max", "Min")
def extreme(at: Node) -> Any:
    """The larger or the smaller of several."""
    result, name = at.need(0), "maximum.default" if at.kind == "Max" else "minimum.default"
    for index in range(1, len(at.inputs)):
        result = at.call(name, result, at.need(index))
    return result


@operator("Clip")
def clip(at: Node) -> Any:
    """Within bounds."""
    bounds = [
        None if at.get(index) is None else float(at.known(index, "a bound").reshape(())) for index in (1, 2)
    ]
    return at.call("clamp.default", at.need(0), *bounds)


@operator("Gelu")
def gelu(at: Node) -> Any:
    """Exact or tanh."""
    if at.attributes.get("approximate", "none") == "tanh":
        return at.call("gelu.default", at.need(0), approximate="tanh")
    return at.call("gelu.default", at.need(0))


@operator("HardSwish")
def hard_swish(at: Node) -> Any:
    """X times a clipped line."""
    return at.call("hardswish.default", at.need(0))


@operator("HardSigmoid")
def hard_sigmoid(at: Node) -> Any:
    """PyTorch's has the slope 1/6."""
    alpha, beta = at.attributes.get("alpha", 0.2), at.attributes.get("beta", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        raise Unreadable(f"alpha {shortest(alpha)} and beta {shortest(beta)}")
    return at.call("hardsigmoid.default", at.need(0))


@operator("LeakyRelu")
def leaky_relu(at: Node) -> Any:
    """A slope below zero."""
    return at.call("leaky_relu.default", at.need(0), shortest(at.attributes.get("alpha", 0.01)))


@operator("Elu")
def elu(at: Node) -> Any:
    """Exponential below zero."""
    return at.call("elu.default", at.need(0), shortest(at.attributes.get("alpha", 1.0)))


@operator("Swish")
def swish(at: Node) -> Any:
    """X times its sigmoid."""
    if at.attributes.get("alpha", 1.0) != 1.0:
        raise Unreadable("alpha")
    return at.call("silu.default", at.need(0))


@operator("Softmax", "LogSoftmax")
def softmax(at: Node) -> Any:
    """Over one axis."""
    name = "softmax.int" if at.kind == "Softmax" else "log_softmax.int"
    return at.call(name, at.need(0), int(at.attributes.get("axis", -1)))


@operator("MatMul")
def matmul(at: Node) -> Any:
    """A product; one with a constant matrix is a linear layer."""
    x, y = at.need(0), at.need(1)
    if isinstance(y, torch.Tensor) and y.dim() == 2 and not isinstance(x, torch.Tensor):
        return at.call("linear.default", x, _weight(at, y.T))
    return at.call("matmul.default", x, y)


def _weight(at: Node, tensor: torch.Tensor) -> torch.Tensor:
    """A turned weight, as the parameter of the node's own module."""
    module = at.source.module
    return at.parameter(tensor, f"{module}.weight" if module else "")


@operator("Gemm")
def gemm(at: Node) -> Any:
    """A linear layer, or a product of matrices and a sum."""
    x, y, bias = at.need(0), at.need(1), at.get(2)
    alpha, beta = (at.attributes.get(name, 1.0) for name in ("alpha", "beta"))
    if at.attributes.get("transA", 0):
        x = at.call("permute.default", x, [1, 0])
    turned = bool(at.attributes.get("transB", 0))
    plain = alpha == 1.0 and (bias is None or beta == 1.0) and isinstance(y, torch.Tensor)
    if plain and isinstance(y, torch.Tensor) and (bias is None or bias_of(at, bias, y, turned)):
        weight = y if turned else _weight(at, y.T)
        return at.call("linear.default", x, weight, *([] if bias is None else [bias]))
    if turned:
        y = at.call("permute.default", y, [1, 0])
    product = at.call("matmul.default", x, y)
    if alpha != 1.0:
        product = at.call("mul.Tensor", product, shortest(alpha))
    if bias is None:
        return product
    return at.call("add.Tensor", product, bias, alpha=shortest(beta))


def bias_of(at: Node, bias: Any, weight: torch.Tensor, turned: bool) -> bool:
    """Whether a constant is the bias of a layer with that weight."""
    return isinstance(bias, torch.Tensor) and at.shape(bias) == (weight.shape[0 if turned else 1],)


@operator("Conv")
def conv(at: Node) -> Any:
    """A convolution with the same padding on both sides."""
    x, weight, bias = at.need(0), at.need(1), at.get(2)
    rank = len(at.shape(weight)) - 2
    if at.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Unreadable("padding by itself")
    pads = at.attributes.get("pads", [0] * (2 * rank))
    if pads[:rank] != pads[rank:] or rank not in (1, 2, 3):
        raise Unreadable("uneven padding")
    if isinstance(weight, torch.Tensor):
        weight = _weight(at, weight)
    options = [list(at.attributes.get(name, [1] * rank)) for name in ("strides", "dilations")]
    groups = int(at.attributes.get("group", 1))
    return at.call(f"conv{rank}d.default", x, weight, bias, options[0], pads[:rank], options[1], groups)


@operator("LayerNormalization", "RMSNormalization")
def norm(at: Node) -> Any:
    """Over the last axes."""
    x, weight, bias = at.need(0), at.need(1), at.get(2)
    axis = int(at.attributes.get("axis", -1))
    sizes = list(at.shape(x)[axis:])
    if len(at.outputs) > 1 and any(at.outputs[1:]):
        raise Unreadable("several results")
    epsilon = shortest(at.attributes.get("epsilon", 1e-5))
    if at.kind == "RMSNormalization":
        return at.call("rms_norm.default", x, sizes, weight, epsilon)
    return at.call("layer_norm.default", x, sizes, weight, bias, epsilon)


@operator("BatchNormalization")
def batch_norm(at: Node) -> Any:
    """With the statistics of training."""
    if at.attributes.get("training_mode", 0):
        raise Unreadable("training mode")
    x, weight, bias, mean, variance = (at.need(index) for index in range(5))
    epsilon = shortest(at.attributes.get("epsilon", 1e-5))
    return at.call("batch_norm.default", x, weight, bias, mean, variance, False, 0.1, epsilon, False)


@operator(*_REDUCED)
def reduce(at: Node) -> Any:
    """Over some axes, or all of them."""
    x, axes = at.need(0), at.axes(1)
    if not axes:
        if at.attributes.get("noop_with_empty_axes", 0):
            return x
        axes = list(range(len(at.shape(x))))
    return at.call(_REDUCED[at.kind], x, axes, bool(at.attributes.get("keepdims", 1)))


@operator("GlobalAveragePool")
def global_average(at: Node) -> Any:
    """The mean over all axes but the first two."""
    x = at.need(0)
    return at.call("mean.dim", x, list(range(2, len(at.shape(x)))), True)


@operator("CumSum")
def cumsum(at: Node) -> Any:
    """Sums of all up to an index."""
    if at.attributes.get("exclusive", 0) or at.attributes.get("reverse", 0):
        raise Unreadable("this order")
    return at.call("cumsum.default", at.need(0), at.integers(1, "an axis")[0])


@operator("Einsum")
def einsum(at: Node) -> Any:
    """A product in any order."""
    parts = [at.need(index) for index in range(len(at.inputs))]
    return at.call("einsum.default", str(at.attributes["equation"]), parts)


@operator("TopK")
def top_k(at: Node) -> Any:
    """The k largest and where they are."""
    count = at.integers(1, "k")[0]
    axis, largest = int(at.attributes.get("axis", -1)), bool(at.attributes.get("largest", 1))
    return at.call("topk.default", at.need(0), count, axis, largest)


@operator("ScatterElements")
def scatter(at: Node) -> Any:
    """Values at indices."""
    if at.attributes.get("reduction", "none") != "none":
        raise Unreadable("a reduction")
    axis = int(at.attributes.get("axis", 0))
    return at.call("scatter.src", at.need(0), axis, at.need(1), at.need(2))


@operator("Attention")
def attention(at: Node) -> Any:
    """Attention on heads [1, H, T, d]."""
    query, key, value = (at.need(index) for index in range(3))
    odd = [name for name in ("softcap", "qk_matmul_output_mode") if at.attributes.get(name)]
    if any(at.get(index) is not None for index in range(4, 7)) or any(at.outputs[1:]):
        odd.append("a cache")
    if odd:
        raise Unreadable(" and ".join(odd))
    merged = len(at.shape(query)) == 3
    if merged:
        heads = [int(at.attributes[f"{name}_num_heads"]) for name in ("q", "kv", "kv")]
        query, key, value = (_heads(at, x, n) for x, n in zip((query, key, value), heads, strict=True))
    options: dict[str, Any] = {}
    if at.attributes.get("scale"):
        options["scale"] = shortest(at.attributes["scale"])
    if at.shape(key)[1] != at.shape(query)[1]:
        options["enable_gqa"] = True
    causal = bool(at.attributes.get("is_causal", 0))
    name = "scaled_dot_product_attention.default"
    result = at.call(name, query, key, value, at.get(3), 0.0, causal, **options)
    if not merged:
        return result
    rows = at.call("permute.default", result, [0, 2, 1, 3])
    _, tokens, count, width = at.shape(rows)
    return at.call("reshape.default", rows, [1, tokens, count * width])


def _heads(at: Node, x: Any, heads: int) -> Any:
    """Tokens [1, T, H*d] as [1, H, T, d]."""
    batch, tokens, width = at.shape(x)
    if heads < 1 or width % heads:
        raise Damaged(f"Attention: {width} channels must be divisible by {heads} heads")
    parts = at.call("reshape.default", x, [batch, tokens, heads, width // heads])
    return at.call("permute.default", parts, [0, 2, 1, 3])
