# SPDX-License-Identifier: Apache-2.0
"""From a value back to a term: which columns, which tokens, which constants; and the patch embedding."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch

from hlsgen.frontend.rules.arrange import (
    LAYOUT,
    matrix,
    merged,
    of_input,
    ordered,
    owners,
    picked,
    reordered,
    split,
    transposed,
    turned,
    weighed,
    weighs_rows,
)
from hlsgen.frontend.rules.scores import Outer, as_product
from hlsgen.frontend.rules.terms import Join, Refusal, Term, Terms, Unknown, Value
from hlsgen.ir import TensorType
from hlsgen.ops import Add, AddConstant, Constant, Linear, Patches, Scores
from hlsgen.ops.kinds import FloatOp


def settle(terms: Terms, value: Value, name: str = "") -> Term:
    """The term that equals `value` seen as [T, N]; `name` is for a new part of a split linear layer."""
    value = silenced(matrix(value))
    try:
        return _settled(terms, value, name)
    except Refusal:
        if not (value.term.is_embedding and weighs_rows(value)):
            raise
    # Its weights hold no factors of rows: these are for a product behind it.
    whole = embedding(terms, terms.value(value.term))
    return _settled(terms, Value(whole, value.ids, value.scale, value.offset), name)


def _settled(terms: Terms, value: Value, name: str) -> Term:
    """The same of a matrix."""
    if (runs := apart(value)) is not None:
        return gathered(terms, value, runs)
    value = source(terms, value)
    if isinstance(value.term.op, Unknown):
        return replace(value.term, type=TensorType(value.shape))
    if value.term.is_embedding:
        return embedding(terms, value)
    value = weighed(terms, reordered(terms, turned(terms, merged(terms, value))))
    rows, columns = split(value)
    term = value.term
    if columns is not None:
        term = terms.columns(term, columns, name)
    term = terms.rows(term, rows.start, rows.stop)
    scale = by_column(value)
    term = terms.multiplied(term, scale) if isinstance(scale, np.ndarray) else terms.scaled(term, scale)
    return terms.shifted(term, value.offset)


MOST_KINDS = 4
"""Sets of factors of rows, at most: the rows of each are a layer of their own."""


@dataclass(frozen=True)
class Operand:
    """Tokens as `term[:, columns] * scale + offset`: what the producer holds, and what is left for a reader.

    `columns` is None for all in order; `scale` is a number or [N]; `offset` is [T, N] or None.
    """

    term: Term
    columns: np.ndarray | None = None
    scale: float | np.ndarray = 1.0
    offset: torch.Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is left for the reader."""
        one = not isinstance(self.scale, np.ndarray) and self.scale == 1.0
        return self.columns is None and one and self.offset is None

    @property
    def factor(self) -> float | None:
        """The scale where the columns are all and the scale is one number other than zero."""
        if self.columns is not None or isinstance(self.scale, np.ndarray):
            return None
        return self.scale or None


def operand(terms: Terms, value: Value, name: str = "") -> Operand:
    """The tokens, with all constants in the producer where it has a place for them."""
    try:
        return Operand(settle(terms, value, name))
    except Refusal:
        value = source(terms, silenced(matrix(value)))
        if value.term.is_embedding:
            raise
        value = weighed(terms, reordered(terms, turned(terms, merged(terms, value))))
        rows, columns = split(value)
        term = terms.rows(value.term, rows.start, rows.stop)
        return Operand(term, columns, by_column(value), value.offset)


def source(terms: Terms, value: Value) -> Value:
    """The value, of the only term that its elements come from."""
    op = value.term.op
    if isinstance(op, Join):
        found = [index for index in owners(value).unique().tolist() if index >= 0]
        if len(found) != 1:
            raise Refusal(
                "results of different layers are joined",
                why="a linear layer can read them, and adds up what each of them gives",
                fix="put a linear layer right behind the join, or add instead of concatenating",
                source=value.term.source,
            )
        return source(terms, of_input(value, found[0]))
    if op is None:
        raise Refusal(
            "the image is used outside the patch embedding",
            why="pixels enter the machine as patches of one convolution (or one linear layer on patches)",
            fix="use a convolution with stride equal to its kernel",
        )
    if isinstance(op, Outer):
        shapes = " and ".join(str(part.shape) for part in op.parts)
        what = f"added activations must have one shape, not {shapes}"
        raise Refusal(what, why="sums of pairs are added to scores alone", source=value.term.source)
    if not isinstance(op, FloatOp | Unknown):
        raise Refusal(
            "a router's choice is used outside a mixture of experts",
            why="its gates weigh the results of experts, nothing else",
            fix="use hlsgen.nn.MoE, or leave out a softmax over classes: the largest logit is the same class",
        )
    if isinstance(op, Scores):
        return as_product(terms, value)
    if len(value.term.shape) == 3 and not isinstance(op, Unknown):
        raise Refusal(
            "attention weights are used outside the product with the values",
            why="the machine divides by the sum of a row in that product, and nowhere else",
            fix="multiply them by the values first, or take a function of each score instead of softmax",
        )
    return value


def silenced(value: Value) -> Value:
    """Rows [T, N] whose factors are all zero, as constants."""
    if not isinstance(value.scale, torch.Tensor):
        return value
    rows = (value.scale == 0).all(1)
    if not bool(rows.any()) or bool(rows.all()):
        return value
    scale = torch.where(rows[:, None], value.scale[~rows][:1], value.scale)
    return Value(value.term, torch.where(rows[:, None], -1, value.ids), scale, value.offset)


def apart(value: Value) -> list[tuple[int, slice]] | None:
    """The runs of rows [T, N] of one layer and one set of factors each, with the layer's number.

    Constants have the number -1. None where there is only one run, or where a row mixes layers.
    """
    if value.term.is_embedding or len(value.ids) < 2:
        return None
    joined, kinds = isinstance(value.term.op, Join), _kinds(value)
    if not joined and value.offset is None and kinds is None:
        return None  # rows of zeros, which a gather has
    owner = owners(value) if joined else torch.where(value.ids < 0, -1, 0)
    if not bool((owner == owner[:, :1]).all()):
        return None
    first = owner[:, 0]
    ends = first[1:] != first[:-1]
    if kinds is not None:
        ends |= (kinds[1:] != kinds[:-1]) & (first[1:] >= 0)
    if not bool(ends.any()):
        return None
    starts = [0, *(ends.nonzero()[:, 0] + 1).tolist(), len(first)]
    return [(int(first[i]), slice(i, j)) for i, j in itertools.pairwise(starts)]


def _kinds(value: Value) -> torch.Tensor | None:
    """The number [T] of each row's factors, where these are more than a factor of the row."""
    if not isinstance(value.scale, torch.Tensor) or not bool((value.ids >= 0).any()):
        return None
    row = value.scale[int((value.ids >= 0).all(1).long().argmax())]
    share = value.scale[:, :1] / row[:1]
    used = (value.ids >= 0) & torch.isfinite(share)
    if bool(torch.isclose(value.scale, share * row, rtol=1e-12, atol=0)[used].all()):
        return None
    kinds, numbers = value.scale.unique(dim=0, return_inverse=True)
    return numbers if len(kinds) <= MOST_KINDS else None


def _together(value: Value, runs: list[tuple[int, slice]]) -> list[tuple[int, torch.Tensor]]:
    """The rows of each layer and each set of factors, of all runs."""
    kinds, found = _kinds(value), dict[tuple[int, int], list[torch.Tensor]]()
    every = torch.arange(len(value.ids))
    for owner, rows in runs:
        kind = 0 if kinds is None else int(kinds[rows.start])
        found.setdefault((owner, kind), []).append(every[rows])
    return [(owner, torch.cat(rows)) for (owner, _), rows in found.items()]


def run_of(value: Value, owner: int, rows: slice | torch.Tensor) -> Value | torch.Tensor:
    """One of the runs that `apart` finds: a value of one layer, or a constant [t, N]."""
    part = value.map(lambda ids: ids[rows])
    if owner < 0:
        return torch.zeros(part.shape, dtype=torch.float64) if part.offset is None else part.offset
    if part.offset is not None and not bool(part.offset.any()):
        part = replace(part, offset=None)
    return of_input(part, owner) if isinstance(value.term.op, Join) else part


def gathered(terms: Terms, value: Value, runs: list[tuple[int, slice]]) -> Term:
    """Rows of several layers and of constants as one tensor [T, N].

    Each run is put into its place by a product with a matrix of zeros and ones; the constants are added.
    """
    placed: list[Term] = []
    constant = np.zeros(value.shape)
    for owner, rows in _together(value, runs):
        part = run_of(value, owner, rows)
        if isinstance(part, torch.Tensor):
            constant[rows.numpy()] = part.numpy()
            continue
        place = np.zeros((len(value.ids), len(part.ids)))
        place[rows.numpy()] = np.eye(len(part.ids))
        placed.append(terms.product(Constant(value=place), settled(terms, part)))
    if constant.any():
        placed[0] = terms.shifted_by_token(placed[0], torch.from_numpy(constant))
    return functools.reduce(
        lambda a, b: terms.cached(("gathered", a, b), lambda: terms.make(Add(), (a, b), b.name, b.source)),
        placed,
    )


def settled(terms: Terms, value: Value, name: str = "") -> Term:
    """The term that equals `value`, by a layer of its own where none can take its constants."""
    try:
        return settle(terms, value, name)
    except Refusal:
        found = operand(terms, value, name)
    columns = np.arange(found.term.shape[-1]) if found.columns is None else found.columns
    factors = np.broadcast_to(np.asarray(found.scale, np.float64), columns.shape)
    term = picked(terms, found.term, columns, factors, name)
    try:
        return terms.shifted(term, found.offset)
    except Refusal:
        return term if found.offset is None else terms.shifted_by_token(term, found.offset)


def by_column(value: Value) -> float | np.ndarray:
    """The scale of tokens [T, N]: a number, or one for each column."""
    if not isinstance(value.scale, torch.Tensor):
        return value.scale
    used = value.ids >= 0
    row = _first(value, used)
    if not bool(((value.scale == row) | ~used).all()):
        raise Refusal(
            "a constant factor must be the same for every token",
            why="it becomes part of the weights of the layer before or behind",
        )
    return float(row[0]) if bool((row == row[0]).all()) else row.numpy()


def _first(value: Value, used: torch.Tensor) -> torch.Tensor:
    """The scale [N] in the first row that is no constant, but in columns that always are."""
    rows = (used | ~used.any(0)).all(1).nonzero()
    if not len(rows) or not isinstance(value.scale, torch.Tensor):
        raise Refusal("a constant factor has no place here", why="tokens are partly constant")
    return value.scale[int(rows[0, 0])]


def embedding(terms: Terms, value: Value) -> Term:
    """patches -> linear -> add_constant for tokens [T, N] of which each is a patch or a constant.

    Constant tokens in front of all patches in raster order are blank patches. Any other order of patches is
    that of a copy of them.
    """
    linear, ids = value.term, value.ids
    rows, width = ids.shape
    if width > 1 and int(ids[0, -1] - ids[0, -2]) == linear.shape[-1]:
        heads = len((ids[ids >= 0] % linear.shape[-1]).unique()) // rows or 1
        if width % heads == 0:
            upright = value.map(lambda x: x.reshape(rows, heads, -1).permute(2, 1, 0).flatten(1))
            return transposed(terms, embedding(terms, upright), heads)
    patch, columns = _patches_of(linear, ids)
    linear = _some_columns(terms, linear, columns.numpy())
    scale = by_column(value)
    by_channel = isinstance(scale, np.ndarray)
    scaled = terms.multiplied(linear, scale) if by_channel else terms.scaled(linear, scale)  # type: ignore[arg-type]
    offset = value.offset if value.offset is not None else torch.zeros(ids.shape, dtype=torch.float64)
    constant = offset.numpy()

    def build() -> Term:
        before = _placed(terms, linear.inputs[0], patch)
        product = terms.cached(
            ("embedding", scaled, before),
            lambda: terms.make(_linear(scaled), (before,), linear.name, linear.source),
        )
        return terms.make(AddConstant(value=constant), (product,), "embedding", linear.source)

    return terms.cached(("tokens", scaled, patch.numpy().tobytes(), constant.tobytes()), build)


def _patches_of(linear: Term, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The patch of each row of ids [T, N], and the channel of each column; -1: it is constant."""
    width = linear.shape[1]
    patch = torch.where(ids < 0, -1, ids // width).amax(1)
    columns = torch.where(ids < 0, -1, ids % width).amax(0)
    wanted = patch[:, None] * width + columns
    if not torch.equal(torch.where((patch[:, None] < 0) | (columns < 0), -1, wanted), ids):
        raise Refusal(
            "tokens of the patch embedding must be patches or constants",
            why="each row must be one patch with the same channels, or a constant token",
            fix="concatenate class and register tokens with whole patches",
        )
    return patch, columns


def _placed(terms: Terms, patches: Term, places: torch.Tensor) -> Term:
    """The patches at `places`, in whose rows of -1 there are zeros.

    Constant tokens in front of all patches cost nothing; another order is that of a copy.
    """
    count = patches.shape[0]
    prefix = len(places) - count
    if prefix >= 0 and torch.equal(places, torch.cat((torch.full((prefix,), -1), torch.arange(count)))):
        return _with_prefix(terms, patches, prefix)
    width = patches.shape[-1]
    same = Linear(weight=np.eye(width, dtype=np.float32), bias=np.zeros(width, np.float32))
    pixels = terms.cached(("pixels", patches), lambda: terms.make(same, (patches,), "pixels", patches.source))
    return ordered(terms, pixels, places[:, None].numpy())


def _with_prefix(terms: Terms, patches: Term, prefix: int) -> Term:
    """Patches behind so many blank rows; itself where there are none, or where it is no cut."""
    if not prefix or not isinstance(patches.op, Patches):
        return patches
    cut = replace(patches.op, prefix=prefix)
    key = ("prefix", patches, prefix)
    return terms.cached(key, lambda: terms.make(cut, patches.inputs, patches.name, patches.source))


def _some_columns(terms: Terms, term: Term, columns: np.ndarray) -> Term:
    """The patch embedding with some of its columns, zeros for -1; itself where they are all in order."""
    if np.array_equal(columns, np.arange(term.shape[-1])):
        return term
    op, used = _linear(term), columns >= 0
    part = Linear(weight=op.weight[columns] * used[:, None], bias=op.bias[columns] * used)
    key = ("columns of patches", term, columns.tobytes())
    return terms.cached(key, lambda: terms.make(part, term.inputs, term.name, term.source))


def _linear(term: Term) -> Linear:
    if not isinstance(term.op, Linear):
        raise Refusal(LAYOUT)
    return term.op
