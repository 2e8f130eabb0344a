# SPDX-License-Identifier: Apache-2.0
"""The PYNQ driver of the project on a device made of the interpreter and its registers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, Vit, images, integer_vit

from hlsgen.boards import load_board
from hlsgen.emit.vivado.project import Vectors, vivado_project
from hlsgen.errors import ClippedInput
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.image import VERSION
from hlsgen.machine.format.input import pad
from hlsgen.machine.format.interface import ControlBit, Error, Register, StatusBit
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.time.depths import images_held
from hlsgen.store.samples import constant_text, warn_of_clipped
from tests.support.experts import Shape, make

TOP = "".join(
    line
    for line in (Path(__file__).parents[2] / "mock_tools" / "top.v").read_text().splitlines(keepends=True)
    if "trace_" not in line
)
BASE = 0x7_0000_0000


class Buffer(np.ndarray[Any, np.dtype[np.uint8]]):
    """What PYNQ's allocate gives."""

    device_address = BASE
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1

    def invalidate(self) -> None:
        assert self.flushed


class Device:
    """Registers in front of the interpreter; everything outside the window is an error."""

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered
        self.registers: dict[int, int] = {Register.BUILD_ID: lowered.program.parameters.build_id}
        self.buffer = np.zeros(0, np.uint8).view(Buffer)
        self.answer: Callable[[bytes], bytes] = lambda output: output
        self.hangs = False
        self.experts: tuple[int, ...] = ()
        self.registers[Register.ROOM] = images_held()

    def allocate(self, size: int) -> Buffer:
        self.buffer = np.zeros(size, np.uint8).view(Buffer)
        return self.buffer

    def read(self, offset: int) -> int:
        if offset == Register.EXPERT_TOKENS:
            return self.experts[self.registers[Register.EXPERT]]
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        assert 0 <= value < 1 << 32
        self.registers[offset] = value
        control = offset == Register.CONTROL
        if control and value & ControlBit.CLEAR.mask:
            self.registers[Register.STATUS] = self.registers[Register.ERROR] = 0
        if control and value & ControlBit.START.mask and not self.hangs:
            self._start()

    def _base(self, offset: int) -> int:
        address = self.registers[offset] | self.registers[offset + 4] << 32
        return address - BASE

    def _start(self) -> None:
        size, image = self.registers[Register.IMAGE_BYTES], self._lowered.image
        bases = (Register.IMAGE_BASE, Register.INPUT_BASE, Register.OUTPUT_BASE)
        start, data, output = (self._base(register) for register in bases)
        assert self._base(Register.WINDOW_BASE) == 0
        end = max(start + size, data + image.input_bytes, output + image.output_bytes)
        if end > self.registers[Register.WINDOW_BYTES]:
            self.fail(Error.WINDOW)
            return
        machine = Interpreter(self._lowered.program.parameters, bytes(self.buffer[start : start + size]))
        pixels = bytes(self.buffer[data : data + image.input_bytes])
        done = machine.run(pixels, task=self.registers[Register.TASK])
        self.experts, result = done.expert_tokens, self.answer(done.output)
        self.buffer[output : output + len(result)] = np.frombuffer(result, np.uint8)
        self.registers |= {Register.STATUS: StatusBit.DONE.mask, Register.CYCLES: 4321, Register.IDLE: 7}
        self.registers[Register.COMPLETED] = (self.registers.get(Register.COMPLETED, 0) + 1) & 0xFFFFFFFF

    def fail(self, code: int) -> None:
        self.registers |= {Register.STATUS: StatusBit.ERROR.mask, Register.ERROR: code}


def build(shape: Vit, folder: Path) -> tuple[Graph, Lowered, ModuleType]:
    return build_graph(integer_vit(shape), images(shape, 3), folder)


def build_graph(graph: Graph, inputs: np.ndarray, folder: Path) -> tuple[Graph, Lowered, ModuleType]:
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    first, *others = (evaluate(graph, inputs, task)[name] for task, name in enumerate(graph.outputs))
    vectors = Vectors(images=inputs, outputs=first, others=tuple(others))
    return graph, lowered, build_files(graph, lowered, vectors, folder)


def build_files(graph: Graph, lowered: Lowered, vectors: Vectors, folder: Path) -> ModuleType:
    """The driver's files in a folder; the driver as a module."""
    files = vivado_project(load_board("kv260"), TOP, graph, lowered.program, lowered.image, vectors=vectors)
    for path, data in files.items():
        if path.startswith("vivado/driver/"):
            (folder / Path(path).name).write_bytes(data if isinstance(data, bytes) else data.encode())
    spec = importlib.util.spec_from_file_location("hlsgen_driver", folder / "hlsgen_driver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [DIGITS, AWKWARD], ids=["digits", "awkward"])
def test_outputs_are_the_golden_ones(shape: Vit, tmp_path: Path) -> None:
    graph, lowered, driver = build(shape, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == 3
    real = np.random.default_rng(5).normal(0, 0.7, (4, *shape.image))
    real[0, 0, 0, :2] = (0.5 * 3 / 64, -0.5 / 64)
    integers = quantize_images(real, graph.input_type)
    np.testing.assert_array_equal(accelerator.quantize(real), integers)
    golden = evaluate(graph, integers)[graph.output]
    got = accelerator.predict(real)
    np.testing.assert_array_equal(got, golden)
    np.testing.assert_array_equal(accelerator.predict(real[1]), golden[1])
    assert accelerator.output_scale == graph.type_of(graph.output).scale
    assert accelerator.counters()["cycles"] == 4321
    assert accelerator.counters()["idle"] == 7


def test_the_task_is_chosen_image_by_image(tmp_path: Path) -> None:
    made = make(Shape())
    graph, lowered, driver = build_graph(made.graph, made.images[:3], tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == 3
    assert accelerator.tasks == 2
    for index in range(4):
        task = index % 2
        golden = dict(evaluate(graph, made.images[index], task))
        got = accelerator.run(made.images[index], task=task)
        np.testing.assert_array_equal(got, golden[graph.outputs[task]].reshape(got.shape))
        assert accelerator.scale(task) == graph.type_of(graph.outputs[task]).scale
        tokens = [counter["tokens"] for counter in accelerator.expert_counters()]
        assert tokens == np.sum(made.loads(golden), 0).tolist()
    with pytest.raises(ValueError, match=r"task must be in 0\.\.1, not 2"):
        accelerator.run(made.images[0], task=2)
    answers = iter(range(2))
    device.answer = lambda output: bytes([output[0] ^ next(answers)]) + output[1:]
    with pytest.raises(driver.DeviceError, match=r"image 0, task 1, output \(0, 0\): must be"):
        accelerator.self_test()


def test_differences_and_errors_are_told(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    device.answer = lambda output: bytes([output[0] ^ 1]) + output[1:]
    with pytest.raises(driver.DeviceError, match=r"image 0, output \(0, 0\): must be -?\d+, not -?\d+"):
        accelerator.self_test()
    device.answer = lambda output: output
    assert accelerator.self_test() == 3
    with pytest.raises(ValueError, match=r"images must have shape \(1, 8, 8\) or a batch of it"):
        accelerator.predict(np.zeros((3, 8, 9)))
    with pytest.raises(ValueError, match="images must be finite"):
        accelerator.predict(np.full((1, 8, 8), np.nan))
    device.hangs = True
    with pytest.raises(TimeoutError, match=r"must be done within 0\.01 s"):
        accelerator.run(np.zeros((1, 8, 8), np.int8), timeout=0.01)
    assert device.registers[Register.CONTROL] == ControlBit.ABORT.mask
    device.fail(Error.READ)
    with pytest.raises(driver.DeviceError, match="error 7: a read got an error response"):
        accelerator._wait(1.0)


def test_foreign_hardware_and_images_are_refused(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    device.registers[Register.BUILD_ID] ^= 1
    with pytest.raises(driver.DeviceError, match="the hardware must have build id"):
        driver.Accelerator(device, device.allocate, tmp_path)
    device.registers[Register.BUILD_ID] ^= 1


class Untouched(Device):
    """A device of which no register may be written and no buffer asked for."""

    def write(self, offset: int, value: int) -> None:
        raise AssertionError(f"register {offset:#x} was written ({value})")

    def allocate(self, size: int) -> Buffer:
        raise AssertionError(f"a buffer of {size} bytes was asked for")


def test_every_flipped_bit_of_the_image_is_refused_before_a_register_is_written(tmp_path: Path) -> None:
    """All bits of the header, and seeded ones of commands, constants, weights and addends."""
    _, lowered, driver = build(DIGITS, tmp_path)
    place = tmp_path / "image.bin"
    good = place.read_bytes()
    device, random = Untouched(lowered), np.random.default_rng(7)
    bounds = [512, *np.cumsum([len(pad(part)) * 8 for part in sections(lowered)]) + 512]
    chosen = [random.integers(low, high, 60) for low, high in pairwise(bounds) if high > low]
    bits = [*range(512), *np.concatenate(chosen).tolist(), 8 * len(good) - 1]
    assert len(chosen) == 4
    for bit in bits:
        image = bytearray(good)
        image[bit // 8] ^= 1 << bit % 8
        place.write_bytes(image)
        with pytest.raises(
            driver.ImageError, match=r"^image\.bin.* must (be|have) .*: copy the whole folder"
        ):
            driver.Accelerator(device, device.allocate, tmp_path)
    for image in (good[:-1], good + b"\0", good[:40], b""):
        place.write_bytes(image)
        with pytest.raises(driver.ImageError, match=rf"must have {len(good)} bytes, not {len(image)}: copy"):
            driver.Accelerator(device, device.allocate, tmp_path)
    place.write_bytes(good)
    sound = Device(lowered)
    assert driver.Accelerator(sound, sound.allocate, tmp_path).self_test() == 3


def sections(lowered: Lowered) -> list[bytes]:
    image = lowered.image
    return [image.program, image.constants, image.weights, image.addends]


def test_an_image_error_says_what_differs(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device, place = Untouched(lowered), tmp_path / "image.bin"
    good = place.read_bytes()
    build_id = lowered.program.parameters.build_id
    for at, wanted in (
        (0, "image.bin's magic number (word 0) must be 0x47534c48, not 0x47534c49: "),
        (4, f"image.bin's format version (word 1) must be {VERSION:#x}, not {VERSION ^ 1:#x}: "),
        (8, f"image.bin's build id (word 2) must be {build_id:#x}, not {build_id ^ 1:#x}: "),
    ):
        place.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(driver.ImageError) as error:
            driver.Accelerator(device, device.allocate, tmp_path)
        assert str(error.value) == wanted + "copy the whole folder of the driver again"
    place.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(driver.ImageError, match=r"image\.bin must have the CRC-32 0x[0-9a-f]{8}, not 0x"):
        driver.Accelerator(device, device.allocate, tmp_path)


def test_the_image_in_the_buffer_can_be_checked_again(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    accelerator.check()
    device.buffer[100] ^= 1
    with pytest.raises(driver.ImageError, match="CRC-32"):
        accelerator.check()


@pytest.mark.parametrize("factor", [10.0, 255.0])
def test_clipped_pixels_are_told(factor: float, tmp_path: Path) -> None:
    graph, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    real = np.random.default_rng(3).uniform(0, 1, (3, *DIGITS.image))
    golden = evaluate(graph, quantize_images(real, graph.input_type))[graph.output]
    np.testing.assert_array_equal(accelerator.predict(real), golden)
    share = (real * factor >= 127.5 / 64).mean()
    wanted = rf"^{100 * share:.1f}% of the pixels are clipped, in 3 of 3 images: "
    wanted += r"they lie outside -2\.\.1\.984, .*preprocessing"
    with pytest.warns(driver.ClippedInput, match=wanted) as warned:
        got = accelerator.predict(real * factor)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    with pytest.warns(driver.ClippedInput, match="of the pixels are clipped"):
        integers = accelerator.quantize(real * factor)
    np.testing.assert_array_equal(quantize_images(real * factor, graph.input_type), integers)
    with pytest.warns(ClippedInput, match=wanted):
        warn_of_clipped(real * factor, graph.input_type)
    np.testing.assert_array_equal(got, evaluate(graph, integers)[graph.output])


def test_an_output_that_no_image_changes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the driver's words, which are those of `Design.predict`."""
    _, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    real = np.random.default_rng(3).uniform(0, 1, (3, *DIGITS.image))
    one = accelerator.predict(real[:1])
    monkeypatch.setattr(
        accelerator, "run_many", lambda integers, task: (one[0] for _ in integers if task == 0)
    )
    with pytest.warns(driver.ConstantOutput) as warned:
        accelerator.predict(real)
    assert [str(item.message) for item in warned] == [constant_text("the output", 3)]
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        accelerator.predict(np.repeat(real[:1], 3, axis=0))  # equal images may have equal outputs


def test_a_few_clipped_pixels_are_usual(tmp_path: Path) -> None:
    """One per cent is passed over, one pixel more is not; the edges of the range are inside."""
    graph, _, driver = build(DIGITS, tmp_path)
    design = json.loads((tmp_path / "design.json").read_text())
    real = np.full((25, 1, 8, 8), np.nextafter(127.5 / 64, 0))
    real[0] = -128.5 / 64
    assert driver.clipped(real, design) == ""
    real[1:17, 0, 0, 0] = (127.5 / 64, np.nextafter(-128.5 / 64, -3)) * 8
    assert driver.clipped(real, design) == ""
    warn_of_clipped(real, graph.input_type)
    real[17, 0, 0, 0] = 9
    assert driver.clipped(real, design).startswith("1.1% of the pixels are clipped, in 17 of 25 images: ")
    with pytest.warns(ClippedInput, match=r"1\.1% of the pixels"):
        warn_of_clipped(real, graph.input_type)


def command(folder: Path, *arguments: str, setup: str = "") -> tuple[int, str]:
    """Exit code and standard error of the driver's command line, after some Python."""
    script = f"{setup}\nimport runpy, sys\nsys.argv = {['driver', *arguments]!r}\n"
    script += f"runpy.run_path({str(folder / 'hlsgen_driver.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    build(DIGITS, tmp_path)
    line = "hlsgen_driver: PYNQ must be installed: run this on the board, with PYNQ's Python\n"
    assert command(tmp_path, "a.bit") == (2, line)
    without = "import sys\nsys.modules['numpy'] = None"
    assert command(tmp_path, "a.bit", setup=without) == (
        2,
        "hlsgen_driver needs NumPy: pip install numpy\n",
    )
    code, text = command(tmp_path)
    assert code == 2
    assert "python hlsgen_driver.py NAME.bit images.npy" in text


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    pynq = ModuleType("pynq")
    pynq.__dict__["Overlay"] = lambda _: SimpleNamespace(accelerator=SimpleNamespace(mmio=device))
    pynq.__dict__["allocate"] = lambda shape, _: device.allocate(*shape)
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    assert driver.main(["a.bit"]) == 0
    assert capsys.readouterr() == ("3 images equal, 4321 cycles each\n", "")
    batch = images(DIGITS, 2, seed=4)
    golden = evaluate(graph, batch)[graph.output].reshape(2, -1)
    scale = graph.type_of(graph.output).scale or 1.0
    lines = [" ".join([str(row.argmax()), *(f"{v * scale:.4f}" for v in row)]) for row in golden]
    for value, wanted in ((batch, lines), (batch[1], lines[1:])):
        np.save(tmp_path / "images.npy", value / 64)
        assert driver.main(["a.bit", str(tmp_path / "images.npy")]) == 0
        assert capsys.readouterr().out.splitlines() == wanted
    (tmp_path / "images.npy").write_bytes(b"nothing")
    assert driver.main(["a.bit", str(tmp_path / "images.npy")]) == 2
    device.answer = lambda output: bytes([output[0] ^ 1]) + output[1:]
    assert driver.main(["a.bit"]) == 1
    assert "hlsgen_driver: image 0, output (0, 0): must be" in capsys.readouterr().err
