# SPDX-License-Identifier: Apache-2.0
"""What a simulation gives: of one image, and of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hlsgen.display.html import count, facts, table
from hlsgen.machine.format.interface import CYCLES, REASONS
from hlsgen.store.measured import Measured
from hlsgen.store.paths import PLAIN


@dataclass(frozen=True)
class Outcome:
    """One image at one level: outputs [rows, columns], trace records, the RTL's counters if it was RTL.

    The outputs are in the order of `Graph.results`. The records are None in a system, which shows only the
    outputs; processor_cycles: see `Simulation`.
    """

    outputs: tuple[np.ndarray, ...]
    records: np.ndarray | None
    counters: Mapping[str, int] = field(default_factory=dict)
    processor_cycles: int = 0

    @property
    def cycles(self) -> int:
        """Cycles of the image; 0 where it was not RTL."""
        return self.counters.get(CYCLES.title, 0)


@dataclass(frozen=True, kw_only=True)
class Verilog:
    """The Verilog that the simulation speaks for: that of the build folder, or the generator's.

    The tensors are seen in a text of the same machine with trace ports. Where the delivered text is not the
    one that this generator makes of the design's parameters, it runs as well, and `itself` is set. In a
    system it runs alone.
    """

    sha256: str
    itself: bool = False
    alone: bool = False

    def __str__(self) -> str:
        name = f"{PLAIN} {self.sha256[:12]}"
        if self.alone:
            return f"{name}: it ran itself, driven by the C driver on a RISC-V processor"
        if self.itself:
            return f"{name}: not this generator's text; it ran itself, every output and cycle equal"
        return f"{name}: the generator's text of this machine, simulated with trace ports"


@dataclass(frozen=True, kw_only=True, repr=False)
class Simulation:
    """The figures of a simulation whose tensors all equal golden; a difference raises `Mismatch`."""

    level: str
    """`program`, `csim`, `rtl` or `soc`."""
    simulator: str
    """`verilator` or `icarus`; empty at the other levels."""
    images: int
    """Images that ran."""
    task: int
    """Number of the model's output."""
    tensors: tuple[str, ...]
    """Names of the tensors that were compared."""
    elements: int
    """Elements compared in all tensors of all images."""
    classes: tuple[int, ...]
    """The class of each image; nothing where a task has a result for each token."""
    labels: tuple[int, ...]
    """The true classes, or nothing."""
    counters: tuple[Mapping[str, int], ...] = ()
    """Registers of the RTL for each image: cycles, and why MULTIPLY waited."""
    ends: Mapping[int, int] = field(default_factory=dict)
    """The cycle of each command's last result, for the slowest image; RTL only."""
    macs: int
    """Useful multiply-accumulates per image."""
    lanes: int
    """Multiply-accumulates per cycle of the array."""
    verilog: Verilog | None = None
    """How the RTL that ran is tied to `rtl/top.v`; None at the other levels."""
    processor_cycles: tuple[int, ...] = ()
    """Of each image in a system, from the driver's first call to its last, the accelerator's included."""

    def __repr__(self) -> str:
        name = self.level + (f" in {self.simulator}" if self.simulator else "")
        task = f", task {self.task}" if self.task else ""
        cycles = f"; {self.cycles:,} cycles, {self.utilisation:.1%} useful" if self.cycles else ""
        amount = f"{count(self.elements, 'integer')} of {count(len(self.tensors), 'tensor')}"
        return f"Simulation({name}{task}: {count(self.images, 'image')}, {amount} equal to golden{cycles})"

    def _repr_html_(self) -> str:
        items: dict[str, object] = {
            "images": self.images,
            "equal to golden": f"{self.elements:,} integers of {count(len(self.tensors), 'tensor')}",
        }
        if self.labels:
            items["as labelled"] = f"{self.correct} of {self.images}"
        if self.cycles:
            items |= {"cycles of the slowest": f"{self.cycles:,}", "useful": f"{self.utilisation:.1%}"}
        name = self.level + (f", {self.simulator}" if self.simulator else "")
        return facts(f"Simulation: {name}", items) + self._reasons()

    def _reasons(self) -> str:
        """Where the cycles of the slowest image went."""
        if not self.counters:
            return ""
        slowest = max(self.counters, key=lambda item: item[CYCLES.title])
        rows = [
            (item.label, f"{slowest[item.title]:,}", f"{slowest[item.title] / slowest[CYCLES.title]:.1%}")
            for item in REASONS
        ]
        return table(("cycles", "number", "share"), rows)

    @property
    def correct(self) -> int:
        """Images whose class is the label."""
        return sum(a == b for a, b in zip(self.classes, self.labels, strict=False))

    @property
    def cycles(self) -> int:
        """Most cycles of any image, from the RTL's register; 0 at the other levels."""
        return max((item[CYCLES.title] for item in self.counters), default=0)

    @property
    def measured(self) -> Measured:
        """The part that a report keeps; RTL only."""
        slowest = max(self.counters, key=lambda item: item[CYCLES.title])
        return Measured(simulator=self.simulator, images=self.images, counters=slowest, ends=self.ends)

    @property
    def utilisation(self) -> float:
        """Useful multiply-accumulates over cycles times the array's, of the slowest image; RTL only."""
        return self.macs / (self.cycles * self.lanes) if self.cycles else 0.0
