# SPDX-License-Identifier: Apache-2.0
"""Rows out of elements in any order: which rows and columns of a term they are, perhaps of its transpose.

Rows in another order than the term's, left out, repeated, or side by side are a `Gather` of it. Where rows
have factors of their own, they are a product with a matrix of them.

Ids that lie across a term (channels as tokens, heads apart) are those of one or two `Transpose` ops of it.
Each way is tried on the ids themselves, so that an order which no transpose makes is never taken for one.
"""

from __future__ import annotations

import numpy as np
import torch

from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Value
from hlsgen.ops import Constant, Gather, Linear, Matmul, Transpose
from hlsgen.ops.gather import after
from hlsgen.ops.kinds import FloatOp
from hlsgen.ops.norm import Norm
from hlsgen.ops.transpose import moved

LAYOUT = "the elements do not lie in token order here"


def matrix(value: Value) -> Value:
    """The value as [T, N]: every axis but the last is tokens."""
    return value.map(lambda x: x.reshape(-1, x.shape[-1]))


def lies(ids: torch.Tensor, width: int) -> bool:
    """Whether each row of ids [T, N] is one row of a term of that width, the next one's the next."""
    if not ids.numel() or int(ids.min()) < 0:
        return False
    start = ids[0, 0] // width * width
    columns = ids[0] - start
    steps = torch.arange(len(ids), dtype=ids.dtype)[:, None] * width
    return bool((columns >= 0).all() & (columns < width).all()) and torch.equal(ids, ids[0] + steps)


def split(value: Value) -> tuple[range, np.ndarray | None]:
    """The tokens and the columns, None for all in order, that the ids [T, N] pick."""
    ids, width = value.ids, value.term.shape[-1]
    if not lies(ids, width):
        if int(ids.min()) < 0:
            raise Refusal(
                "constants are joined to computed tokens",
                why="class and register tokens are part of the patch embedding, before the first block",
            )
        raise Refusal(
            LAYOUT,
            why="each row must be one token, all rows a contiguous range of tokens with the same channels",
        )
    start = int(ids[0, 0]) // width
    columns = (ids[0] - start * width).numpy()
    whole = np.array_equal(columns, np.arange(width))
    return range(start, start + len(ids)), None if whole else columns


def turned(terms: Terms, value: Value) -> Value:
    """The value [T, N], of the term's transpose where its ids lie across the term; else as it is."""
    if lies(value.ids, value.term.shape[-1]) or len(value.term.shape) != 2 or int(value.ids.min()) < 0:
        return value
    value = narrowed(terms, value)
    for heads in _ways(value):
        ids, shape = value.ids, value.term.shape
        for count in heads:
            ids, shape = moved(ids, shape, count)
        if lies(ids, shape[-1]):
            break
    else:
        return value
    if isinstance(value.scale, torch.Tensor) or value.offset is not None:
        value = _settled_constants(terms, value)
    term = value.term
    for count in heads:
        term = transposed(terms, term, count)
    return Value(term, ids, value.scale, value.offset)


def transposed(terms: Terms, term: Term, heads: int) -> Term:
    """The transpose per head; that of a transpose with one head is what was transposed."""
    if heads == 1 and isinstance(term.op, Transpose) and term.op.heads == 1:
        return term.inputs[0]
    op = Transpose(heads=heads)
    return terms.cached(
        ("transposed", term, heads), lambda: terms.make(op, (term,), f"{term.name}_transposed", term.source)
    )


def reordered(terms: Terms, value: Value) -> Value:
    """The value [T, N], of the term's rows in its order; else as it is."""
    value = weighed(terms, value)
    zeros = bool(value.ids.numel()) and int(value.ids.min()) < 0
    if not value.ids.numel() or (zeros and value.offset is not None) or len(value.term.shape) != 2:
        return value
    # Rows of one element are the channels of one token: a layer has their factors.
    weighs = weighs_rows(value) and value.ids.shape[1] > 1
    if (lies(value.ids, value.term.shape[-1]) and not weighs) or whole_rows(value) is None:
        return value
    value = value if zeros else narrowed(terms, value)
    width, found = value.term.shape[-1], whole_rows(value)
    if found is None:
        return value
    tokens, columns = found
    if weighs:
        put = terms.product(placing(tokens, value.term.shape[0]), value.term)
    else:
        put = ordered(terms, value.term, tokens[:, None].numpy())
    ids = torch.arange(len(tokens))[:, None] * width + columns
    return Value(put, ids, value.scale, value.offset)


def ordered(terms: Terms, term: Term, places: np.ndarray) -> Term:
    """Tokens at `places` [T, P] side by side, zeros for -1; taken before layers that work token by token.

    Not where that makes more tokens of them, or where a layer would make something of zeros. Nor before a
    norm, whose result may be stored: lowering does that where a layer alone reads it.
    """
    op = term.op
    whole = places.shape[1] == 1 and places.min() >= 0 and len(places) <= term.shape[0]
    whole &= not isinstance(op, Norm)

    def build() -> Term:
        if whole and isinstance(op, FloatOp) and op.by_token and not term.is_embedding:
            return terms.make(op, (ordered(terms, term.inputs[0], places),), term.name, term.source)
        if isinstance(op, Gather):
            return ordered(terms, term.inputs[0], after(op.places, places))
        return terms.make(Gather(places=places), (term,), f"{term.name}_ordered", term.source)

    return terms.cached(("ordered", term, places.shape, places.tobytes()), build)


def weighs_rows(value: Value) -> bool:
    """Whether rows have factors of their own: those are part of a product's matrix."""
    if not isinstance(value.scale, torch.Tensor):
        return False
    used = value.scale[(value.ids >= 0).all(1)]
    return not bool((used == used[:1]).all())


def merged(terms: Terms, value: Value) -> Value:
    """The value [T, P*N], of P tokens side by side in each row; else as it is."""
    term, ids = value.term, value.ids
    width = term.shape[-1]
    if len(term.shape) != 2 or not ids.numel() or ids.shape[1] <= width or ids.shape[1] % width:
        return value
    pieces = ids.reshape(len(ids), -1, width)
    places = torch.where(pieces[..., 0] < 0, -1, pieces[..., 0] // width)
    whole = places[..., None] * width + torch.arange(width)
    if not torch.equal(pieces, torch.where(places[..., None] < 0, -1, whole)) or not bool(
        (places >= 0).any()
    ):
        return value
    put = ordered(terms, term, places.numpy())
    return Value(put, torch.arange(ids.numel()).reshape(ids.shape), value.scale, value.offset)


def weighed(terms: Terms, value: Value) -> Value:
    """The value [T, N] with its factor of each row in the matrix that makes the rows; else as it is."""
    term, scale = value.term, value.scale
    if not isinstance(scale, torch.Tensor) or not isinstance(term.op, Matmul) or term.op.transposed:
        return value
    left = term.inputs[0].op
    if not isinstance(left, Constant) or term.op.heads != 1 or not lies(value.ids, term.shape[-1]):
        return value
    if len(value.ids) != len(left.value) or not bool((scale == scale[:, :1]).all()):
        return value
    factors = scale[:, :1].numpy() * term.op.scale
    made = terms.product(Constant(value=left.value * factors), term.inputs[1])
    return Value(made, value.ids, 1.0, value.offset)


def whole_rows(value: Value) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The token of each row [T, N], -1 for constants, and the columns of all; None: rows are no tokens'."""
    ids, width = value.ids, value.term.shape[-1]
    constant = (ids < 0).all(1)
    rows = ids[~constant]
    if not len(rows) or not rows.numel() or int(rows.min()) < 0:
        return None
    tokens = torch.where(constant, -1, ids[:, 0] // width)
    columns = rows[0] % width
    if not torch.equal(rows, tokens[~constant][:, None] * width + columns):
        return None
    return tokens, columns


def placing(tokens: torch.Tensor, count: int) -> Constant:
    """The matrix [T, count] that takes each row's token, and none where it is -1."""
    matrix_ = np.zeros((len(tokens), count))
    used = (tokens >= 0).numpy()
    matrix_[used, tokens.numpy()[used]] = 1.0
    return Constant(value=matrix_)


def _ways(value: Value) -> list[tuple[int, ...]]:
    """The heads of the transposes, one behind another, that may put the ids into rows."""
    rows, (tokens, width) = len(value.ids), value.term.shape
    found = []
    if width % rows == 0:
        found.append((width // rows,))
    if tokens % rows == 0:
        found.append((1, tokens // rows))
    if rows % tokens == 0 and width % (rows // tokens) == 0:
        found.append((rows // tokens, 1))
    return found


def narrowed(terms: Terms, value: Value) -> Value:
    """The value, of a term that has its rows and, where a linear layer makes it, its columns only."""
    width = value.term.shape[-1]
    rows, columns = (value.ids // width).unique(), (value.ids % width).unique()
    first, last = int(rows[0]), int(rows[-1]) + 1
    term, ids = terms.rows(value.term, first, last), value.ids - first * width
    if len(columns) < width:
        try:
            term = terms.columns(term, columns.numpy(), "")
        except Refusal:
            return Value(term, ids, value.scale, value.offset)
        ids = ids // width * len(columns) + torch.searchsorted(columns, (ids % width).contiguous())
    return Value(term, ids, value.scale, value.offset)


def _settled_constants(terms: Terms, value: Value) -> Value:
    """The value with its constants in the layer that makes it, or else in a layer that does nothing else.

    As it is where they differ from token to token: then a reader of the transpose may take them.
    """
    try:
        return absorbed(terms, value)
    except Refusal:
        try:
            scale, offset = _by_channels(value)
        except Refusal:
            return value
    op = Linear(weight=np.diag(scale), bias=offset)
    key = ("affine", value.term, scale.tobytes(), offset.tobytes())
    term, name = value.term, f"{value.term.name}_affine"
    return Value(terms.cached(key, lambda: terms.make(op, (term,), name, term.source)), value.ids)


def owners(value: Value) -> torch.Tensor:
    """Which of the joined terms each element is of; -1 for constants."""
    ends = torch.tensor([term.size for term in value.term.inputs]).cumsum(0)
    return torch.where(value.ids < 0, -1, torch.bucketize(value.ids.contiguous(), ends, right=True))


def of_input(value: Value, index: int) -> Value:
    """Elements of one joined term, as a value of that term."""
    inputs = value.term.inputs
    first = sum(term.size for term in inputs[:index])
    ids = torch.where(value.ids < 0, -1, value.ids - first)
    return Value(inputs[index], ids, value.scale, value.offset)


def absorbed(terms: Terms, value: Value) -> Value:
    """The value with its factor and its offset for each channel in what makes it."""
    if isinstance(value.term.op, Join):
        return _absorbed_by_each(terms, value)
    scale, offset = _by_channels(value)
    term = terms.multiplied(value.term, scale)
    return Value(terms.shifted(term, torch.from_numpy(offset)[None] if offset.any() else None), value.ids)


def _absorbed_by_each(terms: Terms, value: Value) -> Value:
    """The same of joined layers."""
    owner, layers = owners(value), list(value.term.inputs)
    scale = torch.as_tensor(value.scale, dtype=torch.float64).expand(value.shape)
    flat = Value(value.term, value.ids, scale, value.offset)
    for index in (number for number in owner.unique().tolist() if number >= 0):
        mine = flat.map(lambda part, inside=owner == index: part[inside])
        layers[index] = absorbed(terms, of_input(mine, index)).term
    rest = torch.zeros(()) if value.offset is None else value.offset * (owner < 0)
    whole = terms.join(tuple(layers), value.term.source)
    return Value(whole, value.ids, 1.0, rest if bool(rest.any()) else None)


def _by_channels(value: Value) -> tuple[np.ndarray, np.ndarray]:
    """The factor and the offset of each channel of the value's term."""
    width = value.term.shape[-1]
    columns = value.ids % width
    scale = torch.as_tensor(value.scale, dtype=torch.float64)
    offset = torch.zeros((), dtype=torch.float64) if value.offset is None else value.offset
    return (
        _by_channel(columns, scale, 1.0, width).numpy(),
        _by_channel(columns, offset, 0.0, width).numpy(),
    )


def _by_channel(columns: torch.Tensor, wanted: torch.Tensor, default: float, width: int) -> torch.Tensor:
    """A constant [width] such that each element has the wanted one of its column."""
    found = torch.full((width,), default, dtype=torch.float64)
    wanted = wanted.expand(columns.shape)
    found[columns] = wanted
    if not torch.equal(found[columns], wanted):
        raise Refusal(
            "a constant under a function must be the same for every token",
            why="it becomes part of the weights of the layer before",
        )
    return found


def picked(terms: Terms, term: Term, columns: np.ndarray, factors: np.ndarray | None, name: str) -> Term:
    """Columns of a term in any order and number, times a factor each; a linear layer where none can take it.

    The layer's weights are zeros and the factors: it moves values, and costs one product.
    """
    plain = factors is None or bool((factors == 1).all())
    if plain and np.array_equal(columns, np.arange(term.shape[-1])):
        return term
    try:
        part = terms.columns(term, columns, name)
        return part if plain or factors is None else terms.multiplied(part, factors)
    except Refusal:
        weight = np.zeros((len(columns), term.shape[-1]))
        weight[np.arange(len(columns)), columns] = 1.0 if factors is None else factors
        op = Linear(weight=weight, bias=np.zeros(len(columns)))
        key = ("picked", term, columns.tobytes(), weight.tobytes())
        return terms.cached(key, lambda: terms.make(op, (term,), name or f"{term.name}_picked", term.source))
