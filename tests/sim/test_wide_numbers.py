# SPDX-License-Identifier: Apache-2.0
"""Indices of tables and numerators of more than 8 bits: golden = C++ = RTL, stalled and not; the time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit
from support.executions import check_cpp, check_rtl

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape, joint
from hlsgen.ops import IntegerExp, IntegerTable
from hlsgen.quantization import QuantizeConfig, quantize

MODEL = Vit(image=(1, 6, 6), width=8, hidden=7, blocks=3, classes=3)
CONFIG = QuantizeConfig(numerator_bits=10, activation_bits=10, activation_overrides={"blocks_1_mlp_fc1": 8})
MANY_KEYS = Vit(image=(1, 10, 10), width=8, hidden=7, blocks=1, classes=3)
WIDTHS = range(8, 13)
STREAMED = ArrayShape(rows=4, columns=4, depth=4, row_width=2, bus_bytes=4, streamed=True, span=2)


@cache
def _model() -> tuple[Graph, np.ndarray]:
    """Tables of 10 bits, of 8, and of 10 again; an image."""
    quantized = quantize(random_vit(MODEL), images(MODEL, 32), CONFIG)
    graph = quantized.graph
    assert [node.op.bits for node in graph if isinstance(node.op, IntegerTable)] == [10, 8, 10]
    return graph, quantized.quantize_input(images(MODEL, 1))[0].astype(np.int64)


def _lowered(shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, bus_bytes=4)
    lowered = lower(_model()[0], array)
    p = lowered.program.parameters
    assert (p.activation_bits, p.numerator_digits) == (10, 2)
    assert sum(command.high_digits for command in lowered.program.commands) == MODEL.blocks
    return lowered


@pytest.mark.parametrize("shape", [(2, 4, 4, 1), pytest.param((4, 4, 2, 2), marks=pytest.mark.slow)], ids=str)
def test_rtl(shape: tuple[int, ...], tmp_path: Path) -> None:
    check_rtl(*_model(), _lowered(shape), tmp_path)


def test_cpp(cpp_folder: Path) -> None:
    check_cpp(*_model(), _lowered((2, 8, 2, 2)), cpp_folder)


@cache
def _diffused() -> list[tuple[Graph, np.ndarray]]:
    """A model whose numerators have each width, with an image that meets entries other than the nearest."""
    found = []
    for bits in WIDTHS:
        made = quantize(random_vit(MANY_KEYS), images(MANY_KEYS, 32), QuantizeConfig(numerator_bits=bits))
        image = made.quantize_input(images(MANY_KEYS, 1))[0].astype(np.int64)
        (node,) = (node for node in made.graph if isinstance(node.op, IntegerExp))
        scale = made.graph.type_of(node.inputs[0]).scale
        assert scale is not None
        exact = ((1 << bits) - 1) * np.exp(-scale * np.arange(1 << 10))
        values = evaluate(made.graph, image)
        logits = values[node.inputs[0]]
        nearest = np.floor(exact + 0.5)[logits.max(-1, keepdims=True) - logits]
        assert values[node.name].max() == (1 << bits) - 1
        assert (values[node.name] != nearest).any()
        found.append((made.graph, image))
    return found


def _streamed() -> Iterator[Lowered]:
    """The models of `_diffused` on one machine that reads keys and values from memory."""
    machine = joint([lower(graph, STREAMED).program.parameters for graph, _ in _diffused()])
    assert (machine.numerator_digits, machine.streamed) == (2, True)
    return (lower(graph, STREAMED, machine) for graph, _ in _diffused())


def test_every_width_of_numerators_is_diffused_and_streamed_in_rtl(tmp_path: Path) -> None:
    for model, lowered in zip(_diffused(), _streamed(), strict=True):
        check_rtl(*model, lowered, tmp_path, within=0.02)


def test_every_width_of_numerators_is_diffused_and_streamed_in_cpp(cpp_folder: Path) -> None:
    for model, lowered in zip(_diffused(), _streamed(), strict=True):
        check_cpp(*model, lowered, cpp_folder)
