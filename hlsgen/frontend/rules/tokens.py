# SPDX-License-Identifier: Apache-2.0
"""From a value back to a term: which columns, which tokens, which constants; and the patch embedding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from hlsgen.frontend.read.places import identifier
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Unknown, Value
from hlsgen.ir import Source, TensorType
from hlsgen.ops import AddConstant, Linear, Patches, Scores

_LAYOUT = "the elements do not lie in token order here"


def matrix(value: Value) -> Value:
    """The value as [T, N]: every axis but the last is tokens."""
    return value.map(lambda x: x.reshape(-1, x.shape[-1]))


def settle(terms: Terms, value: Value, name: str = "") -> Term:
    """The term that equals `value` seen as [T, N]; `name` is for a new part of a split linear layer."""
    value = matrix(value)
    if isinstance(value.term.op, Unknown):
        return replace(value.term, type=TensorType(value.shape))
    if value.term.op is None:
        raise Refusal(
            "the image is used outside the patch embedding",
            why="pixels enter the machine as patches of one convolution (or one linear layer on patches)",
            fix="normalise images before the model; use a convolution with stride equal to its kernel",
        )
    if value.term.is_embedding:
        return embedding(terms, value)
    if isinstance(value.term.op, Scores) or len(value.term.shape) == 3:
        raise Refusal("attention scores are used outside softmax and the product with the values")
    term = _part(terms, value.term, value.ids.numpy(), name)
    return terms.shifted(terms.scaled(term, value.scale), value.offset)


def _part(terms: Terms, term: Term, ids: np.ndarray, name: str) -> Term:
    """The columns and the range of tokens that the ids [T, N] pick."""
    width = term.shape[-1]
    start = int(ids[0, 0]) // width
    columns = ids[0] - start * width
    expected = (start + np.arange(len(ids)))[:, None] * width + columns
    if columns.min() < 0 or columns.max() >= width or not np.array_equal(ids, expected):
        if ids.min() < 0:
            raise Refusal(
                "constants are joined to computed tokens",
                why="class and register tokens are part of the patch embedding, before the first block",
            )
        raise Refusal(
            _LAYOUT,
            why="each row must be one token, all rows a contiguous range of tokens with the same channels",
        )
    if not np.array_equal(columns, np.arange(width)):
        term = terms.columns(term, columns, name)
    return terms.rows(term, start, start + len(ids))


def embedding(terms: Terms, value: Value) -> Term:
    """patches -> linear -> add_constant for tokens [T, N]: constant prefix tokens, then all patches."""
    linear, ids = value.term, value.ids
    rows, width = ids.shape
    prefix = int((ids < 0).all(-1).sum())
    patches = linear.shape[0]
    whole = torch.arange(patches * linear.shape[1]).reshape(patches, -1)
    if rows != prefix + patches or width != linear.shape[1] or not torch.equal(ids[prefix:], whole):
        raise Refusal(
            "tokens must be constant tokens followed by all patches in raster order",
            why="the machine writes the patch embedding once, prefix tokens first",
            fix="concatenate class and register tokens in front of the patches, and select after the blocks",
        )
    offset = value.offset if value.offset is not None else torch.zeros(ids.shape, dtype=torch.float64)
    constant = offset.numpy()

    def build() -> Term:
        before = linear.inputs[0]
        cut = before.op
        if prefix and isinstance(cut, Patches):
            cut = Patches(patch=cut.patch, prefix=prefix)
            before = terms.cached(
                ("prefix", before, prefix), lambda: terms.make(cut, before.inputs, before.name, before.source)
            )
        scaled = terms.scaled(linear, value.scale)
        product = terms.cached(
            ("embedding", scaled, before),
            lambda: terms.make(_linear(scaled), (before,), linear.name, linear.source),
        )
        return terms.make(AddConstant(value=constant), (product,), "embedding", linear.source)

    return terms.cached(("tokens", linear, value.scale, prefix, constant.tobytes()), build)


def _linear(term: Term) -> Linear:
    if not isinstance(term.op, Linear):
        raise Refusal(_LAYOUT)
    return term.op


def patch_linear(
    terms: Terms, image: Term, patch: tuple[int, int], weight: np.ndarray, name: str, source: Source
) -> Term:
    """Patches -> linear without bias; weight [D, C*ph*pw]."""
    cut = terms.cached(
        ("patches", patch),
        lambda: terms.make(Patches(patch=patch), (image,), "patches", source),
    )
    op = Linear(weight=weight, bias=np.zeros(len(weight), weight.dtype))
    return terms.make(op, (cut,), identifier(name), source)


def match_patches(image: Term, ids: np.ndarray) -> tuple[tuple[int, int], np.ndarray] | None:
    """The patch size and the element order when ids [N, K] are an image's patches in raster order."""
    channels, height, width = image.shape
    count, elements = ids.shape
    whole = np.arange(channels * height * width).reshape(channels, height, width)
    for ph in range(1, height + 1):
        pw = elements // (channels * ph)
        if height % ph or pw == 0 or width % pw or channels * ph * pw != elements:
            continue
        if height // ph * (width // pw) != count:
            continue
        expected = Patches(patch=(ph, pw)).reference(whole)
        # A patch's elements (c, y, x) ascend, so each can be looked up.
        order = np.searchsorted(expected[0], ids[0]).clip(0, elements - 1)
        if np.array_equal(expected[:, order], ids):
            return (ph, pw), order
    return None
