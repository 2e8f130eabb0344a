# SPDX-License-Identifier: Apache-2.0
"""Bits of counts and addresses, and sizes that several stages share, by the machine's shape."""

from __future__ import annotations

from amaranth import C, Cat, Mux, Value

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.norm_shifts import PARTS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.rtl.format.command import field
from hlsgen.rtl.parts.pipeline import address_bits, count_bits


def block_bits(p: MachineParameters) -> int:
    """Bits of a job's number of blocks: of a sweep, of a row of scores, or of a head's words."""
    bits = p.field_bits["blocks"] + (p.field_bits["extra"] > 0)
    return min(FIELD_BITS["blocks"], max(bits, field(p, "head_words")))


def step_bits(p: MachineParameters) -> int:
    """Bits of a block's number of steps."""
    return field(p, "k_steps", "exp_steps")


def row_bits(p: MachineParameters) -> int:
    """Bits of a row count 0..R."""
    return count_bits(p.rows)


def tile_groups(p: MachineParameters) -> int:
    """Groups of `row_width` rows in a whole tile."""
    return p.rows // p.row_width


def group_lanes(p: MachineParameters) -> int:
    """Elements that LOAD and DRAIN handle in a cycle: a word of each row of a group."""
    return p.columns * p.row_width


def width_bits(p: MachineParameters) -> int:
    """log2 of the row width."""
    return p.row_width.bit_length() - 1


def groups_of(p: MachineParameters, rows: Value) -> Value:
    """Groups that hold `rows` rows."""
    return rows if p.row_width == 1 else (rows + (p.row_width - 1))[width_bits(p) :]


def rows_of_group(p: MachineParameters, rows: Value, last: Value) -> Value:
    """A bit for each row of a group: those of the last group end with row `rows` - 1."""
    if p.row_width == 1:
        return C(1, 1)
    final = (rows - 1)[: width_bits(p)]
    return Cat(~last | (index <= final) for index in range(p.row_width))


def bank_words(p: MachineParameters, words: int) -> int:
    """Words of one of the `row_width` banks of a row memory."""
    return ceil_div(words, p.row_width)


def memory_bits(p: MachineParameters) -> int:
    """Bits of an address in the residual or the feature memory."""
    return address_bits(max(bank_words(p, p.residual_words), bank_words(p, p.feature_words)))


def list_entries(p: MachineParameters) -> int:
    """Quarters of words of the memory of run lists, as `TableWrite` counts them; 0: there is none."""
    return 4 * max(2, p.list_words) if p.list_words else 0


def list_bits(p: MachineParameters) -> int:
    """Bits of an address in the memory of run lists."""
    return address_bits(max(2, p.list_words))


def key_list_entries(p: MachineParameters) -> int:
    """Quarters of words of the memory of key lists, as `TableWrite` counts them; 0: there is none."""
    return 4 * max(2, p.key_list_words) if p.key_list_words else 0


def key_list_bits(p: MachineParameters) -> int:
    """Bits of an address in the memory of key lists."""
    return address_bits(max(2, p.key_list_words))


def shift_entries(p: MachineParameters) -> int:
    """Quarters of 16 elements' norm shifts, as `TableWrite` counts them; 0: there is no memory of them."""
    return 4 * PARTS * p.norm_shift_words if p.field_bits["norm_shift_base"] else 0


def score_words(p: MachineParameters) -> int:
    """Words of one bank of all score tiles."""
    return p.score_slots * tile_groups(p) * p.score_words


def slot_bits(p: MachineParameters) -> int:
    """Bits of a score tile's number."""
    return address_bits(p.score_slots)


def next_slot(slots: int, slot: Value) -> Value:
    """The score tile behind one."""
    return ~slot if slots == 2 else Mux(slot == slots - 1, 0, slot + 1)


def slot_base(p: MachineParameters, slot: Value) -> Value:
    """The first word of a score tile in its bank."""
    size = tile_groups(p) * p.score_words
    base: Value = Mux(slot[0], size, 0)
    for number in range(2, p.score_slots):
        base = Mux(slot == number, number * size, base)
    return base


def slot_entry(p: MachineParameters, slot: Value, group: Value) -> Value:
    """The number of a group of a score tile, of all tiles' groups."""
    groups = tile_groups(p)
    entry: Value = Mux(slot[0], group + groups, group)
    for number in range(2, p.score_slots):
        entry = Mux(slot == number, group + number * groups, entry)
    return entry


def router_words(p: MachineParameters) -> int:
    """Words of logits that a token has at most."""
    return ceil_div(max(1, p.experts), p.columns)


def queue_bits(p: MachineParameters) -> int:
    """Bits of a place in the expert queues."""
    return address_bits(p.experts * p.queue_tokens)


def gather_bits(p: MachineParameters) -> int:
    """Bits of a queue's tiles."""
    return count_bits(ceil_div(max(1, p.queue_tokens), p.rows))


def drain_bits(p: MachineParameters) -> int:
    """Bits of any address that DRAIN writes."""
    logits = p.queue_tokens * router_words(p)
    return max(memory_bits(p), address_bits(max(p.key_words, p.value_words, score_words(p), logits)))


def key_part_bits(p: MachineParameters) -> int:
    """log2 of steps per word (positive) or of words per step (negative)."""
    return p.columns.bit_length() - p.depth.bit_length()


def key_steps(p: MachineParameters, words: Value) -> Value:
    """A key word's address as a step."""
    shift = key_part_bits(p)
    return Cat(C(0, shift), words) if shift >= 0 else words[-shift:]


def operand_bits(p: MachineParameters) -> int:
    """Bits of a key step's or a value word's address."""
    steps = ceil_div(p.key_words * p.columns, p.depth) + 1
    return address_bits(max(steps, p.value_words, p.key_words))


def write_lane_bits(p: MachineParameters) -> int:
    """Bits of a key or value lane's number within its bank."""
    return address_bits(max(p.columns, p.depth) // p.row_width)


def slot_steps(p: MachineParameters) -> int:
    """Steps that a tile slot takes; its words are `slot_words`."""
    return slot_words(p) * p.columns // p.depth


def slot_words(p: MachineParameters) -> int:
    """Words between tile slots: the words of a row, up to whole steps."""
    per_step = max(1, p.depth // p.columns)
    return ceil_div(p.tile_words, per_step) * per_step
