# SPDX-License-Identifier: Apache-2.0
"""What the RTL may be made for: how each kind of device multiplies, and how many blocks that takes."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.format.parameters import ceil_div

PLAIN, SOFT, BLOCKS, TABLES = "plain", "soft", "ecp5", "tables"
"""Styles of a multiplier: the `*` operator, logic, a MULT18X18D, logic of tables with six inputs."""
PAIRED_ROWS, PAIRED_COLUMNS = "xilinx_packed", "ecp5_packed"
"""Styles of the array, beside `PLAIN` and `BLOCKS`: a DSP48E2 for two rows, a MULT18X18D for two columns."""


@dataclass(frozen=True, kw_only=True)
class RtlTarget:
    """A kind of device."""

    name: str
    single: str = PLAIN
    """The style of a multiplier for one product."""
    row_pairs: str = ""
    """The array's style with a multiplier for two rows, if there is one."""
    column_pairs: str = ""
    """The array's style with a multiplier for two columns, if there is one."""
    tables: tuple[str, ...] = ()
    """Places that multiply in tables though there are blocks: see `MultiplierPlan` in `rtl/arith`."""
    blocks: int | None = None
    """Multiplier blocks that the RTL names as such, at most; None: synthesis maps all products."""
    block_rams: bool = False
    """Whether memories ask for block RAM."""

    def array_style(self, rows: int, columns: int) -> str:
        """How an array's cells multiply: blocks that do two products where there are two to do."""
        if self.row_pairs and rows > 1:
            return self.row_pairs
        return self.column_pairs if self.column_pairs and columns > 1 else self.single

    def array_blocks(self, rows: int, columns: int, depth: int) -> int:
        """Multiplier blocks of an array: one for two rows or two columns of products, or for a product."""
        rows = ceil_div(rows, 2) if self.row_pairs else rows
        columns = ceil_div(columns, 2) if self.column_pairs else columns
        return rows * columns * depth


TARGETS: dict[str, RtlTarget] = {
    target.name: target
    for target in (
        RtlTarget(name="generic"),
        # Place and route of an 85F gets slow near its 156 blocks.
        RtlTarget(name="ecp5", single=BLOCKS, column_pairs=PAIRED_COLUMNS, blocks=140, block_rams=True),
        # A block of 27 x 18 bits serves two rows. A lane's or a row's narrow product would leave half of a
        # block idle, and a machine takes a larger share of such a device's blocks than of its tables.
        RtlTarget(name="xilinx", row_pairs=PAIRED_ROWS, tables=("centre", "square", "interpolate", "gate")),
    )
}
"""By name."""


def find_target(name: str) -> RtlTarget:
    """The target called `name`; raises `ValueError`."""
    if name not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]
