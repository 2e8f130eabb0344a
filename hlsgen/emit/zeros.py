# SPDX-License-Identifier: Apache-2.0
"""Memories of zeros: a loop in Verilog, where Yosys writes an assignment for every word.

Such assignments were more than half of a large accelerator's text. Yosys reads an initial block in a time
that grows with the square of its assignments, loops unrolled; so a loop has at most `LOOP_WORDS` words.
"""

from __future__ import annotations

import re

LOOP_WORDS = 256
_MEMORY = re.compile(
    r"^(  reg \[\d+:0\] (\\\S+ |\S+) \[(\d+):0\];\n)"
    r"  initial begin\n"
    r"    \2\[0\] = (\d+'[hd]0+);\n"
    r"((?:    \2\[\d+\] = \4;\n)*)"
    r"  end\n",
    re.MULTILINE,
)
LOOPS = re.compile(
    r"(?:^  integer hlsgen_word_\d+;\n"
    r"  initial for \((?P<index>hlsgen_word_\d+) = \d+; (?P=index) < (?P<words>\d+); .*\) "
    r"(?P<memory>\\\S+ |\S+)\[(?P=index)\] = 0;\n)+",
    re.MULTILINE,
)
"""The loops of one memory, as `with_loops` writes them."""


def with_loops(text: str) -> str:
    """Verilog as Yosys writes it, with loops for the memories that hold zeros only.

    A memory of zeros has its first word in the text (see `amaranth_speed.faster`) or all words.
    """
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        declaration, name, last, _, others = match.groups()
        words = int(last) + 1
        if others.count("\n") not in (0, words - 1):
            return match[0]
        starts = range(0, words, LOOP_WORDS)
        loops = [
            loop(count + index, name, start, min(start + LOOP_WORDS, words))
            for index, start in enumerate(starts)
        ]
        count += len(loops)
        return declaration + "".join(loops)

    return _MEMORY.sub(replace, text)


def loop(number: int, memory: str, first: int, end: int) -> str:
    """Zeros for the words `first` to `end`, that one left out; each loop has an integer of its own."""
    index = f"hlsgen_word_{number}"
    return (
        f"  integer {index};\n"
        f"  initial for ({index} = {first}; {index} < {end}; {index} = {index} + 1) {memory}[{index}] = 0;\n"
    )
