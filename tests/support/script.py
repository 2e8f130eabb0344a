# SPDX-License-Identifier: Apache-2.0
"""Programs written by hand: commands of any mode with random constants, weights and addends."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hlsgen import numerics
from hlsgen.lower.constants import ConstantStream
from hlsgen.machine.format.commands import Command, Depends, Drain, Load, Product, Target
from hlsgen.machine.format.constants import Item
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import DRAIN, TILE
from hlsgen.machine.format.narrow import NARROW_BITS, pack_narrow
from hlsgen.machine.format.norm_shifts import WORD_ELEMENTS, pack_shifts
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.run.interpreter import Execution, Interpreter
from hlsgen.machine.run.trace import known

DEEP = MachineParameters(
    rows=2, columns=2, depth=8, tile_words=8, residual_words=128, feature_words=128, image_words=64,
    key_words=32, value_words=32, score_words=4, ring_words=32, constant_words=16, logit_bits=8,
)  # fmt: skip
"""More products per cell than columns: steps of several words."""
WIDE = MachineParameters(
    rows=3, columns=4, depth=2, tile_words=8, residual_words=128, feature_words=128, image_words=64,
    key_words=16, value_words=32, score_words=2, ring_words=64, constant_words=16, logit_bits=8,
)  # fmt: skip
"""More columns than products: several steps to a word."""
NORMS = (Load.LAYER_NORM, Load.POOL_NORM)


class Script:
    """A program under construction; every command waits for the one before it.

    Parameters
    ----------
    parameters
        The machine's shape.
    """

    def __init__(self, parameters: MachineParameters, seed: int = 1) -> None:
        self.parameters, self.random = parameters, np.random.default_rng(seed)
        self.commands: list[Command] = []
        self._constants = ConstantStream(parameters.columns, index_bits=parameters.activation_bits)
        self._weights: list[np.ndarray] = []
        self._addends: list[np.ndarray] = []
        self._idle: set[int] = set()
        """Commands whose operands meet zeros alone: they may be anything."""
        size = parameters.image_words * parameters.columns
        self.pixels = self.random.integers(-128, 128, size).astype(np.int8).tobytes()

    def words(self, elements: int) -> int:
        """Words that hold so many elements."""
        return ceil_div(elements, self.parameters.columns)

    def norm_shifts(self) -> None:
        """Random norm shifts, in front of the next command."""
        shifts = self.random.integers(0, 8, WORD_ELEMENTS * self.parameters.norm_shift_words)
        self._constants.placed(Item.NORM_SHIFTS, 0, pack_shifts(shifts))

    def linear(self, rows: int, elements: int, *, spread: float = 50, **fields: Any) -> Command:
        """Append a command: operand rows of `elements` by random weights, results as wide as `spread`.

        A spread of 0 stands for zero weights and biases: nothing but an addend comes out.
        """
        p, steps = self.parameters, ceil_div(elements, self.parameters.depth)
        fields = {"k_words": self.words(elements), "k_steps": steps} | fields
        command = self._append(rows, fields)
        count = command.total_blocks
        weights = self.random.integers(-127, 128, (count, steps * p.depth, p.columns)).astype(np.int8)
        weights[:, elements:] = 0
        if command.narrow:
            weights = pack_narrow(weights.reshape(count, steps, p.depth, p.columns) >> NARROW_BITS)
        self._weights.append(weights if spread else 0 * weights)
        if not spread:
            self._idle.add(len(self.commands) - 1)
        self._constants_of(np.full((count, p.columns), bool(spread)), spread, elements)
        return command

    def _constants_of(self, real: np.ndarray, spread: float, elements: int) -> None:
        """Random constants [blocks, C], zero for columns that are not real."""
        bias, multiplier, shift = (np.zeros(real.shape, np.int64) for _ in range(3))
        for place in np.argwhere(real):
            scale = spread / (73 * 73 * elements**0.5) * self.random.uniform(0.7, 1.4)
            bias[tuple(place)] = self.random.integers(-4000, 4000)
            multiplier[tuple(place)], shift[tuple(place)] = numerics.dyadic(scale)
        self._constants.constants(bias, multiplier, shift)

    def add_stream(
        self, rows: int, blocks: int, size: int, *, real: int = 0, heads: int = 1, **fields: Any
    ) -> Command:
        """Append a command that adds random addends of up to `size` from the stream; by default to nothing.

        Of a row's elements, or of a head's, from `real` on, if it is given, the addends are zero.
        """
        columns, tile = self.parameters.columns, self.parameters.rows
        padded = self.parameters.padded_rows(rows)
        values = self.random.integers(-size, size, (padded, blocks, columns)).astype("<i2")
        if real:
            values.reshape(padded, heads, -1)[..., real:] = 0
        parts = [values[first : first + tile].swapaxes(0, 1).ravel() for first in range(0, rows, tile)]
        self._addends.append(np.concatenate(parts))
        fields = {"drain": Drain.ADD, "stream_addend": 1, "blocks": blocks} | fields
        return self.linear(rows, **{"elements": columns, "spread": 0} | fields)

    def product(
        self, product: Product, rows: int, elements: int, columns: int, heads: int, *,
        shared: int = 0, own: bool = True, spread: float = 50, **fields: Any,
    ) -> Command:  # fmt: skip
        """Append keys or values, rows of as many elements, and the rows' product with those of each head.

        columns: results of a head. own: heads meet parts of their own of the rows, not all the same ones.
        """
        p, keys, places = self.parameters, product is Product.KEYS, ceil_div(heads, shared + 1)
        whole = max(p.columns, p.depth) if keys else p.depth
        steps = ceil_div(elements, whole) * whole // p.depth
        words, blocks = self.words(steps * p.depth), self.words(columns)
        each, count, lanes = (words, columns, p.columns) if keys else (blocks, elements, p.depth)
        strides = {
            "head_words": each,
            "head_stride" if keys else "value_stride": ceil_div(count, lanes) * each,
        }
        target = Target.KEYS if keys else Target.VALUES
        self.add_stream(count, places * each, 127, target=target, **strides)
        stride = words * (heads if own else 1)
        self.add_stream(rows, stride, 127, real=elements, heads=heads if own else 1, target_stride=stride)
        command = self._append(
            rows,
            {
                "product": product, "operand_depends_on": len(self.commands) - 2, "k_words": words,
                "k_steps": steps, "sweeps": heads, "blocks": blocks, "source_stride": stride,
                "outer_source": words if own else 0, "shared": shared, "target_base": p.feature_words // 2,
                "target_stride": heads * blocks, **strides, **fields,
            },
        )  # fmt: skip
        self._constants_of(
            np.arange(heads * blocks * p.columns).reshape(-1, p.columns) % (blocks * p.columns) < columns,
            spread,
            elements,
        )
        return command

    def attention(
        self, rows: int, keys: int, heads: int, size: int, *, shared: int = 0, **fields: Any
    ) -> Command:
        """Append keys, values and queries of `size` elements per head at random, and attention over them."""
        p, words, steps = self.parameters, self.words(size), ceil_div(keys, self.parameters.depth)
        fields = {"shared_values": shared} | fields
        base, places = 3 * p.row_width, ceil_div(heads, shared + 1)
        strides = {"head_words": words, "heads": heads}
        strides |= {"head_stride": self.words(keys) * words, "value_stride": steps * words}
        # Tables come with the constants, so in front of a command before: attention has none.
        table = numerics.exp_table(0.03, p.logit_bits)
        bank = self._constants.table(Item.EXP_TABLE, table, len(self.commands) + 3)
        self.add_stream(keys, places * words, 127, target=Target.KEYS, **strides)
        self.add_stream(keys, places * words, 127, target=Target.VALUES, **strides)
        self.add_stream(rows, heads * words, 127, target_base=base, target_stride=heads * words)
        logit, context = numerics.dyadic(40 / (73 * 73 * size**0.5)), numerics.dyadic(1.3)
        return self._append(
            rows,
            {
                "load": Load.ATTENTION, "product": Product.ATTENTION, "drain": Drain.ATTENTION,
                "operand_depends_on": len(self.commands) - 1, "exp_bank": bank, "k_words": words,
                "k_steps": ceil_div(size, p.depth),
                "blocks": self.words(keys), "source": base, "source_stride": heads * words, "keys": keys,
                "outer_source": words, "shared": shared,
                "target_base": p.feature_words // 2, "target_stride": heads * words, "exp_steps": steps,
                "exp_words": self.words(steps * p.depth), "logit_multiplier": logit[0],
                "logit_shift": logit[1], "context_multiplier": context[0], "context_shift": context[1],
                **strides, **fields,
            },
        )  # fmt: skip

    def activation_table(self, bits: int = 8) -> int:
        """Append a random activation table for the next command, with an index of so many bits; its bank."""
        entries = self.random.integers(-128, 128, 1 << bits)
        return self._constants.table(Item.ACTIVATION_TABLE, entries, len(self.commands))

    def _append(self, rows: int, fields: dict[str, Any]) -> Command:
        before, tiles = len(self.commands) - 1, ceil_div(rows, self.parameters.rows)
        command = Command(
            tiles=tiles,
            tail_rows=rows - (tiles - 1) * self.parameters.rows,
            depends=Depends.COMMAND if before >= 0 else Depends.NONE,
            depends_on=max(0, before),
        )
        self.commands.append(dataclasses.replace(command, **fields))
        return self.commands[-1]

    def finish(self) -> tuple[Image, Execution]:
        """Append a command whose results leave; the Image, and what the interpreter makes of it."""
        output = self.add_stream(1, 1, 9000, target=Target.OUTPUT, last=1)
        image = Image(
            build_id=self.parameters.build_id,
            program=b"".join(command.pack() for command in self.commands),
            constants=self._constants.pack(),
            weights=b"".join(words.tobytes() for words in self._weights),
            addends=b"".join(words.tobytes() for words in self._addends),
            input_bytes=len(self.pixels),
            output_bytes=2 * self.parameters.columns * output.blocks,
        )
        return image, Interpreter(self.parameters, image.pack()).run(self.pixels)

    def records(self, records: np.ndarray, which: int) -> np.ndarray:
        """One stage's records, without cycles and without words that may be anything.

        Those are what no result depends on (`known`), what lies beyond a normalised row's end, and operands
        that meet zeros alone.
        """
        chosen = known(self.commands, records[records["which"] == which])
        chosen["cycle"] = 0
        lanes = np.arange(self.parameters.columns)
        for index, command in enumerate(self.commands):
            if which == TILE and command.load in NORMS:
                element = chosen["word"][:, None] * self.parameters.columns + lanes
                beyond = (chosen["command"] == index)[:, None] & (element >= command.norm_width)
                chosen["data"] = np.where(beyond, 0, chosen["data"])
            if which == TILE and index in self._idle:
                chosen["data"][chosen["command"] == index] = 0
        if self.parameters.row_width > 1:  # words of a group's rows come together
            return chosen[np.lexsort([chosen[name] for name in ("word", "row", "head", "kind", "command")])]
        return chosen


def equal(script: Script, got: np.ndarray, expected: np.ndarray) -> bool:
    """Whether both stages showed the same words in the same order."""
    stages = ((script.records(got, which), script.records(expected, which)) for which in (TILE, DRAIN))
    return all(np.array_equal(mine, theirs) for mine, theirs in stages)
