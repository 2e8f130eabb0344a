# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.imported`: digits, quantized by onnxruntime and imported, integer by integer.

It needs the package onnxruntime. Each tensor of which hlsgen has the file's own scale is compared with the
integers that onnxruntime computes, with its optimisations off.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.shipped import SHIPPED, resolve
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.quantization import Quantized, quantize
from hlsgen.quantization.imported import given
from hlsgen.quantization.roles import kinds


class _Images:
    """Calibration images, one at a time, as onnxruntime's quantizer asks for them."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._items: Iterator[dict[str, np.ndarray]] = iter({name: image[None]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._items, None)


def without_gamma(model: Any) -> None:
    """Multiply gamma and beta of each norm of the digits example into the layer behind it."""
    pairs = [(block.norm1, block.attn.qkv) for block in model.blocks]
    pairs += [(block.norm2, block.mlp.fc1) for block in model.blocks] + [(model.norm, model.head)]
    with torch.no_grad():
        for norm, layer in pairs:
            layer.bias += layer.weight @ norm.bias
            layer.weight *= norm.weight
            norm.weight.fill_(1.0)
            norm.bias.zero_()


PRODUCTS = ["MatMul", "Gemm", "Conv"]
SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True}


def quantized_file(model: Any, images: np.ndarray, folder: Path, products: bool) -> Path:
    """The model as a file of pairs of quantizers: symmetric int8, weights by output channel.

    products: quantizers stand on what products read alone, as on a machine whose sums are wide.
    """
    import onnx
    from onnxruntime.quantization import (  # pyright: ignore[reportMissingImports]
        QuantFormat,
        QuantType,
        quantize_static,
    )

    plain, made = folder / "plain.onnx", folder / "quantized.onnx"
    torch.onnx.export(model, (torch.from_numpy(images[:1]),), str(plain), dynamo=True, verbose=False)
    name = onnx.load(str(plain)).graph.input[0].name
    quantize_static(
        str(plain), str(made), _Images(name, images),  # pyright: ignore[reportArgumentType]
        quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        per_channel=True, op_types_to_quantize=PRODUCTS if products else None,
        extra_options=SYMMETRIC | ({"OpTypesToExcludeOutputQuantization": PRODUCTS} if products else {}),
    )  # fmt: skip
    return made


def theirs(path: Path, names: list[str], images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """onnxruntime's integers behind quantizers, by the name of each one's result; and the outputs."""
    import onnx
    import onnxruntime  # pyright: ignore[reportMissingImports]

    model = onnx.load(str(path))
    halves = {
        node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    wanted = {name: halves[name] for name in names}
    for code in dict.fromkeys(wanted.values()):
        model.graph.output.append(onnx.helper.make_tensor_value_info(code, onnx.TensorProto.INT8, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    first, outputs = session.get_inputs()[0].name, [item.name for item in session.get_outputs()]
    runs = [dict(zip(outputs, session.run(None, {first: image[None]}), strict=True)) for image in images]
    codes = {name: np.stack([np.asarray(run[code]) for run in runs]) for name, code in wanted.items()}
    return codes, np.stack([np.asarray(run[outputs[0]]).reshape(-1) for run in runs])


def laid_out(codes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """onnxruntime's integers [N, 1, ...] in the shape of a tensor of ours; None: a part, or another order."""
    codes = codes[:, 0] if codes.shape[1] == 1 else codes
    if np.prod(codes.shape[1:]) != np.prod(shape):
        return None
    if codes.ndim == 4 and len(shape) == 2:  # heads apart
        heads, last = codes.shape[1], codes.shape[2:]
        turned = (0, 2, 1, 3) if last[0] == shape[0] else (0, 3, 1, 2)
        codes = codes.transpose(turned) if heads * min(last) <= np.prod(shape) else codes
    return codes.reshape(len(codes), *shape)


def compared(path: Path, quantized: Quantized, graph: Any, images: np.ndarray) -> dict[str, Any]:
    """Per tensor: the share of equal integers and the largest difference; and the classes of both."""
    held = given(graph, quantized.reference, kinds(quantized.reference)).quantizers
    codes, outputs = theirs(path, [item.name for item in held.values()], images)
    ours = evaluate(quantized.graph, quantize_images(images, quantized.graph.input_type))
    laid = {name: laid_out(codes[item.name], np.shape(ours[name])[1:]) for name, item in held.items()}
    known = {name: np.asarray(value, np.int64) for name, value in laid.items() if value is not None}
    tensors = {}
    for name, other in known.items():
        for label, own in _both(quantized.graph, name, ours, known).items():
            gap = np.abs(own - other)
            tensors[label] = {"equal": float((gap == 0).mean()), "within 1": float((gap <= 1).mean()),
                             "largest": int(gap.max())}  # fmt: skip
    logits = np.asarray(ours[quantized.graph.output]).reshape(len(images), -1)
    real = logits * (quantized.graph.type_of(quantized.graph.output).scale or 1.0)
    signal = outputs - outputs.mean(0)
    error = real - outputs
    decibels = 10 * np.log10((signal**2).sum() / (error**2).sum())
    return {
        "tensors": tensors,
        "same class": float((logits.argmax(1) == outputs.argmax(1)).mean()),
        "classes": (logits.argmax(1), outputs.argmax(1)),
        "dB": float(decibels),
    }


WAYS = {
    "all tensors, gamma in the norms": (False, False),
    "all tensors, gamma in the weights": (True, False),
    "products, gamma in the norms": (False, True),
    "products, gamma in the weights": (True, True),
}
"""Whether gamma goes into the weights before quantization, and whether products alone have quantizers."""


def _both(
    graph: Graph, name: str, ours: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Our integers of a tensor, and those that its step makes of onnxruntime's where these are known."""
    found = {name: np.asarray(ours[name])}
    node = next((item for item in graph if item.name == name), None)
    if node is not None and all(source in known for source in node.inputs):
        found[f"{name}, step alone"] = node.op.golden(*(known[source] for source in node.inputs))
    return found


def main() -> None:
    """Measure each way of quantizing and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imported", description=__doc__)
    parser.add_argument("--images", type=int, default=397, help="held-out images to compare")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    results = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            results[way] = _measured(way, Path(folder), options.images)
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for way, found in results.items():
        print(f"{way}: {found['weights']}")
        for name, item in found["tensors"].items():
            print(f"  {name:40} equal {100 * item['equal']:6.2f} %  within 1 {100 * item['within 1']:6.2f} %"
                  f"  largest difference {item['largest']}")  # fmt: skip
        same = f"{100 * found['same class']:.1f} %"
        print(f"  same class as onnxruntime {same}, output {found['dB']:.1f} dB centred")
        print(f"  top-1: {found['top-1']}")


def _measured(way: str, folder: Path, count: int) -> dict[str, Any]:
    model = resolve(SHIPPED["digits"].factory)().eval()
    moved, products = WAYS[way]
    if moved:
        without_gamma(model)
    calibration, data = load_data("digits").images, load_data("digits", heldout=True)
    assert data.labels is not None
    images, labels = np.asarray(data.images[:count], np.float32), np.asarray(data.labels[:count])
    path = quantized_file(model, np.asarray(calibration[:256], np.float32), folder, products)
    graph = capture(load_model(str(path)).model)
    quantized = quantize(graph, calibration)
    found = compared(path, quantized, graph, images)
    ours, other = found.pop("classes")
    with torch.no_grad():
        real = model(torch.from_numpy(images)).numpy().argmax(1)
    shares = {"hlsgen": ours, "onnxruntime": other, "float": real}
    found["top-1"] = {name: round(float((each == labels).mean()), 4) for name, each in shares.items()}
    report = quantized.report.imported
    assert report is not None
    kept, channels = (sum(getattr(item, key) for item in report.weights) for key in ("theirs", "channels"))
    found["weights"] = f"{kept} of {channels} channels with the file's integers, {len(report.theirs)} scales"
    return found


if __name__ == "__main__":
    main()
