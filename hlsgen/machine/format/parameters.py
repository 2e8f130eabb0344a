# SPDX-License-Identifier: Apache-2.0
"""The machine's shape: array, memories and bus, fixed when the accelerator is generated."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.machine.format.commands import COUNT_BITS, FIELD_BITS, MOST_NORM_SHIFT_WORDS

BUS_BYTES = (4, 8, 16, 32, 64)
SECTION_ALIGN = 64
"""Bytes to which every section of an Image, the input and the output are padded."""

MOST_LIST_WORDS = 1 << 16
"""Words of a memory of lists that an item of the constant stream can address."""


_NEWER = (
    "rms_norms",
    "products",
    "taps",
    "score_addends",
    "operand_bases",
    "norm_parts",
    "list_words",
    "windows",
    "addend_words",
    "score_slots",
    "key_list_words",
    "narrow_weights",
    "norm_shift_words",
    "activation_bits",
    "numerator_digits",
)
"""Parameters that do not count for the build id at their defaults: machines from before them keep theirs."""
_MAY_BE_ZERO = ("workspace_units", "experts", "choices", "queue_tokens", *_NEWER)


def is_power_of_two(value: int) -> bool:
    """Whether `value` is 1, 2, 4, 8, ..."""
    return value > 0 and value & (value - 1) == 0


def ceil_div(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


@dataclass(frozen=True, kw_only=True)
class MachineParameters:
    """Everything the generated hardware is made from; equal parameters give equal hardware.

    A *word* is `columns` elements. Depths are in words of the memory concerned; see docs/machine.md.
    """

    rows: int
    """Array rows: tokens per tile (1..64)."""
    columns: int
    """Array columns: outputs per block (a power of two, 1..64)."""
    depth: int
    """Products per cell and cycle (a power of two, 1..64)."""
    bus_bytes: int = 16
    """Bytes per beat of the external memory bus."""
    row_width: int = 1
    """Rows that LOAD and DRAIN handle in a cycle: a power of two; divides rows; at most columns and depth."""
    tile_slots: int = 3
    """Operand tiles that LOAD may be ahead of MULTIPLY, the one in use included (2..4)."""
    tile_words: int = 1
    """Words per row of a tile slot."""
    residual_words: int = 1
    feature_words: int = 1
    image_words: int = 1
    key_words: int = 1
    """Words per key lane; there are `columns` lanes."""
    value_words: int = 1
    """Words per value lane; there are `depth` lanes."""
    score_words: int = 1
    """Words per row of one score tile; there are `score_slots` tiles of `rows` rows."""
    ring_words: int = 2
    """Weight ring depth; a ring word is `columns` x `depth` int8."""
    constant_words: int = 2
    """Constant ring depth; a constant word is `columns` x 8 bytes."""
    logit_bits: int = 10
    accumulator_bits: int = 32
    experts: int = 0
    """Most experts of any layer; 0: no layer has any."""
    choices: int = 0
    """Most experts that a token goes to."""
    queue_tokens: int = 0
    """Entries of each expert's queue: the most tokens of any layer with experts."""
    tasks: int = 1
    """Tasks that the host may choose from (1..16)."""
    workspace_units: int = 0
    """Units of 64 bytes that keys take in external memory, and values behind them; 0: both stay inside."""
    rms_norms: int = 0
    """1: LOAD can normalise rows whose mean stays where it is; 0: it takes every row's mean away."""
    products: int = 0
    """1: keys and values serve products of their own, too; 0: they serve attention alone."""
    taps: int = 0
    """1: blocks may read parts of a row, and attention may mix maps; 0: they read rows as they are."""
    score_addends: int = 0
    """1: attention may add constants to scores, which hide keys, too; 0: scores stay as they are."""
    operand_bases: int = 0
    """1: attention may begin at any head, and keys and values anywhere in their memories; 0: at the first."""
    norm_parts: int = 0
    """Parts in which LOAD normalises a word, one a cycle: a power of two; 0 means 1."""

    list_words: int = 0
    """Words of the memory of run lists, two runs each; 0: LOAD reads rows in the order in which they lie."""
    windows: int = 0
    """1: keys and values may be those of windows, and heads of attention may have rows of their own."""
    addend_words: int = 0
    """Groups of rows whose addends stay for the heads behind the first one; 0: each head has its own."""
    score_slots: int = 2
    """Score tiles that MULTIPLY may be ahead of the contexts, the one in use included (2..4)."""
    key_list_words: int = 0
    """Words of the memory of key lists, a run each; 0: all tiles of a command have the same keys."""
    narrow_weights: int = 0
    """1: weights of a command may have 4 bits, two steps to a ring word; 0: all have 8."""
    norm_shift_words: int = 0
    """Words of the memory of norm shifts, 64 elements each; 0: all elements of a norm have one scale."""
    activation_bits: int = 8
    """Bits of the index of an activation's table (8..12)."""
    numerator_digits: int = 1
    """Digits of 8 bits that a softmax numerator may have (1 or 2)."""

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} must be {rule}, not {getattr(self, name)!r}")
            for name, legal, rule in self._rules()
            if not legal
        ]
        named = {problem.what.partition(" ")[0] for problem in problems}
        problems += [
            Problem(f"{item.name} must be positive, not {getattr(self, item.name)!r}")
            for item in dataclasses.fields(MachineParameters)
            if item.name not in (*_MAY_BE_ZERO, *named) and getattr(self, item.name) <= 0
        ]
        problems += [
            Problem(f"{name} must be 0 or more, not {getattr(self, name)}")
            for name in _MAY_BE_ZERO
            if getattr(self, name) < 0
        ]
        if problems:
            raise UsageError(problems, code=Code.MACHINE)

    def _rules(self) -> tuple[tuple[str, bool, str], ...]:
        """A parameter, whether it is legal, and what it must be; that it must be positive apart."""
        return (
            ("rows", 1 <= self.rows <= 64, "in 1..64"),
            ("columns", is_power_of_two(self.columns) and self.columns <= 64, "a power of two in 1..64"),
            ("depth", is_power_of_two(self.depth) and self.depth <= 64, "a power of two in 1..64"),
            ("bus_bytes", self.bus_bytes in BUS_BYTES, f"one of {BUS_BYTES}"),
            (
                "row_width",
                self._row_width_fits or min(self.rows, self.columns, self.depth) < 1,
                "a power of two that divides rows, at most columns and depth",
            ),
            ("tile_slots", 2 <= self.tile_slots <= 4, "in 2..4"),
            ("logit_bits", 8 <= self.logit_bits <= 12, "in 8..12"),
            ("numerator_digits", self.numerator_digits in (1, 2), "1 or 2"),
            ("activation_bits", 8 <= self.activation_bits <= 12, "in 8..12"),
            ("experts", self.experts <= 64, "at most 64"),
            ("choices", self.choices <= self.experts, "at most the number of experts"),
            ("tasks", self.tasks <= 16, "at most 16"),
            ("rms_norms", self.rms_norms <= 1, "0 or 1"),
            ("products", self.products <= 1, "0 or 1"),
            ("products", not self.products or not self.streamed, "0 where attention is streamed"),
            ("taps", self.taps <= self.products, "0 or 1, and 0 in a machine without products"),
            ("score_addends", self.score_addends <= 1, "0 or 1"),
            ("narrow_weights", self.narrow_weights <= 1, "0 or 1"),
            ("operand_bases", self.operand_bases <= 1, "0 or 1"),
            ("operand_bases", not self.operand_bases or not self.streamed, "0 where attention is streamed"),
            (
                "list_words",
                self.list_words <= MOST_LIST_WORDS,
                f"at most {MOST_LIST_WORDS}",
            ),
            *self._norm_rules(),
            *self._window_rules(),
            ("row_width", not self.experts or self.row_width == 1, "1 in a machine with experts"),
            ("accumulator_bits", 16 <= self.accumulator_bits <= 32, "in 16..32"),
        )

    def _norm_rules(self) -> tuple[tuple[str, bool, str], ...]:
        """Those of norms."""
        parts, words = self.norm_parts, self.norm_shift_words
        return (
            (
                "norm_parts",
                parts <= 0 or (is_power_of_two(parts) and parts <= max(1, self.columns)),
                "0 or a power of two, at most columns",
            ),
            ("norm_shift_words", words <= MOST_NORM_SHIFT_WORDS, f"at most {MOST_NORM_SHIFT_WORDS}"),
        )

    def _window_rules(self) -> tuple[tuple[str, bool, str], ...]:
        """Those of attention by windows, and by key lists."""
        return (
            ("key_list_words", self.key_list_words <= MOST_LIST_WORDS, f"at most {MOST_LIST_WORDS}"),
            (
                "key_list_words",
                not self.key_list_words or (self.score_addends > 0 and self.operand_bases > 0),
                "0 in a machine without score addends or operand bases",
            ),
            ("score_slots", 2 <= self.score_slots <= 4, "in 2..4"),
            ("windows", self.windows <= 1, "0 or 1"),
            ("windows", not self.windows or not self.streamed, "0 where attention is streamed"),
            (
                "addend_words",
                not self.addend_words
                or (self.score_addends > 0 and (self.windows > 0 or self.key_list_words > 0)),
                "0 in a machine without score addends, or without windows and key lists",
            ),
        )

    @property
    def streamed(self) -> bool:
        """Whether attention reads keys and values from external memory."""
        return self.workspace_units > 0

    @property
    def planned(self) -> bool:
        """Whether commands may be skipped: they have sections of their own in the Image's streams."""
        return self.experts > 0 or self.tasks > 1

    @property
    def workspace_bytes(self) -> int:
        """External memory that keys and values take."""
        return 2 * self.workspace_units * SECTION_ALIGN

    @property
    def _row_width_fits(self) -> bool:
        width = self.row_width
        fits = is_power_of_two(width) and self.rows % width == 0
        return fits and width <= self.columns and width <= self.depth

    @property
    def field_bits(self) -> Mapping[str, int]:
        """Bits that the fields of commands may have."""
        absent = {} if self.rms_norms else {"norm_rms": 0}
        absent |= {} if self.score_addends else {"score_addends": 0}
        absent |= {} if self.narrow_weights else {"narrow": 0}
        if not self.operand_bases:
            absent |= {"key_base": 0, "value_base": 0, "source_word": 0, "target_word": 0}
        absent |= {} if self.list_words else {"list_base": 0, "piece_words": 0}
        absent |= {} if self.windows else {"window_rows": 0}
        absent |= {} if self.key_list_words else {"key_runs": 0}
        absent |= {} if self.numerator_digits > 1 else {"high_digits": 0}
        absent |= {} if self.addend_words else {"kept_addends": 0}
        absent |= {} if self.norm_shift_words else {"norm_shift_base": 0}
        if not self.products:
            absent |= {"product": 1, "shared": 0, "shared_values": 0}
            absent |= {} if self.windows else {"outer_target": 0}
        if not self.taps:
            absent |= {
                "product": min(2, absent.get("product", 2)),
                "tap_steps": 0,
                "tap_jump": 0,
                "advance": 0,
            }
        return FIELD_BITS | absent

    @property
    def norm_lanes(self) -> int:
        """Elements that LOAD normalises in a cycle, for each of its `row_width` rows."""
        return self.columns // (self.norm_parts or 1)

    @property
    def pools(self) -> bool:
        """Whether LOAD must be able to add up rows."""
        return True

    @property
    def command_count_bits(self) -> int:
        """Bits of a number of commands."""
        return COUNT_BITS

    @property
    def lanes(self) -> int:
        """Multiply-accumulates per cycle."""
        return self.rows * self.columns * self.depth

    def row_groups(self, rows: int) -> int:
        """Groups of `row_width` rows, the last one perhaps not full."""
        return ceil_div(rows, self.row_width)

    def padded_rows(self, rows: int) -> int:
        """Rows up to whole groups."""
        return self.row_groups(rows) * self.row_width

    @property
    def build_id(self) -> int:
        """32 bits that an Image must repeat to be accepted: a digest of all parameters."""
        names = sorted(
            item.name
            for item in dataclasses.fields(MachineParameters)
            if item.name not in _NEWER or getattr(self, item.name) != item.default
        )
        text = ",".join(f"{name}={getattr(self, name)}" for name in names)
        return zlib.crc32(text.encode())
