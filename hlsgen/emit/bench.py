# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of the build folder: it needs cocotb, NumPy and a simulator, but not hlsgen."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from typing import Any

from hlsgen.emit.licence import LINE
from hlsgen.emit.render import render
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div
from hlsgen.machine.format.program import Program

# The wheel leaves the flag that includes a precompiled header empty. Only the hot code is optimised, and with
# -O1: -O2 makes it some 15 % faster, but takes a third more of the build. Verilator's library is not hot.
HOT = "-O1"
MAKE_FLAGS = f"CFG_CXXFLAGS_PCH_I=-include OPT_FAST={HOT} OPT_GLOBAL=-O0"
COCOTB_ARGUMENTS = ("-O3", "--no-timing", "-Wno-fatal", "-Wno-lint")
"""Options of Verilator under cocotb, in `hlsgen.sim` and in the bench of a build folder."""
FOLDER = "sim"
PACKAGE = f"{FOLDER}/hlsgen_bench"
SHARED = {
    "hlsgen.machine.format": ("interface.py",),
    "hlsgen.sim": ("memory_model.py", "testbench.py", "trace_recorder.py"),
}
"""Modules that need cocotb and NumPy alone: the bench takes them as they are."""
TEMPLATES = {
    f"{FOLDER}/bench.py": "bench/bench.py",
    f"{PACKAGE}/test_top.py": "bench/test_top.py",
    f"{PACKAGE}/records.py": "bench/records.py",
}


def bench(program: Program) -> dict[str, str]:
    """Path below the build folder to text of the bench.

    It reads `data/image.bin`, `data/inputs.bin`, `data/expected.bin` and `rtl/top.v`; with TRACE=1
    `rtl/top_trace.v`, whose trace it compares with `data/tensors.npz`.
    """
    flags = {"make_flags": MAKE_FLAGS, "arguments": json.dumps(COCOTB_ARGUMENTS)}
    project = {path: render(template, flags) for path, template in TEMPLATES.items()}
    for package, names in SHARED.items():
        for name in names:
            project[f"{PACKAGE}/{name}"] = files(package).joinpath(name).read_text("utf-8")
    project[f"{PACKAGE}/__init__.py"] = f'# {LINE}\n"""Bus models and tests of the accelerator."""\n'
    project[f"{FOLDER}/design.json"] = json.dumps(describe(program), indent=1) + "\n"
    return dict(sorted(project.items()))


def describe(program: Program) -> dict[str, Any]:
    """Shapes and layouts that the bench reads, ready for JSON."""
    p, words = program.parameters, program.input.words
    # The bench runs the first task; which rows an expert gets, only golden's routing tells.
    views = [
        dataclasses.asdict(view)
        for view in program.views
        if program.commands[view.command].runs_for(0) and not view.expert
    ]
    return {
        "build_id": p.build_id,
        "columns": p.columns,
        "lanes": p.lanes,
        "macs": program.macs,
        "input_bytes": ceil_div(words * p.columns, SECTION_ALIGN) * SECTION_ALIGN,
        "output_bytes": program.output_bytes,
        "views": views,
    }
