# SPDX-License-Identifier: Apache-2.0
"""Quantization end to end: every pooling, the bars on the digits, hostile weights, the configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from quantization.graphs import Builder, Vit, digits_vit, images, random_vit

from hlsgen.errors import UsageError
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import IntegerContext, IntegerLayerNorm, IntegerLinear, IntegerScores, IntegerTable
from hlsgen.quantization import QuantizeConfig, Quantized, quantize
from hlsgen.store.graph_file import digest

AWKWARD = Vit(
    image=(2, 9, 6),
    patch=(3, 2),
    prefix=0,
    width=15,
    heads=3,
    hidden=22,
    classes=7,
    pool="mean_norm",
    function="gelu_tanh",
)
SHAPES = {
    "token": Vit(),
    "mean_norm": Vit(pool="mean_norm", prefix=0),
    "norm_mean": Vit(pool="norm_mean"),
    "mean": Vit(pool="mean", function="relu"),
    "token_plain": Vit(pool="token_plain"),
    "awkward": AWKWARD,
    "tiny": Vit(image=(1, 2, 2), prefix=0, width=4, heads=1, blocks=1, hidden=3, classes=2),
    "no_blocks": Vit(blocks=0, pool="mean_norm"),
}


def _sqnr(reference: np.ndarray, value: np.ndarray) -> float:
    return 10 * math.log10((reference**2).sum() / ((value - reference) ** 2).sum())


def _compare(quantized: Quantized, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output in float and as the golden model has it, for images x."""
    output = quantized.graph.output
    golden = evaluate(quantized.graph, quantized.quantize_input(x))[output]
    return evaluate(quantized.reference, x)[output], quantized.dequantize(output, golden)


@pytest.mark.parametrize("name", SHAPES)
def test_other_images_come_out_close_to_float(name: str) -> None:
    shape = SHAPES[name]
    quantized = quantize(random_vit(shape), images(shape, 128))
    assert _sqnr(*_compare(quantized, images(shape, 64, seed=1))) > 26
    assert all(row.saturated == 0 for row in quantized.report.tensors if row.bits == 16)
    assert all(row.sqnr_db > 26 for row in quantized.report.tensors)


@pytest.mark.parametrize("name", SHAPES)
def test_every_quantized_graph_can_be_lowered(name: str) -> None:
    shape = SHAPES[name]
    quantized = quantize(random_vit(shape), images(shape, 32))
    lower(quantized.graph, ArrayShape(rows=4, columns=4, depth=8))


def test_digits_hold_the_bars_on_held_out_images() -> None:
    pytest.importorskip("sklearn")
    from hlsgen.examples.digits import data

    quantized = quantize(digits_vit(), data.calibration()[0])
    x, labels = data.heldout()
    reference, value = _compare(quantized, x)
    assert len(labels) >= 397
    correct = [float((a[:, 0].argmax(-1) == labels).mean()) for a in (reference, value)]
    assert correct[0] >= 0.98
    assert abs(correct[0] - correct[1]) <= 0.003
    assert _sqnr(reference, value) >= 33  # the bar is 30
    assert quantized.report.tensor("image").sqnr_db == math.inf  # pixels are multiples of 1/8
    assert quantized.report.warnings == ()


def test_the_same_input_gives_the_same_graph() -> None:
    shape = Vit()
    first, second = (quantize(random_vit(shape), images(shape, 64)) for _ in range(2))
    assert digest(first.graph) == digest(second.graph)
    assert first.report == second.report


def _hostile(graph: Graph) -> None:
    """What the machine's fields need of every op."""
    for node in graph.verify():
        if isinstance(node.op, IntegerLinear):
            assert np.abs(node.op.bias).max() < 1 << 30
            assert np.abs(node.op.weight).max() <= 127
            assert node.op.shift.min() >= 0
            assert node.op.shift.max() <= 46
            assert node.op.multiplier.min() >= 1 << 14
            assert node.op.multiplier.max() < 1 << 15
        elif isinstance(node.op, IntegerLayerNorm):
            assert 0 <= node.op.epsilon < 1 << 48
            assert 0 <= node.op.gain_shift <= 46
        elif isinstance(node.op, IntegerScores):
            assert 0 <= node.op.shift <= 46
        elif isinstance(node.op, IntegerContext):
            assert 0 <= node.op.shift <= 38


class _Changed(Builder):
    def __init__(self, shape: Vit, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
        super().__init__(shape, {})
        self.change = change

    def array(self, name: str, *size: int, spread: float = 1.0, middle: float = 0.0) -> np.ndarray:
        return self.change(name, super().array(name, *size, spread=spread, middle=middle))


def _times(part: str, factor: float) -> Callable[[str, np.ndarray], np.ndarray]:
    return lambda name, array: array * factor if part in name else array


def _rows_times(factor: float) -> Callable[[str, np.ndarray], np.ndarray]:
    def change(name: str, array: np.ndarray) -> np.ndarray:
        every_third = np.where(np.arange(len(array)) % 3 == 0, factor, 1.0)
        return array * every_third[:, None] if name.endswith("weight") and array.ndim == 2 else array

    return change


@pytest.mark.parametrize(
    ("factor", "pool"), [(0.0, "mean"), (1e-25, "mean_norm"), (1e-4, "token"), (1e6, "norm_mean")]
)
def test_hostile_scales_stay_within_the_fields(factor: float, pool: str) -> None:
    shape = Vit(blocks=1, pool=pool)
    changes = [_times(part, factor) for part in ("weight", "norm", "bias", "pos_embed", "proj", "qkv", "fc1")]
    for change in [*changes, _rows_times(factor)]:
        quantized = quantize(_Changed(shape, change).build(), images(shape, 8))
        _hostile(quantized.graph)
        assert all(row.saturated == 0 for row in quantized.report.tensors if row.bits == 16)


@pytest.mark.parametrize("factor", [0.0, 1e-25, 1e12])
def test_hostile_images_stay_within_the_fields(factor: float) -> None:
    for pool in ("token", "mean_norm"):
        shape = Vit(blocks=1, pool=pool)
        _hostile(quantize(random_vit(shape), images(shape, 8) * factor).graph)


def test_dead_channels_still_give_their_bias_exactly() -> None:
    shape = Vit(blocks=1)

    def kill(name: str, array: np.ndarray) -> np.ndarray:
        return array * (np.arange(len(array)) != 2)[:, None] if name == "head.weight" else array

    quantized = quantize(_Changed(shape, kill).build(), images(shape, 32))
    op = quantized.graph.node("head").op
    assert isinstance(op, IntegerLinear)
    assert not op.weight[2].any()
    reference, value = _compare(quantized, images(shape, 4))
    assert np.abs(value - reference)[..., 2].max() <= op.scale / 2


def test_a_poor_result_is_said_clearly() -> None:
    shape = Vit()
    graph = _Changed(shape, _times("qkv.weight", 40.0)).build()
    warnings = quantize(graph, images(shape, 64)).report.warnings
    (warning,) = (text for text in warnings if text.startswith("the output lies only "))
    assert warnings[-1].startswith("%head gives the float model's class in only 57 of 64 cases; try ")
    assert "the first tensor below 20 dB is %blocks_0_" in warning


@pytest.mark.parametrize("width", range(8, 13))
def test_logit_widths(width: int) -> None:
    shape = Vit(blocks=1)
    quantized = quantize(random_vit(shape), images(shape, 64), QuantizeConfig(logit_width=width))
    scores = quantized.report.tensor("blocks_0_scores")
    assert scores.bits == width
    assert scores.sqnr_db > 26
    wider = quantize(random_vit(shape), images(shape, 64), QuantizeConfig(logit_width=12)).report
    assert scores.scale == pytest.approx(wider.tensor("blocks_0_scores").scale * 2 ** (12 - width), rel=0.01)


@pytest.mark.parametrize("bits", [9, 12])
def test_wider_indices_of_activations(bits: int) -> None:
    """The index is as much finer, and so is what the table gives; other layers keep theirs."""
    shape = Vit()
    graph, x = random_vit(shape), images(shape, 64)
    plain = quantize(graph, x).report
    config = QuantizeConfig(activation_bits=bits, activation_overrides={"blocks_1_*": 8})
    made = quantize(graph, x, config)
    fc1, same = (made.report.tensor(f"blocks_{block}_mlp_fc1") for block in range(2))
    assert (fc1.bits, same.bits, same.scale) == (bits, 8, plain.tensor(same.name).scale)
    assert fc1.scale == pytest.approx(plain.tensor(fc1.name).scale * 2 ** (8 - bits), rel=0.3)
    assert fc1.sqnr_db > plain.tensor(fc1.name).sqnr_db + 0.4
    assert made.report.tensor("blocks_0_act").sqnr_db > plain.tensor("blocks_0_act").sqnr_db + 0.2
    tables = [node.op.bits for node in made.graph if isinstance(node.op, IntegerTable)]
    assert tables == [bits, 8]


def test_wider_numerators() -> None:
    """Rows that are nearly even gain most: what they add up to is much more than their largest weight."""
    shape = Vit(image=(1, 24, 24), blocks=1)
    graph, x = random_vit(shape), images(shape, 32)
    plain, wide = (quantize(graph, x, QuantizeConfig(numerator_bits=bits)).report for bits in (8, 12))
    softmax = [report.tensor("blocks_0_softmax") for report in (plain, wide)]
    assert [row.bits for row in softmax] == [8, 12]
    assert softmax[1].sqnr_db > softmax[0].sqnr_db + 0.3


def test_fewer_residual_bits_and_more_headroom_widen_the_scale() -> None:
    shape = Vit(blocks=1)

    def scale(config: QuantizeConfig) -> float:
        return quantize(random_vit(shape), images(shape, 32), config).report.tensor("blocks_0_add2").scale

    base = scale(QuantizeConfig())
    assert scale(QuantizeConfig(residual_headroom=2.5)) == pytest.approx(2 * base)
    assert scale(QuantizeConfig(residual_bits=12)) == pytest.approx(base * 32767 / 2047)


def test_overrides_change_the_tensors_they_name() -> None:
    shape = Vit(blocks=1)
    graph, x = random_vit(shape), images(shape, 64)
    plain = quantize(graph, x).report
    config = QuantizeConfig(
        overrides={"*_attn_q": "min-max", "*_attn_*": "percentile:90", "*_scores": "percentile:99"},
        weight_overrides={"*fc1": "percentile:60"},
    )
    changed = quantize(graph, x, config)
    q = changed.report.tensor("blocks_0_attn_q")
    assert q.scale == max(-q.low, q.high) / 127
    assert changed.report.tensor("blocks_0_attn_k").scale < 0.7 * plain.tensor("blocks_0_attn_k").scale
    assert changed.report.tensor("blocks_0_scores").scale < plain.tensor("blocks_0_scores").scale
    fc1, proj = (changed.graph.node(n).op for n in ("blocks_0_mlp_fc1", "blocks_0_attn_proj"))
    assert isinstance(fc1, IntegerLinear)
    assert isinstance(proj, IntegerLinear)
    assert (np.abs(fc1.weight) == 127).mean() > 0.3
    assert (np.abs(proj.weight).max(1) == 127).all()
    assert (np.abs(proj.weight) == 127).sum() == len(proj.weight)


def test_overrides_that_match_nothing_are_refused() -> None:
    shape = Vit(blocks=0)
    config = QuantizeConfig(overrides={"embedding": "mse"}, weight_overrides={"blocks*": "mse"})
    config = replace(config, activation_overrides={"norm": 9})
    with pytest.raises(UsageError) as caught:
        quantize(random_vit(shape), images(shape, 4), config)
    assert str(caught.value) == (
        "overrides must match the name of an int8 tensor or of attention logits, not 'embedding'\n"
        "  why: the names are image, norm\n"
        "activation_overrides must match the name of what an activation reads, not 'norm'\n"
        "  why: the model has none\n"
        "weight_overrides must match the name of a linear layer, not 'blocks*'\n"
        "  why: the names are patch_embed, head"
    )


def test_images_are_quantized_to_nearest_and_saturated() -> None:
    shape = Vit(blocks=0)
    quantized = quantize(random_vit(shape), images(shape, 32), QuantizeConfig(image="min-max"))
    scale = quantized.graph.input_type.scale or 0
    image = np.zeros(shape.image)
    image[0, 0, :6] = np.array([0.49, 0.5, -0.5, 126.6, 500, -500]) * scale
    got = quantized.quantize_input(image)
    assert got.dtype == np.int8
    assert got[0, 0].tolist() == [0, 1, 0, 127, 127, -128, 0, 0]
    assert quantized.quantize_input(np.stack([image] * 3)).shape == (3, *shape.image)
    with pytest.raises(UsageError, match=r"images must have shape \[N, 1, 8, 8\], not \[8, 8\]"):
        quantized.quantize_input(image[0])
    with pytest.raises(UsageError, match="images must be finite real numbers"):
        quantized.quantize_input(image * np.nan)


def test_tensors_dequantize_by_name() -> None:
    shape = Vit(blocks=1)
    quantized = quantize(random_vit(shape), images(shape, 32))
    e = quantized.dequantize("blocks_0_softmax", np.array([[255, 0, 85], [0, 0, 0]]))
    np.testing.assert_array_equal(e, [[0.75, 0, 0.25], [0, 0, 0]])
    scale = quantized.report.tensor("head").scale
    np.testing.assert_array_equal(quantized.dequantize("head", [3, -2]), [3 * scale, -2 * scale])
    assert quantized.dequantize("image", 2) == 2 * quantized.report.tensor("image").scale
    with pytest.raises(UsageError, match=r"tensor must be one of image, patches, .*, not 'heads'"):
        quantized.dequantize("heads", 1)
