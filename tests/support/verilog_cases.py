# SPDX-License-Identifier: Apache-2.0
"""Small Verilog modules side by side behind one stimulus, as `netlist_bench.Group` does with components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.lib.wiring import In, Out

from support.netlist_bench import Field, Records


@dataclass(frozen=True)
class Case:
    """A module's body, which uses `clk`, and its ports with their bits."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    body: str


def side_by_side(name: str, cases: Mapping[str, Case]) -> tuple[str, Records]:
    """Verilog of module `name` with all cases, and what stands in its stimulus and response."""
    inputs, outputs, modules, instances = [], [], [], []
    size = {In: 0, Out: 0}
    for case_name, case in cases.items():
        ports, pins = ["input clk"], [".clk(clk)"]
        for flow, found, word, fields in (
            (In, case.inputs, "stimulus", inputs),
            (Out, case.outputs, "response", outputs),
        ):
            for port, bits in found.items():
                ports.append(f"{'input' if flow == In else 'output'} [{bits - 1}:0] {port}")
                fields.append(Field(f"{case_name}.{port}", size[flow], bits))
                pins.append(f".{port}({word}[{size[flow]} +: {bits}])")
                size[flow] += bits
        modules.append(f"module {name}_{case_name}({', '.join(ports)});\n{case.body}\nendmodule\n")
        instances.append(f"{name}_{case_name} {case_name} ({', '.join(pins)});\n")
    words = {flow: max(3, -(-bits // 32)) for flow, bits in size.items()}
    head = (
        f"module {name}(input clk, input rst, input [{32 * words[In] - 1}:0] stimulus, "
        f"output [{32 * words[Out] - 1}:0] response);\n"
    )
    unused = 32 * words[Out] - size[Out]
    rest = f"assign response[{32 * words[Out] - 1} -: {unused}] = 0;\n" if unused else ""
    text = f"{head}{''.join(instances)}{rest}endmodule\n{''.join(modules)}"
    return text, Records(inputs, outputs, words)
