# SPDX-License-Identifier: Apache-2.0
"""The queue of starts: settings of the images that wait, of the next one, and of the one that runs."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
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


# Two starts, each for two cycles' work, in front of an empty queue:
#
#   cycle       0    1    2      3    4
#   put         a         b
#   image            a    a      a    b      from the settings, or from the memory
#   held             1    1      1    1
#   taken                        1           `image` runs: its place is free
#   current               a      a    a      the cycle after `became`
#   became           1
#   room        n    n-1  n-1    n-2  n-1    n: places of `image` and of the memory
class Starts(wiring.Component):
    """Settings of up to `images` images, in the order of their starts.

    One image runs, with its settings in `current`; the next one is in `image`, where its header is checked;
    the others wait in a memory. With one image there is neither memory nor `current`.

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
    held : Out(1)
        `image` holds settings that were not taken yet.
    room : Out
        Starts that would be taken now.
    image : Out(Settings), current : Out(Running)

    Latency
    -------
    A start is in `image` a cycle later, if that is free; one from the memory a cycle after `taken`.

    Throughput
    ----------
    A start a cycle.
    """

    put: Signal
    settings: Any
    taken: Signal
    became: Signal
    drop: Signal
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
                "held": Out(1),
                "room": Out(count_bits(self._places + 1)),
                "image": Out(Settings(streamed)),
                "current": Out(Running(streamed)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        layout, image = self._layout(), ports(self.image)
        new, following, load = Signal(layout), Signal(layout), Signal()
        m.d.comb += [new[name].eq(ports(self.settings)[name]) for name in layout.members]
        if self._places:
            self._wait(m, new, following, load)
        else:
            m.d.comb += [following.eq(new), load.eq(self.put), self.room.eq(~self.held)]
        with m.If(load):
            m.d.sync += [image[name].eq(following[name]) for name in layout.members]
        m.d.sync += self.held.eq((self.held | load) & ~self.taken & ~self.drop)
        running = ports(self.current)
        domain = "sync" if self._images > 1 else "comb"
        with m.If(self.became if self._images > 1 else 1):
            m.d[domain] += [running[name].eq(image[name]) for name in running]
        return m

    def _layout(self) -> data.StructLayout:
        """An entry; of the bases only the bits that are used."""
        fields = {}
        for name, value in ports(self.settings).items():
            is_base = Register[name.upper()].words == 2
            fields[name] = min(len(value), self._address_bits) if is_base else len(value)
        return data.StructLayout(fields)

    def _wait(self, m: Module, new: Any, following: Any, load: Signal) -> None:
        """What comes while `image` is held waits in a memory, and goes there as soon as it is free."""
        memory = ram(m, "entries", self._layout(), self._places)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(address_bits(self._places)), Signal(address_bits(self._places))
        level, some = Signal(count_bits(self._places)), Signal()
        push, pop = Signal(), Signal()
        m.d.comb += [
            some.eq(level != 0),
            pop.eq(some & ~self.held),
            push.eq(self.put & (some | self.held)),
            load.eq(pop | (self.put & ~push)),
            following.eq(Mux(some, read.data, new)),
            write.en.eq(push),
            write.addr.eq(tail),
            write.data.eq(new),
            read.addr.eq(head),
            self.room.eq(self._places - level + ~(some | self.held)),
        ]
        m.d.sync += [level.eq(level + push - pop), tail.eq(tail + push), head.eq(head + pop)]
        with m.If(self.drop):
            m.d.sync += [level.eq(0), head.eq(0), tail.eq(0)]
