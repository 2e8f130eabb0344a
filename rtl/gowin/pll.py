# SPDX-License-Identifier: Apache-2.0
"""The GW2A's phase locked loop (rPLL): legal dividers for a frequency, and the instance.

The output is input x feedback / reference; the oscillator runs at output x post divider (Gowin UG286). Limits
of a GW2A-18 of grade C8/I7 are those of `apycula.gowin_pll`, which names Gowin's data sheets.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import C, Const, Instance, Module, Signal, Value

from hlsgen.errors import Problem, UsageError

DIVIDER = range(1, 65)
"""Legal values of the reference's and the feedback's divider."""
POST = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
"""Legal values of the divider behind the oscillator."""
DETECTOR_MHZ = (3.0, 500.0)
OSCILLATOR_MHZ = (500.0, 1250.0)
OUTPUT_MHZ = (3.90625, 625.0)
TOLERANCE = 0.005
"""How far below the wanted frequency the loop may end up."""
DEVICE = "GW2A-18C"
"""The die of the loop whose limits these are, in Gowin's names."""


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Dividers of the reference, the feedback and the oscillator."""

    input_mhz: float
    reference: int
    feedback: int
    post: int

    @property
    def mhz(self) -> float:
        """The output's frequency."""
        return self.input_mhz * self.feedback / self.reference

    @property
    def detector_mhz(self) -> float:
        return self.input_mhz / self.reference

    @property
    def oscillator_mhz(self) -> float:
        return self.mhz * self.post


def find_pll(input_mhz: float, wanted_mhz: float) -> Pll:
    """The dividers nearest to `wanted_mhz` that don't exceed it; `UsageError` when none comes near.

    Among equals the fastest detector wins, then the oscillator nearest to the middle of its range.
    """
    middle = sum(OSCILLATOR_MHZ) / 2
    best = max(
        _legal(input_mhz, wanted_mhz),
        key=lambda pll: (round(pll.mhz, 9), -pll.reference, -abs(pll.oscillator_mhz - middle)),
        default=None,
    )
    if best is None or best.mhz < wanted_mhz * (1 - TOLERANCE):
        nearest = f", try {best.mhz:.6g}" if best else ""
        low, high = OUTPUT_MHZ
        raise UsageError(
            Problem(
                f"core_mhz must be what the rPLL makes of {input_mhz:g} MHz, not {wanted_mhz:g}",
                why=f"no legal dividers come within {100 * TOLERANCE:g} % of it",
                fix=f"choose a frequency in {low:g}..{high:g} MHz{nearest}",
            )
        )
    return best


def _legal(input_mhz: float, wanted_mhz: float) -> list[Pll]:
    """For each reference the largest feedback that does not exceed the wanted frequency."""
    found = []
    for reference in DIVIDER:
        # Rounding must not lose an exact quotient.
        feedback = min(int(wanted_mhz * reference / input_mhz + 1e-9), DIVIDER[-1])
        if feedback < DIVIDER[0]:
            continue
        for post in POST:
            pll = Pll(input_mhz=input_mhz, reference=reference, feedback=feedback, post=post)
            limits = (
                (pll.detector_mhz, DETECTOR_MHZ),
                (pll.mhz, OUTPUT_MHZ),
                (pll.oscillator_mhz, OSCILLATOR_MHZ),
            )
            if all(low - 1e-9 <= value <= high + 1e-9 for value, (low, high) in limits):
                found.append(pll)
    return found


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
