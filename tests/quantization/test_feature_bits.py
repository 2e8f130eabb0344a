# SPDX-License-Identifier: Apache-2.0
"""int8 tensors of fewer bits: their scales and limits, by name, on the machine as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit
from support.lowered import interpreted

from hlsgen.errors import UsageError
from hlsgen.ir import evaluate
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import IntegerContext, IntegerTable, Patches
from hlsgen.ops.norm import IntegerNorm
from hlsgen.quantization import QuantizeConfig, Quantized, quantize

MODEL = Vit(blocks=1)
INT8 = {(-128, 127), (-127, 127)}
pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


def _quantized(model: Vit = MODEL, **options: Any) -> Quantized:
    return quantize(random_vit(model), images(model, 48), QuantizeConfig(activations="min-max", **options))


@pytest.mark.parametrize("bits", [4, 6, 7])
def test_every_feature_has_so_many_bits(bits: int) -> None:
    full, few = _quantized(), _quantized(feature_bits=bits)
    most = (1 << (bits - 1)) - 1
    values = evaluate(few.graph, few.quantize_input(images(MODEL, 48)))
    for before, node in zip(full.graph, few.graph, strict=True):
        index = any(isinstance(user.op, IntegerTable) for user in few.graph.users(node.name))
        if index or before.type.integer_range not in INT8 or isinstance(node.op, Patches):
            assert node.type.integer_range == before.type.integer_range
            continue
        assert node.type.scale == pytest.approx((before.type.scale or 0) * 127 / most, rel=0.05)
        low, high = node.type.integer_range
        if isinstance(node.op, IntegerNorm | IntegerContext):
            low, high = -np.abs(values[node.name]).max() + 2, most
        elif isinstance(node.op, IntegerTable):
            low, high = node.op.table.min(), most
        assert -most - 1 <= low < high == most


def test_globs_say_which() -> None:
    few = _quantized(feature_bits={"blocks_0_act": 6, "*_attn_v": 5}).graph
    ranges = {node.name: node.type.integer_range for node in few}
    table = few.node("blocks_0_act").op
    assert isinstance(table, IntegerTable)
    assert -32 <= table.table.min() < table.table.max() == 31
    assert ranges["blocks_0_attn_v"] == (-16, 15)
    assert ranges["blocks_0_attn_q"] == (-128, 127)


@pytest.mark.parametrize("pool", ["mean", "norm_mean"])
def test_the_machine_needs_nothing_for_it(pool: str) -> None:
    model = Vit(pool=pool)
    made = _quantized(model, feature_bits=6, weight_bits=6)
    image = made.quantize_input(images(model, 1))[0].astype(np.int64)
    array = ArrayShape(rows=4, columns=4, depth=4)
    found = interpreted(made.graph, image, array).program.parameters
    plain = interpreted(_quantized(model).graph, image, array).program.parameters
    assert (found.rows, found.activation_bits, found.narrow_weights) == (plain.rows, plain.activation_bits, 0)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (3, r"feature_bits must be in 4\.\.8, not 3"),
        (9, r"feature_bits must be in 4\.\.8, not 9"),
        ({"a": 6.0}, r"feature_bits\['a'\] must be in 4\.\.8, not 6.0"),
        ({"image": 6}, "feature_bits must match the name of an int8 tensor but the image, not 'image'"),
    ],
)
def test_refusals(bits: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        _quantized(feature_bits=bits)
