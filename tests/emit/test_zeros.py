# SPDX-License-Identifier: Apache-2.0
"""Loops for memories of zeros: every word, and no memory that holds something else."""

from __future__ import annotations

import re

import pytest

from hlsgen.emit.zeros import LOOP_WORDS, LOOPS, with_loops


def memory(name: str, words: int, listed: int, word: str = "0000") -> str:
    lines = "".join(f"    {name}[{index}] = 13'h{word};\n" for index in range(listed))
    return f"  reg [12:0] {name} [{words - 1}:0];\n  initial begin\n{lines}  end\n  reg [3:0] b;\n"


@pytest.mark.parametrize("name", ["words", "\\odd$name "])
@pytest.mark.parametrize("words", [1, 2, LOOP_WORDS, LOOP_WORDS + 1, 3 * LOOP_WORDS - 1])
def test_the_loops_write_each_word_once(name: str, words: int) -> None:
    for listed in {1, words}:
        text = with_loops(memory(name, words, listed))
        loops = re.findall(r"for \((\w+) = (\d+); \1 < (\d+); \1 = \1 \+ 1\) (.*)\[\1\] = 0;\n", text)
        places = [place for _, first, end, _ in loops for place in range(int(first), int(end))]
        assert places == [*range(words)]
        assert max(int(end) - int(first) for _, first, end, _ in loops) <= LOOP_WORDS
        assert {place for *_, place in loops} == {name}
        assert text.startswith(f"  reg [12:0] {name} [{words - 1}:0];\n  integer {loops[0][0]};\n")
        assert text.endswith("  reg [3:0] b;\n")
        assert "initial begin" not in text
        match = LOOPS.search(text)
        assert match
        assert (int(match["words"]), match["memory"]) == (words, name)
        assert LOOPS.sub("", text) == f"  reg [12:0] {name} [{words - 1}:0];\n  reg [3:0] b;\n"


def test_each_loop_has_its_own_integer() -> None:
    text = with_loops(memory("a", 600, 1) + memory("b", 2, 2))
    assert len(re.findall(r"^  integer hlsgen_word_\d+;$", text, re.MULTILINE)) == 4
    assert len(set(re.findall(r"integer (\w+)", text))) == 4
    assert [match["memory"] for match in LOOPS.finditer(text)] == ["a", "b"]


@pytest.mark.parametrize("word", ["0001", "1000", "0;\n    a[1] = 13'h4"])
def test_a_memory_that_has_contents_keeps_them(word: str) -> None:
    for words, listed in ((2, 1), (5, 5)):
        text = memory("a", words, listed, word)
        assert with_loops(text) == text


def test_a_list_of_some_zeros_stays() -> None:
    text = memory("a", 5, 3)
    assert with_loops(text) == text
