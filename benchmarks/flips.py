# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.flips [--count 2000] [--seed 1]`: single flipped bits in an Image's commands, in RTL.

Every damaged Image must end in an answer, and the right one after it must be right in every tensor. Exit
code 1 when one gives no answer within its bound, when something is written outside the output and the
workspace, or when a wrong result has neither an error code nor another checksum.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from benchmarks.case import HARNESSES, quantized
from benchmarks.tiny import tiny
from hlsgen.cli.values import natural, positive
from hlsgen.errors import HlsgenError, Mismatch
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS
from hlsgen.machine.format.image import HEADER_BYTES
from hlsgen.machine.format.interface import TRACE_RECORD, Error, Header
from hlsgen.machine.format.limits import cycle_limit
from hlsgen.machine.time import cycles
from hlsgen.sim import cosim

MACHINES = {"resident": (False, False), "streamed": (False, True), "experts": (True, False)}
"""Whether the model has experts, and whether its attention is streamed."""
TINY = ArrayShape(rows=2, columns=2, depth=2, bus_bytes=8)
DIGITS = ArrayShape(rows=4, columns=4, depth=8)
WATCHDOG = 1 << 12
STOP = 1024
"""Cycles from the limit to the answer where the memory answers: what is under way comes back first."""
FIELDS_END = sum(item.bits for item in FIELDS)
RECORD = (*(field.name for field in TRACE_RECORD if field.name != "cycle"), "data")
"""What of a record of the trace is not time."""


@dataclass
class Tally:
    """The results of damaged Images. slowest: cycles to the latest answer, and its bit; strays: beats written
    where nothing may be; caught: wrong results whose checksum differs. unanswered, silent: the bits of those
    without an answer, and of wrong results with neither an error code nor another checksum.
    """

    bound: int
    equal: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    caught: int = 0
    strays: int = 0
    slowest: tuple[int, int] = (0, -1)
    unanswered: list[int] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)

    @property
    def met(self) -> bool:
        return not self.unanswered and not self.silent and not self.strays and self.slowest[0] <= self.bound


@dataclass(frozen=True)
class Rig:
    """A built machine with its Image, an input, the tensors it must give, and a right run."""

    lowered: Lowered
    harness: cosim.Harness
    pixels: bytes
    golden: Mapping[str, np.ndarray]
    right: cosim.Run
    memory: cosim.MemoryTiming

    @property
    def image(self) -> bytes:
        return self.lowered.image.pack()

    @property
    def limit(self) -> int:
        """What a host writes to the register, but for a shorter watchdog."""
        predicted = cycles.predict(self.lowered.program, self.lowered.image)
        return cycle_limit(predicted.cycles, WATCHDOG)

    @property
    def bound(self) -> int:
        """Cycles to the latest answer: the limit, or once more the watchdog; then what is under way."""
        return self.limit + WATCHDOG + STOP

    def run(self, bits: Sequence[int]) -> Tally:
        """Flip every bit of the Image alone; raises `Mismatch` when the next image is not right."""
        image, tally = self.image, Tally(self.bound)
        runs = self.harness.run_damaged(
            image,
            [flipped(image, bit) for bit in bits],
            self.pixels,
            memory=self.memory,
            watchdog=WATCHDOG,
            image_limit=self.limit,
            limit=2 * self.bound,
        )
        for bit, (damaged, following) in zip(bits, runs, strict=True):
            self._count(tally, bit, damaged)
            try:
                self._check(following)
            except Mismatch as error:
                raise Mismatch(f"the image after {describe(image, bit)} was flipped: {error}") from None
        return tally

    def _check(self, run: cosim.Run) -> None:
        """Every tensor of a right Image. Padding may be what others left there; without that it is quick."""
        right, names = self.right.records, RECORD
        assert right is not None  # the harness traces
        assert run.records is not None
        same = run.output == self.right.output and len(run.records) == len(right)
        if run.error or not same or any((run.records[name] != right[name]).any() for name in names):
            cosim.check(self.lowered.program, run, self.golden)

    def _count(self, tally: Tally, bit: int, run: cosim.Run) -> None:
        tally.strays += run.counters["strays"]
        if not run.counters["status"]:
            tally.unanswered.append(bit)
            return
        tally.slowest = max(tally.slowest, (run.counters["elapsed"], bit))
        if run.error:
            tally.errors[Error(run.error).name.lower()] += 1
        elif run.output == self.right.output:
            tally.equal += 1
        else:
            tally.wrong += 1
            if checksum_differs(flipped(self.image, bit)):
                tally.caught += 1
            else:
                tally.silent.append(bit)


def make_rig(lowered: Lowered, graph: Graph, pixels: np.ndarray, harness: cosim.Harness) -> Rig:
    """A rig whose right run equals golden in every tensor; raises `Mismatch`."""
    program, memory = lowered.program, cosim.MemoryTiming(latency=32)
    data = program.input.pack(pixels, program.parameters.columns)
    (right,) = harness.run(lowered.image.pack(), [data], memory=memory)
    golden = evaluate(graph, pixels, 0)
    cosim.check(program, right, golden)
    return Rig(lowered, harness, data, golden, right, memory)


def flipped(image: bytes, bit: int) -> bytes:
    """The Image with one bit the other way round."""
    data = bytearray(image)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def checksum_differs(image: bytes) -> bool:
    """What a host sees before the first start: the body is not what the header's checksum says."""
    (stated,) = struct.unpack_from("<I", image, 4 * Header.CRC)
    return zlib.crc32(image[HEADER_BYTES:]) != stated


def command_bits(image: bytes) -> list[int]:
    """The bits of an Image that belong to a field of a command."""
    begin, count = struct.unpack_from("<2I", image, 16)
    first = (8 * (begin + index * COMMAND_BYTES) for index in range(count))
    return [start + bit for start in first for bit in range(FIELDS_END)]


def field_bits(image: bytes, command: int, name: str) -> list[int]:
    """The bits of one field of a command."""
    (begin,) = struct.unpack_from("<I", image, 16)
    start = 8 * (begin + command * COMMAND_BYTES)
    for item in FIELDS:
        if item.name == name:
            return list(range(start, start + item.bits))
        start += item.bits
    raise KeyError(name)


def describe(image: bytes, bit: int) -> str:
    """`command 3, tiles bit 0`, or `header word 5, bit 2`."""
    if bit < 8 * HEADER_BYTES:
        return f"header word {bit // 32}, bit {bit % 32}"
    (begin,) = struct.unpack_from("<I", image, 16)
    command, place = divmod(bit - 8 * begin, 8 * COMMAND_BYTES)
    for item in FIELDS:
        if place < item.bits:
            return f"command {command}, {item.name} bit {place}"
        place -= item.bits
    return f"command {command}, unused bit {place}"


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flips", description=__doc__)
    parser.add_argument("--machine", choices=tuple(MACHINES), help="only this one of the three")
    parser.add_argument("--count", type=positive, default=2000, help="flips in all (%(default)s)")
    parser.add_argument("--seed", type=natural, default=1, help="of the choice of bits (%(default)s)")
    parser.add_argument("--header", action="store_true", help="every bit of the header instead")
    parser.add_argument("--digits", action="store_true", help="the shipped digits instead of tiny models")
    parser.add_argument("--json", action="store_true")
    return parser


def _build(name: str, digits: bool) -> Rig:
    experts, streamed = MACHINES[name]
    graph, pixels = quantized("digits-moe" if experts else "digits") if digits else tiny(experts)
    lowered = lower(graph, replace(DIGITS if digits else TINY, streamed=streamed))
    harness = cosim.build(lowered.program.parameters, HARNESSES, trace=True)
    return make_rig(lowered, graph, pixels, harness)


def _data(rig: Rig, tally: Tally, flips: int) -> dict[str, Any]:
    slow, bit = tally.slowest
    return {
        "flips": flips,
        "equal": tally.equal,
        "errors": dict(sorted(tally.errors.items())),
        "wrong": tally.wrong,
        "caught": tally.caught,
        "no_answer": [describe(rig.image, item) for item in tally.unanswered],
        "silent": [describe(rig.image, item) for item in tally.silent],
        "strays": tally.strays,
        "slowest": slow,
        "slowest_flip": describe(rig.image, bit) if bit >= 0 else "",
        "limit": rig.limit,
        "bound": tally.bound,
    }


def _text(name: str, data: dict[str, Any]) -> str:
    errors = ", ".join(f"{count} {code}" for code, count in data["errors"].items())
    came = (
        f"{name}: {data['flips']} flips: {data['equal']} equal, {sum(data['errors'].values())} error codes "
        f"({errors}), {data['wrong']} wrong without one, of which the checksum catches {data['caught']}; "
        f"{len(data['no_answer'])} without an answer, {data['strays']} beats written elsewhere"
    )
    slowest = (
        f"  slowest answer {data['slowest']:,} cycles ({data['slowest_flip']}); limit {data['limit']:,}, "
        f"bound {data['bound']:,}; every next image right in every tensor"
    )
    lines = [came, slowest]
    lines += [f"  {kind}: {item}" for kind in ("no_answer", "silent") for item in data[kind]]
    return "\n".join(lines)


def main() -> int:
    """Flip, run, count; exit code 1 when a bar is missed."""
    options = arguments().parse_args()
    names = [options.machine] if options.machine else list(MACHINES)
    found, met = {}, True
    for index, name in enumerate(names):
        rig = _build(name, options.digits)
        count = (options.count + index) // len(names)
        bits = Random(options.seed).sample(command_bits(rig.image), count)
        bits = list(range(8 * HEADER_BYTES)) if options.header else bits
        tally = rig.run(bits)
        met &= tally.met
        found[name] = _data(rig, tally, len(bits))
        if not options.json:
            print(_text(name, found[name]), flush=True)
    if options.json:
        print(json.dumps(found, indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
