# SPDX-License-Identifier: Apache-2.0
"""An accelerator as Yosys maps it to UltraScale+."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.yosys import WORK, run
from hlsgen.emit.serial.memory_files import split_contents

REGISTER = "hlsgen_register"
"""Attribute of the nets that were a register's output before the design was flattened."""
_REGISTERS = " ".join(f"t:{kind}" for kind in ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"))
SCRIPT = f"""read_verilog {{top}}.v
hierarchy -top {{top}}
proc
select -set registers {_REGISTERS} %u %u %u %u %co1:+[Q] w:* %i
setattr -set {REGISTER} 1 @registers
select -set kept w:* a:keep %i %ci1:+[Q] c:* %i
setattr -set keep 1 @kept
select -clear
synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {{top}}
write_json {{top}}.json
"""
"""Yosys' script. Registers are marked before flattening makes all names of a net equal. Those whose net has
the attribute `keep` stay as they are, as in Vivado; Yosys looks at the cell's attribute."""


def map_netlist(verilog: str, top: str, folder: Path | None = None) -> bytes:
    """The netlist, as Yosys' JSON, of Verilog as Amaranth writes it.

    `folder`, below the current one, keeps what goes into Yosys and comes out; what it made of the same text
    before is taken again. Contents of memories are files there: Yosys reads them in a fraction of the time of
    assignments. Raises `ToolFailed`.
    """
    text, memories = split_contents(verilog)
    files = {f"{top}.v": text, "synthesis.ys": SCRIPT.format(top=top), **memories}
    if folder is not None:
        return _kept(files, top, folder)
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        return run(files, "synthesis.ys", f"{top}.json", Path(name))


def _kept(files: Mapping[str, str], top: str, folder: Path) -> bytes:
    result = folder / f"{top}.json"
    if result.exists() and all(
        (folder / name).exists() and (folder / name).read_text() == text for name, text in files.items()
    ):
        return result.read_bytes()
    result.unlink(missing_ok=True)
    return run(files, "synthesis.ys", result.name, folder)
