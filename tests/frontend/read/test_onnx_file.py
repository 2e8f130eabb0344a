# SPDX-License-Identifier: Apache-2.0
"""ONNX files: the same Graph as from torch.export, and a clear word about every file that is none."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.variants import VARIANTS, seeded
from torch import nn

from hlsgen.errors import CaptureWarning, UnsupportedModel, UsageError
from hlsgen.examples.digits.model import digits
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inspect import inspect
from hlsgen.frontend.read.onnx_file import load_onnx
from hlsgen.ir import Graph
from hlsgen.quantization import quantize


def exported(model: nn.Module, example: tuple[Any, ...], path: Path, **options: Any) -> Path:
    """The model's file, written by PyTorch's exporter."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(model, example, str(path), verbose=False, **{"dynamo": True, **options})
    finally:
        logging.disable(logging.NOTSET)
    return path


def tensors(example: Any) -> tuple[Any, ...]:
    parts = example if isinstance(example, tuple) else (example,)
    return tuple(torch.as_tensor(part) for part in parts)


def assert_same(one: Graph, two: Graph) -> None:
    """Names, types, wiring and every field of every op."""
    assert str(one) == str(two)
    for a, b in zip(one, two, strict=True):
        assert a.source.module == b.source.module
        for item in dataclasses.fields(a.op):  # type: ignore[arg-type]
            assert np.array_equal(getattr(a.op, item.name), getattr(b.op, item.name)), (a.name, item.name)


def assert_equal_ways(name: str, tmp_path: Path) -> None:
    loaded = load_model(name)
    path = exported(loaded.model, tensors(loaded.example), tmp_path / "model.onnx")
    graph = capture(load_model(str(path)).model)
    wanted = capture(loaded.model, loaded.example)
    assert_same(graph, wanted)
    images = load_data(name).images[:8]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(quantize(graph, images).graph, quantize(wanted, images).graph)


@pytest.mark.parametrize("name", ["digits", "digits-moe", "awkward"])
def test_the_same_graph_as_from_torch_export(name: str, tmp_path: Path) -> None:
    assert_equal_ways(name, tmp_path)


@pytest.mark.parametrize("name", ["sdpa", "multihead", "encoder_gelu", "hand_divided"])
def test_the_older_exporter(name: str, tmp_path: Path) -> None:
    """Its nodes have other names and forms; a mask is filled with a minus infinity of its own."""
    model, image = seeded(VARIANTS[name]()), torch.zeros(1, 2, 4, 6)
    path = exported(model, (image,), tmp_path / "a.onnx", dynamo=False, opset_version=17)
    graph, wanted = capture(load_onnx(path)), capture(model, image)
    for a, b in zip(graph, wanted, strict=True):
        assert type(a.op) is type(b.op)
        for item in dataclasses.fields(a.op):  # type: ignore[arg-type]
            assert np.array_equal(getattr(a.op, item.name), getattr(b.op, item.name)), (a.name, item.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["deit-tiny", "deit-tiny-distilled", "deit-small", "vit-base", "m3vit-tiny", "m3vit-tiny-even"]
)
def test_the_same_graph_of_large_examples(name: str, tmp_path: Path) -> None:
    assert_equal_ways(name, tmp_path)


def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name: str, array: np.ndarray) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


WIDTH, PATCHES = 4, 4
Change = Callable[[Any], None]


def small(opset: int = 20, size: tuple[Any, ...] = (1, 1, 4, 4), kind: type = np.float32) -> Any:
    """Patches of 2x2, one residual MLP and a head, written by hand with names of no exporter."""
    random = np.random.default_rng(0)
    arrays = {
        "embed.weight": random.normal(size=(WIDTH, 1, 2, 2)),
        "embed.bias": random.normal(size=WIDTH),
        "up.weight": random.normal(size=(WIDTH, 2 * WIDTH)),
        "up.bias": random.normal(size=2 * WIDTH),
        "down.weight": random.normal(size=(WIDTH, 2 * WIDTH)),
        "down.bias": random.normal(size=WIDTH),
        "head.weight": random.normal(size=(3, WIDTH)),
        "head.bias": random.normal(size=3),
    }
    weights = [stored(name, array.astype(kind)) for name, array in arrays.items()]
    weights += [stored("shape", np.array([0, WIDTH, -1])), stored("first", np.array(0))]
    weights += [stored("gamma", np.ones(WIDTH, kind)), stored("beta", np.zeros(WIDTH, kind))]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "embed.weight", "embed.bias"], ["conv"], strides=[2, 2], kernel_shape=[2, 2]),
        node("Reshape", ["conv", "shape"], ["flat"]),
        node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        node("LayerNormalization", ["tokens", "gamma", "beta"], ["norm"], epsilon=1e-6),
        node("MatMul", ["norm", "up.weight"], ["up_"], name="/block/up/MatMul"),
        node("Add", ["up.bias", "up_"], ["up"]),
        node("Relu", ["up"], ["active"]),
        node("Gemm", ["rows", "down.weight", "down.bias"], ["down"], transB=1),
        node("Reshape", ["down", "back"], ["down3"]),
        node("Add", ["tokens", "down3"], ["sum"]),
        node("Gather", ["sum", "first"], ["token"], axis=1),
        node("LayerNormalization", ["token", "gamma", "beta"], ["normed"], epsilon=1e-6),
        node("Gemm", ["normed", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    nodes.insert(7, node("Flatten", ["active"], ["rows"], axis=2))
    weights.append(stored("back", np.array([1, PATCHES, WIDTH])))
    number = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16, np.float64: TensorProto.DOUBLE}
    graph = helper.make_graph(
        nodes, "g", [value("x", list(size), number[kind])], [value("logits", [1, 3], number[kind])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def written(model: Any, tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(model.SerializeToString())
    return path


class Small(nn.Module):
    """The same in PyTorch."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, WIDTH, 2, 2), nn.LayerNorm(WIDTH, 1e-6)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 3)
        state = {name: torch.tensor(array) for name, array in arrays.items() if "." in name}
        state["up.weight"] = state["up.weight"].T.contiguous()
        self.load_state_dict(state, strict=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.norm((x + self.down(torch.relu(self.up(self.norm(x)))))[:, 0]))


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    model = small()
    graph = capture(load_onnx(written(model, tmp_path)))
    arrays = {item.name: np.array(numpy_helper.to_array(item)) for item in model.graph.initializer}
    wanted = capture(Small(arrays).eval(), torch.zeros(1, 1, 4, 4))
    for a, b in zip(graph, wanted, strict=True):
        for item in dataclasses.fields(a.op):  # type: ignore[arg-type]
            assert np.array_equal(getattr(a.op, item.name), getattr(b.op, item.name)), (a.name, item.name)
    assert [node.name for node in graph if node.name in ("up", "down", "head")] == ["up", "down", "head"]


def test_sizes_that_are_names(tmp_path: Path) -> None:
    path = written(small(size=("batch", 1, "height", "width")), tmp_path)
    assert capture(load_onnx(path, (1, 4, 4))).input_type.shape == (1, 4, 4)
    with pytest.raises(UsageError) as caught:
        load_onnx(path)
    (problem,) = caught.value.problems
    assert problem.what == "the file's input must have plain sizes, not [1, 1, 'height', 'width']"
    assert problem.fix.startswith("--shape CxHxW")
    assert capture(load_onnx(written(small(size=("n", 1, 4, 4)), tmp_path)))


def test_several_images_at_once_are_refused(tmp_path: Path) -> None:
    model = small(size=(4, 1, 4, 4))
    del model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("Flatten", ["x"], ["rows"]),
            helper.make_node("Gemm", ["rows", "wide"], ["logits"], transB=1),
        ]
    )
    model.graph.initializer.append(stored("wide", np.ones((3, 16), np.float32)))
    with pytest.raises(UnsupportedModel) as caught:
        capture(load_onnx(written(model, tmp_path)))
    (problem,) = caught.value.problems
    assert problem.what == "input must be [1, channels, height, width], not [4, 1, 4, 4]"
    assert "images[:1]" in problem.fix


def test_other_types_are_converted(tmp_path: Path) -> None:
    wanted = capture(load_onnx(written(small(), tmp_path)))
    path = written(small(kind=np.float64), tmp_path)
    with pytest.warns(CaptureWarning, match="^weights are converted to float32 from float64: "):
        graph = capture(load_onnx(path))
    assert [str(node.op) for node in graph] == [str(node.op) for node in wanted]


def test_weights_beside_the_file(tmp_path: Path) -> None:
    model = small()
    wanted = capture(load_onnx(written(model, tmp_path)))
    onnx.save(model, tmp_path / "out.onnx", save_as_external_data=True, location="out.data", size_threshold=0)
    assert_same(capture(load_onnx(tmp_path / "out.onnx")), wanted)
    data = (tmp_path / "out.data").read_bytes()
    for change, text in (
        (lambda: (tmp_path / "out.data").write_bytes(data[:-1]), "bytes needed at"),
        (lambda: (tmp_path / "out.data").unlink(), "the file of its weights is not there: out.data"),
    ):
        change()
        with pytest.raises(UsageError, match=text):
            load_onnx(tmp_path / "out.onnx")
    model = onnx.load(tmp_path / "out.onnx", load_external_data=False)
    for place in ("../out.data", "/etc/passwd", "."):
        model.graph.initializer[0].external_data[0].value = place
        with pytest.raises(UsageError, match="must lie in a file beside the model, not at"):
            load_onnx(written(model, tmp_path))


def test_all_that_is_unsupported_at_once(tmp_path: Path) -> None:
    model = small()
    model.graph.node[6].op_type = "Celu"
    model.graph.node[3].op_type = "SpaceToDepth"
    model.graph.value_info.extend([value("norm", [1, PATCHES, WIDTH]), value("active", [1, 4, 8])])
    report = inspect(load_onnx(written(model, tmp_path)))
    assert [problem.what for problem in report.problems] == [
        "onnx.SpaceToDepth is not supported",
        "onnx.Celu is not supported",
    ]
    # Without shapes, what stands behind an unknown node is not judged.
    del model.graph.value_info[:]
    report = inspect(load_onnx(written(model, tmp_path)))
    assert [problem.what for problem in report.problems] == ["onnx.SpaceToDepth is not supported"]


def test_what_is_lost_in_the_table_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Graph is compared with what ONNX's own evaluator computes."""
    from hlsgen.frontend.read import onnx_layers
    from hlsgen.frontend.read.onnx_node import OPERATORS

    path = written(small(), tmp_path)
    monkeypatch.setitem(OPERATORS, "Relu", onnx_layers.gelu)
    with pytest.raises(UnsupportedModel, match=r"must be the model's: the relative error is 0\.\d+"):
        capture(load_onnx(path))


def drop(count: int) -> Change:
    def change(model: Any) -> None:
        del model.graph.node[:count]

    return change


def opset(version: int) -> Change:
    def change(model: Any) -> None:
        model.opset_import[0].version = version

    return change


def negative(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -1


def huge(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def strange(model: Any) -> None:
    model.graph.initializer[0].data_type = 17


def quantized(model: Any) -> None:
    model.graph.node[6].op_type = "QLinearMatMul"


def too_short(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"12"


def unfit(model: Any) -> None:
    model.graph.node[2].attribute[0].ints[0] = 7


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop(14), "it holds no model"),
        (drop(2), "a node reads flat before it is computed"),
        (opset(11), "the file's opset must be in 13..26, not 11"),
        (opset(99), "the file's opset must be in 13..26, not 99"),
        (negative, r"embed.weight: a tensor must have 0..67108864 elements, not \[-1, 1, 2, 2\]"),
        (huge, r"embed.weight: a tensor must have 0..67108864 elements"),
        (strange, "tensors must be of a plain type, not of ONNX's type 17"),
        (too_short, "embed.weight: 2 bytes stored, 64 needed"),
        (quantized, "the file must have pairs of quantizers, not operators on integers: 1 QLinearMatMul"),
        (unfit, "Dimension out of range"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, change: Change, text: str) -> None:
    model = small()
    change(model)
    with pytest.raises((UsageError, UnsupportedModel), match=text) as caught:
        load_onnx(written(model, tmp_path))
    assert all(problem.fix for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["embed.weight", "up.weight", "gamma", "head.bias"])
def test_integers_are_no_weights(tmp_path: Path, name: str) -> None:
    """No type of ONNX allows them, yet PyTorch and `onnx` would cast them as they are."""
    model = small()
    (proto,) = [one for one in model.graph.initializer if one.name == name]
    proto.CopyFrom(stored(name, numpy_helper.to_array(proto).astype(np.int8)))
    with pytest.raises(UnsupportedModel) as caught:
        capture(load_onnx(written(model, tmp_path)))
    assert {problem.name for problem in caught.value.problems} == {"quantized weights"}
    assert all(problem.what.endswith(" must be floats, not int8") for problem in caught.value.problems)


def test_what_is_no_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for data in (b"", b"never read", torch.zeros(9).numpy().tobytes()):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"must be an ONNX file|is not a complete ONNX file"):
            load_onnx(path)


@pytest.mark.slow
def test_a_dynamic_batch_is_one_image(tmp_path: Path) -> None:
    shape = {"images": {0: torch.export.Dim("batch")}}
    path = exported(digits(), (torch.zeros(2, 1, 8, 8),), tmp_path / "a.onnx", dynamic_shapes=shape)
    assert_same(capture(load_onnx(path)), capture(digits(), torch.zeros(1, 1, 8, 8)))
