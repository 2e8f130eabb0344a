# SPDX-License-Identifier: Apache-2.0
"""Delays of UltraScale+ cells and nets at speed grade -2, in ns: published sets, each with its source.

They estimate; only a placed and routed design has delays. Sources that both sets share:

- DSP48E2: DS925, -2: 775 MHz with all registers, 544 MHz without the one behind the multiplier, 410 MHz
  without that and the pre-adder's. A block without registers: 1.92 ns from A or B to P in Vivado's report of
  gussmith23/lakeroad-evaluation (xczu3eg), from an operand's register to the multiplier's about 1.15 ns, from
  PCIN to P 0.84 ns.
- Block RAM: UG949's rule of thumb is 1.5 ns from the clock to the output without its register and 0.4 ns with
  it; DS958 (Versal, a similar block) has 0.9 and 0.26 ns.
- LUT RAM and shift registers: clock to output, DS925's LUT and a write path, near 0.6 to 0.7 ns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Delays:
    """A set of delays, ns.

    lut, muxf: one input to the output. s_o, s_co, ci_o, ci_co: a carry cell, `ci_co` of four bits; cyinit:
    what its other carry input takes more. *_q: clock to output. *_setup: to the clock. net: a connection of
    one load, and net_log of each doubling of the loads; near: to the flip-flop of the same slice.
    """

    name: str
    source: str
    ff_q: float
    ff_setup: float
    lut: float
    muxf: float
    s_o: float
    s_co: float
    ci_o: float
    ci_co: float
    lutram_q: float
    srl_q: float
    bram_q: float
    bram_setup: float
    dsp: float
    net: float
    net_log: float
    cyinit: float = 0.05
    near: float = 0.03
    control_setup: float = 0.03
    """What enable and reset of a flip-flop take more than its data."""
    lutram_read: float = 0.03
    """What the address of a LUT RAM takes more than a LUT."""
    lutram_setup: float = 0.08
    srl_setup: float = 0.06
    bram_register_q: float = 0.30
    dsp_register_q: float = 0.25
    dsp_setup: float = 1.10
    """Operands without a register through the multiplier to the register behind it."""
    dsp_add: float = 0.84
    """From the register behind the multiplier through the adder to the output."""

    def wire(self, loads: int) -> float:
        """A net of some loads, outside of a slice."""
        return self.net + self.net_log * math.log2(max(1, loads))


BUDGET = Delays(
    name="budget",
    source="AMD's own budget: 0.300 ns for a LUT and its net, 0.208 ns of it the net, above which Vivado's "
    "report_failfast flags a path (XilinxTclStore, designutils/report_failfast.tcl, zynquplus, -2)",
    ff_q=0.075,
    ff_setup=0.03,
    lut=0.092,
    muxf=0.05,
    s_o=0.08,
    s_co=0.10,
    ci_o=0.07,
    ci_co=0.008,
    lutram_q=0.60,
    srl_q=0.55,
    bram_q=0.85,
    bram_setup=0.25,
    dsp=1.7,
    net=0.208,
    net_log=0.0,
)
MIDDLE = Delays(
    name="middle",
    source="between the budget and a slow route: LUT 0.11 ns, net 0.22 + 0.06 log2(loads) ns; on the slow "
    "side of a small design's routed report (gussmith23/lakeroad-evaluation, xczu3eg, Vivado 2021.2: LUT "
    "0.04 to 0.17 ns, nets 0.10 to 0.40 ns, one of 127 loads 0.40 ns)",
    ff_q=0.08,
    ff_setup=0.04,
    lut=0.11,
    muxf=0.06,
    s_o=0.10,
    s_co=0.13,
    ci_o=0.09,
    ci_co=0.010,
    lutram_q=0.70,
    srl_q=0.60,
    bram_q=0.92,
    bram_setup=0.30,
    dsp=1.95,
    net=0.22,
    net_log=0.06,
)
SETS = (BUDGET, MIDDLE)
