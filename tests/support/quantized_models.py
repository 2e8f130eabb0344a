# SPDX-License-Identifier: Apache-2.0
"""A small transformer with quantizers in it, and its files in each format that is imported."""

from __future__ import annotations

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

TOKENS, WIDTH, HEADS, HIDDEN, CLASSES = 6, 16, 2, 32, 4
SHAPE = (1, TOKENS, 12)
SCALES = {
    "image": 0.03, "normed": 0.025, "qkv": 0.028, "context": 0.02, "again": 0.024, "hidden": 0.029,
    "active": 0.0285, "last": 0.0236,
}  # fmt: skip
"""Each quantizer's scale, by its tensor."""


def weight_of(rows: int, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    """int8 weights [rows, columns], of which every row has the integer 127, and a scale for each row."""
    random = np.random.default_rng(seed)
    integers = random.integers(-90, 91, (rows, columns))
    integers[:, 0] = 127
    scales = random.uniform(0.8, 1.2, rows) * 0.9 / (60 * np.sqrt(columns))
    return torch.from_numpy(integers.astype(np.int8)), torch.from_numpy(scales.astype(np.float32))


class Layer(nn.Module):
    """A linear layer of int8 weights; `spelling` is how they become reals."""

    weight: Tensor
    scale: Tensor
    zero: Tensor
    bias: Tensor

    def __init__(self, rows: int, columns: int, seed: int, spelling: str) -> None:
        super().__init__()
        importlib.import_module("torch.ao.quantization.fx._decomposed")  # it registers PT2E's operators
        integers, scale = weight_of(rows, columns, seed)
        self.spelling = spelling
        self.register_buffer("weight", integers if spelling == "pt2e" else integers * scale[:, None])
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.zeros(rows, dtype=torch.int32))
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("bias", torch.randn(rows, generator=generator) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        if self.spelling == "pt2e":
            ops = torch.ops.quantized_decomposed
            weight = ops.dequantize_per_channel(self.weight, self.scale, self.zero, 0, -127, 127, torch.int8)
        else:
            weight = torch.fake_quantize_per_channel_affine(self.weight, self.scale, self.zero, 0, -128, 127)
        return functional.linear(x, weight, self.bias)


class Small(nn.Module):
    """Attention and an MLP on rows, every 8-bit tensor quantized; norms without gamma unless asked."""

    def __init__(self, spelling: str = "fake", gamma: bool = False, changes: dict[str, Any] | None = None):
        super().__init__()
        self.spelling, self.changes = spelling, changes or {}
        self.codes: dict[str, np.ndarray] = {}
        """The integers of the last run, by quantizer."""
        self.embed = Layer(WIDTH, SHAPE[-1], 1, spelling)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH, elementwise_affine=gamma) for _ in range(3))
        if gamma:
            with torch.no_grad():
                self.norm1.weight.copy_(torch.linspace(0.5, 1.5, WIDTH))
        self.qkv = Layer(3 * WIDTH, WIDTH, 2, spelling)
        self.proj = Layer(WIDTH, WIDTH, 3, spelling)
        self.fc1, self.fc2 = Layer(HIDDEN, WIDTH, 4, spelling), Layer(WIDTH, HIDDEN, 5, spelling)
        self.head = Layer(CLASSES, WIDTH, 6, spelling)

    def quantized(self, name: str, x: Tensor) -> Tensor:
        """The tensor with its quantizer; `changes` may give scale, zero point and range."""
        scale, zero, low, high = self.changes.get(name, (SCALES[name], 0, -128, 127))
        if self.spelling == "pt2e":
            ops = torch.ops.quantized_decomposed
            codes = ops.quantize_per_tensor(x, scale, zero, low, high, torch.int8)
            return ops.dequantize_per_tensor(codes, scale, zero, low, high, torch.int8)
        result = torch.fake_quantize_per_tensor_affine(x, scale, zero, low, high)
        if not torch.compiler.is_exporting() and not torch.onnx.is_in_onnx_export():
            self.codes[name] = torch.round(result / scale + zero).long().numpy()
        return result

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(self.quantized("image", image)[:, 0])
        qkv = self.quantized("qkv", self.qkv(self.quantized("normed", self.norm1(x))))
        q, k, v = qkv.reshape(-1, TOKENS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5, -1)
        context = (weights @ v).transpose(1, 2).reshape(-1, TOKENS, WIDTH)
        x = x + self.proj(self.quantized("context", context))
        hidden = self.quantized("hidden", self.fc1(self.quantized("again", self.norm2(x))))
        x = x + self.fc2(self.quantized("active", functional.gelu(hidden)))
        return self.head(self.quantized("last", self.norm(x)).mean(1))


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Images float32 [count, ...]."""
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def qdq(path: Path, model: nn.Module | None = None) -> Path:
    """A file of QuantizeLinear and DequantizeLinear, as PyTorch's older exporter writes fake quantizers."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = (model or Small()).eval()
            torch.onnx.export(
                made, (torch.zeros(1, *SHAPE),), str(path), dynamo=False, opset_version=17, verbose=False
            )
    finally:
        logging.disable(logging.NOTSET)
    return path


def qonnx(path: Path, source: Path, operator: str = "Quant", **changes: Any) -> Path:
    """The file `source` with QONNX's operator in the place of each pair, as its specification has it."""
    model = onnx.load(str(source))
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    kept, count = [], 0
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "Clip"):
            continue
        if node.op_type != "DequantizeLinear":
            kept.append(node)
            continue
        first, narrow = makers[node.input[0]], 0
        if first.op_type == "Clip":
            first, narrow = makers[first.input[0]], 1
        scale = constants[node.input[1]]
        scale = scale[:, None] if scale.ndim else scale
        names = [f"quant{count}_{part}" for part in ("scale", "zero", "width")]
        for name, value in zip(names, (scale, np.float32(0), np.float32(8)), strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        options = {"signed": 1, "narrow": narrow, "rounding_mode": "ROUND"} | changes
        kept.append(
            helper.make_node(operator, [first.input[0], *names], [node.output[0]],
                             domain="qonnx.custom_op.general", **options)
        )  # fmt: skip
        count += 1
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    onnx.save(model, str(path))
    return path


def program(spelling: str, **options: Any) -> torch.export.ExportedProgram:
    """The model as torch.export has it: with fake quantizers, or as PT2E writes quantizers."""
    return torch.export.export(Small(spelling, **options).eval(), (torch.zeros(1, *SHAPE),))
