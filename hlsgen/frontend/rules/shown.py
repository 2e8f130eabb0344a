# SPDX-License-Identifier: Apache-2.0
"""An output that is no row of tokens: the tokens that hold it, and the view that makes it of them.

The machine writes tokens. A feature map [1, C, H, W], tokens put behind one another in one row, or an image
whose patches are the tokens has the same elements in another order, which the host restores.
"""

from __future__ import annotations

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import lies, matrix
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Unknown, Value
from hlsgen.frontend.rules.tokens import operand, settle, source
from hlsgen.ir import View
from hlsgen.ops import Linear
from hlsgen.ops.kinds import FloatOp, Part

_ROUNDED = (Part.NORM, Part.ACTIVATION, Part.ATTENTION, Part.MEAN)
"""Results of 8 bits, which pass through a linear layer to the output anyway."""


def output(terms: Terms, value: Value, name: str) -> tuple[Term, View | None]:
    """The tokens of an output, and how the model orders them; None: token by token.

    Raises `Refusal` with what is wrong with it as tokens.
    """
    try:
        if not isinstance(value.term.op, Unknown | Join) and value.term.op is not None and _across(value):
            return _viewed(terms, source(terms, value), name)  # the host's order costs no command
    except Refusal:
        pass
    try:
        return _tokens(terms, value, name), None
    except Refusal as refusal:
        try:
            return _viewed(terms, source(terms, value), name)
        except Refusal:
            raise refusal from None


def _across(value: Value) -> bool:
    """Whether the elements are a layer's, and no rows of it."""
    return int(value.ids.min()) >= 0 and not lies(matrix(value).ids, value.term.shape[-1])


def _tokens(terms: Terms, value: Value, name: str) -> Term:
    """The tokens of an output; a factor or a constant that its layer can't hold is a linear layer's."""
    try:
        return settle(terms, value, name)
    except Refusal:
        if (op := value.term.op) is None or not isinstance(op, FloatOp) or op.part not in _ROUNDED:
            raise
        found = operand(terms, value)
        row = None if found.offset is None else found.offset[0]
        if row is not None and not bool((found.offset == row).all()):
            raise
        width = found.term.shape[-1]
        weight = np.eye(width)[slice(None) if found.columns is None else found.columns]
        weight = (weight.T * found.scale).T.astype(np.float32)
        bias = np.zeros(len(weight), np.float32) if row is None else row.numpy().astype(np.float32)
        return terms.make(Linear(weight=weight, bias=bias), (found.term,), name, found.term.source)


def _viewed(terms: Terms, value: Value, name: str) -> tuple[Term, View]:
    """The same elements, from whole tokens with those channels that any of them shows."""
    ids, width = value.ids, value.term.shape[-1]
    if int(ids.min()) < 0:
        raise Refusal("constants are joined to computed tokens")
    rows, first = ids // width, int(ids.min()) // width
    columns = torch.arange(width)
    if isinstance(value.term.op, Linear) and not value.term.is_embedding:
        columns = (ids % width).unique()
    whole = torch.arange(first, int(ids.max()) // width + 1)[:, None] * width + columns
    places = (rows - first) * len(columns) + torch.searchsorted(columns, (ids % width).contiguous())
    scale = value.scale
    if isinstance(scale, torch.Tensor):
        scale = _spread(scale, places, whole, 1.0)
    offset = None if value.offset is None else _spread(value.offset, places, whole, 0.0)
    term = _tokens(terms, Value(value.term, whole, scale, offset), name)
    return term, strided(places.numpy())


def _spread(part: torch.Tensor, places: torch.Tensor, whole: torch.Tensor, fill: float) -> torch.Tensor:
    """Factors or constants of the elements at `places` as those of whole tokens, which must be the same."""
    known = torch.zeros(whole.numel(), dtype=torch.bool)
    known[places] = True
    found = torch.full((whole.numel(),), fill, dtype=torch.float64)
    found[places] = part.double()
    if not torch.equal(found[places], part.double()):
        raise Refusal("one element is an output twice, with different factors or constants")
    known, found = known.reshape(whole.shape), found.reshape(whole.shape)
    first = known.int().argmax(0)  # what no element shows may have any constant: that of its channel
    return torch.where(known, found, found[first, torch.arange(whole.shape[1])])


def strided(numbers: np.ndarray) -> View:
    """The view that has these numbers [...] of a tensor's elements; a leading axis of one is left out."""
    shape = numbers.shape[1:] if len(numbers.shape) > 1 and numbers.shape[0] == 1 else numbers.shape
    rest, sizes, strides = numbers.reshape(-1), [], []
    while len(rest) > 1:
        size = next((size for size in _divisors(len(rest)) if _even(rest.reshape(-1, size))), 1)
        if size == 1:
            raise Refusal("an output's elements lie in no order that axes describe")
        sizes.append(size)
        strides.append(int(rest[1] - rest[0]))
        rest = rest[::size]
    return View(tuple(shape), tuple(sizes[::-1]), tuple(strides[::-1]), int(rest[0]))


def _divisors(count: int) -> list[int]:
    """Those above 1, the largest first."""
    small = [size for size in range(1, int(count**0.5) + 1) if count % size == 0]
    return sorted({*small, *(count // size for size in small)} - {1}, reverse=True)


def _even(rows: np.ndarray) -> bool:
    """Whether all rows have one step between their elements."""
    steps = np.diff(rows, axis=1)
    return bool((steps == steps[0, 0]).all())
