# SPDX-License-Identifier: Apache-2.0
"""What a netlist takes of the chip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.timing.cells import BLOCK_RAMS, CARRIES, DSP, FLIP_FLOPS, LUT_RAMS, SHIFTS, is_lut
from benchmarks.timing.netlist import Netlist


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A published accelerator on the ZCU102."""

    name: str
    source: str
    lut: int
    dsp: int


PEERS: Sequence[Peer] = (
    Peer(name="CoQMoE", source="arXiv 2506.08496", lut=156_100, dsp=1_754),
    Peer(name="UbiMoE", source="arXiv 2502.05602", lut=123_400, dsp=1_850),
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Cells of a netlist.

    logic: tables; lut_ram, shift: tables that are memory; carry: of four bits; ram_blocks: of 18 kbit; macs:
    products per cycle of the array. Vivado also puts two small tables into one, so that tables are a bound.
    """

    logic: int
    lut_ram: int
    shift: int
    ff: int
    carry: int
    dsp: int
    ram_blocks: int
    macs: int

    @property
    def lut(self) -> int:
        """Tables of all kinds."""
        return self.logic + self.lut_ram + self.shift

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {
            "lut": self.lut,
            "lut_per_dsp": round(self.lut / self.dsp, 1) if self.dsp else None,
            "lut_per_mac": round(self.lut / self.macs, 1),
        }


def size(netlist: Netlist, macs: int) -> Size:
    """Count the cells."""
    kinds = Counter("LUT" if is_lut(cell) else cell.type for cell in netlist.cells.values())

    def weighted(weights: dict[str, int]) -> int:
        return sum(kinds[kind] * weight for kind, weight in weights.items())

    return Size(
        logic=kinds["LUT"],
        lut_ram=weighted(LUT_RAMS),
        shift=sum(kinds[kind] for kind in SHIFTS),
        ff=sum(kinds[kind] for kind in FLIP_FLOPS),
        carry=weighted({kind: bits // 4 for kind, bits in CARRIES.items()}),
        dsp=kinds[DSP],
        ram_blocks=weighted(BLOCK_RAMS),
        macs=macs,
    )
