# SPDX-License-Identifier: Apache-2.0
"""The generated C++ of many programs of one machine, compiled together: the machine's templates only once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from hlsgen.emit.hls import hls
from hlsgen.lower import Lowered
from hlsgen.machine.format.program import Program
from hlsgen.sim import csim, verilator

FLAGS = (
    "-std=c++17", "-O0", "-w", "-DHLSGEN_CHECK", *csim.TRACE,
    "-fsanitize=bounds,shift,signed-integer-overflow", "-fno-sanitize-recover=all",
)  # fmt: skip
"""Every value is held against its width, every index against its array; compiling costs more than running."""
_INCLUDE = re.compile(r"^#(include .*|pragma once)\n", re.MULTILINE)
_SYSTEM = re.compile(r"^#include <.*>\n", re.MULTILINE)
_HEADERS = ("dataflow.hpp", "image.hpp", "trace.hpp")
_MAIN = """
#include <cstring>
int main(int argc, char** argv) {{
    const char* const slash = std::strrchr(argv[0], '/');
    const int program = std::atoi(slash == nullptr ? argv[0] : slash + 1);
    switch (program) {{
{cases}
    }}
    return 2;
}}
"""


class Programs:
    """Compiled programs of one machine.

    Parameters
    ----------
    programs
        By any number.
    folder
        For sources and binaries; each program is a name of one binary, which runs what its name says.
    """

    def __init__(self, programs: Mapping[int, Lowered], folder: Path) -> None:
        """Raises `ToolFailed` when they do not compile, `ToolMissing` without g++."""
        texts = {number: _names(hls(item.program, item.image)) for number, item in programs.items()}
        files = next(iter(texts.values()))
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            if name.endswith(".hpp"):
                (folder / name).write_text(text, "utf-8")
        (folder / "all.cpp").write_text(_source(texts), "utf-8")
        verilator.run(["g++", *FLAGS, "-o", "all", "all.cpp"], folder)
        self._programs, self._folder = programs, folder
        for number in programs:
            (folder / str(number)).unlink(missing_ok=True)
            os.link(folder / "all", folder / str(number))

    def program(self, number: int) -> csim.CSim:
        """One of them, ready to run."""
        lowered = self._programs[number]
        return _Compiled(lowered.program, lowered.image.pack(), self._folder / str(number))


class _Compiled(csim.CSim):
    """A program whose binary is there."""

    def __init__(self, program: Program, image: bytes, binary: Path) -> None:
        super().__init__(program, image, {}, binary.parent, tracing=True)
        self._binary = binary


def _names(files: Mapping[str, str]) -> dict[str, str]:
    return {Path(path).name: text for path, text in files.items()}


def _source(texts: Mapping[int, Mapping[str, str]]) -> str:
    """One source: the headers, then each program in a namespace of its own, in which main chooses."""
    first = next(iter(texts.values()))
    system = sorted({line for files in texts.values() for line in _SYSTEM.findall(files["tb.cpp"])})
    parts = [*system, "#include <cstdlib>\n"]
    parts += [f'#include "{name}"\n' for name in _HEADERS]
    shape, _ = _split(first["parameters.hpp"])
    parts.append(f"namespace hlsgen {{\n{shape}\n}}\n")
    parts += [_program(number, files) for number, files in texts.items()]
    cases = [f"        case {number}: return program_{number}::run(argc, argv);" for number in texts]
    return "".join(parts) + _MAIN.format(cases="\n".join(cases))


def _split(text: str) -> tuple[str, str]:
    """The struct of the machine's parameters, and the constants of a program."""
    match = re.search(r"(struct Parameters \{.*?\n\};\n)(.*)\}  // namespace hlsgen", text, re.DOTALL)
    assert match is not None
    return match[1], match[2]


def _program(number: int, files: Mapping[str, str]) -> str:
    _, constants = _split(files["parameters.hpp"])
    body = "".join(_INCLUDE.sub("", files[name]) for name in ("top.hpp", "top.cpp", "tb.cpp"))
    body = body.replace('extern "C" ', "").replace("int main(", "int run(")
    inner = f"namespace hlsgen {{\nusing namespace ::hlsgen;\n{constants}}}\n"
    return f"namespace program_{number} {{\n{inner}{body}}}\n"
