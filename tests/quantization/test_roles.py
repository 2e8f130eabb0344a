# SPDX-License-Identifier: Apache-2.0
"""What has no integer form is refused: all problems at once, each with its place and reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from quantization.graphs import Vit, images, random_vit, without

from hlsgen.errors import UnsupportedModel, UsageError
from hlsgen.ir import GraphBuilder, Op, Source, TensorType
from hlsgen.ops import (
    Add,
    AddConstant,
    Context,
    LayerNorm,
    Linear,
    Patches,
    Scores,
    Softmax,
)
from hlsgen.quantization import quantize
from hlsgen.quantization.fold import fold
from hlsgen.quantization.roles import kinds


class Strange(Op):
    """An op that the quantizer has never heard of."""

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0]


def _start(place: Source | None = None) -> tuple[GraphBuilder, str]:
    builder = GraphBuilder("image", TensorType((1, 4, 4)))
    patches = builder.add("patches", Patches(patch=(2, 2)), ["image"])
    embed = builder.add("embed", _linear(8, 4), [patches], place)
    return builder, builder.add("embedding", AddConstant(value=np.ones((4, 8))), [embed], place)


def _linear(size: int, width: int) -> Linear:
    return Linear(weight=np.ones((size, width)), bias=np.zeros(size))


def _norm() -> LayerNorm:
    return LayerNorm(gamma=np.ones(8), beta=np.zeros(8), eps=1e-5)


def _strange(b: GraphBuilder, x: str) -> str:
    y = b.add("what", Strange(), [b.add("y", _linear(8, 8), [b.add("norm", _norm(), [x])])])
    return b.add("head", _linear(3, 8), [y])


def _image_as_rows(b: GraphBuilder, x: str) -> str:
    del x
    return b.add("head", _linear(3, 4), ["image"])


def _negative_scale(b: GraphBuilder, x: str) -> str:
    y = b.add("norm", _norm(), [x])
    q, k, v = (b.add(name, _linear(8, 8), [y]) for name in "qkv")
    p = b.add("softmax", Softmax(), [b.add("scores", Scores(heads=2, scale=-1.0), [q, k])])
    return b.add("head", _linear(3, 8), [b.add("context", Context(), [p, v])])


_HERE = "can't be quantized here"


@pytest.mark.parametrize(
    ("build", "what", "why"),
    [
        (_strange, f"what: Strange {_HERE}", "Strange has no integer form"),
        (_image_as_rows, "image: the image can only be read as patches, not by %head (Linear)", ""),
        (
            _negative_scale,
            f"scores: Scores {_HERE}",
            "the attention scale must be positive and finite, not -1",
        ),
    ],
)
def test_what_has_no_integer_form_is_refused(
    build: Callable[[GraphBuilder, str], str], what: str, why: str
) -> None:
    builder, x = _start()
    graph = builder.finish(build(builder, x))
    with pytest.raises(UnsupportedModel) as caught:
        quantize(graph, np.zeros((4, 1, 4, 4)))
    assert (caught.value.problems[0].what, caught.value.problems[0].why) == (what, why)


def test_several_heads_share_the_scale_of_their_sum() -> None:
    shape = Vit(prefix=3, ends=3, blocks=1)
    quantized = quantize(random_vit(shape), images(shape, 32))
    graph, parts = quantized.graph, ("head0", "head1", "logits1", "head2", "logits2")
    assert graph.output == "logits2"
    assert len({graph.type_of(name).scale for name in parts}) == 1
    assert {graph.type_of(name).integer_range for name in parts} == {(-32768, 32767)}
    rows = [quantized.report.tensor(name) for name in parts]
    largest = max(max(row.high, -row.low) for row in rows)
    assert rows[-1].scale == pytest.approx(2.0 * largest / 32767)
    assert rows[-1].sqnr_db > 25
    assert not any(row.saturated for row in rows)


def test_the_message_names_place_and_remedy() -> None:
    builder, x = _start()
    y = builder.add("what", Strange(), [x], Source("m.what", "m.py:3"))
    graph = builder.finish(builder.add("head", _linear(3, 8), [y]))
    with pytest.raises(UnsupportedModel) as caught:
        quantize(graph, np.zeros((4, 1, 4, 4)))
    assert str(caught.value) == (
        "what: Strange can't be quantized here\n"
        "  where: m.what at m.py:3\n"
        "  why: Strange has no integer form\n"
        "  fix: use the operators that `hlsgen ops` lists"
    )


def test_all_problems_come_at_once() -> None:
    builder, x = _start()
    y = builder.add("y", _linear(8, 8), [x], Source("m.y", "m.py:10"))
    z = builder.add("z", Strange(), [y], Source("m.z", "m.py:11"))
    q, k, v = (builder.add(name, _linear(8, 8), [x]) for name in "qkv")
    scores = builder.add("scores", Scores(heads=2, scale=-1.0), [q, k], Source("m.attn", "m.py:12"))
    context = builder.add("context", Context(), [builder.add("softmax", Softmax(), [scores]), v])
    with pytest.raises(UnsupportedModel) as caught:
        kinds(fold(builder.finish(builder.add("sum", Add(), [z, context]))))
    places = {(p.what.split(":")[0], p.where) for p in caught.value.problems}
    assert places == {("z", "m.z at m.py:11"), ("scores", "m.attn at m.py:12")}


def test_an_integer_graph_is_refused() -> None:
    shape = Vit(blocks=1)
    graph = quantize(random_vit(shape), images(shape, 32)).graph
    with pytest.raises(UsageError, match="graph must be a float graph, not one that is quantized already"):
        quantize(graph, images(shape, 32))


def test_a_cut_graph_ends_where_it_is_told() -> None:
    graph = quantize(without(random_vit(Vit(blocks=1)), "blocks_0_add1"), images(Vit(), 4)).graph
    assert graph.output == "blocks_0_add1"
    assert graph.type_of(graph.output).integer_range == (-32768, 32767)
