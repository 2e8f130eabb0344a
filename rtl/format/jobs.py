# SPDX-License-Identifier: Apache-2.0
"""What the sequencer tells the stages: layouts of commands and jobs."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hlsgen.machine.format.commands import COMMAND_BYTES, FIELD_BITS, FIELDS, Target
from hlsgen.machine.format.interface import TRACE_PORTS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.rtl.parts.pipeline import address_bits, count_bits

COMMAND_BITS = 8 * COMMAND_BYTES
COMMAND = data.StructLayout({item.name: signed(item.bits) if item.signed else item.bits for item in FIELDS})


def narrowed(p: MachineParameters, payload: Value) -> Any:
    """A command's fields, 0 beyond the bits that the machine has for them."""
    command = data.View(COMMAND, payload[: COMMAND.size])
    kept = (Value.cast(command[item.name])[: p.field_bits[item.name]] for item in FIELDS)
    return data.View(
        COMMAND,
        Cat(Cat(value, C(0, item.bits - len(value))) for value, item in zip(kept, FIELDS, strict=True)),
    )


def field(p: MachineParameters, *names: str) -> int:
    """Bits that hold any of these fields of a command."""
    return max(1, *(p.field_bits[name] for name in names))


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


def score_words(p: MachineParameters) -> int:
    """Words of one bank of both score tiles."""
    return 2 * tile_groups(p) * p.score_words


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


def output_word(p: MachineParameters) -> data.StructLayout:
    """A group's words on their way to external memory.

    data: C int16 a row; keys and values (`store`) are int8 in its low half. first: the tensor's first word.
    head_end: a head's last one, after which zeros follow up to a multiple of 64 bytes.
    """
    flags = dict.fromkeys(("store", "values", "first", "head_end"), 1) if p.streamed else {}
    return data.StructLayout({"data": 16 * group_lanes(p)} | flags)


def fill_job(p: MachineParameters) -> data.StructLayout:
    """An attention command for the reader of keys and values."""
    names = ("keys", "heads", "passes", "head_units", "head_words", "operand_depends_on")
    fields = {name: field(p, name) for name in names}
    return data.StructLayout(fields | {"head_stride": drain_bits(p), "value_stride": drain_bits(p)})


def load_job(p: MachineParameters, trace: bool) -> data.StructLayout:
    """One tile for LOAD to make."""
    address = memory_bits(p)
    fields: dict[str, int] = {
        "kind": 2,
        "first": 1,
        "fresh": 1,
        "slot": 1,
        "rows": row_bits(p),
        "words": count_bits(p.tile_words),
        "tile": field(p, "tiles"),
        "source": address,
        "source_stride": address,
    }
    names = ["load", "depends", "depends_on", "norm_width", "norm_epsilon", "norm_gain", "norm_gain_shift"]
    names += ["pool_rows", "pool_shift", "keys", "context_multiplier", "context_shift", "exp_bank"]
    names += ["patch_height", "patch_width", "patch_channels", "patch_columns", "patch_prefix", "row_words"]
    fields |= {name: field(p, name) for name in names}
    if p.experts:
        fields |= {"gather": 1, "queue": queue_bits(p)}
    if trace:
        fields |= {"command": 16, "head": 8, "token": 16}
    return data.StructLayout(fields)


def multiply_job(p: MachineParameters) -> data.StructLayout:
    """One tile against the blocks of a sweep, of all keys, or of a head's values."""
    address = operand_bits(p)
    return data.StructLayout(
        {
            "kind": 2,
            "row_groups": count_bits(tile_groups(p)),
            "blocks": block_bits(p),
            "steps": step_bits(p),
            "base": address,
            "block_step": address,
            "step_step": address,
            "waits": 1,
            "operand_depends_on": field(p, "operand_depends_on"),
            "first_pass": 1,
            "last_pass": 1,
            "addends": 1,
            "output": 1,
            **({"opens": 1, "closes": 1} if p.streamed else {}),
            **({"expert": field(p, "expert")} if p.experts else {}),
        }
    )


def drain_job(p: MachineParameters, trace: bool) -> data.StructLayout:
    """What becomes of a job's blocks."""
    address = drain_bits(p)
    fields: dict[str, Any] = {
        "kind": 2,
        "drain": field(p, "drain"),
        "target": 3,
        "stream_addend": 1,
        "activation_bank": 1,
        "slot": 1,
        "fresh": 1,
        "first_tile": 1,
        "last_tile": 1,
        "end_tile": 1,
        "end_command": 1,
        "last": 1,
        "rows": row_bits(p),
        "blocks": block_bits(p),
        "base": address,
        "row_step": address,
        "lane_last": write_lane_bits(p),
        "head_words": field(p, "head_words"),
        "head_jump": address,
        "addend_offset": memory_bits(p),
        "low": signed(16),
        "high": signed(16),
        "keys": field(p, "keys"),
        "multiplier": field(p, "logit_multiplier"),
        "shift": field(p, "logit_shift"),
    }
    if p.experts:
        names = ("experts", "choices", "gate_mode", "gate_shift")
        fields |= {name: field(p, name) for name in names}
        fields |= {"queue": queue_bits(p), "route_stride": memory_bits(p)}
    if trace:
        fields |= {"command": 16, "head": 8, "token": 16, "block": 16}
    return data.StructLayout(fields)


NORM_FIELDS = ("words", "norm_width", "norm_epsilon", "norm_gain", "norm_gain_shift", "pool_shift")
CONTEXT_FIELDS = ("context_multiplier", "context_shift")


def load_config(p: MachineParameters) -> data.StructLayout:
    """The part of a LOAD job that its pipelines need long after it has started."""
    widths = {"words": count_bits(p.tile_words)}
    names = NORM_FIELDS + CONTEXT_FIELDS
    return data.StructLayout({name: widths.get(name) or field(p, name) for name in names})


def load_tag(p: MachineParameters, trace: bool) -> data.StructLayout:
    """What travels with a group's words through LOAD: where they go, which rows are real, what they end."""
    fields = {
        "lane": address_bits(tile_groups(p)),
        "rows": p.row_width,
        "word": address_bits(p.tile_slots * slot_words(p)),
        "row_first": 1,
        "row_last": 1,
        "tile_last": 1,
        "slot": 1,
    }
    if trace:
        fields |= {f"trace_{name}": bits for name, bits in TRACE_PORTS.items()}
    return data.StructLayout(fields)


def drain_tag(p: MachineParameters, trace: bool) -> data.StructLayout:
    """What travels with a group of rows through DRAIN: how it is treated, where it goes, what it ends."""
    flags = ["valid", "scores", "activation", "add", "stream", "bank", "restart", "slot"]
    flags += ["end_scores", "end_tile", "end_command", "end_program"]
    flags += [f"to_{target.name.lower()}" for target in Target]
    flags += ["store_first", "head_end"] if p.streamed else []
    flags += ["combine", "token_end"] if p.experts else []
    fields = dict.fromkeys(flags, 1) | {
        "address": drain_bits(p),
        "lane": write_lane_bits(p),
        "addend_address": memory_bits(p),
        "mask": p.columns,
        "row": address_bits(tile_groups(p)),
        "rows": p.row_width,
    }
    if p.experts:
        fields |= {"gate": 15, "gate_shift": field(p, "gate_shift")}
        fields |= {"addend_offset": memory_bits(p)}
    if trace:
        fields |= {f"trace_{name}": bits for name, bits in TRACE_PORTS.items()}
    return data.StructLayout(fields)


def trace_signature(p: MachineParameters) -> wiring.Signature:
    """A group's words shown to the simulation, with a `valid` each and the first one's row.

    `data` is C elements per row, each sign-extended to 16 bits.
    """
    return wiring.Signature(
        {
            "valid": Out(p.row_width),
            **{name: Out(bits) for name, bits in TRACE_PORTS.items()},
            "data": Out(16 * group_lanes(p)),
        }
    )
