# SPDX-License-Identifier: Apache-2.0
"""Contents of memories in files of their own: Yosys reads those much sooner than assignments or loops."""

from __future__ import annotations

import re

from hlsgen.emit.zeros import LOOPS

FOLDER = "memories"
LEAST_WORDS = 64
_ASSIGNMENT = re.compile(r"    (\S+) ?\[(\d+)\] = \d+'([hd])([0-9a-f]+);\n")
_ASSIGNMENTS = re.compile(
    r"^  initial begin\n((?:    \S+ ?\[\d+\] = \d+'[hd][0-9a-f]+;\n)+)  end\n", re.MULTILINE
)


def split_contents(verilog: str) -> tuple[str, dict[str, str]]:
    """The text with `$readmemh` for the contents of memories, and name to text of the files that it reads.

    Takes Verilog as `rtl.convert` writes it. Memories of fewer than `LEAST_WORDS` words stay as they are, and
    all of one number of zeros read one file.
    """
    files: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        words = _ASSIGNMENT.findall(match[1])
        memory, places = words[0][0], [int(place) for _, place, _, _ in words]
        if len(words) < LEAST_WORDS or places != [*range(len(words))]:
            return match[0]
        name = f"{FOLDER}/{len(files)}_{re.sub(r'[^A-Za-z0-9_]', '', memory)}.hex"
        values = (int(digits, {"h": 16, "d": 10}[base]) for *_, base, digits in words)
        files[name] = "".join(f"{value:x}\n" for value in values)
        return _read(name, memory, len(words))

    def zeros(match: re.Match[str]) -> str:
        words = int(match["words"])
        if words < LEAST_WORDS:
            return match[0]
        name = f"{FOLDER}/zeros_{words}.hex"
        files[name] = "0\n" * words
        return _read(name, match["memory"], words)

    text = _ASSIGNMENTS.sub(replace, verilog)
    return LOOPS.sub(zeros, text), files


def _read(name: str, memory: str, words: int) -> str:
    return f'  initial $readmemh("{name}", {memory} , 0, {words - 1});\n'
