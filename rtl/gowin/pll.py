# SPDX-License-Identifier: Apache-2.0
"""The GW2A's phase locked loop (rPLL): its limits, and the instance.

The output is input x feedback / reference; the oscillator runs at output x post divider (Gowin UG286). Limits
of a GW2A-18 of grade C8/I7 are those of `apycula.gowin_pll`, which names Gowin's data sheets.
"""

from __future__ import annotations

from amaranth import C, Const, Instance, Signal

from hlsgen.rtl.board.pll import Pll, PllKind

DEVICE = "GW2A-18C"
"""The die of the loop whose limits these are, in Gowin's names."""


def pll_instance(pll: Pll, clock: Signal, output: Signal, locked: Signal) -> Instance:
    """The loop as the family's cell. Its dividers are parameters one below what they divide by."""
    parameters = {
        "FCLKIN": f"{pll.input_mhz:g}",
        "IDIV_SEL": pll.reference - 1,
        "FBDIV_SEL": pll.feedback - 1,
        "ODIV_SEL": pll.post,
        **dict.fromkeys(("DYN_IDIV_SEL", "DYN_FBDIV_SEL", "DYN_ODIV_SEL", "DYN_DA_EN"), "false"),
        "PSDA_SEL": "0000",
        "DUTYDA_SEL": "1000",
        **dict.fromkeys(("CLKOUT_FT_DIR", "CLKOUTP_FT_DIR"), Const(1, 1)),
        **dict.fromkeys(("CLKOUT_DLY_STEP", "CLKOUTP_DLY_STEP"), 0),
        "CLKFB_SEL": "internal",
        **dict.fromkeys(("CLKOUT_BYPASS", "CLKOUTP_BYPASS", "CLKOUTD_BYPASS"), "false"),
        "DYN_SDIV_SEL": 2,
        **dict.fromkeys(("CLKOUTD_SRC", "CLKOUTD3_SRC"), "CLKOUT"),
        "DEVICE": DEVICE,
    }
    unused = {"CLKFB": 1, "RESET": 1, "RESET_P": 1, "FBDSEL": 6, "IDSEL": 6, "ODSEL": 6}
    unused |= {"PSDA": 4, "DUTYDA": 4, "FDLY": 4}
    return Instance(
        "rPLL",
        **{f"p_{name}": value for name, value in parameters.items()},
        **{f"i_{name}": C(0, bits) for name, bits in unused.items()},
        i_CLKIN=clock,
        o_CLKOUT=output,
        o_LOCK=locked,
    )


PLL = PllKind(
    name="rPLL",
    dividers=range(1, 65),
    posts=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
    detector_mhz=(3.0, 500.0),
    oscillator_mhz=(500.0, 1250.0),
    output_mhz=(3.90625, 625.0),
    instance=pll_instance,
)
