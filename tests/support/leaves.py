# SPDX-License-Identifier: Apache-2.0
"""All arithmetic of the RTL side by side, in every multiplier style, between two records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth import Module

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.arith import numerics
from hlsgen.rtl.arith.multiplier import STYLES, Multiplier, WideMultiplier
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.normalise import NormaliseLanes, shift_amount
from hlsgen.rtl.load.row_unit import ROW_CONFIG, RowUnit
from hlsgen.rtl.parts.pipeline import delay
from support.leaf_bench import LeafBench, Leaves, build, packed

LANES = 4
LOGIT_BITS = 8
MULTIPLIERS = [(style, 3) for style in STYLES] + [(style, 2) for style in ("plain", "ecp5")]
CONSTANT_SHIFTS = range(10)
DENOMINATOR_LATER = 2
"""Cycles from a row's last exp word to its sum: an adder tree for four lanes, an accumulator."""
CONFIG = [
    ("norm_width", "<u2"),
    ("norm_epsilon", "<u8"),
    ("norm_gain", "<u2"),
    ("norm_gain_shift", "u1"),
    ("context_multiplier", "<u2"),
    ("context_shift", "u1"),
]

STIMULUS = packed(
    ("a", "<i4"),
    ("b", "<i4"),
    ("accumulator", "<i4", (LANES,)),
    ("bias", "<i4", (LANES,)),
    ("multiplier", "<u2", (LANES,)),
    ("shift", "u1", (LANES,)),
    ("low", "<i2"),
    ("high", "<i2"),
    ("value", "<i4", (LANES,)),
    ("lane_shift", "i1"),
    ("factor", "<u2"),
    *CONFIG,
    ("norm_start", "u1"),
    ("sum", "<i4"),
    ("squares", "<u8"),
    ("context_start", "u1"),
    ("denominator", "<u4"),
    ("x", "<i2", (LANES,)),
    ("addend", "<i2", (LANES,)),
    ("table_write", "u1"),
    ("table_address", "u1"),
    ("table_data", "<u8"),
    ("bank", "u1"),
    ("index", "i1", (LANES,)),
    ("maximum", "i1"),
    ("mask", "u1"),
    ("row", "u1"),
)
"""`row`: bit 0 a word of logits, bit 1 its row's first, bit 2 its last."""

RESPONSE = packed(
    *((f"narrow_{style}_{latency}", "<i4") for style, latency in MULTIPLIERS),
    *((f"port_{style}_{latency}", "<i8") for style, latency in MULTIPLIERS),
    *((f"wide_{style}", "<i8") for style in STYLES),
    *((f"requantize_{style}", "<i2", (LANES,)) for style in STYLES),
    *((f"normalise_{style}", "i1", (LANES,)) for style in STYLES),
    ("shifted", "<i4", (LANES,)),
    *(
        (f"row_{style}_{name}", kind)
        for style in STYLES
        for name, kind in (("valid", "u1"), ("multiplier", "<u2"))
    ),
    *((f"row_{style}_shift", "i1") for style in STYLES),
    ("add", "<i2", (LANES,)),
    ("activation", "i1", (LANES,)),
    ("exp", "u1", (LANES,)),
    ("denominator_valid", "u1"),
    ("denominator", "<u4"),
    ("round_shift", "i1"),
    ("round_constant_signed", "i1", (len(CONSTANT_SHIFTS),)),
    ("round_constant_unsigned", "u1", (len(CONSTANT_SHIFTS),)),
    ("saturate_bits", "i1"),
    ("saturate", "<i2"),
)


def leaf_bench(folder: Path) -> LeafBench:
    """Build them all."""
    return build(Leaves(STIMULUS, RESPONSE, _wire), STIMULUS, RESPONSE, folder)


def _wire(m: Module, io: Leaves) -> None:
    _helpers(m, io)
    _multipliers(m, io)
    for style in STYLES:
        _requantize(m, io, style)
        _normalise(m, io, style)
        _row_unit(m, io, style)
    _add(m, io)
    _tables(m, io)


def _helpers(m: Module, io: Leaves) -> None:
    """The pieces of rtl/arith/numerics.py, without registers."""
    byte, amount = io.pick("a")[:8].as_signed(), io.pick("b")[:6]
    coarse = numerics.shift_coarse(numerics.doubled(byte), amount, 8)
    m.d.comb += [
        io.put("round_shift", numerics.shift_round(numerics.shift_fine(coarse, amount), 8)),
        io.put("saturate_bits", numerics.saturate_bits(io.pick("a")[:16].as_signed(), 8)),
        io.put("saturate", numerics.saturate(io.pick("a"), io.pick("low"), io.pick("high"), 16)),
    ]
    for lane, shift in enumerate(CONSTANT_SHIFTS):
        signed, unsigned = (numerics.round_shift_constant(x, shift) for x in (byte, byte.as_unsigned()))
        m.d.comb += io.put("round_constant_signed", signed, lane)
        m.d.comb += io.put("round_constant_unsigned", unsigned, lane)


def _multipliers(m: Module, io: Leaves) -> None:
    a, b = io.pick("a"), io.pick("b")
    for style, latency in MULTIPLIERS:
        for name, bits in (("narrow", (9, 8)), ("port", (18, 18))):
            product = Multiplier(*bits, latency=latency, style=style)
            m.submodules += product
            m.d.comb += [product.a.eq(a), product.b.eq(b), io.put(f"{name}_{style}_{latency}", product.p)]
    for style in STYLES:
        wide = WideMultiplier(style=style)
        m.submodules += wide
        m.d.comb += [wide.a.eq(a), wide.b.eq(b), io.put(f"wide_{style}", wide.p)]


def _requantize(m: Module, io: Leaves, style: str) -> None:
    leaf = Requantize(LANES, 32, style=style)
    m.submodules += leaf
    m.d.comb += [leaf.low.eq(io.pick("low")), leaf.high.eq(io.pick("high"))]
    for lane in range(LANES):
        for name in ("accumulator", "bias", "multiplier", "shift"):
            m.d.comb += getattr(leaf, name)[lane].eq(io.pick(name, lane))
        m.d.comb += io.put(f"requantize_{style}", leaf.result[lane], lane)


def _normalise(m: Module, io: Leaves, style: str) -> None:
    leaf = NormaliseLanes(LANES, style=style)
    m.submodules += leaf
    factor = delay(m, io.pick("factor"), leaf.multiply_at, name=f"factor_{style}")
    m.d.comb += [leaf.amount.eq(shift_amount(io.pick("lane_shift"))), leaf.multiplier.eq(factor)]
    for lane in range(LANES):
        m.d.comb += [
            leaf.value[lane].eq(io.pick("value", lane)),
            io.put(f"normalise_{style}", leaf.result[lane], lane),
        ]
        if style == STYLES[0]:
            m.d.comb += io.put("shifted", leaf.shifted[lane], lane)


def _row_unit(m: Module, io: Leaves, style: str) -> None:
    leaf = RowUnit(variance_style=style, combine_style=style, interpolate_style=style)
    m.submodules += leaf
    m.d.comb += [leaf.config[name].eq(io.pick(name)) for name in ROW_CONFIG.members]
    m.d.comb += [
        leaf.norm.sum.eq(io.pick("sum")),
        leaf.norm.squares.eq(io.pick("squares")),
        leaf.context.start.eq(io.pick("context_start")),
        leaf.context.denominator.eq(io.pick("denominator")),
        leaf.norm.start.eq(io.pick("norm_start")[0] & io.first),
        io.put(f"row_{style}_valid", leaf.norm.valid | leaf.context_valid << 1),
        io.put(f"row_{style}_multiplier", leaf.multiplier),
        io.put(f"row_{style}_shift", leaf.shift),
    ]


def _add(m: Module, io: Leaves) -> None:
    m.submodules.add = leaf = AddRows(LANES)
    for lane in range(LANES):
        m.d.comb += [
            leaf.x[lane].eq(io.pick("x", lane)),
            leaf.addend[lane].eq(io.pick("addend", lane)),
            io.put("add", leaf.result[lane], lane),
        ]


def _tables(m: Module, io: Leaves) -> None:
    m.submodules.activation = activation = Activation(LANES)
    m.submodules.exp = exp = ExpLoad(MachineParameters(rows=1, columns=LANES, depth=1, logit_bits=LOGIT_BITS))
    leaf: Any
    for leaf in (activation, exp):
        m.d.comb += [
            leaf.table.valid.eq(io.pick("table_write")),
            leaf.table.address.eq(io.pick("table_address")),
            leaf.table.data.eq(io.pick("table_data")),
        ]
    row = io.pick("row")
    m.d.comb += [
        exp.scores.maximum.eq(io.pick("maximum")),
        exp.scores.mask.eq(io.pick("mask")),
        exp.scores.bank.eq(io.pick("bank")),
        exp.scores.valid.eq(row[0]),
        exp.scores.first.eq(row[1]),
        exp.scores.last.eq(row[2]),
        activation.bank.eq(io.pick("bank")),
        io.put("denominator_valid", exp.row.start),
        io.put("denominator", exp.row.denominator),
    ]
    for lane in range(LANES):
        m.d.comb += [
            activation.x[lane].eq(io.pick("index", lane)),
            exp.scores.logits[lane].eq(io.pick("index", lane)),
            io.put("activation", activation.result[lane], lane),
            io.put("exp", exp.word[lane], lane),
        ]
