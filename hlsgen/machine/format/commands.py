# SPDX-License-Identifier: Apache-2.0
"""Commands: what the machine executes, as fields, as 128 bytes and as one line of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from hlsgen.errors import UsageError

COMMAND_BYTES = 128


class Load(IntEnum):
    """How LOAD makes operand rows."""

    ROWS = 0  # int8 rows of the feature memory
    LAYER_NORM = 1  # normalised rows of the residual memory
    PATCHES = 2  # rows gathered from the image memory
    POOL = 3  # one row: mean over residual rows, saturated to int8
    POOL_NORM = 4  # one row: mean over residual rows, then normalised
    ATTENTION = 5  # per head and tile: query rows, then exp of the score tile


class Product(IntEnum):
    """What MULTIPLY multiplies the operand rows by."""

    WEIGHTS = 0  # the weight ring
    ATTENTION = 1  # the key memory for scores, the value memory for contexts


class Drain(IntEnum):
    """What DRAIN does with an accumulator row."""

    REQUANTIZE = 0
    ACTIVATION = 1  # requantize to int8, then the activation table
    ADD = 2  # requantize, add to a residual row or to the addend stream
    ATTENTION = 3  # scores: requantize, keep the row maximum; contexts: times the row's reciprocal
    COMBINE = 4  # requantize, weight by the queue entry's gate, add to its token's residual row


class Target(IntEnum):
    """Where DRAIN writes."""

    FEATURES = 0
    KEYS = 1
    VALUES = 2
    RESIDUAL = 3
    OUTPUT = 4
    QUEUES = 5  # router logits: each token goes to the queues of its best experts


class Depends(IntEnum):
    """What LOAD waits for before it reads."""

    NONE = 0
    COMMAND = 1  # command `depends_on` has drained completely
    TILE = 2  # the tile of the same index of `depends_on`'s last group has drained


# name, bits, signed; packed from bit 0 upwards in this order.
LAYOUT: tuple[tuple[str, int, bool], ...] = (
    ("load", 3, False),
    ("product", 1, False),
    ("drain", 3, False),
    ("target", 3, False),
    ("stream_addend", 1, False),
    ("last", 1, False),
    ("depends", 2, False),
    ("activation_bank", 1, False),
    ("exp_bank", 1, False),
    ("reserved", 1, False),
    ("depends_on", 16, False),
    ("operand_depends_on", 16, False),
    ("rows", 16, False),
    ("tiles", 16, False),
    ("tail_rows", 8, False),
    ("k_words", 16, False),
    ("k_steps", 16, False),
    ("groups", 16, False),
    ("blocks", 16, False),
    ("extra", 16, False),
    ("source", 20, False),
    ("source_stride", 16, False),
    ("target_base", 20, False),
    ("target_stride", 16, False),
    ("addend_base", 20, False),
    ("low", 16, True),
    ("high", 16, True),
    ("norm_width", 13, False),
    ("norm_epsilon", 48, False),
    ("norm_gain", 15, False),
    ("norm_gain_shift", 6, False),
    ("pool_rows", 16, False),
    ("pool_shift", 5, False),
    ("heads", 8, False),
    ("keys", 16, False),
    ("head_words", 16, False),
    ("head_stride", 20, False),
    ("head_steps", 16, False),
    ("value_stride", 20, False),
    ("exp_words", 16, False),
    ("exp_steps", 16, False),
    ("logit_multiplier", 15, False),
    ("logit_shift", 6, False),
    ("context_multiplier", 15, False),
    ("context_shift", 6, False),
    ("patch_height", 8, False),
    ("patch_width", 8, False),
    ("patch_channels", 8, False),
    ("patch_columns", 12, False),
    ("patch_prefix", 8, False),
    ("row_words", 12, False),
    ("span", 16, False),
    ("passes", 16, False),
    ("head_units", 20, False),
    ("tasks", 16, False),
    ("expert", 7, False),
    ("gather", 1, False),
    ("queue_base", 20, False),
    ("experts", 7, False),
    ("choices", 7, False),
    ("gate_mode", 2, False),
    ("gate_shift", 4, False),
    ("weight_units", 20, False),
    ("weight_words", 24, False),
    ("constant_units", 16, False),
    ("constant_words", 16, False),
)

FIELD_BITS = {name: bits for name, bits, _ in LAYOUT}
COUNT_BITS = FIELD_BITS["depends_on"]
"""Bits of a number of commands."""

_ENUMS: dict[str, type[IntEnum]] = {
    "load": Load,
    "product": Product,
    "drain": Drain,
    "target": Target,
    "depends": Depends,
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command; the fields' meaning stands in docs/design.md, "Commands"."""

    load: Load = Load.ROWS
    product: Product = Product.WEIGHTS
    drain: Drain = Drain.REQUANTIZE
    target: Target = Target.FEATURES
    stream_addend: int = 0
    last: int = 0
    depends: Depends = Depends.NONE
    activation_bank: int = 0
    exp_bank: int = 0
    reserved: int = 0
    depends_on: int = 0
    operand_depends_on: int = 0
    rows: int = 1
    tiles: int = 1
    tail_rows: int = 1
    k_words: int = 1
    k_steps: int = 1
    groups: int = 1
    blocks: int = 1
    extra: int = 0
    source: int = 0
    source_stride: int = 0
    target_base: int = 0
    target_stride: int = 0
    addend_base: int = 0
    low: int = -128
    high: int = 127
    norm_width: int = 0
    norm_epsilon: int = 0
    norm_gain: int = 0
    norm_gain_shift: int = 0
    pool_rows: int = 0
    pool_shift: int = 0
    heads: int = 0
    keys: int = 0
    head_words: int = 0
    head_stride: int = 0
    head_steps: int = 0
    value_stride: int = 0
    exp_words: int = 0
    exp_steps: int = 0
    logit_multiplier: int = 0
    logit_shift: int = 0
    context_multiplier: int = 0
    context_shift: int = 0
    patch_height: int = 0
    patch_width: int = 0
    patch_channels: int = 0
    patch_columns: int = 0
    patch_prefix: int = 0
    row_words: int = 0
    span: int = 0
    passes: int = 0
    head_units: int = 0
    tasks: int = 0
    expert: int = 0
    gather: int = 0
    queue_base: int = 0
    experts: int = 0
    choices: int = 0
    gate_mode: int = 0
    gate_shift: int = 0
    weight_units: int = 0
    weight_words: int = 0
    constant_units: int = 0
    constant_words: int = 0

    def __post_init__(self) -> None:
        for name, bits, signed in LAYOUT:
            value = getattr(self, name)
            low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
            if not low <= value <= high:
                raise UsageError(f"command field {name} must be in {low}..{high}, not {value}")

    def group_blocks(self, group: int) -> int:
        """Column blocks of a group: the first `extra` groups have one more."""
        return self.blocks + (group < self.extra)

    def runs_for(self, task: int) -> bool:
        """Whether the command belongs to `task`; bit t of `tasks` stands for task t, 0 for all."""
        return not self.tasks or bool(self.tasks >> task & 1)

    def with_rows(self, count: int, rows: int) -> Command:
        """The command on `count` rows of operands, on an array of `rows` rows."""
        tiles = -(-count // rows)
        return dataclasses.replace(self, rows=count, tiles=tiles, tail_rows=count - (tiles - 1) * rows)

    @property
    def total_blocks(self) -> int:
        return self.groups * self.blocks + self.extra

    def tile_rows(self, tile: int, rows: int) -> int:
        """Valid rows of a tile on an array of `rows` rows."""
        return self.tail_rows if tile == self.tiles - 1 else rows

    def pack(self) -> bytes:
        """128 bytes, little endian, fields from bit 0 upwards in the order of `LAYOUT`."""
        word, position = 0, 0
        for name, bits, _ in LAYOUT:
            word |= (int(getattr(self, name)) & ((1 << bits) - 1)) << position
            position += bits
        return word.to_bytes(COMMAND_BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes) -> Command:
        """The inverse of `pack`."""
        word, values = int.from_bytes(data, "little"), {}
        for name, bits, signed in LAYOUT:
            value = word & ((1 << bits) - 1)
            word >>= bits
            values[name] = value - (1 << bits) if signed and value >> (bits - 1) else value
        return cls._typed(values)

    @classmethod
    def _typed(cls, values: dict[str, int]) -> Command:
        typed: dict[str, Any] = {k: _ENUMS[k](v) if k in _ENUMS else v for k, v in values.items()}
        return cls(**typed)

    def __str__(self) -> str:
        """Fields that differ from their defaults, `name=value`; enumerations by name."""
        parts = []
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.name in _ENUMS:
                parts.append(f"{item.name}={value.name.lower()}")
            elif value != item.default:
                parts.append(f"{item.name}={value}")
        return " ".join(parts)

    @classmethod
    def parse(cls, text: str) -> Command:
        """The inverse of `str`."""
        values: dict[str, int] = {}
        names = {item.name for item in dataclasses.fields(cls)}
        for part in text.split():
            name, _, value = part.partition("=")
            if name not in names or not value:
                raise UsageError(f"command text: {part!r} must be FIELD=VALUE")
            try:
                values[name] = _ENUMS[name][value.upper()] if name in _ENUMS else int(value)
            except (KeyError, ValueError):
                raise UsageError(f"command text: {name} can't be {value!r}") from None
        return cls._typed(values)


def used_bits(commands: Iterable[Command]) -> dict[str, int]:
    """The bits of each field that are not 0 in all of the commands; signed fields keep theirs."""
    commands = list(commands)
    return {
        name: bits if signed else max(int(getattr(command, name)).bit_length() for command in commands)
        for name, bits, signed in LAYOUT
    }
