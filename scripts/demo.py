# SPDX-License-Identifier: Apache-2.0
"""The main job on real input: the digits model to C++, RTL and an ECP5 project, run on held-out digits.

python scripts/demo.py FOLDER
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from shlex import quote

import hlsgen
from hlsgen.cli.answer import error_text
from hlsgen.cli.simulate import text
from hlsgen.host.processes import Ended, signals_end
from hlsgen.progress import plans
from hlsgen.progress.show import shown
from hlsgen.progress.steps import plan
from hlsgen.sim.result import Simulation

IMAGES = 16
BOARD, ARRAY = "ulx3s-85f", "4x4x8"


def step(title: str) -> None:
    """Say what begins."""
    print(f"\n== {title}", flush=True)


def show(design: hlsgen.Design, levels: list[Simulation]) -> None:
    """One line for each image: its label, and its class in golden and at each level."""
    golden = design.logits(design.samples.images[:IMAGES]).argmax(-1)
    names = [
        "image",
        "label",
        "golden",
        *(f"{item.level} ({item.simulator})" if item.simulator else item.level for item in levels),
    ]
    print("  ".join(names))
    for index in range(IMAGES):
        classes = [int(golden[index]), *(item.classes[index] for item in levels)]
        cells = [index, levels[0].labels[index], *classes]
        print("  ".join(f"{cell:{len(name)}}" for cell, name in zip(cells, names, strict=True)))


def main(folder: Path) -> None:
    """Compile, simulate at every level, export."""
    begin = time.perf_counter()
    step(f"compile: the digits model, {BOARD}, array {ARRAY}")
    with shown(sys.stderr, "compile"):
        plan(*plans.COMPILE)
        design = hlsgen.build("digits", folder, board=BOARD, array=ARRAY)
    print(design.report())
    step("simulate: the program in the interpreter, the C++ under g++, the Verilog in Verilator")
    with shown(sys.stderr, "simulate"):
        levels = [
            design.simulate("program", samples=IMAGES),
            design.simulate("csim"),
            design.simulate("rtl", samples=IMAGES),
        ]
    for item in levels:
        print(text(item))
    step(f"the first {IMAGES} held-out digits")
    show(design, levels)
    print("golden = program = C++ = RTL in every tensor: simulate ends with the first difference otherwise")
    step(f"export: the {BOARD} project")
    with shown(sys.stderr, "export"):
        place = design.export(BOARD)
    print(place)
    print(f"\n{time.perf_counter() - begin:.0f} s. Next:")
    print(f"  make bitstream                                     # yosys and nextpnr: {BOARD}, some minutes")
    print(f"  .venv/bin/hlsgen simulate {quote(str(folder))} --level rtl --simulator icarus")
    print("  .venv/bin/hlsgen compile package.module:factory --calibration images.npy -o build/mine")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with signals_end():
            main(Path(sys.argv[1]))
    except Ended as signal:
        sys.exit(signal.exit_code)
    except hlsgen.HlsgenError as error:
        sys.exit(f"{error_text(error)}\n(exit code {error.exit_code})")
