# SPDX-License-Identifier: Apache-2.0
"""Integers of ONNX that torch has no arithmetic for: weights of 4 bits, 16 bits without a sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hlsgen.errors import UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.frontend.capture import capture
from hlsgen.frontend.quantizers import own_runtime
from hlsgen.frontend.read.onnx_file import load_onnx
from hlsgen.frontend.read.onnx_tensor import INTEGERS, tensor
from hlsgen.ops import Linear
from hlsgen.quantization import quantize

RANGES: dict[int, tuple[int, int]] = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.UINT16: (0, 65535),
}
WIDTH = 16
RANDOM = np.random.default_rng(0)
EMBED, HEAD = (RANDOM.integers(-7, 8, shape) for shape in ((WIDTH, 1, 2, 2), (WIDTH, 9)))
EMBED[:, 0, 0], HEAD[:2] = (7, -5), np.array([[7], [-5]])  # a row's integers share no divisor
STEPS = np.linspace(0.03, 0.07, WIDTH).astype(np.float32)
IMAGES = RANDOM.normal(size=(16, 1, 4, 4)).clip(-2, 2).astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


def weights() -> list[Any]:
    """The initializers of `file`, its quantizers' apart."""
    return [
        helper.make_tensor("embed", TensorProto.INT4, EMBED.shape, EMBED.reshape(-1)),
        helper.make_tensor("zeros", TensorProto.INT4, [WIDTH], np.zeros(WIDTH, int)),
        helper.make_tensor("head", TensorProto.INT4, HEAD.shape, HEAD.reshape(-1)),
        helper.make_tensor("nothing", TensorProto.INT4, [], [0]),
        numpy_helper.from_array(STEPS, "steps"),
        numpy_helper.from_array(np.array(0.05, np.float32), "step"),
        numpy_helper.from_array(np.array([1, WIDTH, 4], np.int64), "shape"),
        numpy_helper.from_array(np.ones(WIDTH, np.float32), "gamma"),
        numpy_helper.from_array(np.linspace(-1, 1, 9, dtype=np.float32), "bias"),
    ]


def file(kind: int = TensorProto.INT8, scale: float = 2 / 127, zero: int = 0, rows: int = 0) -> Any:
    """A model with weights of 4 bits, one step for each channel of the first and a single one of the second.

    kind, scale, zero: of the image's quantizer, or of that on the tokens' rows where `rows`.
    """
    pairs: dict[str, tuple[int, float, int]] = {
        "image": (TensorProto.INT8, 2 / 127, 0),
        "normed": (TensorProto.INT8, 3 / 127, 0),
    }
    pairs["rows" if rows else "image"] = kind, scale, zero
    constants = weights()
    nodes: list[Any] = []

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=f"/{output}/{operator}", **attributes))
        return output

    def pair(x: str) -> str:
        """The tensor behind its quantizer, if it has one."""
        if x not in pairs:
            return x
        kind, scale, zero = pairs[x]
        constants.append(numpy_helper.from_array(np.array(scale, np.float32), f"{x}.scale"))
        constants.append(helper.make_tensor(f"{x}.zero", kind, [], [zero]))
        node("QuantizeLinear", [x, f"{x}.scale", f"{x}.zero"], f"{x}.codes")
        return node("DequantizeLinear", [f"{x}.codes", f"{x}.scale", f"{x}.zero"], f"{x}.reals")

    weight = node("DequantizeLinear", ["embed", "steps", "zeros"], "embed.weight", axis=0)
    patches = node("Conv", [pair("image"), weight], "patches", kernel_shape=[2, 2], strides=[2, 2])
    node("Transpose", [node("Reshape", [patches, "shape"], "flat")], "rows", perm=[0, 2, 1])
    node("LayerNormalization", [pair("rows"), "gamma"], "normed", axis=-1)
    weight = node("DequantizeLinear", ["head", "step", "nothing"], "head.weight")
    node("Add", [node("MatMul", [pair("normed"), weight], "product"), "bias"], "result")
    ends = ([("image", [1, 1, 4, 4])], [("result", [1, 4, 9])])
    start, end = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in each] for each in ends)
    graph = helper.make_graph(nodes, "g", start, end, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def saved(model: Any, folder: Path, **options: Any) -> Path:
    onnx.save(model, str(folder / "a.onnx"), **options)
    return folder / "a.onnx"


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_both_forms_of_a_tensor(kind: int, count: int) -> None:
    low, high = RANGES[kind]
    assert INTEGERS[kind] == (low, high)
    values = np.random.default_rng(count).integers(low, high + 1, count)
    values[:2] = (low, high)[:count]
    numbers = helper.make_tensor("w", kind, [count], values)
    raw = numpy_helper.from_array(numpy_helper.to_array(numbers), "w")
    assert raw.HasField("raw_data")
    for proto in (numbers, raw):
        assert tensor(proto).tolist() == values.tolist()


@pytest.mark.parametrize("outside", [False, True])
def test_weights_of_four_bits_keep_their_integers(outside: bool, tmp_path: Path) -> None:
    """In the file, and in a file of data; the own runtime has the same classes."""
    options = {"save_as_external_data": True, "location": "a.bin", "size_threshold": 0} if outside else {}
    export = load_onnx(saved(file(), tmp_path, **options))
    made = quantize(capture(export), IMAGES)
    embed, head = (node.op for node in made.reference if isinstance(node.op, Linear))
    np.testing.assert_allclose(embed.weight, EMBED.reshape(WIDTH, -1) * STEPS[:, None], rtol=1e-6)
    np.testing.assert_allclose(head.weight, HEAD.T * np.float32(0.05), rtol=1e-6)
    found = [node.op.weight for node in made.graph if hasattr(node.op, "weight_bits")]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found[0], EMBED.reshape(WIDTH, -1))
    np.testing.assert_array_equal(found[1], HEAD.T)
    own = own_runtime(export)
    assert own is not None
    assert np.isfinite(own(IMAGES[:2])[0]).all()


@pytest.mark.parametrize(
    ("kind", "scale", "zero"), [(TensorProto.UINT8, 2 / 127, 128), (TensorProto.INT8, 2 / 127, 0)]
)
def test_a_zero_point_in_the_middle_is_none(kind: int, scale: float, zero: int, tmp_path: Path) -> None:
    made = quantize(capture(load_onnx(saved(file(kind, scale, zero), tmp_path))), IMAGES)
    assert made.graph.input_type.scale == pytest.approx(2 / 127)
    assert made.report.imported is not None
    assert not made.report.imported.left


def test_sixteen_bits_without_a_sign_on_the_stream(tmp_path: Path) -> None:
    path = saved(file(TensorProto.UINT16, 4 / 32767, 32768, rows=1), tmp_path)
    graph = capture(load_onnx(path))
    assert [(item.low, item.high) for item in graph.quantizers] == [(-128, 127), (0, 65535), (-128, 127)]
    imported = quantize(graph, IMAGES).report.imported
    assert imported is not None
    assert len(imported.theirs) + len(imported.near) >= 3


@pytest.mark.parametrize(
    ("kind", "zero", "rows", "text"),
    [
        (TensorProto.UINT16, 30000, 1, "symmetric"),
        (TensorProto.INT4, 0, 0, r"%image: .* the machine has integers -128\.\.127 there"),
        (TensorProto.UINT8, 100, 0, "%image: .* symmetric"),
    ],
)
def test_what_the_machine_cant_hold(kind: int, zero: int, rows: int, text: str, tmp_path: Path) -> None:
    graph = capture(load_onnx(saved(file(kind, 0.25 if rows == 0 else 1e-4, zero, rows), tmp_path)))
    with pytest.raises(UnsupportedModel, match=f"(?s){text}") as caught:
        quantize(graph, IMAGES)
    assert caught.value.problems[0].code is Code.IMPORTED


def test_widths_that_nobody_would_see(tmp_path: Path) -> None:
    """Without an initializer of that type a quantizer would seem to have 8 bits."""
    model = file(TensorProto.INT4, 0.25)
    (zero,) = [item for item in model.graph.initializer if item.name == "image.zero"]
    held = helper.make_node("Constant", [], ["image.zero"], value=zero)
    model.graph.initializer.remove(zero)
    model.graph.node.insert(0, held)
    without = file(TensorProto.INT4, 0.25)
    for node in without.graph.node:
        if "image.zero" in node.input:
            del node.input[2:]
            node.attribute.append(helper.make_attribute("output_dtype", TensorProto.INT4))
            break
    for wrong in (model, without):
        with pytest.raises(UnsupportedModel, match="integers of 4 bits"):
            capture(load_onnx(saved(wrong, tmp_path)))
