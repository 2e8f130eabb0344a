# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.dsp [MODEL] --array RxCxD`: useful multiply-accumulates per cycle and DSP48E2 block.

Yosys maps the whole accelerator, made for Xilinx devices, and every multiplier block is counted; cycles are
those of one image in RTL, with the same multipliers. `--count` leaves the image out. `--tables` maps all of
it, which takes ten minutes or more, and counts tables too, beside published accelerators. Each `--option`
says how many cells more the machine takes with other parameters: `numerator_digits=2,accumulator_bits=25`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

from benchmarks.blocks import blocks
from benchmarks.case import Case, quantized, run
from benchmarks.sized import mapped_size
from benchmarks.timing.report import size_lines
from benchmarks.timing.size import Size
from hlsgen.cli.values import natural, positive
from hlsgen.errors import HlsgenError, Problem, UsageError, shown
from hlsgen.fit.options import parse_array
from hlsgen.lower import lower
from hlsgen.machine.format.parameters import MachineParameters


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dsp", description=__doc__)
    parser.add_argument("model", nargs="?", default="deit-tiny", help="a shipped example (%(default)s)")
    parser.add_argument("--array", default="8x16x8", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, default=16, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--task", type=natural, default=0, metavar="T", help="of a model of several tasks")
    parser.add_argument("--norm-parts", type=natural, default=0, metavar="N", help="of a word in layer norm")
    parser.add_argument("--tables", action="store_true", help="count tables, too")
    parser.add_argument("--count", action="store_true", help="only count blocks")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="FIELD=N,...",
        help="of the machine; as --tables",
    )
    parser.add_argument("--json", action="store_true")
    return parser


def main() -> int:
    """Count, measure, print."""
    options = arguments().parse_args()
    case = Case(
        model=options.model,
        array=parse_array(options.array),
        memory=options.memory,
        target="xilinx",
        task=options.task,
        norm_parts=options.norm_parts,
    )
    prepared = quantized(case.model)
    parameters = lower(prepared[0], case.shape).program.parameters
    found = blocks(parameters)
    data: dict[str, Any] = {"model": case.model, "array": case.array_text, "blocks": found}
    data |= {"total": sum(found.values()), "array_macs": parameters.lanes}
    sized = mapped_size(parameters) if options.tables or options.option else None
    if sized:
        data["size"] = sized.data()
        data["more"] = {each: more(parameters, each, sized) for each in options.option}
    if not options.count:
        result = run(case, prepared)
        data |= {
            "cycles": result.cycles,
            "useful": result.useful,
            "useful_per_block": result.useful_per_block,
        }
    print(json.dumps(data, indent=1) if options.json else "\n".join([_text(data), *_sizes(sized)]))
    return 0


def more(parameters: MachineParameters, option: str, plain: Size) -> dict[str, int]:
    """Cells beyond the plain machine's that one with other parameters takes; raises `UsageError`."""
    known = [field.name for field in dataclasses.fields(parameters)]
    changed = {}
    for text in option.split(","):
        name, _, value = text.partition("=")
        if name not in known or not value.isdecimal():
            what = f"--option must be FIELD=N with a field of the machine, not {shown(text)}"
            raise UsageError(Problem(what, fix=f"fields: {', '.join(known)}"))
        changed[name] = int(value)
    found = mapped_size(dataclasses.replace(parameters, **changed)).data()
    kinds = ("lut", "logic", "lut_ram", "shift", "ff", "dsp", "ram_blocks")
    return {kind: found[kind] - plain.data()[kind] for kind in kinds}


def _sizes(sized: Size | None) -> list[str]:
    return list(size_lines(sized)) if sized else []


def _text(data: dict[str, Any]) -> str:
    lines = [f"{name:24} {number:5}" for name, number in data["blocks"].items()]
    lines.append(f"{'all':24} {data['total']:5} for {data['array_macs']} products a cycle")
    if "cycles" in data:
        lines.append(
            f"{data['cycles']:,} cycles in RTL, {data['useful']:.2%} useful: "
            f"{data['useful_per_block']:.3f} useful products per cycle and block"
        )
    for option, more in data.get("more", {}).items():
        lines.append(
            f"{option:24} LUT {more['lut']:+,} (logic {more['logic']:+,}, LUT RAM {more['lut_ram']:+,}, "
            f"SRL {more['shift']:+,}), FF {more['ff']:+,}, DSP48E2 {more['dsp']:+,}, "
            f"block RAM {more['ram_blocks']:+,} of 18 kbit"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
