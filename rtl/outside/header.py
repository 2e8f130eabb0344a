# SPDX-License-Identifier: Apache-2.0
"""Checks the settings and the Image's header, and tells the channels where their data lie."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.image import HEADER_BYTES, MAGIC, VERSION
from hlsgen.machine.format.interface import Error, Header
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.rtl.format.streams import UNIT_BITS
from hlsgen.rtl.outside.fetch import ADDENDS, COMMANDS, CONSTANTS, HEADER, PIXELS, WEIGHTS, Open, OpenPorts
from hlsgen.rtl.outside.registers import Settings

COMMAND_UNITS = 2
"""Units of 64 bytes in a command."""
_CHANNELS = {
    Header.PROGRAM: COMMANDS,
    Header.CONSTANTS: CONSTANTS,
    Header.WEIGHTS: WEIGHTS,
    Header.ADDENDS: ADDENDS,
}
"""Words with a section's offset, the size in the word behind it, and the channels that load the sections."""
_AFTER_SIZE = 2
"""From the word with a section's offset to the one behind its size."""
_LAST_SECTION = Header.ADDENDS + _AFTER_SIZE


class HeaderCheck(wiring.Component):
    """Runs once after reset: settings, then the header word by word, then `done` or an error.

    The image range is checked before the header is read, input and output before anything else is. Sections
    must follow one another, and the last one end where the Image does, so that none of their places and sizes
    can be wrong alone. A Program without commands counts as a section outside the Image.

    Parameters
    ----------
    parameters
        The machine's shape, for its build id.

    Members
    -------
    settings
        Stable while the check runs.
    words
        The header's words.
    open
        Channels to be loaded; the header's makes the header come.
    output_load
        Loads `open.address` and `open.units` into the writer.
    hold, waits
        While `hold` is high, no section's channel is loaded; high where the check stands still for that.
    writing, placed
        The writer is not free for the next output yet; high where the check stands still for that, with all
        channels loaded.
    done
        All is well and every channel is loaded (level).
    code, faulty
        An error code, or 0 (level); whether there is one.

    Latency
    -------
    6 cycles to the request for the header, at most 40 from its arrival to `done`.
    """

    settings: Any
    words: stream.Interface
    open: OpenPorts
    output_load: Signal
    hold: Signal
    waits: Signal
    writing: Signal
    placed: Signal
    done: Signal
    code: Signal
    faulty: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        self._build_id, self._streamed = parameters.build_id, parameters.streamed
        self._tasks = parameters.tasks if parameters.planned else 0
        super().__init__(
            {
                "settings": In(Settings(parameters.streamed)),
                "words": In(stream.Signature(32)),
                "open": Out(Open()),
                "output_load": Out(1),
                "hold": In(1),
                "waits": Out(1),
                "writing": In(1),
                "placed": Out(1),
                "done": Out(1),
                "code": Out(8),
                "faulty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        s, index = self.settings, Signal(5)
        self._found, self._take = Signal(8, name="found"), Signal(name="take")
        total, size = Signal(32), Signal(34)
        following = Signal(32 - UNIT_BITS, init=HEADER_BYTES // SECTION_ALIGN)  # unit of the next section
        base = Signal(64)
        leaves = self._leaves()
        m.d.sync += [self.open.load.eq(0), self.output_load.eq(0)]
        with m.If(~self.faulty):
            m.d.sync += [self.code.eq(self._found), self.faulty.eq(self._found != 0)]
        m.d.comb += self.words.ready.eq(self._take)
        with m.If(self._take & self.words.valid):
            m.d.sync += index.eq(index + 1)
            m.d.sync += [flag.eq(Cat(index == word - 1 for word in words).any()) for flag, words, _ in leaves]
            self._word(m, index, total, size, base)
        self._compare(m, index, following)
        with m.FSM(name="header"):
            with m.State("BASES"):
                m.d.sync += [base.eq(s.image_base), size.eq(s.image_bytes)]
                self._settings(m)
                m.next = "RANGE"
            self._range(m, base, size, index)
            with m.State("WORD"), m.If(self.words.valid):
                self._leave(m, leaves)
            with m.State("TOTAL"):
                m.d.sync += self._take.eq(1)
                m.next = "WORD"
                with m.If((total > s.image_bytes) | (total < HEADER_BYTES)):
                    self._fail(m, Error.TRUNCATED)
            self._section(m, index, total, following, size)
            with m.State("DONE"):
                m.d.comb += self.done.eq(self._found == 0)
        return m

    def _settings(self, m: Module) -> None:
        """Check what the settings say alone: the bases, the Image's size, the task."""
        s = self.settings
        bases = [s.image_base, s.input_base, s.output_base]
        bases += [s.workspace_base] if self._streamed else []
        with m.If(Cat(base[:UNIT_BITS] for base in bases) != 0):
            self._fail(m, Error.ALIGNMENT)
        with m.Elif(s.image_bytes < HEADER_BYTES):
            self._fail(m, Error.TRUNCATED)
        with m.Elif((s.task >= self._tasks) if self._tasks else 0):
            self._fail(m, Error.TASK)

    def _fail(self, m: Module, code: Error) -> None:
        """Told a cycle later: the state does not wait for a comparison. The first error counts."""
        m.d.sync += self._found.eq(code)

    def _compare(self, m: Module, index: Signal, following: Signal) -> None:
        """Check a header word in the cycle after it was taken: no comparison waits for the stream."""
        word, position, taken = Signal(32, reset_less=True), Signal.like(index), Signal()
        m.d.sync += [
            word.eq(self.words.payload),
            position.eq(index),
            taken.eq(self._take & self.words.valid),
        ]
        with m.If(taken), m.Switch(position):
            for case, wrong, code in (
                ((Header.MAGIC,), word != MAGIC, Error.MAGIC),
                ((Header.VERSION,), word != VERSION, Error.VERSION),
                ((Header.BUILD_ID,), word != self._build_id, Error.BUILD),
                (_CHANNELS, word != following << UNIT_BITS, Error.SECTION),
                ((Header.COMMANDS,), word == 0, Error.SECTION),
            ):
                with m.Case(*case), m.If(wrong):
                    self._fail(m, code)

    def _word(self, m: Module, index: Signal, total: Signal, size: Signal, base: Signal) -> None:
        """Keep one header word."""
        word = self.words.payload
        with m.Switch(index):
            with m.Case(Header.TOTAL):
                m.d.sync += total.eq(word)
            with m.Case(Header.COMMANDS):
                m.d.sync += size.eq(word * COMMAND_UNITS)
            with m.Case(Header.CONSTANTS_BYTES, Header.WEIGHTS_BYTES, Header.ADDENDS_BYTES):
                m.d.sync += size.eq(_units(word))
            with m.Case(Header.INPUT_BYTES):
                m.d.sync += [base.eq(self.settings.input_base), size.eq(word)]
            with m.Case(Header.OUTPUT_BYTES):
                m.d.sync += [base.eq(self.settings.output_base), size.eq(word)]
            with m.Case(Header.WORKSPACE_BYTES):
                if self._streamed:
                    m.d.sync += [base.eq(self.settings.workspace_base), size.eq(word)]

    def _leaves(self) -> list[tuple[Signal, tuple[int, ...], str]]:
        """What follows a header word: a flag that one of the words is next, the words, the state."""
        found: list[tuple[tuple[int, ...], str]] = [
            ((Header.TOTAL,), "TOTAL"),
            (tuple(word + 1 for word in _CHANNELS), "SECTION"),
            ((Header.INPUT_BYTES, Header.OUTPUT_BYTES), "RANGE"),
            ((Header.WORKSPACE_BYTES,), "RANGE" if self._streamed else "DONE"),
        ]
        return [(Signal(name=f"leaves_{i}"), words, state) for i, (words, state) in enumerate(found)]

    def _leave(self, m: Module, leaves: list[tuple[Signal, tuple[int, ...], str]]) -> None:
        """To what follows a header word; no other one is taken before that is over."""
        for flag, _, state in leaves:
            with m.If(flag):
                m.d.sync += self._take.eq(0)
                m.next = state

    def _range(self, m: Module, base: Signal, size: Signal, index: Signal) -> None:
        """Check that `size` bytes from `base`, padded, lie in the window; then load what lies there."""
        s, distance, end, far = self.settings, Signal(65), Signal(34), Signal()
        units = _units(size[:32])
        with m.State("RANGE"):
            m.d.sync += [distance.eq(base - s.window_base), size.eq(units << UNIT_BITS)]
            m.next = "RANGE_END"
        with m.State("RANGE_END"):
            m.d.sync += [end.eq(distance[:32] + size), far.eq(distance[32:].any())]
            m.d.sync += [self.open.address.eq(base[UNIT_BITS:]), self.open.units.eq(size[UNIT_BITS:])]
            m.next = "RANGE_CHECK"
        limited = Signal()
        m.d.sync += limited.eq(s.window_bytes != 0)
        with m.State("RANGE_CHECK"):
            outside = limited & (far | (end > s.window_bytes))
            well = (self._found == 0) & ~outside
            with m.If(outside):
                self._fail(m, Error.WINDOW)
            with m.If(self.writing & (index == Header.OUTPUT_BYTES + 1) & (self._found == 0)):
                m.d.comb += self.placed.eq(~outside)
            with m.Else():
                m.d.sync += self._take.eq(1)
                m.next = "WORD"
                with m.Switch(index):
                    with m.Case(Header.MAGIC):  # none was read yet
                        m.d.sync += self.open.units.eq(HEADER_BYTES // SECTION_ALIGN)
                        m.d.sync += [self.open.load.eq(well), self.open.channel.eq(HEADER)]
                    with m.Case(Header.INPUT_BYTES + 1):
                        m.d.sync += [self.open.load.eq(well), self.open.channel.eq(PIXELS)]
                    with m.Case(Header.OUTPUT_BYTES + 1):
                        m.d.sync += self.output_load.eq(well)
                    with m.Default():  # the workspace: the core says when it is read and written
                        m.d.sync += self._take.eq(0)
                        m.next = "DONE"

    def _section(self, m: Module, index: Signal, total: Signal, following: Signal, size: Signal) -> None:
        """Check that `size` units from `following` lie in the Image; then load their channel."""
        end, units = Signal(36), total[UNIT_BITS:]
        with m.State("SECTION"):
            m.d.sync += [
                end.eq(following + size),
                self.open.address.eq(self.settings.image_base[UNIT_BITS:] + following),
                self.open.units.eq(size),
            ]
            m.next = "SECTION_CHECK"
        with m.State("SECTION_CHECK"):
            wrong = (end > units) | ((index == _LAST_SECTION) & (end != units))
            with m.If(wrong):
                self._fail(m, Error.SECTION)
            with m.If(self.hold & (self._found == 0)):
                m.d.comb += self.waits.eq(~wrong)
            with m.Else():
                m.next = "WORD"
                m.d.sync += [
                    self.open.load.eq((self._found == 0) & ~wrong),
                    following.eq(end),
                    self._take.eq(1),
                ]
                with m.Switch(index):
                    for word, channel in _CHANNELS.items():
                        with m.Case(word + _AFTER_SIZE):
                            m.d.sync += self.open.channel.eq(channel)


def _units(size: Value) -> Value:
    """Bytes as units of 64, rounded up."""
    return (size + (SECTION_ALIGN - 1)) >> UNIT_BITS
