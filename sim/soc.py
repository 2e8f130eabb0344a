# SPDX-License-Identifier: Apache-2.0
"""The accelerator in a system: a PicoRV32 runs firmware with the design's C driver, in Verilator.

`system/` beside this file has the system's Verilog, and what its firmware is made from. RISC-V's compiler and
the processor are not hlsgen's: a Debian package and a wheel.
"""

from __future__ import annotations

import importlib.util
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.emit.device import Vectors, describe, image_facts
from hlsgen.emit.driver import c_driver, memory_bytes
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Mismatch, Problem, ToolFailed, ToolMissing
from hlsgen.host import processes
from hlsgen.ir import Graph, results
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.interface import COUNTERS, EXPERT_COUNTERS
from hlsgen.machine.format.program import Program
from hlsgen.sim import library, verilator
from hlsgen.sim.place import build_place
from hlsgen.store.cache import kept_file, key

FOLDER = Path(__file__).with_name("system")
COMPILER = "riscv64-unknown-elf-gcc"
_TARGET = ("-march=rv32im", "-mabi=ilp32")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
_FREESTANDING = ("-O2", "-ffreestanding", "-nostdlib", "-ffunction-sections", "-Wl,--gc-sections")
_BOARD = ("board.c", "start.S", "hlsgen.c", "hlsgen_design.c", "hlsgen_data.S")
SPARE_BYTES = 1 << 17
"""For firmware and stack."""
CYCLES_PER_RUN, CYCLES_PER_BYTE = 1 << 21, 128
"""Of the processor: for the driver's work on an image, and for each byte of the Image, its CRC say."""


@dataclass(frozen=True)
class Result:
    """What the firmware handed over: its words, int32, and its text."""

    words: np.ndarray
    text: str


@dataclass(frozen=True)
class System:
    """A built simulator of the system with one machine; it runs any firmware that fits."""

    executable: Path
    words: int

    def run(self, firmware: bytes, limit: int) -> Result:
        """Run a firmware for `limit` cycles at most.

        Raises `Mismatch` with the firmware's text if it ends with a code other than 0, `ToolFailed` if it
        does not end.
        """
        if len(firmware) > 4 * self.words:
            raise ToolFailed(f"the firmware must have at most {4 * self.words} bytes, not {len(firmware)}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            words = np.frombuffer(firmware.ljust(-(-len(firmware) // 4) * 4, b"\0"), "<u4")
            (folder / "firmware.hex").write_text("".join(f"{word:08x}\n" for word in words))
            command = [str(self.executable.resolve()), "+firmware=firmware.hex", "words", str(limit)]
            code, text = processes.run(command, folder)
            if code == 1:
                why = "the C driver, on the simulated RTL, did not get what golden gives"
                raise Mismatch(Problem(f"the firmware failed: {text.strip()}", why=why))
            if code:
                raise ToolFailed(f"the system failed (exit code {code})", command, text)
            return Result(np.fromfile(folder / "words", "<i4"), text)


@dataclass(frozen=True)
class Run:
    """An image of a plan, int8 [channels, height, width], its task, and the outputs that it must give."""

    image: np.ndarray
    task: int
    expected: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Done:
    """What came of a run.

    experts: tokens and waits of each. processor_cycles: from the driver's first call to its last, the
    accelerator's cycles included.
    """

    outputs: tuple[np.ndarray, ...]
    counters: Mapping[str, int]
    experts: tuple[tuple[int, int], ...]
    processor_cycles: int


def processor() -> Path:
    """The Verilog of PicoRV32, from its wheel; raises `ToolMissing`."""
    found = importlib.util.find_spec("pythondata_cpu_picorv32")
    if found is None or found.origin is None:
        fix = "pip install 'hlsgen[soc]'"
        raise ToolMissing(Problem("PicoRV32 is missing", why="it runs the firmware in level soc", fix=fix))
    return Path(found.origin).parent / "verilog" / "picorv32.v"


def compiler() -> str:
    """Path of RISC-V's C compiler; raises `ToolMissing`."""
    found = shutil.which(COMPILER)
    if found is None:
        fix = "apt install gcc-riscv64-unknown-elf"
        raise ToolMissing(Problem(f"{COMPILER} not found", why="it compiles the firmware", fix=fix))
    return found


def memory_words(shared_bytes: int, data_bytes: int) -> int:
    """Words of the system's memory: what is shared, the firmware's data, code and stack; a power of two."""
    needed = shared_bytes + data_bytes + SPARE_BYTES
    return 1 << (needed // 4 - 1).bit_length()


def build(text: str, bus_bytes: int, words: int, folder: Path) -> System:
    """The simulator of a system with the top whose Verilog is `text`.

    It comes from `folder` if it was built there before. Raises `ToolMissing` or `ToolFailed`.
    """
    sources = {"top.v": text, "picorv32.v": processor().read_text("utf-8")}
    sources |= {name: (FOLDER / name).read_text("utf-8") for name in ("system.v", "main.cpp")}
    name = key(f"{bus_bytes} {words} {verilator.version()}", *sources.values(), Path(__file__).read_bytes())

    def compile_in(work: Path) -> None:
        for file, content in sources.items():
            (work / file).write_text(content)
        options = (f"-GBUS={bus_bytes}", f"-GWORDS={words}", "--top-module", "system", *sources)
        library.build(work, options, "system")

    return System(kept_file(build_place(folder) / f"system-{name}" / "system", compile_in), words)


def firmware(
    files: Mapping[str, str | bytes], sources: Mapping[str, str], words: int, plan: bytes = b""
) -> bytes:
    """A program for the system from the files of a C driver and C sources, with a plan as its data.

    Raises `ToolMissing` or `ToolFailed`.
    """
    names = ("board.h", "board.c", "start.S", "link.ld")
    own = {name: (FOLDER / name).read_text("utf-8") for name in names}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in {**files, **own, **sources, "plan.bin": plan}.items():
            (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
        command = [compiler(), *_TARGET, *STRICT, *_FREESTANDING, "-T", "link.ld"]
        command += [f"-Wl,--defsym=stack={4 * words}", "-o", "firmware.elf", *_BOARD, *sources, "-lgcc"]
        verilator.run(command, folder)
        copy = COMPILER.replace("gcc", "objcopy")
        verilator.run([copy, "-O", "binary", "firmware.elf", "firmware.bin"], folder)
        return (folder / "firmware.bin").read_bytes()


def pack_plan(runs: Sequence[Run]) -> bytes:
    """What `images.c` reads."""
    parts = [struct.pack("<I", len(runs))]
    for run in runs:
        pixels = run.image.astype("i1").tobytes()
        values = b"".join(value.astype("<i2").tobytes() for value in run.expected)
        parts += [struct.pack("<I", run.task), *(part + bytes(-len(part) % 4) for part in (pixels, values))]
    return b"".join(parts)


def plan(graph: Graph, images: np.ndarray, tasks: Sequence[int]) -> list[Run]:
    """Runs of int8 images [N, channels, height, width], each for every one of the tasks in turn."""
    golden = [results(graph, images, task=task).values() for task in tasks]
    return [
        Run(image, task, tuple(value[index] for value in values))
        for index, image in enumerate(images)
        for task, values in zip(tasks, golden, strict=True)
    ]


def run_plan(
    graph: Graph,
    program: Program,
    image: Image,
    runs: Sequence[Run],
    folder: Path,
    *,
    text: str | None = None,
    words: int = 0,
) -> list[Done]:
    """Run a plan in the system, one image after the other, every output compared by the firmware.

    text: the top's Verilog; without it the generator makes it. words: of the memory; without them as few as
    will do. Raises `Mismatch`, `ToolMissing` or
    `ToolFailed`.
    """
    compiler()  # before minutes of other work
    packed, p = pack_plan(runs), program.parameters
    facts: dict[str, Any] = describe(graph, program, image) | {"image": image_facts(image.pack())}
    words = words or memory_words(memory_bytes(facts), len(packed))
    files = c_driver(graph, program, image, Vectors(images=np.zeros(0), outputs=np.zeros(0)))
    sources = {"images.c": (FOLDER / "images.c").read_text("utf-8")}
    code = firmware(files, sources, words, packed)
    system = build(text if text is not None else rtl_text(p), p.bus_bytes, words, folder)
    limit = len(runs) * (CYCLES_PER_RUN + facts["cycle_limit"]) + CYCLES_PER_BYTE * len(code)
    return list(_parse(program, runs, system.run(code, limit).words))


def _parse(program: Program, runs: Sequence[Run], words: np.ndarray) -> Iterator[Done]:
    start = 0

    def take(count: int) -> np.ndarray:
        nonlocal start
        start += count
        return words[start - count : start]

    for run in runs:
        outputs = tuple(
            take(layout.rows * layout.columns).reshape(layout.rows, layout.columns)
            for layout in program.results(run.task)
        )
        counters = dict(
            zip([counter.title for counter in COUNTERS], map(int, take(len(COUNTERS))), strict=True)
        )
        counted = take(program.parameters.experts * len(EXPERT_COUNTERS)).reshape(-1, len(EXPERT_COUNTERS))
        experts = tuple((int(tokens), int(waits)) for tokens, waits in counted)
        yield Done(outputs, counters, experts, int(take(1)[0]))
