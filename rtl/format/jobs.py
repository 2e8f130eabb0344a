# SPDX-License-Identifier: Apache-2.0
"""Layouts of jobs and of what travels with words: what the sequencer tells the stages."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth import signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hlsgen.machine.format.commands import FIELDS, Target
from hlsgen.machine.format.interface import TRACE_PORTS, Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.load_exp import EXP
from hlsgen.machine.modes.load_layer_norm import LAYER_NORM
from hlsgen.machine.modes.load_norm_shifts import NORM_SHIFTS
from hlsgen.machine.modes.load_pool import POOL
from hlsgen.machine.modes.mode import Unit
from hlsgen.machine.modes.product_weights import TAPS
from hlsgen.machine.modes.table import LOADS
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.widths import (
    block_bits,
    drain_bits,
    group_lanes,
    key_list_bits,
    memory_bits,
    operand_bits,
    queue_bits,
    row_bits,
    slot_bits,
    slot_words,
    step_bits,
    tile_groups,
    write_lane_bits,
)
from hlsgen.rtl.parts.pipeline import address_bits, count_bits
from hlsgen.rtl.parts.ports import ports

WALKED = frozenset(
    {
        "source",
        "source_word",
        "source_stride",
        "k_words",
        "exp_words",
        "outer_source",
        "gather",
        "queue_base",
    }
)
"""Fields that a LOAD job has under names of its own: the sequencer's walk works them out."""
STARTING = frozenset({"pool_rows", "keys", "exp_bank", "list_base", "piece_words", "high_digits"})
"""Fields that LOAD reads where a tile starts, not in its pipelines."""
OPTIONS = frozenset(
    {"norm_rms", "norm_shift_base", "score_addends", "list_base", "piece_words", "high_digits"}
)
"""Fields that belong to options of the machine."""


class Stationary(IntEnum):
    """The memory that MULTIPLY takes its factors from.

    The codes are those of the kinds that tell it in a machine whose keys and values serve attention alone.
    """

    RING = Kind.PLAIN
    KEYS = Kind.SCORES
    VALUES = Kind.CONTEXT


def _read_by(reads: frozenset[str]) -> tuple[str, ...]:
    return tuple(item.name for item in FIELDS if item.name in reads)


def _kept(*units: Unit) -> tuple[str, ...]:
    """The fields that the pipelines of some units need long after a job has started."""
    return _read_by(frozenset(name for unit in units for name in unit.reads) - WALKED - STARTING)


LOAD_FIELDS = _read_by(frozenset(name for mode in LOADS.values() for name in mode.reads) - WALKED)
"""The fields of LOAD's modes that its jobs have as the command has them."""
NORM_FIELDS = ("words", *_kept(LAYER_NORM, NORM_SHIFTS, POOL))
CONTEXT_FIELDS = _kept(EXP)


def present(p: MachineParameters, names: tuple[str, ...]) -> tuple[str, ...]:
    """The fields without those of options that the machine doesn't have: no command sets them."""
    return tuple(name for name in names if name not in OPTIONS or p.field_bits[name])


def output_word(p: MachineParameters) -> data.StructLayout:
    """A group's words on their way to external memory.

    data: C int16 a row; keys and values (`store`) are int8 in its low half. first: the tensor's first word.
    head_end: a head's last one, after which zeros follow up to a multiple of 64 bytes.
    """
    flags = dict.fromkeys(("store", "values", "first", "head_end"), 1) if p.streamed else {}
    return data.StructLayout({"data": 16 * group_lanes(p)} | flags)


def fill_job(p: MachineParameters) -> data.StructLayout:
    """An attention command for the reader of keys and values."""
    names = ("keys", "heads", "readings", "head_units", "head_words", "operand_depends_on")
    fields = {name: field(p, name) for name in names}
    return data.StructLayout(fields | {"head_stride": drain_bits(p), "value_stride": drain_bits(p)})


def load_job(p: MachineParameters, trace: bool) -> data.StructLayout:
    """One tile for LOAD to make."""
    address = memory_bits(p)
    fields: dict[str, int] = {
        "kind": 2,
        "first": 1,
        "fresh": 1,
        "slot": slot_bits(p),
        "rows": row_bits(p),
        "words": count_bits(p.tile_words),
        "tile": field(p, "tiles"),
        "source": address,
        "source_stride": address,
    }
    names = ("load", "depends", "depends_on", *present(p, LOAD_FIELDS))
    fields |= {name: field(p, name) for name in names}
    if p.experts:
        fields |= {"gather": 1, "queue": queue_bits(p)}
    if trace:
        fields |= {"command": 16, "head": 16, "token": 16}
    return data.StructLayout(fields)


def multiply_job(p: MachineParameters) -> data.StructLayout:
    """One tile against the blocks of a sweep, of all keys, or of a head's values.

    stationary: a `Stationary`; without products of keys and values `kind` tells it. digit_steps: those of an
    exp's high digit; 0: it has none.
    """
    address = operand_bits(p)
    return data.StructLayout(
        {
            "kind": 2,
            **({"stationary": 2} if p.products else {}),
            **({name: field(p, name) for name in TAPS.reads} if p.taps else {}),
            **({"narrow": 1} if p.narrow_weights else {}),
            **({"digit_steps": step_bits(p)} if p.numerator_digits > 1 else {}),
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
            **({"listed": 1} if p.key_list_words else {}),
        }
    )


def key_job(p: MachineParameters) -> data.StructLayout:
    """A job of attention whose keys are those of its tile's runs.

    first: the first tile, whose runs begin at `list`. passes: how often they are read. base: the words before
    a head's keys, or its values.
    """
    return data.StructLayout(
        {
            "context": 1,
            "first": 1,
            "list": key_list_bits(p),
            "runs": field(p, "key_runs"),
            "passes": block_bits(p),
            "base": operand_bits(p),
            "waits": 1,
            "operand_depends_on": field(p, "operand_depends_on"),
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
        "slot": slot_bits(p),
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
    if p.windows:
        fields |= {"window_groups": field(p, "window_rows")}
    if p.addend_words:
        fields |= {"keeps": 1, "again": 1}
    if trace:
        fields |= {"command": 16, "head": 16, "token": 16, "block": 16}
    return data.StructLayout(fields)


def load_config(p: MachineParameters) -> data.StructLayout:
    """The part of a LOAD job that its pipelines need long after it has started."""
    widths = {"words": count_bits(p.tile_words)}
    names = present(p, NORM_FIELDS + CONTEXT_FIELDS)
    return data.StructLayout({name: widths.get(name) or field(p, name) for name in names})


def load_tag(p: MachineParameters, trace: bool) -> data.StructLayout:
    """What travels with a group's words through LOAD: where they go, which rows are real, what they end."""
    fields: dict[str, Any] = {
        "lane": address_bits(tile_groups(p)),
        "rows": p.row_width,
        "word": address_bits(p.tile_slots * slot_words(p)),
        "row_first": 1,
        "row_last": 1,
        "tile_last": 1,
        "slot": slot_bits(p),
    }
    if trace:
        fields["trace"] = data.StructLayout(TRACE_PORTS)
    return data.StructLayout(fields)


def drain_tag(p: MachineParameters, trace: bool) -> data.StructLayout:
    """What travels with a group of rows through DRAIN: how it is treated, where it goes, what it ends."""
    flags = ["valid", "scores", "activation", "add", "stream", "bank", "restart", "slot"]
    flags += ["end_scores", "end_tile", "end_command", "end_program"]
    flags += ["store_first", "head_end"] if p.streamed else []
    flags += ["score_addends"] if p.score_addends else []
    flags += ["keeps", "again", "end_head"] if p.addend_words else []
    flags += ["combine", "token_end"] if p.experts else []
    targets = data.StructLayout({target.name.lower(): 1 for target in Target})
    fields: dict[str, Any] = dict.fromkeys(flags, 1) | {
        "slot": slot_bits(p),
        "to": targets,
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
        fields["trace"] = data.StructLayout(TRACE_PORTS)
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


def show(shown: Any, trace: Any) -> list[Any]:
    """Statements: whose words a `trace_signature` shows, as their tag's `trace` says."""
    port = ports(shown)
    return [port[name].eq(trace[name]) for name in TRACE_PORTS]
