# SPDX-License-Identifier: Apache-2.0
"""The DSP48E2 blocks of an accelerator, as Yosys maps it."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.yosys import WORK, run
from hlsgen.emit.rtl import verilog
from hlsgen.emit.serial.memory_files import split_contents
from hlsgen.machine.format.parameters import MachineParameters

BLOCK = "DSP48E2"
SCRIPT = """read_verilog top.v
synth_xilinx -family xcup -top top -run :coarse
tee -o stat.json stat -json
"""


def place(module: str) -> str:
    """Which part of the machine a module of the design is: two levels below the core."""
    parts = [re.sub(r"_?\d+$", "", part) for part in module.replace("\\", "").split(".")]
    return " ".join(parts[2:4]) if parts[:2] == ["top", "core"] else " ".join(parts[1:2]) or "top"


@cache
def blocks(parameters: MachineParameters) -> dict[str, int]:
    """Multiplier blocks of the whole accelerator made for Xilinx devices, by place; raises `ToolFailed`."""
    text, memories = split_contents(verilog(parameters, "xilinx"))
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        files = {"top.v": text, "count.ys": SCRIPT, **memories}
        modules: dict[str, Any] = json.loads(run(files, "count.ys", "stat.json", Path(folder)))["modules"]
    found: Counter[str] = Counter()
    for module, content in modules.items():
        number = content["num_cells_by_type"].get(BLOCK, 0)
        if number:
            found[place(module)] += number
    return dict(found.most_common())
