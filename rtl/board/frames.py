# SPDX-License-Identifier: Apache-2.0
"""The serial protocol of a board: an image in, its class and logits out."""

from __future__ import annotations

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import ANSWER, REQUEST, FrameError
from hlsgen.machine.format.parameters import is_power_of_two
from hlsgen.rtl.parts.pipeline import address_bits

OUTPUT_LATENCY = 4
"""Cycles from an output address to its byte, the address's own register included."""


class Frames(wiring.Component):
    """Takes requests, has the accelerator run, and sends answers.

    Request: the byte `REQUEST`, then the input's bytes in the machine's order, an exact number of them.

    Answer: the byte `ANSWER`, a code; if the code is 0 also the class (16 bits), the logits (int16 each) and
    the cycles from start to done (32 bits), all little endian. The class is that of the largest logit, the
    first of equals.

    Codes other than 0 are those of the accelerator and of `FrameError`. The board reports its own once the
    line has been quiet for the time limit; the next byte then begins a request. So whatever went wrong, a
    host that waits that long is in step again.

    Parameters
    ----------
    input_bytes
        Bytes of a request.
    classes
        Number of logits; the first lies at the output's beginning.
    run, pitch
        Logits that lie one after another, and int16 from one such run to the next: powers of two. Where
        nothing lies between the runs, which is the default, all logits are one run.
    timeout
        The time limit in cycles.

    Members
    -------
    rx, rx_error
        From the receiver.
    tx
        To the transmitter.
    input_write, input_address, input_data, output_address, output_data
        To and from the memory: bytes of the input, bytes of the output.
    start, done, code, cycles
        To and from the host of the registers.
    busy, complete, error
        Levels: an image runs or is answered; the board has answered an image; its last answer was an error.
    label
        The last class.
    """

    rx: stream.Interface
    tx: stream.Interface
    rx_error: Signal
    input_write: Signal
    input_address: Signal
    input_data: Signal
    output_address: Signal
    output_data: Signal
    start: Signal
    done: Signal
    code: Signal
    cycles: Signal
    busy: Signal
    complete: Signal
    error: Signal
    label: Signal

    def __init__(self, *, input_bytes: int, classes: int, timeout: int, run: int = 1, pitch: int = 1) -> None:
        for name, value in (("input_bytes", input_bytes), ("classes", classes), ("timeout", timeout)):
            if value < 1:
                raise ValueError(f"{name} must be positive, not {value!r}")
        if classes > 1 << 16:
            raise ValueError(f"classes must be at most {1 << 16}, not {classes!r}")
        if not (is_power_of_two(run) and is_power_of_two(pitch) and run <= pitch):
            raise ValueError(
                f"run and pitch must be powers of two, run at most pitch, not {run!r}, {pitch!r}"
            )
        self._input, self._classes, self._timeout = input_bytes, classes, timeout
        # Of the number of a logit's byte the low bits are its place in a run; zeros above them lead past what
        # lies between the runs.
        self._low, self._between = (2 * run).bit_length() - 1, (pitch // run).bit_length() - 1
        self._place = Signal(address_bits(2 * classes), name="place")
        last = (classes - 1) // run * pitch + (classes - 1) % run
        inputs = {"rx_error": 1, "output_data": 8, "done": 1, "code": 8, "cycles": 32}
        outputs = {
            "input_write": 1,
            "input_address": address_bits(input_bytes),
            "input_data": 8,
            "output_address": address_bits(2 * (last + 1)),
            "start": 1,
            "busy": 1,
            "complete": 1,
            "error": 1,
            "label": 16,
        }
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                **{name: In(bits) for name, bits in inputs.items()},
                **{name: Out(bits) for name, bits in outputs.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        quiet, failure = self._timer(m), Signal(8)
        place = self._place
        m.d.comb += self.output_address.eq(Cat(place[: self._low], C(0, self._between), place[self._low :]))
        waits, late = Signal(range(OUTPUT_LATENCY)), Signal()
        m.d.sync += [
            self.input_write.eq(0),
            self.start.eq(0),
            self.tx.valid.eq(self.tx.valid & ~self.tx.ready),
        ]
        with m.FSM(name="frames"):
            self._receive(m, quiet, failure)
            with m.State("RUN"):
                self._watch(m, late)
                m.d.sync += [place.eq(0), waits.eq(0)]
                with m.If(self.done & (self.code == 0)):
                    m.next = "SCAN"
                with m.Elif(self.done):
                    m.d.sync += failure.eq(self.code)
                    m.next = "REPORT"
            with m.State("SCAN"):
                self._watch(m, late)
                self._scan(m, waits)
            self._answer(m, failure, late, waits)
            with m.State("END"):
                m.d.sync += [self.busy.eq(0), late.eq(0)]
                with m.If(late | self.rx.valid | self.rx_error):
                    m.d.sync += failure.eq(FrameError.OVERRUN)
                    m.next = "QUIET"
                with m.Else():
                    m.next = "IDLE"
        return m

    def _answer(self, m: Module, failure: Signal, late: Signal, waits: Signal) -> None:
        """What goes back: an error's code alone, or class, logits and cycles."""
        with m.State("REPORT"):
            self._watch(m, late)
            m.d.sync += [self.error.eq(1), self.complete.eq(0)]
            self._load(m, [ANSWER, failure], "END")
        with m.State("HEAD"):
            self._watch(m, late)
            m.d.sync += [self.error.eq(0), self.complete.eq(1)]
            self._load(m, [ANSWER, 0, self.label[:8], self.label[8:]], "LOGITS")
        with m.State("LOGITS"):
            self._watch(m, late)
            self._logits(m, waits)
        with m.State("TAIL"):
            self._watch(m, late)
            self._load(m, [self.cycles.word_select(i, 8) for i in range(4)], "END")

    def _timer(self, m: Module) -> Signal:
        """Nothing came for the time limit."""
        timer, quiet = Signal(range(self._timeout + 1)), Signal()
        with m.If(self.rx.valid | self.rx_error):
            m.d.sync += [timer.eq(0), quiet.eq(0)]
        with m.Else():
            m.d.sync += [timer.eq(timer + ~quiet), quiet.eq(quiet | (timer == self._timeout - 1))]
        return quiet

    def _receive(self, m: Module, quiet: Signal, failure: Signal) -> None:
        """Everything before the image runs: request byte, input bytes, and the wait after an error."""
        count = Signal(range(self._input))
        with m.State("IDLE"):
            m.d.sync += count.eq(0)
            with m.If(self.rx_error):
                m.d.sync += failure.eq(FrameError.FRAMING)
                m.next = "QUIET"
            with m.Elif(self.rx.valid & (self.rx.payload == REQUEST)):
                m.next = "BYTES"
            with m.Elif(self.rx.valid):
                m.d.sync += failure.eq(FrameError.NO_REQUEST)
                m.next = "QUIET"
        with m.State("BYTES"):
            m.d.sync += [self.input_address.eq(count), self.input_data.eq(self.rx.payload)]
            with m.If(self.rx_error):
                m.d.sync += failure.eq(FrameError.FRAMING)
                m.next = "QUIET"
            with m.Elif(self.rx.valid):
                m.d.sync += [self.input_write.eq(1), count.eq(count + 1)]
                with m.If(count == self._input - 1):
                    m.d.sync += [self.start.eq(1), self.busy.eq(1)]
                    m.next = "RUN"
            with m.Elif(quiet):
                m.d.sync += failure.eq(FrameError.TIMEOUT)
                m.next = "QUIET"
        with m.State("QUIET"), m.If(quiet):
            m.next = "REPORT"

    def _watch(self, m: Module, late: Signal) -> None:
        with m.If(self.rx.valid | self.rx_error):
            m.d.sync += late.eq(1)

    def _scan(self, m: Module, waits: Signal) -> None:
        """Find the largest logit, a byte at a time."""
        low, logit, fresh, here = Signal(8), Signal(signed(16)), Signal(), Signal(16)
        best, first, last = Signal(signed(16)), Signal(), Signal()
        better = Signal()
        m.d.comb += better.eq(fresh & (first | (logit > best)))
        m.d.sync += [waits.eq(waits + 1), fresh.eq(0)]
        with m.If(waits == OUTPUT_LATENCY - 1):
            place = self._place
            m.d.sync += [low.eq(self.output_data), waits.eq(0), place.eq(place + 1)]
            with m.If(place[0]):
                m.d.sync += [
                    logit.eq(Cat(low, self.output_data)),
                    fresh.eq(1),
                    first.eq(place == 1),
                    here.eq(place >> 1),
                    last.eq(place == 2 * self._classes - 1),
                ]
        with m.If(better):
            m.d.sync += [best.eq(logit), self.label.eq(here)]
        with m.If(fresh & last):
            m.d.sync += [self._place.eq(0), waits.eq(0)]
            m.next = "HEAD"

    def _load(self, m: Module, values: list, after: str) -> None:
        """Send bytes one after another, then go on to the state `after`."""
        index = Signal(range(len(values) + 1), name=f"index_{after.lower()}_{len(values)}")
        value = Signal(8, name=f"value_{after.lower()}_{len(values)}")
        with m.Switch(index):
            for number, item in enumerate(values):
                with m.Case(number):
                    m.d.comb += value.eq(item)
        with m.If(~self.tx.valid):
            m.d.sync += [self.tx.valid.eq(1), self.tx.payload.eq(value), index.eq(index + 1)]
            with m.If(index == len(values) - 1):
                m.d.sync += index.eq(0)
                m.next = after

    def _logits(self, m: Module, waits: Signal) -> None:
        """Send the output's bytes; each has long been there when the line is free again."""
        place = self._place
        settled = waits == OUTPUT_LATENCY - 1
        m.d.sync += waits.eq(Mux(settled, waits, waits + 1))
        with m.If(~self.tx.valid & settled):
            m.d.sync += [self.tx.valid.eq(1), self.tx.payload.eq(self.output_data), waits.eq(0)]
            with m.If(place == 2 * self._classes - 1):
                m.next = "TAIL"
            with m.Else():
                m.d.sync += place.eq(place + 1)
