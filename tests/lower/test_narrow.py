# SPDX-License-Identifier: Apache-2.0
"""Layers whose weights have 4 bits: what they need of a machine, and what their commands say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.token_graphs import integers, narrowed

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Product
from hlsgen.machine.run.interpreter import Interpreter

ARRAY = ArrayShape(rows=4, columns=4, depth=4, ring_bytes=256)


def _graphs() -> tuple[Graph, Graph, np.ndarray]:
    """The same layers with weights in -8..7, in 8 bits and in 4; and an image."""
    graph, image = integers("norms_by_head", 10, 18, 3)
    narrow = narrowed(graph)
    wide = dataclasses.replace(
        narrow,
        nodes=tuple(
            dataclasses.replace(node, op=dataclasses.replace(node.op, weight_bits=8))  # type: ignore[type-var]
            if hasattr(node.op, "weight_bits")
            else node
            for node in narrow.nodes
        ),
    )
    return wide, narrow, image


def test_weights_of_4_bits_take_half_the_words_and_make_the_same_results() -> None:
    wide, narrow, image = _graphs()
    plain, halved = lower(wide, ARRAY), lower(narrow, ARRAY)
    assert plain.program.parameters.narrow_weights == 0
    assert halved.program.parameters.narrow_weights == 1
    assert len(halved.image.weights) < 0.7 * len(plain.image.weights)
    assert halved.program.parameters.ring_words <= plain.program.parameters.ring_words
    pixels = halved.program.input.pack(image, ARRAY.columns)
    for made in (plain, halved):
        run = Interpreter(made.program.parameters, made.image.pack()).run(pixels)
        for name, value in zip(narrow.outputs, made.program.unpack_outputs(run.output), strict=True):
            np.testing.assert_array_equal(value, evaluate(narrow, image)[name])


def test_more_blocks_share_a_sweep() -> None:
    wide, narrow, _ = _graphs()
    array = dataclasses.replace(ARRAY, ring_bytes=1024)
    programs = [lower(graph, array).program for graph in (wide, narrow)]
    assert programs[0].parameters.ring_words == programs[1].parameters.ring_words
    sweeps = [sum(c.sweeps for c in p.commands if c.product is Product.WEIGHTS) for p in programs]
    assert sweeps[1] < sweeps[0]


def test_a_layer_of_one_step_keeps_8_bits() -> None:
    _, narrow, _ = _graphs()
    program = lower(narrow, dataclasses.replace(ARRAY, depth=32)).program
    weights = [command for command in program.commands if command.product is Product.WEIGHTS]
    assert {command.k_steps > 1 for command in weights} == {False, True}
    assert all(bool(command.narrow) == (command.k_steps > 1) for command in weights)


def test_a_weight_of_more_bits_is_refused() -> None:
    from hlsgen.errors import RangeOverflow

    graph, _ = integers("norms_by_head", 10, 18, 3)
    node = next(node for node in graph if hasattr(node.op, "weight_bits"))
    op = dataclasses.replace(node.op, weight_bits=4)  # type: ignore[type-var]
    with pytest.raises(RangeOverflow, match=r"linear: weights of 4 bits must be in -8\.\.7"):
        op.infer(graph.type_of(node.inputs[0]))
