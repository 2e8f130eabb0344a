# SPDX-License-Identifier: Apache-2.0
"""Per-row arithmetic: reciprocal square roots for layer norm, reciprocals for softmax."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import (
    MEMORY,
    MULTIPLIER,
    NORM_ROW_CYCLES,
    ROW_CONTEXT,
    ROW_MANTISSA,
    ROW_NORM,
    ROW_NORMAL,
)
from hlsgen.numerics import MULTIPLIER_BITS, ROW_SHIFT
from hlsgen.rtl.arith.multiplier import LIMB, PORT, Multiplier
from hlsgen.rtl.arith.numerics import DROP_BITS, mantissa_table, round_shift_constant
from hlsgen.rtl.load.ports import SQUARES_BITS, SUM_BITS, ContextRow, ContextRowPorts, NormRow, NormRowPorts
from hlsgen.rtl.parts.memories import ram
from hlsgen.rtl.parts.pipeline import delay, register, without_reset

VARIANCE_BITS = 64
PRODUCTS = NORM_ROW_CYCLES
"""Products of limbs that make a variance; as many cycles between two rows."""
TERMS = ((0, 0), (LIMB, 0), (2 * LIMB, 0), (0, 1), (LIMB + 1, 1), (2 * LIMB, 1))
"""Of each product, in order: the bits that it is shifted by, whether it is subtracted."""
ROW_CONFIG = data.StructLayout(
    {
        "norm_width": 13,
        "norm_epsilon": 48,
        "norm_gain": 15,
        "norm_gain_shift": 6,
        "context_multiplier": 15,
        "context_shift": 6,
    }
)
"""What a job says of its rows."""


# A row of layer norm. A context row's denominator is the value in cycle 1, its scale is there in cycle 14.
#
#   cycle        0    1 .. 6  4 .. 9  5 .. 10  6 .. 11
#   norm.start   row
#   a, b              0 .. 5                             products of limbs
#   p                         0 .. 5
#   scaled                            0 .. 5
#   variance                                   0 .. 5    complete in 11
#
#   cycle               11   14   16   19   20   23   24
#   value               row
#   normal                   row                            leading one at the top
#   entry                         row                       of the mantissas' table
#   product.p                          row                  interpolated
#   mantissa                                row
#   combine.p                                    row        times gain or multiplier
#   multiplier, valid                                 row
class RowUnit(wiring.Component):
    """`combine(rsqrt(N*S2 - S1**2 + epsilon), gain)` and `context_scale(denominator, ...)`.

    Only one of the two uses may be under way at a time; the configuration must hold meanwhile.

    Parameters
    ----------
    variance_style, combine_style
        `Multiplier` styles of the limb products and of `combine`.
    interpolate_style
        `Multiplier` style of the table interpolation.

    Members
    -------
    config : In(ROW_CONFIG)
    norm : In(NormRow)
    context : In(ContextRow)
    context_valid : Out(1), multiplier : Out(16), shift : Out(signed 8)
        A context row's; `norm` has its own answer.

    Latency
    -------
    `norm_latency` and `context_latency` cycles from start to valid.

    Throughput
    ----------
    A layer norm row every `PRODUCTS` cycles, a context row every cycle.
    """

    context_latency = ROW_CONTEXT
    norm_latency = ROW_NORM

    config: Any
    norm: NormRowPorts
    context: ContextRowPorts
    context_valid: Signal
    multiplier: Signal
    shift: Signal

    def __init__(
        self, *, variance_style: str = "plain", combine_style: str = "plain", interpolate_style: str = "plain"
    ) -> None:
        self._variance_style, self._combine_style = variance_style, combine_style
        self._interpolate_style = interpolate_style
        super().__init__(
            {
                "config": In(ROW_CONFIG),
                "norm": In(NormRow()),
                "context": In(ContextRow()),
                "context_valid": Out(1),
                "multiplier": Out(16),
                "shift": Out(signed(8)),
            }
        )
        without_reset(self, "multiplier", "shift")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        config = self.config
        variance, norm = self._variance(m)
        context = register(m, self.context.start, name="context_1")
        denominator = register(m, self.context.denominator, name="denominator_1")
        value = Mux(context, denominator, variance)
        stages = RowUnit._normalise(m, value, context)
        normal, shifted, is_context = stages
        norm = delay(m, norm, ROW_NORMAL, name="norm_normal")
        mantissa = self._mantissa(m, normal, is_context)
        m.submodules.combine = combine = Multiplier(17, 16, latency=MULTIPLIER, style=self._combine_style)
        later = ROW_MANTISSA
        combine_context = delay(m, is_context, later, name="combine_context")
        m.d.comb += [
            combine.a.eq(mantissa),
            combine.b.eq(Mux(combine_context, config.context_multiplier, config.norm_gain)),
        ]
        m.d.sync += self.multiplier.eq(round_shift_constant(combine.p, MULTIPLIER_BITS))
        self._shift(m, delay(m, shifted, later + MULTIPLIER, name="shifted_end"), combine_context)
        m.d.comb += [
            self.norm.multiplier.eq(self.multiplier),
            self.norm.shift.eq(self.shift),
            self.norm.valid.eq(delay(m, norm, later + MULTIPLIER + 1, name="norm_end")),
            self.context_valid.eq(delay(m, context, self.context_latency - 1, name="context_end")),
        ]
        return m

    def _shift(self, m: Module, shifted: Value, combine_context: Value) -> None:
        """The exponent is what the leading one did not have to be shifted."""
        exponent = C(VARIANCE_BITS - 1) - shifted
        half = C(VARIANCE_BITS // 2 - 1) - (shifted >> 1)
        is_context = delay(m, combine_context, MULTIPLIER, name="shift_context")
        m.d.sync += self.shift.eq(
            Mux(
                is_context,
                exponent + self.config.context_shift + 1,
                half + self.config.norm_gain_shift + (1 - ROW_SHIFT),
            )
        )

    def _variance(self, m: Module) -> tuple[Value, Value]:
        """N*S2 - S1**2 + epsilon from products of 17-bit limbs, one a cycle; and its valid."""
        step = [register(m, self.norm.start, name="step_0")]
        for index in range(1, PRODUCTS + MULTIPLIER + 1):
            step.append(register(m, step[-1], name=f"step_{index}"))
        row_sum = Signal(signed(SUM_BITS), reset_less=True)
        squares = Signal(SQUARES_BITS, reset_less=True)
        with m.If(self.norm.start):
            m.d.sync += [row_sum.eq(self.norm.sum), squares.eq(self.norm.squares)]
        size = register(m, Mux(row_sum < 0, -row_sum, row_sum)[:SUM_BITS], name="size")
        low, high = size[:LIMB], size[LIMB:]
        m.submodules.product = product = Multiplier(
            PORT, PORT, latency=MULTIPLIER, style=self._variance_style
        )
        operands = (
            (self.config.norm_width, squares[:LIMB]),
            (self.config.norm_width, squares[LIMB : 2 * LIMB]),
            (self.config.norm_width, squares[2 * LIMB :]),
            (low, low),
            (low, high),
            (high, high),
        )
        for index, (a, b) in enumerate(operands):
            with m.If(step[index]):
                m.d.comb += [product.a.eq(a), product.b.eq(b)]
        scaled, minus = RowUnit._place(m, product.p[: 2 * LIMB], step[MULTIPLIER - 1 :])
        variance = Signal(VARIANCE_BITS, reset_less=True)
        first = register(m, step[MULTIPLIER], name="first")
        start = Mux(first, self.config.norm_epsilon, variance)
        # The bit below the lowest makes the carry into it.
        m.d.sync += variance.eq((Cat(C(1, 1), start) + Cat(minus, scaled))[1:])
        return variance, register(m, register(m, step[PRODUCTS + MULTIPLIER - 1], name="last"), name="norm")

    @staticmethod
    def _place(m: Module, p: Value, coming: list[Signal]) -> tuple[Value, Value]:
        """A product of limbs at its place in the variance, a cycle later, and whether it counts negative.

        The bits of a negative one are turned: whoever adds it adds one more.

        coming: flags, of which each says that its product comes in the next cycle.
        """
        places = sorted({place for place, _ in TERMS})
        place, minus = Signal(range(len(places)), reset_less=True), Signal(reset_less=True)
        for flag, (amount, negative) in zip(coming, TERMS, strict=False):
            with m.If(flag):
                m.d.sync += [place.eq(places.index(amount)), minus.eq(negative)]
        placed = Array([(p << amount)[:VARIANCE_BITS] for amount in places])[place]
        turned = register(m, placed ^ minus.replicate(VARIANCE_BITS), name="scaled")
        return turned, register(m, minus, name="scaled_minus")

    @staticmethod
    def _normalise(m: Module, value: Value, context: Value) -> tuple[Value, Value, Value]:
        """Shift the leading one up, for square roots by an even amount; normal, shift, is context.

        First a flag for each empty byte, then a shift by bytes, then one by bits.
        """
        current = register(m, value[:VARIANCE_BITS], name="normal_0")
        bytes_of = range(0, VARIANCE_BITS, 8)
        empty = register(m, Cat(~value[first : first + 8].any() for first in bytes_of), name="empty")
        half = register(m, ~value[VARIANCE_BITS // 2 : VARIANCE_BITS].any(), name="empty_half")
        context = register(m, context, name="normal_context_0")
        coarse = _leading(list(reversed(empty)), half)
        current = register(m, (current << Cat(C(0, 3), coarse))[:VARIANCE_BITS], name="normal_1")
        coarse = register(m, coarse, name="shifted_1")
        context = register(m, context, name="normal_context_1")
        fine = _leading([~bit for bit in reversed(current[-8:])])
        fine = Cat(fine[0] & context, fine[1:])
        current = register(m, (current << fine)[:VARIANCE_BITS], name="normal_2")
        shifted = register(m, Cat(fine, coarse), name="shifted_2")
        return current, shifted, register(m, context, name="normal_context_2")

    def _mantissa(self, m: Module, normal: Value, is_context: Value) -> Value:
        """Table entry minus the drop's share, 0 for 0."""
        top = normal[VARIANCE_BITS - 16 :]
        table = ram(m, "mantissas", 16 + DROP_BITS, 512, init=mantissa_table())
        port = table.read_port()
        m.d.comb += port.addr.eq(Cat(top[8:], is_context))
        entry = register(m, port.data, name="entry")
        fraction = delay(m, top[:8], MEMORY, name="fraction")
        m.submodules.interpolate = product = Multiplier(
            DROP_BITS + 1, 9, latency=MULTIPLIER, style=self._interpolate_style
        )
        m.d.comb += [product.a.eq(entry[16:]), product.b.eq(fraction)]
        base = delay(m, entry[:16], MULTIPLIER, name="base")
        is_zero = delay(m, ~top[14:].any(), MEMORY + MULTIPLIER, name="is_zero")
        below = round_shift_constant(product.p, 8)
        return register(m, Mux(is_zero, 0, base - below)[:16], name="mantissa")


def _leading(flags: list[Value], front: Value | None = None) -> Value:
    """How many of the flags in front are high, at most all but one; their number is a power of two.

    front: whether the first half of them is high, if that is known.
    """
    if len(flags) == 2:
        return flags[0]
    half = len(flags) // 2
    all_high = Cat(flags[:half]).all() if front is None else front
    return Cat(Mux(all_high, _leading(flags[half:]), _leading(flags[:half])), all_high)
