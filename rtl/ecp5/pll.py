# SPDX-License-Identifier: Apache-2.0
"""The ECP5's phase locked loop: its limits, and the instance."""

from __future__ import annotations

from amaranth import C, Instance, Signal

from hlsgen.rtl.board.pll import Pll, PllKind


def pll_instance(pll: Pll, clock: Signal, output: Signal, locked: Signal) -> Instance:
    """The loop as the family's cell; nextpnr derives the output's constraint from the input's."""
    return Instance(
        "EHXPLLL",
        p_CLKI_DIV=pll.reference,
        p_CLKFB_DIV=pll.feedback,
        p_CLKOP_DIV=pll.post,
        p_CLKOP_CPHASE=pll.post - 1,
        p_CLKOP_FPHASE=0,
        p_CLKOP_ENABLE="ENABLED",
        p_FEEDBK_PATH="CLKOP",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        a_FREQUENCY_PIN_CLKI=f"{pll.input_mhz:g}",
        a_FREQUENCY_PIN_CLKOP=f"{pll.mhz:g}",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        i_CLKI=clock,
        i_CLKFB=output,
        i_RST=C(0),
        i_STDBY=C(0),
        i_PHASESEL0=C(0),
        i_PHASESEL1=C(0),
        i_PHASEDIR=C(1),
        i_PHASESTEP=C(1),
        i_PHASELOADREG=C(1),
        i_PLLWAKESYNC=C(0),
        i_ENCLKOP=C(0),
        o_CLKOP=output,
        o_LOCK=locked,
    )


PLL = PllKind(
    name="PLL",
    dividers=range(1, 129),
    posts=range(1, 129),
    detector_mhz=(3.125, 400.0),
    oscillator_mhz=(400.0, 800.0),
    output_mhz=(3.125, 400.0),
    instance=pll_instance,
)
"""The output is fed back, and the oscillator's divider makes it."""
