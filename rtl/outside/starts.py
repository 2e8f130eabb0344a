# SPDX-License-Identifier: Apache-2.0
"""The queue of starts: settings of the images that wait, of the next one, and of the one that runs."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import STREAMED, Register
from hlsgen.rtl.outside.registers import Settings
from hlsgen.rtl.parts.axi import ADDRESS_BITS
from hlsgen.rtl.parts.memories import ram
from hlsgen.rtl.parts.pipeline import address_bits, count_bits
from hlsgen.rtl.parts.ports import ports

RUNNING = (Register.TASK, Register.WATCHDOG, Register.WORKSPACE_BASE)
"""Settings that the machine needs until an image is done; the header's check needs the others."""


def running_settings(streamed: bool) -> dict[str, int]:
    """Names and bits of `RUNNING`."""
    there = [register for register in RUNNING if streamed or register.only != STREAMED]
    return {register.title: 32 * register.words for register in there}


class Running(wiring.Signature):
    """The settings of the image that runs (`Out`)."""

    def __init__(self, streamed: bool = False) -> None:
        super().__init__({name: Out(bits) for name, bits in running_settings(streamed).items()})


# Two starts in front of an empty queue of n places in the memory:
#
#   cycle       0    1    2    3    4    5    6
#   put         a              b
#   level       0    1    0    0    1    1    0
#   image                 a    a    a    a    b
#   held                  1    1    1         1
#   taken                           1               `image` runs: its place is free
#   became                     1
#   current                         a    a    a
#   room        n    n-1  n    n    n-1  n-1  n
class Starts(wiring.Component):
    """Settings of up to `images` images, in the order of their starts.

    One image runs, with its settings in `current`; the next one is in `image`, where its header is checked;
    the others wait in a memory, which every start passes. With one or two images there is no memory, with one
    `current` is `image`.

    Parameters
    ----------
    images
        Images that the machine holds: see `hlsgen.machine.time.depths.images_held`.
    address_bits
        Bits of the bases that are used.
    streamed
        Attention is streamed.

    Members
    -------
    put : In(1)
        A start with the `settings`; only while there is `room`.
    settings : In(Settings)
    taken : In(1)
        `image` begins to run, its check is over.
    became : In(1)
        `image` is the oldest one now: `current` follows.
    drop : In(1)
        Forget all that waits.
    waiting : Out(1)
        Starts are in the memory.
    held : Out(1)
        `image` holds settings that were not taken yet.
    room : Out
        Starts that would be taken now.
    image : Out(Settings), current : Out(Running)

    Latency
    -------
    A start is in `image` two cycles later, if that is free, or two cycles after `taken`; without the memory
    one cycle.

    Throughput
    ----------
    A start a cycle.
    """

    put: Signal
    settings: Any
    taken: Signal
    became: Signal
    drop: Signal
    waiting: Signal
    held: Signal
    room: Signal
    image: Any
    current: Any

    def __init__(self, images: int, address_bits: int = ADDRESS_BITS, *, streamed: bool = False) -> None:
        if images < 1 or (images > 2 and (images - 2) & (images - 3)):
            raise ValueError(f"images must be 1, 2 or 2 more than a power of two, not {images!r}")
        self._images, self._address_bits, self._streamed = images, address_bits, streamed
        self._places = max(0, images - 2)
        controls = ("put", "taken", "became", "drop")
        super().__init__(
            {
                **{name: In(1) for name in controls},
                "settings": In(Settings(streamed)),
                "waiting": Out(1),
                "held": Out(1),
                "room": Out(count_bits(max(1, self._places))),
                "image": Out(Settings(streamed)),
                "current": Out(Running(streamed)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        layout, image = self._layout(), ports(self.image)
        new, load = Signal(layout), Signal()
        m.d.comb += [new[name].eq(ports(self.settings)[name]) for name in layout.members]
        if self._places:
            following = self._wait(m, new, load)
        else:
            following = new
            m.d.comb += [load.eq(self.put), self.room.eq(~self.held)]
        with m.If(load):
            m.d.sync += [image[name].eq(following[name]) for name in layout.members]
        m.d.sync += self.held.eq((self.held | load) & ~self.taken & ~self.drop)
        running = ports(self.current)
        copied = [running[name].eq(image[name]) for name in running]
        if self._images == 1:
            m.d.comb += copied
        else:
            with m.If(self.became):
                m.d.sync += copied
        return m

    def _layout(self) -> data.StructLayout:
        """An entry; of the bases only the bits that are used."""
        fields = {}
        for name, value in ports(self.settings).items():
            is_base = Register[name.upper()].words == 2
            fields[name] = min(len(value), self._address_bits) if is_base else len(value)
        return data.StructLayout(fields)

    def _wait(self, m: Module, new: Any, load: Signal) -> Any:
        """Starts wait in a memory until `image` is free; returns the oldest of them."""
        memory = ram(m, "entries", self._layout(), self._places)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(address_bits(self._places)), Signal(address_bits(self._places))
        level = Signal(count_bits(self._places))
        m.d.comb += [
            load.eq((level != 0) & ~self.held),
            write.en.eq(self.put),
            write.addr.eq(tail),
            write.data.eq(new),
            read.addr.eq(head),
            self.waiting.eq(level != 0),
            self.room.eq(self._places - level),
        ]
        m.d.sync += [level.eq(level + self.put - load), tail.eq(tail + self.put), head.eq(head + load)]
        with m.If(self.drop):
            m.d.sync += [level.eq(0), head.eq(0), tail.eq(0)]
        return read.data
