# SPDX-License-Identifier: Apache-2.0
"""A core that only echoes its streams, for tests of everything around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor
from random import Random
from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.input import pad
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import output_word
from hlsgen.rtl.format.ports import LEVELS

SOURCES = ("constants", "weights", "addends", "pixels")


def stub_command(source: str, count: int, *, last: bool = False, hang: bool = False) -> bytes:
    """128 bytes that make the stub echo `count` words of a stream."""
    word = SOURCES.index(source) | last << 2 | hang << 3 | count << 16 | 0xA5 << 1016
    return word.to_bytes(128, "little")


def stub_words(p: MachineParameters, data: bytes, word_bytes: int, count: int) -> list[int]:
    """The output words for the first `count` words of a section."""
    mask, words = (1 << 16 * p.columns) - 1, []
    for index in range(count):
        word = int.from_bytes(data[index * word_bytes : (index + 1) * word_bytes], "little")
        folded = 0
        while word:
            folded, word = folded ^ (word & mask), word >> 16 * p.columns
        words.append(folded)
    return words


@dataclass(frozen=True)
class StubCase:
    """An Image for the stub, its padded input and the padded output that must come."""

    image: Image
    data: bytes
    output: bytes

    @property
    def blob(self) -> bytes:
        return self.image.pack()


def stub_case(p: MachineParameters, words: int, seed: int = 1, *, hang: bool = False) -> StubCase:
    """Random sections, echoed in an order that makes channels wait for each other."""
    random = Random(seed)
    sizes = {
        "constants": (word_bytes(p.columns), words),
        "weights": (p.columns * p.depth, 4 * words),
        "addends": (p.columns * 2, words // 2),
        "pixels": (p.columns, words),
    }
    data = {name: random.randbytes(size * count) for name, (size, count) in sizes.items()}
    steps = [("pixels", words), ("weights", words), ("constants", words - 1), ("weights", 2 * words)]
    steps += [("addends", words // 2), ("constants", 1), ("weights", words)]
    program, expected, used = b"", [], dict.fromkeys(sizes, 0)
    for index, (name, count) in enumerate(steps):
        program += stub_command(name, count, last=index == len(steps) - 1, hang=hang)
        size = sizes[name][0]
        expected += stub_words(p, data[name][used[name] * size :], size, count)
        used[name] += count
    output = pad(b"".join(word.to_bytes(2 * p.columns, "little") for word in expected))
    image = Image(
        build_id=p.build_id,
        program=program,
        constants=data["constants"],
        weights=data["weights"],
        addends=data["addends"],
        input_bytes=len(data["pixels"]),
        output_bytes=len(output),
    )
    return StubCase(image, pad(data["pixels"]), output)


class StubCore(wiring.Component):
    """Has the members of `Core`; every command echoes words of one stream, folded to the output's width."""

    commands: Any
    output: Any
    done: Signal
    progress: Signal
    weights_first: Signal
    levels: Any

    def __init__(self, p: MachineParameters) -> None:
        c = p.columns
        super().__init__(
            {
                "commands": In(stream.Signature(1024)),
                "constants": In(stream.Signature(8 * word_bytes(c))),
                "weights": In(stream.Signature(c * p.depth * 8)),
                "addends": In(stream.Signature(c * 16)),
                "pixels": In(stream.Signature(c * 8)),
                "output": Out(stream.Signature(output_word(p))),
                **{n: Out(1) for n in ("done", "progress", "weights_first")},
                "levels": Out(LEVELS),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        command, busy = Signal(1024), Signal()
        count, width = command[16:32], len(self.output.payload.data)
        m.d.comb += [
            self.commands.ready.eq(~busy & ~self.done),
            self.levels.idle.eq(~busy),
            self.levels.issue.eq(busy & self.progress),
            self.levels.wait_weights.eq(busy & ~self.progress),
        ]
        with m.If(self.commands.valid & self.commands.ready):
            m.d.sync += [command.eq(self.commands.payload), busy.eq(1)]
        for index, name in enumerate(SOURCES):
            source = getattr(self, name)
            with m.If(busy & (command[:2] == index) & (count != 0) & (command[1016:] == 0xA5)):
                parts = [source.payload[low : low + width] for low in range(0, len(source.payload), width)]
                m.d.comb += [
                    self.output.payload.data.eq(reduce(xor, parts)),
                    self.output.valid.eq(source.valid),
                    source.ready.eq(self.output.ready),
                    self.progress.eq(source.valid & self.output.ready),
                ]
        with m.If(self.progress):
            m.d.sync += count.eq(count - 1)
        finished = busy & ((count == 0) | ((count == 1) & self.progress)) & ~command[3]
        with m.If(finished):
            m.d.sync += [busy.eq(0), self.done.eq(Mux(command[2], 1, self.done))]
        return m
