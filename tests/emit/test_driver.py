# SPDX-License-Identifier: Apache-2.0
"""The C driver, on a device made of the interpreter and its registers, and on files that are mapped."""

from __future__ import annotations

import ctypes
import dataclasses
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.c_driver import STRICT, Driver, aligned, write_files
from support.graphs import AWKWARD, DIGITS, images, integer_vit

from hlsgen.emit.device import Vectors
from hlsgen.emit.driver import c_driver
from hlsgen.ir import Graph, View, evaluate, quantize_images
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.input import pad
from hlsgen.machine.format.interface import (
    COUNTERS,
    ControlBit,
    DriverError,
    Error,
    Header,
    Register,
    StatusBit,
    error_text,
)
from tests.emit.vivado.test_driver import BASE, Buffer, Device
from tests.support.experts import Shape, make

RISCV = "riscv64-unknown-elf-gcc"
RV32 = ("-march=rv32im", "-mabi=ilp32", "-ffreestanding")


@dataclass(frozen=True)
class Case:
    """A model, images, and the files of its driver."""

    graph: Graph
    images: np.ndarray
    lowered: Lowered
    files: dict[str, str | bytes]

    @property
    def image(self) -> bytes:
        return self.lowered.image.pack()

    @property
    def stored(self) -> bytes:
        found = self.files["vectors.bin"]
        assert isinstance(found, bytes)
        return found

    def golden(self, index: int, task: int) -> np.ndarray:
        layout = self.lowered.program.outputs[task]
        value = evaluate(self.graph, self.images[index], task)[self.graph.outputs[task]]
        return value.reshape(layout.rows, layout.columns)


def case(graph: Graph, inputs: np.ndarray, count: int = 2) -> Case:
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    first, *others = (evaluate(graph, inputs[:count], task)[name] for task, name in enumerate(graph.outputs))
    vectors = Vectors(images=inputs[:count], outputs=first, others=tuple(others))
    return Case(graph, inputs, lowered, c_driver(graph, lowered.program, lowered.image, vectors))


@pytest.fixture(scope="module")
def experts() -> Case:
    made = make(Shape())
    return case(made.graph, made.images)


@pytest.fixture(scope="module")
def digits() -> Case:
    return case(integer_vit(DIGITS), images(DIGITS, 3))


def opened(found: Case, folder: Path) -> tuple[Driver, Device]:
    device = Device(found.lowered)
    text = found.files["hlsgen_design.h"]
    assert isinstance(text, str)
    size = int(re.findall(r"HLSGEN_MEMORY_BYTES (\d+)", text)[0])
    device.buffer = aligned(size).view(Buffer)
    folder.mkdir(exist_ok=True)
    driver = Driver(found.files, folder / "driver", device, device.buffer, BASE)
    assert driver.open() == 0
    assert driver.load(found.image) == 0
    return driver, device


def run_all(found: Case, folder: Path) -> None:
    driver, _ = opened(found, folder)
    assert driver.self_test(found.stored)[0] == 0
    for index in range(3):
        for task in range(found.graph.tasks):
            golden = found.golden(index, task)
            np.testing.assert_array_equal(driver.run(found.images[index], task, golden.shape), golden)


def test_two_tasks(experts: Case, tmp_path: Path) -> None:
    run_all(experts, tmp_path)


def test_digits(digits: Case, tmp_path: Path) -> None:
    run_all(digits, tmp_path)


def test_rows_and_words_that_do_not_divide(tmp_path: Path) -> None:
    run_all(case(integer_vit(AWKWARD), images(AWKWARD, 3)), tmp_path)


def test_an_output_in_the_models_order(tmp_path: Path) -> None:
    """Without a view the tokens; with one its shape, here turned and from the last element to the first."""
    plain = integer_vit(DIGITS)
    rows, columns = case(plain, images(DIGITS, 3)).golden(0, 0).shape
    view = View((2, columns // 2), (columns // 2, 2), (-2, -1), columns - 1)
    for number, graph in enumerate((plain, dataclasses.replace(plain, views=(view,)))):
        found = case(graph, images(DIGITS, 3))
        driver, _ = opened(found, tmp_path / str(number))
        values = driver.run(found.images[0], 0, (rows, columns))
        wanted = graph.shown({"": values})[""]
        shown = np.zeros(wanted.shape, np.int16)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (values, shown))
        assert driver.call("show", 0, 0, *pointers) == 0
        np.testing.assert_array_equal(shown, wanted)
        assert driver.call("show", 0, 1, None, None) == DriverError.ARGUMENT


def test_quantize_is_the_same_as_in_python(digits: Case, tmp_path: Path) -> None:
    driver, _ = opened(digits, tmp_path)
    scale = digits.graph.input_type.scale or 1.0
    steps = np.concatenate([np.arange(-140, 140) + 0.5, np.random.default_rng(3).normal(0, 80, 500)])
    near = [steps, np.nextafter(steps, 999), np.nextafter(steps, -999), [1e30, -1e30]]
    values = np.resize(np.concatenate(near) * scale, (40, 1, 8, 8))
    got = [driver.quantize(value) for value in values.ravel()]
    wanted = quantize_images(values, digits.graph.input_type)
    np.testing.assert_array_equal(np.reshape(got, wanted.shape), wanted)
    assert driver.quantize(float("nan")) == digits.graph.input_type.integer_range[0]


def test_caches_are_kept_up_to_date(digits: Case, tmp_path: Path) -> None:
    """Image and input are flushed, the output is invalidated; each range is whole lines and nothing more."""
    driver, _ = opened(digits, tmp_path)
    size, image = len(digits.image), digits.lowered.image
    assert driver.flushed == [(0, size)]
    driver.flushed.clear()
    golden = digits.golden(0, 0)
    driver.run(digits.images[0], 0, golden.shape)
    output = size + len(pad(bytes(image.input_bytes)))
    assert driver.flushed == [(size, output - size)]
    assert driver.invalidated[-1] == (output, len(pad(bytes(image.output_bytes))))


def test_counters(experts: Case, tmp_path: Path) -> None:
    driver, device = opened(experts, tmp_path)
    driver.run(experts.images[0], 0, experts.golden(0, 0).shape)
    counters = (ctypes.c_uint32 * len(COUNTERS))()
    driver.call("count", counters)
    assert dict(zip([item.title for item in COUNTERS], counters, strict=True)) | {"cycles": 4321} == {
        item.title: device.registers.get(item.register, 0) for item in COUNTERS
    }
    expert = (ctypes.c_uint32 * 2)()
    for number in range(4):
        assert driver.call("count_expert", number, expert) == 0
        assert expert[0] == device.experts[number]
    assert driver.call("count_expert", 4, expert) == DriverError.ARGUMENT


def test_a_difference_is_told(experts: Case, tmp_path: Path) -> None:
    driver, device = opened(experts, tmp_path)
    answers = iter([0, 0, 0, 1])
    device.answer = lambda output: bytes([output[0] ^ next(answers)]) + output[1:]
    code, found = driver.self_test(experts.stored)
    assert code == DriverError.DIFFERENT
    assert (found.image, found.task, found.row, found.column) == (1, 1, 0, 0)
    assert (found.expected, found.found) == (experts.golden(1, 1)[0, 0], experts.golden(1, 1)[0, 0] ^ 1)


def test_what_is_wrong_before_a_start(digits: Case, tmp_path: Path) -> None:
    driver, device = opened(digits, tmp_path)
    writes: list[int] = []
    device.write = lambda offset, _: writes.append(offset)  # type: ignore[method-assign]
    device.registers[Register.BUILD_ID] ^= 1
    assert driver.open() == DriverError.HARDWARE
    device.registers[Register.BUILD_ID] ^= 1
    driver.port.address += 4
    assert driver.open() == DriverError.MEMORY
    driver.port.address -= 4
    driver.port.bytes -= 1
    assert driver.open() == DriverError.MEMORY
    driver.port.bytes += 1
    device.registers[Register.STATUS] = StatusBit.BUSY.mask
    assert driver.open() == DriverError.BUSY
    device.registers[Register.STATUS] = 0
    assert driver.open() == 0
    assert driver.call("start", 0) == driver.call("check") == DriverError.NOT_LOADED
    assert driver.load(digits.image[:-1]) == DriverError.IMAGE_SIZE
    for bit, code in [
        *((bit, DriverError.IMAGE_HEADER) for bit in range(0, 512, 7)),
        (-1, DriverError.IMAGE_CRC),
    ]:
        image = bytearray(digits.image)
        image[bit // 8] ^= 1 << bit % 8
        assert driver.load(bytes(image)) == code
        assert driver.call("start", 0) == DriverError.NOT_LOADED
    assert driver.load(digits.image) == driver.call("check") == 0
    device.buffer[100] ^= 1
    assert driver.call("check") == DriverError.IMAGE_CRC
    assert driver.load(digits.image) == 0
    for damaged in (digits.stored[:-1], digits.stored[:40], digits.stored[:-1] + b"\1", b""):
        assert driver.self_test(damaged)[0] == DriverError.VECTORS
    assert driver.call("run", 1, 9) == DriverError.ARGUMENT
    assert driver.call("wait", 9) == DriverError.IDLE
    assert not writes


def test_time_is_counted_in_reads_or_by_the_clock(digits: Case, tmp_path: Path) -> None:
    driver, device = opened(digits, tmp_path)
    device.hangs, reads = True, []
    device.registers[Register.STATUS] = StatusBit.BUSY.mask
    device.read = lambda offset: reads.append(offset) or StatusBit.BUSY.mask  # type: ignore[method-assign]
    assert driver.call("wait", 5) == DriverError.STUCK  # it goes on being busy after the abort
    assert device.registers[Register.CONTROL] == ControlBit.ABORT.mask
    assert reads == [Register.STATUS] * (5 + 1024)


def test_the_texts_are_the_owner_s(digits: Case, tmp_path: Path) -> None:
    driver, _ = opened(digits, tmp_path)
    for error in Error:
        assert driver.text(error) == error_text(error)
    for error in DriverError:
        assert driver.text(error) == error.text
    assert driver.text(9) == "a code that this driver does not know; take the driver of the hardware's export"


def test_the_header_has_every_name_of_the_interface(digits: Case) -> None:
    text = digits.files["hlsgen.h"]
    assert isinstance(text, str)

    def stated(kind: str) -> dict[str, int]:
        return {name: int(value, 0) for name, value in re.findall(rf"    HLSGEN_{kind}_(\w+) = (\w+)", text)}

    assert stated("REGISTER") == {item.name: item.value for item in Register}
    assert stated("CONTROL") == {item.name: item.mask for item in ControlBit}
    assert stated("STATUS") == {item.name: item.mask for item in StatusBit}
    assert stated("ERROR") == {item.name: item.value for item in (*Error, *DriverError) if item}
    assert stated("HEADER") == {item.name: item.value for item in Header} | {"WORDS": len(Header)}


def compiled(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_it_compiles_strictly_on_the_host_and_is_cpp_too(experts: Case, tmp_path: Path) -> None:
    write_files(experts.files, tmp_path)
    strict = (*STRICT, "-O2", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wcast-qual", "-Wundef")
    sources = ("hlsgen.c", "hlsgen_design.c", "hlsgen_linux.c", "self_test.c")
    compiled(tmp_path, "gcc", *strict, "-o", "self_test", *sources)
    (tmp_path / "user.cpp").write_text('#include "hlsgen_design.h"\n#include "hlsgen_linux.h"\n')
    compiled(tmp_path, "g++", "-std=c++11", *STRICT[1:], "-c", "user.cpp")
    compiled(tmp_path, "make", "-B")


@pytest.mark.skipif(shutil.which(RISCV) is None, reason="RISC-V's compiler is missing")
def test_it_compiles_strictly_for_riscv(experts: Case, tmp_path: Path) -> None:
    write_files(experts.files, tmp_path)
    sources = ("hlsgen.c", "hlsgen_design.c", "hlsgen_data.S")
    compiled(tmp_path, RISCV, *STRICT, "-Os", *RV32, "-c", *sources)


def mapped(found: Case, folder: Path, status: int) -> tuple[list[str], Path, Path]:
    """The self test for Linux, and files that stand for registers and memory, the output in it."""
    write_files(found.files, folder)
    compiled(folder, "make")
    registers, memory = folder / "registers", folder / "memory"
    page = bytearray(4096)
    build_id = found.lowered.program.parameters.build_id
    struct.pack_into("<I", page, Register.BUILD_ID, build_id)
    struct.pack_into("<I", page, Register.STATUS, status)
    struct.pack_into("<I", page, Register.CYCLES, 777)
    registers.write_bytes(bytes(8192) + page)
    program, image = found.lowered.program, found.lowered.image
    output = program.output.pack(found.golden(0, 0), program.parameters)
    place = len(found.image) + len(pad(bytes(image.input_bytes)))
    memory.write_bytes(bytes(4096 + place) + output + bytes(4096))
    (folder / "address").write_text("0x770000000\n")
    command = [f"{folder}/self_test", str(registers), "0x2000", str(memory), "4096", str(folder / "address")]
    return command, registers, memory


def start(command: list[str], folder: Path) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_linux_maps_registers_and_memory(digits: Case, tmp_path: Path) -> None:
    one = case(digits.graph, digits.images, count=1)
    command, registers, memory = mapped(one, tmp_path, StatusBit.DONE.mask)
    assert start(command, tmp_path) == (0, "all integers equal, 777 cycles for the last image\n")
    page, size = registers.read_bytes()[8192:], len(one.image)
    words = {item: struct.unpack_from("<I", page, item)[0] for item in Register}
    base, output = 0x770000000, size + len(pad(bytes(one.lowered.image.input_bytes)))
    for item, place in (
        (Register.IMAGE_BASE, 0),
        (Register.INPUT_BASE, size),
        (Register.OUTPUT_BASE, output),
    ):
        assert struct.unpack_from("<Q", page, item)[0] == base + place
    assert words[Register.CONTROL] == ControlBit.START.mask
    assert words[Register.IMAGE_BYTES] == size
    data = memory.read_bytes()[4096:]
    program = one.lowered.program
    assert data[:size] == one.image
    packed = program.input.pack(one.images[0], program.parameters.columns)
    assert data[size : size + len(packed)] == packed


def test_linux_says_what_is_wrong(digits: Case, tmp_path: Path) -> None:
    one = case(digits.graph, digits.images, count=1)
    command, registers, _ = mapped(one, tmp_path, StatusBit.ERROR.mask)
    page = bytearray(registers.read_bytes())
    struct.pack_into("<I", page, 8192 + Register.ERROR, Error.READ)
    registers.write_bytes(page)
    assert start(command, tmp_path) == (1, f"self_test: error 7: {Error.READ.text}\n")
    assert start(command[:-1], tmp_path)[0] == 2
    missing = [*command[:1], "nowhere", *command[2:]]
    assert start(missing, tmp_path) == (2, "self_test: mmap: No such file or directory\n")
    (tmp_path / "image.bin").write_bytes(one.image + b"\0\0")
    assert start(command, tmp_path) == (2, "self_test: image.bin: File too large\n")
    (tmp_path / "image.bin").write_bytes(one.image[:-1])
    assert start(command, tmp_path) == (1, f"self_test: error 66: {DriverError.IMAGE_SIZE.text}\n")


def test_the_example_of_the_page_compiles(digits: Case, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/driver.md").read_text("utf-8")
    (example,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    write_files(digits.files, tmp_path)
    (tmp_path / "example.c").write_text(example)
    compiled(tmp_path, "gcc", *STRICT, "-O2", "-c", "example.c")
