# SPDX-License-Identifier: Apache-2.0
"""Files and programs with quantizers: the float Graph without them, the quantizers, and their own runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.quantized_models import SCALES, SHAPE, Small, pictures, program, qdq, qonnx

from hlsgen.errors import UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.frontend.capture import capture, examine
from hlsgen.frontend.quantizers import own_runtime
from hlsgen.frontend.read.archive import load_archive
from hlsgen.frontend.read.export import Call, Export, Ref
from hlsgen.frontend.read.onnx_file import load_onnx
from hlsgen.frontend.read.quantizers import stripped
from hlsgen.ir import Graph, Source
from hlsgen.ops import Linear


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qdq(tmp_path_factory.mktemp("quantized") / "qdq.onnx")


def scales(graph: Graph) -> list[float]:
    return [round(item.scale, 6) for item in graph.quantizers]


def assert_same_values(one: Graph, two: Graph) -> None:
    weights = [[node.op.weight for node in graph if isinstance(node.op, Linear)] for graph in (one, two)]
    assert len(weights[0]) == 8
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("spelling", ["fake", "pt2e", "saved", "Quant", "IntQuant"])
def test_all_formats_give_one_graph(spelling: str, file: Path, tmp_path: Path) -> None:
    wanted = capture(load_onnx(file))
    assert scales(wanted) == list(SCALES.values())
    if spelling.endswith("Quant"):
        graph = capture(load_onnx(qonnx(tmp_path / "q.onnx", file, spelling)))
    elif spelling == "saved":
        torch.export.save(program("pt2e"), tmp_path / "model.pt2")
        graph = capture(load_archive(tmp_path / "model.pt2"))
    else:
        graph = capture(program(spelling))
    assert [str(node.op) for node in graph] == [str(node.op) for node in wanted]
    assert scales(graph) == scales(wanted)
    assert_same_values(graph, wanted)


def test_a_model_with_fake_quantizers_is_read_as_it_is() -> None:
    graph = capture(Small().eval(), torch.zeros(1, *SHAPE))
    assert scales(graph) == list(SCALES.values())


def test_a_quantizer_with_a_narrow_range(file: Path, tmp_path: Path) -> None:
    """Brevitas writes the range as a Clip between both halves."""
    model = onnx.load(str(file))
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    second = next(node for node in model.graph.node if node.op_type == "DequantizeLinear")
    for name, value in (("low", -127), ("high", 127)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int8), name))
    clip = onnx.helper.make_node("Clip", [first.output[0], "low", "high"], ["clipped"])
    model.graph.node.insert(list(model.graph.node).index(second), clip)
    second.input[0] = "clipped"
    onnx.save(model, str(tmp_path / "clip.onnx"))
    found = capture(load_onnx(tmp_path / "clip.onnx")).quantizers[0]
    assert (found.low, found.high) == (-127, 127)


def grouped(model: Any) -> None:
    """A scale for each group of four elements of a row, as opset 21 has it."""
    (node,) = [item for item in model.graph.node if item.output[0] == linear_input(model)]
    node.attribute.append(onnx.helper.make_attribute("block_size", 4))


def linear_input(model: Any) -> str:
    return next(item.output[0] for item in model.graph.node if item.op_type == "DequantizeLinear")


def dynamic(model: Any) -> None:
    next(
        item for item in model.graph.node if item.op_type == "QuantizeLinear"
    ).op_type = "DynamicQuantizeLinear"


def halves(model: Any) -> None:
    node = next(item for item in model.graph.node if item.op_type == "DequantizeLinear")
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "other"))
    node.input[1] = "other"


def between(model: Any) -> None:
    """A transposition of the integers."""
    node = next(item for item in model.graph.node if item.op_type == "DequantizeLinear")
    turn = onnx.helper.make_node("Transpose", [node.input[0]], ["turned"], perm=[0, 1, 2, 3])
    model.graph.node.insert(list(model.graph.node).index(node), turn)
    node.input[0] = "turned"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (grouped, "it has a scale for each group of elements"),
        (dynamic, "1 DynamicQuantizeLinear"),
        (halves, "its two halves have different scales or zero points"),
        (between, "integers, between QuantizeLinear and DequantizeLinear"),
    ],
)
def test_what_is_refused_in_a_file(change: Any, text: str, file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    change(model)
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(UnsupportedModel, match=text) as caught:
        capture(load_onnx(tmp_path / "a.onnx"))
    assert all(problem.fix for problem in caught.value.problems)


def test_a_rounding_of_its_own(file: Path, tmp_path: Path) -> None:
    path = qonnx(tmp_path / "floor.onnx", file, rounding_mode="FLOOR")
    with pytest.raises(UnsupportedModel, match="FLOOR"):
        capture(load_onnx(path))
    path = qonnx(tmp_path / "bipolar.onnx", file, "BipolarQuant")
    with pytest.raises(UnsupportedModel, match=r"qonnx.custom_op.general.BipolarQuant is not supported"):
        capture(load_onnx(path))


def test_a_zero_point_between_two_integers(file: Path, tmp_path: Path) -> None:
    """QONNX has real zero points; the tensor's integers would be others."""
    model = onnx.load(str(qonnx(tmp_path / "q.onnx", file)))
    readers = {node.input[0]: node for node in model.graph.node if node.op_type == "Quant"}
    weight = next(node for node in readers.values() if node.input[0] not in producers(model))
    image = readers[model.graph.input[0].name]
    for node, text in ((image, "its zero point is no whole number"), (weight, "a zero point of a weight")):
        (zero,) = [item for item in model.graph.initializer if item.name == node.input[2]]
        zero.CopyFrom(numpy_helper.from_array(np.array(0.5, np.float32), zero.name))
        onnx.save(model, str(tmp_path / "half.onnx"))
        with pytest.raises(UnsupportedModel, match=text):
            capture(load_onnx(tmp_path / "half.onnx"))


def producers(model: Any) -> set[str]:
    """What nodes compute, and the image."""
    computed = {name for node in model.graph.node if node.op_type != "Constant" for name in node.output}
    return {*computed, model.graph.input[0].name}


def test_all_problems_of_a_program_at_once() -> None:
    """Scales that are computed have no place; each quantizer has its own module."""

    class Dynamic(Small):
        def quantized(self, name: str, x: torch.Tensor) -> torch.Tensor:
            if name not in ("context", "active"):
                return super().quantized(name, x)
            scale = x.abs().amax().reshape(1) / 127
            zero = torch.zeros(1, dtype=torch.int32)
            return torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127)

    found = examine(torch.export.export(Dynamic().eval(), (torch.zeros(1, *SHAPE),)))
    assert found.graph is None
    assert {problem.code for problem in found.problems} == {Code.IMPORTED}
    assert [problem.why for problem in found.problems] == ["its scale is computed from the image"] * 2


@pytest.mark.parametrize("args", [(), (3,), (Ref("nothing"), 0.1, 0, -128, 127)])
def test_a_quantizer_that_is_none(args: tuple[Any, ...]) -> None:
    """A file may say anything."""
    target = "quantized_decomposed.dequantize_per_tensor.default"
    call = Call("odd", target, args, {}, Source(), (1, 4))
    whole = Export((), {}, (call,), (Ref("odd"),))
    (problem,) = stripped(whole).problems
    assert problem.code is Code.IMPORTED
    assert "the quantizer odd can't be held" in problem.what


@pytest.mark.parametrize("spelling", ["qdq", "Quant", "pt2e"])
def test_the_own_runtime_computes_with_the_quantizers(spelling: str, file: Path, tmp_path: Path) -> None:
    images, model = pictures(6), Small().eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    path = file if spelling == "qdq" else qonnx(tmp_path / "q.onnx", file)
    own = own_runtime(program("pt2e") if spelling == "pt2e" else load_onnx(path))
    assert own is not None
    np.testing.assert_allclose(own(images), wanted, atol=0.03)  # a tie may fall to the other side
    assert np.median(np.abs(own(images) - wanted)) < 1e-5


def test_a_float_model_has_no_quantizers_and_no_own_runtime() -> None:
    layer = torch.export.export(torch.nn.Flatten(), (torch.zeros(1, 1, 2, 2),))
    assert own_runtime(layer) is None
    assert own_runtime(Small()) is None
    assert isinstance(examine(layer).export, Export)
