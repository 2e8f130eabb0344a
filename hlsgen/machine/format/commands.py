# SPDX-License-Identifier: Apache-2.0
"""Commands: what the machine executes, as fields, as 128 bytes and as one line of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.fields import Field, field, fields_of, places_of

COMMAND_BYTES = 128


class Load(IntEnum):
    """How LOAD makes operand rows."""

    ROWS = 0  # int8 rows of the feature memory
    LAYER_NORM = 1  # normalised rows of the residual memory
    PATCHES = 2  # rows gathered from the image memory
    POOL = 3  # one row: mean over residual rows, saturated to int8
    POOL_NORM = 4  # one row: mean over residual rows, then normalised
    ATTENTION = 5  # per head and tile: query rows, then exp of the score tile


NORMS = (Load.LAYER_NORM, Load.POOL_NORM)


class Product(IntEnum):
    """What MULTIPLY multiplies the operand rows by."""

    WEIGHTS = 0  # the weight ring
    ATTENTION = 1  # the key memory for scores, the value memory for contexts
    KEYS = 2  # the key memory, transposed: result column c is the product with key c
    VALUES = 3  # the value memory: operand element k meets value k
    MAPS = 4  # the weight ring for scores, which are sums of maps; the value memory for contexts


class Drain(IntEnum):
    """What DRAIN does with an accumulator row."""

    REQUANTIZE = 0
    ACTIVATION = 1  # requantize to an index, then the activation table
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
    TILE = 2  # the tile of the same index of `depends_on`'s last sweep, or last head, has drained


def ring_words_of(steps: int, narrow: bool) -> int:
    """Ring words of a block of so many steps."""
    return -(-steps // 2) if narrow else steps


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command. A field is a line here and nowhere else; `docs/commands.md` is the same as a table.

    T are the rows of operands, R, C and D the array's rows, columns and depth. A field's bits follow those of
    the line before it, from bit 0 on.
    """

    load: Load = field(3, Load.ROWS, "how LOAD makes operand rows")
    product: Product = field(3, Product.WEIGHTS, "what MULTIPLY multiplies them by")
    drain: Drain = field(3, Drain.REQUANTIZE, "what DRAIN does with an accumulator row")
    target: Target = field(3, Target.FEATURES, "where DRAIN writes")
    stream_addend: int = field(1, 0, "the addend comes from the addend stream (1) or the residual memory (0)")
    last: int = field(1, 0, "the last command of a task", orders=True)
    depends: Depends = field(2, Depends.NONE, "what LOAD of a tile waits for: see above", orders=True)
    activation_bank: int = field(1, 0, "the activation table that is read", varies=True)
    exp_bank: int = field(1, 0, "the exp table that is read", varies=True)
    depends_on: int = field(16, 0, "the command that LOAD waits for", orders=True)
    operand_depends_on: int = field(
        16, 0, "MULTIPLY waits until this command, the last of keys and values, has drained", orders=True
    )
    tiles: int = field(16, 1, "tiles of T operand rows, ceil(T/R)")
    tail_rows: int = field(8, 1, "rows of the last tile: T - (tiles-1)*R")
    k_words: int = field(16, 1, "words that LOAD writes for a row; attention: for a query row")
    k_steps: int = field(16, 1, "steps that MULTIPLY takes for a block; attention: for a block of scores")
    sweeps: int = field(
        16,
        1,
        "how many sweeps: column blocks whose weights lie in the ring together; keys, values: one for each "
        "head; attention: 1",
    )
    blocks: int = field(16, 1, "column blocks of a sweep; attention: of a row of scores, ceil(keys/C)")
    extra: int = field(16, 0, "so many sweeps, the first ones, have one block more")
    source: int = field(
        20,
        0,
        "row t, word w of sweep or head o is read at source + o*outer_source + t*source_stride + w; "
        "attention: + source_word",
        varies=True,
    )
    source_stride: int = field(16, 0, "words from a row to the next one")
    target_base: int = field(
        20,
        0,
        "row t, block b goes to target_base + t*target_stride + b; contexts: + head*head_words "
        "+ target_word; where `outer_target` is set, block b of sweep, or of head, o: + o*outer_target",
        varies=True,
    )
    target_stride: int = field(16, 0, "words from a row to the next one")
    addend_base: int = field(
        20,
        0,
        "a result is added to the word that lies as far behind it as it lies behind target_base",
        varies=True,
    )
    low: int = field(
        16,
        -128,
        "least requantized value, before table or addition; of scores only in machines with `score_addends`",
        signed=True,
        varies=True,
    )
    high: int = field(16, 127, "the same for the largest requantized value", signed=True, varies=True)
    norm_width: int = field(13, 0, "elements of a normalised row")
    norm_epsilon: int = field(48, 0, "epsilon of `numerics.layer_norm`", varies=True)
    norm_gain: int = field(15, 0, "gain of `numerics.layer_norm`", varies=True)
    norm_gain_shift: int = field(6, 0, "shift of the gain", varies=True)
    pool_rows: int = field(16, 0, "rows that are added up, from `source` on")
    pool_shift: int = field(
        5, 0, "shift of the sum; pool saturates it to int8, pool_norm to int16", varies=True
    )
    heads: int = field(8, 0, "heads of queries")
    keys: int = field(16, 0, "keys of a head: of scores beyond them e is 0, and no maximum")
    head_words: int = field(
        16, 0, "words of a head; keys and values: block b is word b % head_words of a head"
    )
    head_stride: int = field(20, 0, "words of a key lane for a head")
    value_stride: int = field(20, 0, "words of a value lane for a head")
    exp_words: int = field(16, 0, "words that LOAD writes for a row of a digit of exp, ceil(exp_steps*D/C)")
    exp_steps: int = field(16, 0, "steps of a block of contexts, for a digit of exp: ceil(keys/D)")
    logit_multiplier: int = field(15, 0, "multiplier of scores, which have bias 0", varies=True)
    logit_shift: int = field(6, 0, "shift of scores, which saturate to `logit_bits`", varies=True)
    context_multiplier: int = field(15, 0, "multiplier of contexts, which have bias 0", varies=True)
    context_shift: int = field(6, 0, "shift of contexts, which saturate to int8", varies=True)
    patch_height: int = field(8, 0, "rows of pixels in a patch")
    patch_width: int = field(8, 0, "pixels in a row of a patch")
    patch_channels: int = field(8, 0, "channels of the image")
    patch_columns: int = field(12, 0, "patches beside each other in the image")
    patch_prefix: int = field(8, 0, "rows of zeros in front of the patches")
    row_words: int = field(12, 0, "words of a row of one channel of the image")
    span: int = field(16, 0, "streamed attention: query tiles of a reading; 0: resident")
    readings: int = field(16, 0, "streamed attention: how many readings of a head")
    head_units: int = field(20, 0, "streamed attention: 64-byte units of a head's keys, or of its values")
    tasks: int = field(16, 0, "bit t: the command belongs to task t; 0: to all")
    expert: int = field(7, 0, "1 + the expert whose queue gives the rows; 0: no expert's", varies=True)
    gather: int = field(1, 0, "operand rows are those of the queue's tokens")
    queue_base: int = field(20, 0, "first entry of the expert's queue", varies=True)
    experts: int = field(7, 0, "router: number of experts")
    choices: int = field(7, 0, "router: experts that a token goes to")
    gate_mode: int = field(2, 0, "router: `numerics.GateMode`")
    gate_shift: int = field(4, 0, "places of the gate that `numerics.gated_add` drops", varies=True)
    weight_units: int = field(20, 0, "64-byte units of the command's weights; only where it may be skipped")
    weight_words: int = field(24, 0, "ring words of the command's weights", orders=True)
    constant_units: int = field(
        16, 0, "64-byte units of its constants; only where it may be skipped", varies=True
    )
    constant_words: int = field(16, 0, "words of the command's constants", orders=True)
    outer_source: int = field(16, 0, "words from a sweep's, or a head's, part of a row to the next one's")
    outer_target: int = field(
        20, 0,
        "words from a sweep's, or a head's, rows of results to the next one's; 0: a row has those of all",
    )  # fmt: skip
    shared: int = field(
        8, 0, "so many heads more have the same keys, or the same values of a product, as a head"
    )
    tap_steps: int = field(
        16,
        0,
        "steps of a tap, a part of a row that a block reads; 0: it reads the row from its first step on",
    )
    tap_jump: int = field(20, 0, "steps from a tap's last one to the next tap's first")
    advance: int = field(16, 0, "steps from a block's first tap to that of the next block of its sweep")
    norm_rms: int = field(1, 0, "`numerics.layer_norm` leaves a row's mean where it is: an RMS norm")
    shared_values: int = field(8, 0, "attention: so many heads more have the same values as a head")
    score_addends: int = field(
        1,
        0,
        "attention: scores take addends from the addend stream, of the lowest logit e is 0",
    )
    key_base: int = field(
        20, 0, "words of the key memory before the first head's keys, or see key_runs", varies=True
    )
    value_base: int = field(20, 0, "words of the value memory before the first head's values", varies=True)
    list_base: int = field(
        17, 0, "1 + the word of the memory of run lists where the rows' list begins; 0: they lie in order"
    )
    piece_words: int = field(
        16, 0, "with a list: words of one of its rows; a row of operands is so many that k_words are full"
    )

    window_rows: int = field(
        16,
        0,
        "keys and values: rows of a window, which begins at lane 0 of a word of its own; 0: of all of them",
    )
    source_word: int = field(16, 0, "attention: words of a row before its first head's queries", varies=True)
    target_word: int = field(16, 0, "attention: words of a row before its first head's contexts", varies=True)
    kept_addends: int = field(
        1, 0, "attention: the first head's addends are those of all heads, and stand in the stream once"
    )
    key_runs: int = field(
        7,
        0,
        "attention: runs of keys of a tile; those of the first tile lie from word key_base of the memory of "
        "key lists on; 0: all tiles have the keys from key_base and value_base on",
    )
    narrow: int = field(1, 0, "the weights have 4 bits: a ring word holds those of two steps")
    norm_shift_base: int = field(
        11, 0,
        "1 + the word of the memory of norm shifts where those of a row's elements begin; 0: all are 0",
        varies=True, within="logit_multiplier", loads=NORMS,
    )  # fmt: skip

    high_digits: int = field(
        1, 0,
        "attention: e has a high digit, too: its words, and its steps, come before those of the low one",
        within="pool_shift", loads=(Load.ATTENTION,),
    )  # fmt: skip

    @property
    def digits(self) -> int:
        """Digits of a softmax numerator."""
        return 1 + self.high_digits

    def __post_init__(self) -> None:
        for item in FIELDS:
            value, (low, high) = getattr(self, item.name), item.range
            if not low <= value <= high:
                raise UsageError(f"command field {item.name} must be in {low}..{high}, not {value}")
            if value and not self.holds(item):
                load = self.load.name.lower()
                raise UsageError(f"command field {item.name} must be 0 with load={load}, not {value}")

    def holds(self, item: Field) -> bool:
        """Whether the command has the field's bits, which another field may have in commands of its LOAD."""
        return _holds(self.load, item)

    def sweep_blocks(self, sweep: int) -> int:
        """Column blocks of a sweep: the first `extra` sweeps have one more."""
        return self.blocks + (sweep < self.extra)

    def runs_for(self, task: int) -> bool:
        """Whether the command belongs to `task`; bit t of `tasks` stands for task t, 0 for all."""
        return not self.tasks or bool(self.tasks >> task & 1)

    def place(self, head: int) -> int:
        """Which of the heads in the key memory, or of a product's factors, serves head `head`."""
        return head // (self.shared + 1)

    def value_place(self, head: int) -> int:
        """Which of the heads in the value memory serves head `head` of attention."""
        return head // (self.shared_values + 1)

    def operand_row(self, row: Any, lanes: int) -> tuple[Any, Any]:
        """Where row `row` of a head's keys or values lies: how many lanes' words before it, and its lane."""
        if not self.window_rows:
            return row // lanes, row % lanes
        window, row = row // self.window_rows, row % self.window_rows
        return window * -(-self.window_rows // lanes) + row // lanes, row % lanes

    def takes_addends(self, head: int) -> bool:
        """Whether scores of a head of attention take addends from the stream."""
        return bool(self.score_addends) and not (self.kept_addends and head)

    def counts(self, key: Any) -> Any:
        """Whether a key exists, or for each of an array: what lies beyond `keys` does not count."""
        return key < self.keys

    def steps_read(self, block: int) -> Any:
        """Steps of an operand row that block `block` of a sweep reads, in order; attention: of scores."""
        step = np.arange(self.k_steps)
        taps = step // self.tap_steps * (self.tap_jump - 1) if self.tap_steps else 0
        return block * self.advance + step + taps

    def with_rows(self, count: int, rows: int) -> Command:
        """The command on `count` rows of operands, on an array of `rows` rows."""
        tiles = -(-count // rows)
        return dataclasses.replace(self, tiles=tiles, tail_rows=count - (tiles - 1) * rows)

    def row_count(self, rows: int) -> int:
        """Operand rows on an array of `rows` rows."""
        return (self.tiles - 1) * rows + self.tail_rows

    @property
    def ring_words(self) -> int:
        """Ring words of a block's weights: one for each step, or for two; the last one may be half empty."""
        return ring_words_of(self.k_steps, bool(self.narrow))

    @property
    def total_blocks(self) -> int:
        return self.sweeps * self.blocks + self.extra

    def tile_rows(self, tile: int, rows: int) -> int:
        """Valid rows of a tile on an array of `rows` rows."""
        return self.tail_rows if tile == self.tiles - 1 else rows

    def pack(self) -> bytes:
        """128 bytes, little endian, fields from bit 0 upwards in the order of `FIELDS`."""
        word = 0
        for item in FIELDS:
            word |= (int(getattr(self, item.name)) & ((1 << item.bits) - 1)) << PLACES[item.name]
        return word.to_bytes(COMMAND_BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes) -> Command:
        """The inverse of `pack`."""
        word, values = int.from_bytes(data, "little"), {}
        for item in FIELDS:
            value = word >> PLACES[item.name] & ((1 << item.bits) - 1)
            values[item.name] = value - (1 << item.bits) if value > item.range[1] else value
        lost = [item.name for item in FIELDS if not _holds(values["load"], item)]
        return cls._typed(values | dict.fromkeys(lost, 0))

    @classmethod
    def _typed(cls, values: dict[str, int]) -> Command:
        typed: dict[str, Any] = {name: _NAMED[name].typed(value) for name, value in values.items()}
        return cls(**typed)

    def __str__(self) -> str:
        """Fields that differ from their defaults, `name=value`; enumerations by name."""
        parts = []
        for item in FIELDS:
            value = getattr(self, item.name)
            if item.enum is not None:
                parts.append(f"{item.name}={value.name.lower()}")
            elif value != item.default:
                parts.append(f"{item.name}={value}")
        return " ".join(parts)

    @classmethod
    def parse(cls, text: str) -> Command:
        """The inverse of `str`."""
        values: dict[str, int] = {}
        for part in text.split():
            name, _, value = part.partition("=")
            if name not in _NAMED or not value:
                raise UsageError(f"command text: {part!r} must be FIELD=VALUE")
            enum = _NAMED[name].enum
            try:
                values[name] = int(value) if enum is None else enum[value.upper()]
            except (KeyError, ValueError):
                raise UsageError(f"command text: {name} can't be {value!r}") from None
        return cls._typed(values)


FIELDS = fields_of(Command)
"""The fields of a command, packed from bit 0 upwards in this order."""
PLACES = places_of(FIELDS)
"""The first bit of each field."""
_GUESTS = {item.within: item for item in FIELDS if item.within}
_NAMED = {item.name: item for item in FIELDS}
FIELD_BITS = {item.name: item.bits for item in FIELDS}
MOST_NORM_SHIFT_WORDS = (1 << FIELD_BITS["norm_shift_base"]) - 1
"""Words of the memory of norm shifts that commands can name."""
COUNT_BITS = FIELD_BITS["depends_on"]
"""Bits of a number of commands."""


def _holds(load: int, item: Field) -> bool:
    """Whether commands with a way of LOAD have a field's bits."""
    guest = _GUESTS.get(item.name)
    return load in item.loads if item.within else guest is None or load not in guest.loads


def used_bits(commands: Iterable[Command]) -> dict[str, int]:
    """The bits of each field that are not 0 in all of the commands; signed fields keep theirs."""
    commands = list(commands)
    return {
        item.name: item.bits
        if item.signed
        else max(int(getattr(command, item.name)).bit_length() for command in commands)
        for item in FIELDS
    }
