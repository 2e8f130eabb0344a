# SPDX-License-Identifier: Apache-2.0
"""Random Programs of commands of products, without a Graph: every execution must do the same with them.

The first commands fill the memories, so that no later one reads what nothing wrote. Then commands of every
product follow: rows and results by head or for all heads, heads that share keys and values, each way of
LOAD and DRAIN. A command reads one half of a row memory, which only the first commands write, and writes the
other one: so LOAD may be far ahead, and keys and values are what MULTIPLY has to wait for.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Depends, Drain, Load, Product, Target
from hlsgen.machine.format.constants import NO_COMMAND, Item, item, pack_constants
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.input import InputLayout, pad
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.format.program import OutputLayout, Program
from hlsgen.machine.format.runs import WORD_BYTES, pack_runs
from support.program_key_lists import own_keys
from support.program_shifts import drawn_shifts, shift_fields
from support.program_tables import activated, activation_entries, exp_entries, high_digits, score_range
from support.program_windows import into_windows, own_rows

MOST_HEADS, MOST_BLOCKS = 4, 3
FILLED = 4
"""Commands that fill the memories; their weights are zero."""
HALF = 128
"""Words of half of a row memory."""
LIST_WORDS = 400
"""Words of the memory of run lists."""
NORM_SHIFT_WORDS = 12
"""Words of the memory of norm shifts."""


def machine(rows: int, columns: int, depth: int, row_width: int = 1, **more: int) -> MachineParameters:
    """A machine with products whose memories hold what `draw` makes."""
    words = max(columns, depth) // columns
    steps = 4 * max(1, columns // depth)
    shape: dict[str, int] = {
        "residual_words": 2 * HALF,
        "feature_words": 2 * HALF,
        "key_words": MOST_HEADS * MOST_BLOCKS * 2 * words,
        "value_words": MOST_HEADS * MOST_BLOCKS * steps,
        "tile_words": max(2 * words, more.get("numerator_digits", 1) * ceil_div(steps * depth, columns)),
        "score_words": MOST_BLOCKS,
        "ring_words": 2 * steps * MOST_BLOCKS,
        "constant_words": 2 * MOST_HEADS * MOST_BLOCKS,
        "rms_norms": 1,
        "products": 1,
        "taps": 1,
        "score_addends": 1,
        "operand_bases": 1,
        "list_words": LIST_WORDS,
        "norm_shift_words": NORM_SHIFT_WORDS,
    }
    return MachineParameters(rows=rows, columns=columns, depth=depth, row_width=row_width, **(shape | more))


def draw(p: MachineParameters, seed: int, count: int) -> tuple[Program, Image, bytes]:
    """A Program of `count` commands of products, its Image, and an input for it."""
    return _Drawn(p, seed).program(count)


class _Drawn:
    def __init__(self, p: MachineParameters, seed: int) -> None:
        self.p, self.random = p, np.random.default_rng(seed)
        self.commands: list[Command] = []
        self.constants: list[bytes] = []
        self.weights: list[bytes] = []
        self.addends: list[bytes] = []
        self.lists = b""
        """Run lists, which all come before the first command."""
        self.key_lists = b""
        """Those of keys, too."""
        self.operands = 0
        """The last command that writes keys or values."""
        self.granule = max(p.columns, p.depth) // p.columns
        """Words of which an operand row of keys is a multiple."""

    def number(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most + 1))

    def chance(self, of: float = 0.5) -> bool:
        return bool(self.random.random() < of)

    def program(self, count: int) -> tuple[Program, Image, bytes]:
        p = self.p
        self._fill()
        makers = (self._weights, self._keys, self._values, self._attention, self._maps)
        makers += (partial(into_windows, self),) if p.windows else ()
        for index in range(count):
            makers[index % len(makers)]()
        rows, columns = self._last()
        size = InputLayout(channels=1, height=1, width=p.columns, row_words=1)
        outputs = (OutputLayout(tensor="out", rows=rows, columns=columns * p.columns, sweeps=2),)
        program = Program(
            parameters=p, commands=tuple(self.commands), regions=(), views=(), input=size, outputs=outputs,
            task_macs=(1,),
        )  # fmt: skip
        image = Image(
            build_id=p.build_id,
            program=b"".join(command.pack() for command in self.commands),
            constants=b"".join([*self._list_items(), *self.constants]),
            weights=b"".join(self.weights),
            addends=b"".join(self.addends),
            input_bytes=len(pad(bytes(p.columns))),
            output_bytes=program.output_bytes,
        )
        return program, image, pad(bytes(p.columns))

    # -- what all commands have ----------------------------------------------------------------------------

    def add(self, rows: int, **fields: Any) -> Command:
        """Append a command on so many rows, with its share of the streams."""
        p, index = self.p, len(self.commands)
        tiles = ceil_div(rows, p.rows)
        fields |= {"tiles": tiles, "tail_rows": rows - (tiles - 1) * p.rows}
        # DRAIN reads an addend before it has written the rows of the last cycles.
        follows = self.chance(0.3) or (fields.get("drain") == Drain.ADD and not fields.get("stream_addend"))
        before = index - 1 if index < FILLED or follows else FILLED - 1
        fields |= {"depends": Depends.COMMAND if index else Depends.NONE, "depends_on": max(0, before)}
        command = Command(**fields)
        attends = command.product in (Product.ATTENTION, Product.MAPS)
        if not attends:
            self._constants(command.total_blocks)
        elif p.score_addends:
            command = dataclasses.replace(command, **score_range(self, command.score_addends))
        if command.product in (Product.WEIGHTS, Product.MAPS):
            blocks = command.heads * command.blocks if attends else command.total_blocks
            command = dataclasses.replace(command, narrow=self.number(0, p.narrow_weights))
            size = blocks * command.ring_words * p.depth * p.columns
            # Any byte holds two weights of 4 bits.
            words = self.random.integers(-128 if command.narrow else -127, 128, size) * (index >= FILLED)
            self.weights.append(words.astype(np.int8).tobytes())
        if command.product != Product.WEIGHTS:
            command = dataclasses.replace(command, operand_depends_on=self.operands)
        if command.stream_addend:
            self._addends(command, rows)
        if command.score_addends:
            self._score_addends(command, rows)
        if command.target in (Target.KEYS, Target.VALUES):
            self.operands = index
        self.commands.append(command)
        return command

    def _constants(self, blocks: int) -> None:
        shape = (blocks, self.p.columns)
        bias = self.random.integers(-3000, 3000, shape)
        multiplier, shift = self.random.integers(1 << 13, 1 << 15, shape), self.random.integers(19, 24, shape)
        data = pack_constants(bias, multiplier, shift)
        self.constants.append(item(Item.CONSTANTS, 0, blocks, NO_COMMAND, data, self.p.columns))

    def _addends(self, command: Command, rows: int) -> None:
        """Addends that keep the sum within int8 where the target does."""
        most = 20000 if command.target == Target.RESIDUAL else 60
        value = self.random.integers(-most, most + 1, (rows, command.total_blocks * self.p.columns))
        layout = OutputLayout(tensor="", rows=rows, columns=value.shape[1], sweeps=command.sweeps)
        self.addends.append(layout.drained(value, self.p).tobytes())

    def _score_addends(self, command: Command, rows: int) -> None:
        """Addends of every size in the order of the scores; many keys are hidden, in some blocks all."""
        heads = sum(command.takes_addends(head) for head in range(command.heads))
        shape = (heads * command.blocks * self.p.padded_rows(rows), self.p.columns)
        value = self.random.integers(-300, 301, shape)
        value = np.where(self.random.random(shape) < 0.1, self.random.choice([32767, -32767], shape), value)
        hidden = self.random.random(shape) < self.random.choice([0.0, 0.3, 0.9, 1.0], (len(value), 1))
        self.addends.append(np.where(hidden, numerics.HIDDEN, value).astype("<i2").tobytes())

    def _table(self, kind: Item, data: np.ndarray) -> None:
        self.constants.append(item(kind, 0, len(data), NO_COMMAND, data.tobytes(), self.p.columns))

    def _fill(self) -> None:
        """Every word of each memory; one command also brings the tables."""
        p = self.p
        self._table(Item.ACTIVATION_TABLE, activation_entries(self))
        self._table(Item.EXP_TABLE, exp_entries(p))
        common = {"drain": Drain.ADD, "stream_addend": 1, "low": -60, "high": 60}
        patches = {"load": Load.PATCHES, "patch_height": 1, "patch_width": p.columns, "patch_channels": 1}
        patches |= {"patch_columns": 1, "patch_prefix": p.feature_words - 1, "row_words": 1}
        self.add(p.feature_words, target=Target.FEATURES, target_stride=1, **common, **patches)
        self.add(p.residual_words, target=Target.RESIDUAL, target_stride=1, **common)
        self.add(p.columns * p.key_words, target=Target.KEYS, head_words=1, **common)
        self.add(p.depth * p.value_words, target=Target.VALUES, head_words=1, **common)

    def load(self, load: Load, words: int, heads: int, rows: int, outer: int | None = None) -> dict[str, Any]:
        """Rows of the lower half of a row memory: for each head a part, or the same part for all."""
        outer = (self.number(1, 3) if self.chance(0.7) else 0) if outer is None else outer
        stride = self.number(0, (HALF - words - outer * heads) // (rows + 1))
        most = HALF - words - outer * (heads - 1) - stride * (rows - 1)
        fields: dict[str, Any] = {
            "load": load, "k_words": words, "outer_source": outer, "source_stride": stride,
            "source": self.number(0, most),
        }  # fmt: skip
        if load in (Load.LAYER_NORM, Load.POOL_NORM):
            gain, shift = numerics.dyadic(31.7)
            fields |= {"norm_width": words * self.p.columns, "norm_epsilon": self.number(0, 5000)}
            fields |= {"norm_gain": gain, "norm_gain_shift": shift, "norm_rms": self.number(0, 1)}
            fields |= shift_fields(self, words * self.p.columns)
        if load in (Load.ROWS, Load.LAYER_NORM, Load.ATTENTION) and self.chance(0.4):
            fields |= self._list(fields, heads, rows)
        return fields

    def _list(self, fields: dict[str, Any], heads: int, rows: int) -> dict[str, Any]:
        """Rows, or pieces of rows, in any order: some repeated, some zeros, some side by side."""
        p, words = self.p, fields["k_words"]
        piece = words // self.number(1, 2) if words % 2 == 0 else words
        count, stored = rows * words // piece, self.number(1, 3 * p.row_width)
        if len(self.lists) + 4 * (count + 1) > 8 * p.list_words:
            return {}
        stride = self.number(0, (HALF - words - fields["outer_source"] * heads) // (stored + p.row_width))
        most = HALF - piece - fields["outer_source"] * (heads - 1) - stride * (stored - 1)
        order: list[int] = []
        while len(order) < count:
            first, length = self.number(-1, stored - 1), self.number(1, 5)
            order += [-1] * length if first < 0 else range(first, min(stored, first + length))
        base = len(self.lists) // WORD_BYTES
        self.lists += pack_runs(np.array(order[:count]), stride, p.row_width)
        return {
            "source": self.number(0, most),
            "source_stride": stride,
            "list_base": base + 1,
            "piece_words": piece,
        }

    def _list_items(self) -> list[bytes]:
        """All lists, then all norm shifts; run lists and shifts in two items."""
        items = [(Item.KEY_LIST, 0, self.key_lists)]
        for kind, whole in ((Item.RUN_LIST, self.lists), (Item.NORM_SHIFTS, drawn_shifts(self))):
            cut = len(whole) // 2 // WORD_BYTES * WORD_BYTES
            items += [(kind, 0, whole[:cut]), (kind, cut // WORD_BYTES, whole[cut:])]
        return [
            item(kind, 0, len(part), NO_COMMAND, part, self.p.columns, place)
            for kind, place, part in items
            if part
        ]

    def _target(self, heads: int, blocks: int, rows: int, allowed: tuple[Target, ...]) -> dict[str, Any]:
        """Where results go, and what is added to them on the way."""
        target = allowed[self.number(0, len(allowed) - 1)]
        words = heads * blocks
        if target in (Target.KEYS, Target.VALUES):
            lanes = self.p.columns if target == Target.KEYS else self.p.depth
            stride = ceil_div(rows, lanes) * blocks + self.number(0, 1)
            fields: dict[str, Any] = {"target": target, "head_words": blocks}
            fields |= {"head_stride" if target == Target.KEYS else "value_stride": stride}
        else:
            fields = {"target": target, "target_base": HALF, "target_stride": words}
            if rows * words <= HALF - 8 and self.chance(0.6):
                fields |= {"target_stride": blocks, "outer_target": rows * blocks + self.number(0, 1)}
        return fields | self._drain(target)

    def _drain(self, target: Target) -> dict[str, Any]:
        wide = target == Target.RESIDUAL
        way = self.number(0, 3)
        if way == 0:
            return activated(self.p)
        if way == 1:
            return {"drain": Drain.ADD, "stream_addend": 1, "low": -60, "high": 60}
        if way == 2 and wide:
            return {"drain": Drain.ADD, "low": -9000, "high": 9000, "addend_base": HALF * self.number(0, 1)}
        return {"low": -9000, "high": 9000} if wide else {}

    def _size(self) -> tuple[int, int, int]:
        """Rows, heads, blocks: results and rows fit half of a memory."""
        heads, blocks = self.number(1, MOST_HEADS), self.number(1, MOST_BLOCKS)
        return self.number(1, min(2 * self.p.rows + 1, HALF // (heads * blocks) - 1)), heads, blocks

    # -- products ------------------------------------------------------------------------------------------

    def _weights(self) -> None:
        rows, heads, blocks = self._size()
        words = self.granule * self.number(1, 2)
        loads = (Load.ROWS, Load.LAYER_NORM, Load.POOL, Load.POOL_NORM)
        load = loads[self.number(0, 3)]
        pooled = {"pool_rows": self.number(1, 9), "pool_shift": 2} if load in loads[2:] else {}
        read = pooled.get("pool_rows", rows)
        rows = 1 if pooled else rows
        # Keys and values of one head more than there are sweeps would not fit: these have whole heads.
        lanes = self.p.columns
        small = ceil_div(rows, lanes) <= 1
        allowed = (Target.FEATURES, Target.RESIDUAL, *((Target.KEYS,) if small else ()))
        fields = self.load(load, words, heads, read) | self._target(heads, blocks, rows, allowed) | pooled
        extra = self.number(0, heads - 1) if not fields.get("outer_target") and blocks < MOST_BLOCKS else 0
        if fields["target"] == Target.KEYS or rows * (heads * blocks + extra) > HALF:
            extra = 0
        if not fields.get("outer_target") and "target_stride" in fields:
            fields["target_stride"] += extra
        steps = ceil_div(words * self.p.columns, self.p.depth)
        read = self._taps(steps, blocks + (extra > 0)) if self.chance() else {"k_steps": steps}
        self.add(rows, sweeps=heads, blocks=blocks, extra=extra, **read, **fields)

    def _taps(self, steps: int, blocks: int) -> dict[str, int]:
        """Parts of a row of so many steps that its blocks read."""
        advance = self.number(0, (steps - 1) // max(1, blocks - 1))
        left = steps - advance * (blocks - 1)  # that the last block's taps have
        size = self.number(1, min(left, 4))
        count = self.number(1, 2) if size <= 2 and size <= left // 2 else 1
        jump = self.number(0, left - 2 * size + 1) if count == 2 else 0
        return {"k_steps": count * size, "tap_steps": size, "tap_jump": jump, "advance": advance}

    def _shared(self, heads: int) -> int:
        return self.number(0, heads)

    def _base(self, most: int) -> int:
        """The first word of keys or values: where so many lie behind what a command reads, any of them."""
        return self.number(0, most) if self.p.operand_bases and self.chance() else 0

    def _keys(self) -> None:
        """Results may become values, where the keys themselves are no longer written."""
        p = self.p
        rows, heads, blocks = self._size()
        words = self.granule * self.number(1, 2)
        shared = self._shared(heads)
        places = ceil_div(heads, shared + 1)
        spare = (p.key_words - blocks * words) // places
        allowed = (Target.FEATURES, Target.RESIDUAL, *((Target.VALUES,) if rows <= p.depth else ()))
        fields = self.load(Load.ROWS, words, heads, rows) | self._target(heads, blocks, rows, allowed)
        stride = self.number(0, spare)
        base = self._base(p.key_words - (places - 1) * stride - blocks * words)
        fields |= {"head_stride": stride, "shared": shared, "key_base": base}
        steps = words * p.columns // p.depth
        self.add(rows, product=Product.KEYS, k_steps=steps, sweeps=heads, blocks=blocks, **fields)

    def _values(self) -> None:
        """Results may become keys."""
        p = self.p
        rows, heads, blocks = self._size()
        steps = self.number(1, min(4, p.value_words // (MOST_BLOCKS * MOST_HEADS)))
        shared = self._shared(heads)
        places = ceil_div(heads, shared + 1)
        spare = (p.value_words - blocks * steps) // places
        allowed = (Target.FEATURES, Target.RESIDUAL, *((Target.KEYS,) if rows <= p.columns else ()))
        words = ceil_div(steps * p.depth, p.columns)
        fields = self.load(Load.ROWS, words, heads, rows) | self._target(heads, blocks, rows, allowed)
        stride = self.number(0, spare)
        base = self._base(p.value_words - (places - 1) * stride - blocks * steps)
        fields |= {"value_stride": stride, "shared": shared, "value_base": base}
        self.add(rows, product=Product.VALUES, k_steps=steps, sweeps=heads, blocks=blocks, **fields)

    def _attention(self) -> None:
        p = self.p
        heads, words, wide = self.number(1, MOST_HEADS), self.granule, self.number(1, 2)
        keys = self.number(1, min(MOST_BLOCKS * p.columns, 4 * p.depth))
        rows = self.number(1, min(2 * p.rows + 1, HALF // (heads * max(words, wide)) - 1))
        exp_steps, blocks = ceil_div(keys, p.depth), ceil_div(keys, p.columns)
        multiplier, shift = numerics.dyadic(1.3)
        fields: dict[str, Any] = self.load(Load.ATTENTION, words, heads, rows, words) | {
            "product": Product.ATTENTION, "drain": Drain.ATTENTION, "target": Target.FEATURES,
            "target_base": HALF, "target_stride": heads * wide, "heads": heads, "keys": keys,
            "head_words": wide, "k_steps": words * p.columns // p.depth, "blocks": blocks,
            "head_stride": blocks * words, "value_stride": exp_steps * wide, "exp_steps": exp_steps,
            "exp_words": ceil_div(exp_steps * p.depth, p.columns), "logit_multiplier": 20000,
            "logit_shift": 20, "context_multiplier": multiplier, "context_shift": shift,
            "shared": self._shared(heads), "score_addends": self.number(0, p.score_addends),
            "value_base": self._base(p.value_words - heads * exp_steps * wide),
            "key_base": self._base(p.key_words - heads * blocks * words),
            "shared_values": self._shared(heads), "high_digits": high_digits(self),
        }  # fmt: skip
        rows -= rows % p.row_width
        if p.windows and rows and self.chance(0.7):
            fields |= own_rows(self, heads, words, wide, rows, blocks, half=HALF)
        if p.key_list_words and not fields["high_digits"] and self.chance(0.7):
            fields |= own_keys(self, fields, rows or 1)
        self.add(rows or self.number(1, 1), **fields)

    def _maps(self) -> None:
        """Attention to sums of maps: the operands are rows of all maps, for each head or for all."""
        p = self.p
        heads, words, wide = self.number(1, MOST_HEADS), 2 * self.granule, self.number(1, 2)
        keys = self.number(1, min(MOST_BLOCKS * p.columns, 4 * p.depth))
        rows = self.number(1, min(2 * p.rows + 1, HALF // (heads * max(words, wide)) - 1))
        exp_steps, blocks = ceil_div(keys, p.depth), ceil_div(keys, p.columns)
        steps = words * p.columns // p.depth
        multiplier, shift = numerics.dyadic(1.3)
        self.add(
            rows,
            **self.load(Load.ATTENTION, words, heads, rows),
            product=Product.MAPS, drain=Drain.ATTENTION, target=Target.FEATURES, target_base=HALF,
            target_stride=heads * wide, heads=heads, keys=keys, head_words=wide,
            **self._taps(steps, blocks), blocks=blocks, value_stride=exp_steps * wide, exp_steps=exp_steps,
            exp_words=ceil_div(exp_steps * p.depth, p.columns), logit_multiplier=20000, logit_shift=20,
            context_multiplier=multiplier, context_shift=shift, shared_values=self._shared(heads),
            score_addends=self.number(0, p.score_addends), high_digits=high_digits(self),
            value_base=self._base(p.value_words - heads * exp_steps * wide),
        )  # fmt: skip

    def _last(self) -> tuple[int, int]:
        """Two heads of results go out; rows and columns in words of the output."""
        rows, blocks, p, words = self.p.rows + 1, 2, self.p, self.granule
        fields = self.load(Load.ROWS, words, 2, rows) | {"target": Target.OUTPUT, "last": 1}
        fields |= {"head_stride": blocks * words, "k_steps": words * p.columns // p.depth}
        self.add(rows, product=Product.KEYS, sweeps=2, blocks=blocks, low=-9000, high=9000, **fields)
        return rows, 2 * blocks
