# SPDX-License-Identifier: Apache-2.0
"""What all Verilated simulators have in common, compiled once and kept in the user's cache.

That is Verilator's library, an archive, and its header, precompiled for code that is optimised and for code
that is not. Both take longer to compile than a small machine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hlsgen.emit.bench import HOT, MAKE_FLAGS
from hlsgen.host import processes
from hlsgen.sim import verilator
from hlsgen.sim.place import build_place
from hlsgen.store.cache import cache_folder, keep_newest, kept_file, key, note_use

PREFIX = "verilated-"
KEPT_BYTES = 600_000_000
"""What the cache keeps of all versions together: four of them, with 140 MB each."""
ARCHIVE, HEADER = "verilated.a", "simulator.h"
QUICK_CYCLES = 500_000
"""A run of fewer cycles takes less time than optimised code takes to be compiled."""
FAST, SLOW = "fast", "slow"
"""Verilator's names for code that is optimised and for code that is not."""
_TEXT = '#include "verilated.h"\n'
_EMPTY = ("--cc", "--vpi", "--no-timing", "--quiet", "-Mdir", ".", "--prefix", "Vempty", "empty.v")
_RULES = f"include Vempty.mk\n{ARCHIVE}: $(VK_GLOBAL_OBJS)\n\t$(AR) -rcs $@ $^\n"
_BUILD = ("--cc", "--exe", "--build", "-j", "2", "-O3", "--no-timing", "--no-assert")
_QUIET = ("-Wno-fatal", "-Wno-lint", "--quiet")


def build(work: Path, options: Sequence[str], output: str, *, quick: bool = False) -> str:
    """Build the simulator `output` in the folder `work`, from sources in it that `options` name.

    Returns what the tools printed. quick: as for `environment`. Raises `ToolMissing` or `ToolFailed`.
    """
    environ = environment(quick=quick)
    names = ("-Mdir", "obj", "-o", f"../{output}")
    return verilator.run([verilator.tool(environ), *_BUILD, *_QUIET, *options, *names], work, environ)


def environment(*, quick: bool = False) -> dict[str, str]:
    """Environment in which Verilator and its make build a simulator around what is kept.

    quick: nothing is optimised, and the model is compiled in one piece. The build takes half of the time, the
    run four times as long: for fewer than `QUICK_CYCLES`. Raises `ToolMissing` or `ToolFailed`.
    """
    environ = verilator.environment()
    hot = SLOW if quick else FAST
    kept = _kept(environ, {hot, SLOW})
    flags = {
        "VK_GLOBAL_OBJS": "",
        "USER_LDLIBS": f"{kept}.lib/{ARCHIVE}",
        "VK_PCH_H": f"{kept}.h",
        "VK_PCH_I_FAST": "",
        "VK_PCH_I_SLOW": "",
        "OPT_FAST": f"{'-O0' if quick else HOT} -include{kept}.h.{hot}",
        "OPT_SLOW": f"-O0 -include{kept}.h.{SLOW}",
        **({"VM_PARALLEL_BUILDS": "0"} if quick else {}),
    }
    # A space would end the definition. The compilers' messages shall not be mixed.
    escaped = (f"{name}={value}".replace(" ", "\\ ") for name, value in flags.items())
    return environ | {"MAKEFLAGS": " ".join(["--output-sync=target", *escaped])}


def _kept(environ: dict[str, str], speeds: set[str]) -> Path:
    """Prefix of what is kept: `.lib/` has the archive, `.h.SPEED` is the header.

    gcc looks for the precompiled form of a header in the folder with its name and `.gch`. To make that folder
    is the file of that name, which it would otherwise compile for each model.
    """
    place = build_place(cache_folder())
    compiler = processes.run_tool(["c++", "--version"], place)
    origin = (verilator.version(), str(verilator.package()), compiler, MAKE_FLAGS)
    kept = place / f"{PREFIX}{key(*origin, *_EMPTY, _TEXT, _RULES)}"

    def keep(folder: str, name: str) -> None:
        kept_file(Path(f"{kept}.{folder}") / name, lambda work: _make(name, work, environ))

    keep("lib", ARCHIVE)
    for speed in sorted(speeds):
        header = Path(f"{kept}.h.{speed}")
        if not header.exists():
            header.write_text(_TEXT)  # gcc reads it where the precompiled one does not fit its options
        keep(f"h.{speed}.gch", f"{HEADER}.{speed}.gch")
    note_use(Path(f"{kept}.lib"))
    keep_newest(place, PREFIX, KEPT_BYTES)
    return kept


def _make(name: str, work: Path, environ: dict[str, str]) -> None:
    """Make a file by the rules that Verilator writes for a model, here an empty one."""
    (work / "empty.v").write_text("module empty; endmodule\n")
    (work / HEADER).write_text(_TEXT)
    verilator.run([verilator.tool(environ), *_EMPTY], work, environ)
    (work / "Makefile").write_text(_RULES)
    verilator.run(["make", "-j", "2", name], work, environ)
