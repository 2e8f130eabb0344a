# SPDX-License-Identifier: Apache-2.0
"""The ECP5's phase locked loop: legal dividers for a frequency, and the instance."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import C, Instance, Module, Signal, Value

from hlsgen.errors import Problem, UsageError

DIVIDER = range(1, 129)
"""Legal values of each of the three dividers."""
DETECTOR_MHZ = (3.125, 400.0)
OSCILLATOR_MHZ = (400.0, 800.0)
OUTPUT_MHZ = (3.125, 400.0)
TOLERANCE = 0.005
"""How far below the wanted frequency the loop may end up."""


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Dividers of the reference, the feedback and the output, with the output fed back."""

    input_mhz: float
    reference: int
    feedback: int
    output: int

    @property
    def mhz(self) -> float:
        """The output's frequency."""
        return self.input_mhz * self.feedback / self.reference

    @property
    def oscillator_mhz(self) -> float:
        return self.mhz * self.output


def find_pll(input_mhz: float, wanted_mhz: float) -> Pll:
    """The dividers nearest to `wanted_mhz` that don't exceed it; `UsageError` when none comes near.

    Among equals the fastest detector wins, then the oscillator nearest to the middle of its range.
    """
    middle = sum(OSCILLATOR_MHZ) / 2
    best, best_key = None, (0.0, 0.0, 0.0)
    for pll in _legal(input_mhz, wanted_mhz):
        key = (round(pll.mhz, 9), -float(pll.reference), -abs(pll.oscillator_mhz - middle))
        if best is None or key > best_key:
            best, best_key = pll, key
    if best is None or best.mhz < wanted_mhz * (1 - TOLERANCE):
        nearest = f", try {best.mhz:.6g}" if best else ""
        low, high = OUTPUT_MHZ
        raise UsageError(
            Problem(
                f"core_mhz must be what the PLL makes of {input_mhz:g} MHz, not {wanted_mhz:g}",
                why=f"no legal dividers come within {100 * TOLERANCE:g} % of it",
                fix=f"choose a frequency in {low:g}..{high:g} MHz{nearest}",
            )
        )
    return best


def _legal(input_mhz: float, wanted_mhz: float) -> list[Pll]:
    found = []
    for reference in DIVIDER:
        if not _within(input_mhz / reference, DETECTOR_MHZ):
            continue
        # Rounding must not lose an exact quotient.
        feedback = min(int(wanted_mhz * reference / input_mhz + 1e-9), DIVIDER[-1])
        if feedback < DIVIDER[0]:
            continue
        for output in DIVIDER:
            pll = Pll(input_mhz=input_mhz, reference=reference, feedback=feedback, output=output)
            if _within(pll.mhz, OUTPUT_MHZ) and _within(pll.oscillator_mhz, OSCILLATOR_MHZ):
                found.append(pll)
    return found


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] - 1e-9 <= value <= limits[1] + 1e-9


def pll_instance(pll: Pll, clock: Signal, output: Signal, locked: Signal) -> Instance:
    """The loop as the family's cell; nextpnr derives the output's constraint from the input's."""
    return Instance(
        "EHXPLLL",
        p_CLKI_DIV=pll.reference,
        p_CLKFB_DIV=pll.feedback,
        p_CLKOP_DIV=pll.output,
        p_CLKOP_CPHASE=pll.output - 1,
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


@dataclass(frozen=True)
class PllClock:
    """The core's clock from the loop."""

    pll: Pll

    @property
    def mhz(self) -> float:
        return self.pll.mhz

    def make(self, m: Module, source: Signal) -> tuple[Value, Value]:
        core, locked = Signal(), Signal()
        m.submodules.pll = pll_instance(self.pll, source, core, locked)
        return core, locked
