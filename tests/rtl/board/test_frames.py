# SPDX-License-Identifier: Apache-2.0
"""The serial protocol alone: the class of many logits, ties, signs, and the accelerator's codes."""

from __future__ import annotations

import gc
import struct
from random import Random

import pytest
from support.frames import CYCLES, answer

from hlsgen.machine.format.interface import ANSWER
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.rtl.board.frames import Frames


@pytest.mark.parametrize(
    "logits",
    [
        [0],
        [-32768],
        [-32768, -32768],
        [5, 5, 5],
        [-3, -1, -1, -2],
        [32767, -32768, 32767],
        [-1, 0, 256, 255, 256],
        Random(4).sample(range(-32768, 32768), 300),
    ],
    ids=lambda logits: f"{logits[:3]}",
)
def test_the_class_is_the_first_largest_logit(logits: list[int]) -> None:
    sent, written = answer(logits)
    label = logits.index(max(logits))
    assert sent == bytes([ANSWER, 0]) + struct.pack(f"<H{len(logits)}hI", label, *logits, CYCLES)
    assert written == {0: 0x11, 1: 0xA5, 2: 0x33}


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 7, 8, 9, 30])
@pytest.mark.parametrize(("run", "pitch"), [(1, 1), (1, 4), (2, 4), (4, 8), (8, 8), (4, 32), (64, 128)])
def test_logits_may_lie_in_runs(classes: int, run: int, pitch: int) -> None:
    """What lies between the runs is larger than every logit, and must neither be sent nor win."""
    logits = Random(classes).sample(range(-32768, 32767), classes)
    words = [32767] * (ceil_div(classes, run) * pitch)
    for index, logit in enumerate(logits):
        words[index // run * pitch + index % run] = logit
    sent, _ = answer(logits, memory=struct.pack(f"<{len(words)}h", *words), runs={"run": run, "pitch": pitch})
    label = logits.index(max(logits))
    assert sent == bytes([ANSWER, 0]) + struct.pack(f"<H{classes}hI", label, *logits, CYCLES)


def test_an_error_code_ends_the_answer() -> None:
    sent, _ = answer([1, 2], code=10)
    assert sent == bytes([ANSWER, 10])


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_sizes_are_checked() -> None:
    good = {"input_bytes": 1, "classes": 1, "timeout": 1}
    for name in good:
        with pytest.raises(ValueError, match=f"{name} must be positive, not 0"):
            Frames(**{**good, name: 0})
    with pytest.raises(ValueError, match="classes must be at most 65536, not 65537"):
        Frames(**{**good, "classes": 65537})
    for run, pitch in ((3, 4), (4, 2), (0, 1), (1, 3)):
        wanted = f"run and pitch must be powers of two, run at most pitch, not {run}, {pitch}"
        with pytest.raises(ValueError, match=wanted):
            Frames(**good, run=run, pitch=pitch)
    gc.collect()
