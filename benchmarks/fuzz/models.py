# SPDX-License-Identifier: Apache-2.0
"""Random integer Graphs: shapes at the corners, and weights, tables and scales that saturate or vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.fuzz.draw import Draw
from hlsgen import numerics
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import (
    Choose,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerContext,
    IntegerExp,
    IntegerExpertLinear,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMean,
    IntegerRMSNorm,
    IntegerRoute,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
)
from hlsgen.ops.route import CONVENTIONS

RESIDUAL = (-(1 << 15), (1 << 15) - 1)
INT8 = (-128, 127)
WEIGHT = (-127, 127)
SCALE = 1 / 256
BLOCKS = ("attention", "mlp", "linear", "both", "both")
EXPERT_BLOCKS = ("experts", "attention experts")
READOUTS = ("token", "tokens", "all", "mean norm", "mean", "sum of heads", "two layers")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the machine of a batch asks of its models."""

    logit_bits: int
    activation_bits: int
    numerator_bits: int
    tasks: int
    experts: bool
    row_width: int
    large: bool
    """Whether models may have some hundred thousand multiply-accumulates, not only ten thousand."""


def draw_graph(shapes: Draw, values: Draw, limits: Limits) -> Graph:
    """A Graph whose shape comes from `shapes`, whose numbers come from `values`."""
    return _Drawing(shapes, values, limits).graph()


def draw_images(values: Draw, graph: Graph) -> np.ndarray:
    """Two int8 images [2, C, H, W]: any values, and the ends of the range or a single value."""
    shape = graph.input_type.shape
    first = values.array(-128, 127, shape)
    kind = values.pick("ends", "low", "high", "zero")
    second = {"low": np.full(shape, -128), "high": np.full(shape, 127), "zero": np.zeros(shape, np.int64)}
    return np.stack([first, second.get(kind, values.signs(shape) * 255 // 2)]).astype(np.int8)


class _Drawing:
    def __init__(self, shapes: Draw, values: Draw, limits: Limits) -> None:
        self.s, self.v, self.limits = shapes, values, limits
        s, most = shapes, 4 if limits.large else 3
        self.patch = s.integer(1, most), s.integer(1, most)
        self.grid = s.integer(1, most + 1), s.integer(1, most + 1)
        self.heads = s.pick(1, 1, 2, 3, 4, 8 if limits.large else 2)
        self.width = self.heads * s.integer(1, 12 if limits.large and self.heads < 3 else 5)
        image = (s.integer(1, 3), self.patch[0] * self.grid[0], self.patch[1] * self.grid[1])
        self.g = GraphBuilder("image", TensorType(image, -128, 127, 1 / 64))

    def graph(self) -> Graph:
        """Patches, constants, blocks, and an output for each task from any of the blocks' results."""
        s, g = self.s, self.g
        prefix = s.pick(0, 0, 1, 2, 3)
        x = self.linear("embed", g.add("patches", Patches(patch=self.patch, prefix=prefix), ["image"]),
                        self.width, RESIDUAL)  # fmt: skip
        if s.chance(0.85):
            value = self.v.array(-9000, 9000, g.type_of(x).shape) * self.v.pick(0, 1, 1, 3)
            x = g.add("position", IntegerAddConstant(value=value), [x])
        states = [x]
        for block in range(s.pick(0, 1, 1, 1, 2, 2, 3 if self.limits.large else 1)):
            x = self.block(f"b{block}_", x)
            states.append(x)
        early = s.chance(0.2)
        return g.finish(
            *(
                self.readout(f"t{task}_", states[s.integer(0, len(states) - 1)] if early and task else x)
                for task in range(self.limits.tasks)
            )
        )

    # -- blocks ------------------------------------------------------------------------------------------

    def block(self, name: str, x: str) -> str:
        kind = self.s.pick(*BLOCKS, *(3 * EXPERT_BLOCKS if self.limits.experts else ()))
        if kind in ("attention", "both", "attention experts"):
            x = self.add(f"{name}out", x, self.attention(name, self.norm(f"{name}norm1", x)))
        if kind in ("mlp", "both"):
            hidden = self.activated(f"{name}up", self.norm(f"{name}norm2", x))
            x = self.add(f"{name}down", x, hidden)
        if kind == "linear":
            x = self.add(f"{name}only", x, self.norm(f"{name}norm2", x))
        return self.experts(name, x) if kind.endswith("experts") else x

    def add(self, name: str, x: str, rows: str) -> str:
        return self.g.add(f"{name}_add", IntegerAdd(), [x, self.linear(name, rows, self.width, RESIDUAL)])

    def activated(self, name: str, rows: str) -> str:
        size, table = self.s.integer(1, 24 if self.limits.large else 9), self.s.chance(0.9)
        hidden = self.linear(name, rows, size, self.index() if table else self.narrow())
        if table:
            hidden = self.g.add(f"{name}_table", IntegerTable(table=self.table(), scale=1 / 32), [hidden])
        return hidden

    def attention(self, name: str, rows: str) -> str:
        g, v, bits = self.g, self.v, self.limits.logit_bits
        q = self.linear(f"{name}q", rows, self.width, INT8)
        k, value = (self.linear(f"{name}{role}", rows, self.width, WEIGHT) for role in "kv")
        multiplier, shift = self.dyadic(-16, -1)
        op = IntegerScores(heads=self.heads, multiplier=multiplier, shift=shift, width=bits, scale=1 / 32)
        scores = g.add(f"{name}scores", op, [q, k])
        table = numerics.exp_table(2.0 ** v.real(-bits - 1, 1), bits, self.limits.numerator_bits)
        e = g.add(f"{name}exp", IntegerExp(table=v.pick(table, table, np.full(1 << bits, 255))), [scores])
        multiplier, shift = self.dyadic(-4, 6)
        return g.add(
            f"{name}context", IntegerContext(multiplier=multiplier, shift=shift, scale=1 / 32), [e, value]
        )

    def experts(self, name: str, x: str) -> str:
        g, s, v, bits = self.g, self.s, self.v, self.limits.logit_bits
        experts = s.pick(1, 2, 3, 4, 5, 8, 19 if self.limits.large else 6)
        k = s.pick(1, experts, s.integer(1, experts))
        rows, half = self.norm(f"{name}norm3", x), 1 << (bits - 1)
        routers = [
            self.linear(f"{name}router{task}", rows, experts, (-half, half - 1))
            for task in range(s.pick(1, self.limits.tasks, self.limits.tasks))
        ]
        logits = routers[0]
        if len(routers) > 1:
            logits = g.add(f"{name}choose", Choose(), routers)
        convention = s.pick(*CONVENTIONS)
        scale = 2.0 ** v.real(-bits - 1, -4)
        make = numerics.sigmoid_table if convention == "sigmoid" else numerics.gate_table
        table = make(scale, bits)
        route = g.add(f"{name}route", IntegerRoute(k=k, convention=convention, table=table), [logits])
        hidden = self.expert_layer(f"{name}fc1", rows, route, experts, s.integer(1, 9), self.index(), SCALE)
        hidden = g.add(f"{name}gelu", IntegerTable(table=self.table(), scale=1 / 32), [hidden])
        left, scale = s.pick(0, 0, 1, 3, 15), g.type_of(x).scale or SCALE
        down = self.expert_layer(
            f"{name}fc2", hidden, route, experts, self.width, RESIDUAL, scale * 2.0**left
        )
        return g.add(f"{name}combine", IntegerCombine(left=left), [x, down, route])

    def expert_layer(
        self, name: str, rows: str, route: str, experts: int, size: int, span: tuple[int, int], scale: float
    ) -> str:
        width = self.g.type_of(rows).shape[-1]
        parts = [self.constants(size, width, span) for _ in range(experts)]
        fields = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
        op = IntegerExpertLinear(**self.narrowed(fields), low=span[0], high=span[1], scale=scale)
        return self.g.add(name, op, [rows, route])

    # -- outputs -----------------------------------------------------------------------------------------

    def readout(self, name: str, x: str) -> str:
        s, g = self.s, self.g
        kind, tokens = s.pick(*READOUTS), g.type_of(x).shape[0]
        if kind.startswith("mean"):
            low, high = RESIDUAL if kind == "mean norm" else INT8
            shift = tokens.bit_length() + (0 if kind == "mean norm" else 7) - self.v.pick(0, 0, 1)
            x = g.add(f"{name}mean", IntegerMean(shift=max(0, shift), low=low, high=high), [x])
            rows = self.norm(f"{name}norm", x) if kind == "mean norm" else x
            return self.linear(f"{name}head", rows, self.classes(), RESIDUAL)
        if kind == "sum of heads":
            return self.sum_of_heads(name, x)
        if kind != "all":
            start = self.first_row(tokens)
            stop = start + 1 if kind == "token" else s.integer(start + 1, tokens)
            x = g.add(f"{name}token", Select(start=start, stop=stop), [x])
        rows = self.norm(f"{name}norm", x)
        if kind == "two layers":
            rows = self.activated(f"{name}hidden", rows)
        return self.linear(f"{name}head", rows, self.classes(), RESIDUAL)

    def sum_of_heads(self, name: str, x: str) -> str:
        s, g, total, classes = self.s, self.g, "", self.classes()
        for end in range(s.pick(2, 3)):
            start = self.first_row(g.type_of(x).shape[0])
            token = g.add(f"{name}token{end}", Select(start=start, stop=start + 1), [x])
            head = self.linear(f"{name}head{end}", self.norm(f"{name}norm{end}", token), classes, RESIDUAL)
            total = g.add(f"{name}logits{end}", IntegerAdd(), [total, head]) if total else head
        return total

    def first_row(self, tokens: int) -> int:
        """Any token; seldom one that is not the first of its group of rows, which is refused."""
        row = self.s.integer(0, tokens - 1)
        return row if self.s.chance(0.03) else row // self.limits.row_width * self.limits.row_width

    def classes(self) -> int:
        return self.s.integer(1, 37 if self.limits.large else 7)

    # -- parts -------------------------------------------------------------------------------------------

    def norm(self, name: str, x: str) -> str:
        gain, shift = self.dyadic(0, 8)
        epsilon = self.v.pick(0, 1, self.v.integer(0, 5000), self.v.integer(0, (1 << 47) - 1))
        kind = self.s.pick(IntegerLayerNorm, IntegerLayerNorm, IntegerRMSNorm)
        width, most = self.g.type_of(x).shape[-1], min(7, shift)
        shifts = self.v.array(0, most, (width,)) if self.s.integer(0, 1) else None
        return self.g.add(name, kind(epsilon=epsilon, gain=gain, gain_shift=shift, shifts=shifts), [x])

    def narrow(self) -> tuple[int, int]:
        """A range of int8."""
        return self.v.pick(INT8, INT8, (0, 127), (-5, 3), (-128, 0))

    def index(self) -> tuple[int, int]:
        """A range of a table's index."""
        half = 1 << (self.limits.activation_bits - 1)
        return self.v.pick((-half, half - 1), INT8, (0, half - 1), (-5, 3), (-half, 0))

    def table(self) -> np.ndarray:
        entries = 1 << self.limits.activation_bits
        line = np.arange(entries) * 256 // entries - 128
        return self.v.pick(
            self.v.array(-128, 127, (entries,)), line, np.maximum(line, 0), -line - 1, np.full(entries, -128)
        )

    def dyadic(self, low: float, high: float) -> tuple[int, int]:
        """Multiplier and shift of a factor 2**low to 2**high."""
        return numerics.dyadic(2.0 ** self.v.real(low, high))

    def linear(self, name: str, x: str, size: int, span: tuple[int, int]) -> str:
        fields = self.constants(size, self.g.type_of(x).shape[-1], span)
        op = IntegerLinear(**self.narrowed(fields), low=span[0], high=span[1], scale=SCALE)
        return self.g.add(name, op, [x])

    def narrowed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The constants of a layer, whose weights lose half of their bits in one of four."""
        bits = self.s.pick(8, 8, 8, 4)
        return fields | {"weight": fields["weight"] >> (8 - bits), "weight_bits": bits}

    def constants(self, size: int, width: int, span: tuple[int, int]) -> dict[str, np.ndarray]:
        """Weight [size, width], bias, multiplier and shift [size] of a layer."""
        v = self.v
        weight = {
            "random": lambda: v.array(-127, 127, (size, width)),
            "zero": lambda: np.zeros((size, width), np.int64),
            "identity": lambda: 127 * np.eye(size, width, dtype=np.int64),
            "saturating": lambda: 127 * v.signs((size, width)),
            "largest": lambda: np.full((size, width), v.pick(-127, 127)),
            "sparse": lambda: v.array(-127, 127, (size, width)) * (v.array(0, 4, (size, width)) == 0),
        }[v.pick("random", "random", "random", "zero", "identity", "saturating", "largest", "sparse")]()
        half = 1 << (numerics.BIAS_BITS - 1)
        bias = v.pick(
            v.array(-2000, 2000, (size,)), v.array(-half, half - 1, (size,)), half * v.signs((size,))
        )
        ratio = (span[1] + 1) / 2.5 / (40 * 73 * width**0.5)
        pairs = [numerics.dyadic(ratio * factor) for factor in v.reals(0.7, 1.4, size)]
        multiplier, shift = np.array(pairs).T
        odd = v.pick("", "", "", "", "dead", "extreme")
        if odd == "dead":
            multiplier = multiplier * v.array(0, 1, (size,))
        elif odd == "extreme":
            multiplier = v.array(0, (1 << numerics.MULTIPLIER_BITS) - 1, (size,))
            shift = v.array(0, numerics.MOST_SHIFT, (size,))
        return {
            "weight": weight,
            "bias": np.minimum(bias, half - 1),
            "multiplier": multiplier,
            "shift": shift,
        }
