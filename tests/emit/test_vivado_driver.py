# SPDX-License-Identifier: Apache-2.0
"""The PYNQ driver of the project on a device made of the interpreter and its registers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, Vit, images, integer_vit

from hlsgen.boards import load_board
from hlsgen.emit.vivado import Vectors, vivado_project
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.interpreter import Interpreter
from hlsgen.samples import quantize_images
from tests.support.experts import Shape, make

TOP = "".join(
    line
    for line in (Path(__file__).parents[1] / "mock_tools" / "top.v").read_text().splitlines(keepends=True)
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
        self._lowered, self.registers = lowered, {0x40: lowered.program.parameters.build_id}
        self.buffer = np.zeros(0, np.uint8).view(Buffer)
        self.answer: Callable[[bytes], bytes] = lambda output: output
        self.hangs = False
        self.experts: tuple[int, ...] = ()

    def allocate(self, size: int) -> Buffer:
        self.buffer = np.zeros(size, np.uint8).view(Buffer)
        return self.buffer

    def read(self, offset: int) -> int:
        if offset == 0x6C:
            return self.experts[self.registers[0x68]]
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        assert 0 <= value < 1 << 32
        self.registers[offset] = value
        if offset == 0 and value & 4:
            self.registers[4] = self.registers[8] = 0
        if offset == 0 and value & 1 and not self.hangs:
            self._start()

    def _base(self, offset: int) -> int:
        address = self.registers[offset] | self.registers[offset + 4] << 32
        return address - BASE

    def _start(self) -> None:
        size, image = self.registers[0x18], self._lowered.image
        start, data, output = (self._base(offset) for offset in (0x10, 0x1C, 0x24))
        assert self._base(0x2C) == 0
        if max(start + size, data + image.input_bytes, output + image.output_bytes) > self.registers[0x34]:
            self.registers |= {4: 4, 8: 6}
            return
        machine = Interpreter(self._lowered.program.parameters, bytes(self.buffer[start : start + size]))
        pixels = bytes(self.buffer[data : data + image.input_bytes])
        done = machine.run(pixels, task=self.registers[0x0C])
        self.experts, result = done.expert_tokens, self.answer(done.output)
        self.buffer[output : output + len(result)] = np.frombuffer(result, np.uint8)
        self.registers |= {4: 2, 0x48: 4321, 0x5C: 7}


def build(shape: Vit, folder: Path) -> tuple[Graph, Lowered, ModuleType]:
    return build_graph(integer_vit(shape), images(shape, 3), folder)


def build_graph(graph: Graph, inputs: np.ndarray, folder: Path) -> tuple[Graph, Lowered, ModuleType]:
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    first, *others = (evaluate(graph, inputs, task)[name] for task, name in enumerate(graph.outputs))
    vectors = Vectors(images=inputs, outputs=first, others=tuple(others))
    files = vivado_project(load_board("kv260"), TOP, graph, lowered.program, lowered.image, vectors=vectors)
    for path, data in files.items():
        if path.startswith("vivado/driver/"):
            (folder / Path(path).name).write_bytes(data if isinstance(data, bytes) else data.encode())
    spec = importlib.util.spec_from_file_location("hlsgen_driver", folder / "hlsgen_driver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return graph, lowered, module


@pytest.mark.parametrize("shape", [DIGITS, AWKWARD], ids=["digits", "awkward"])
def test_outputs_are_the_golden_ones(shape: Vit, tmp_path: Path) -> None:
    graph, lowered, driver = build(shape, tmp_path)
    device = Device(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == 3
    real = np.random.default_rng(5).normal(0, 1.5, (4, *shape.image))
    real[0, 0, 0, :2] = (0.5 * 3 / 64, -0.5 / 64)
    integers = quantize_images(real, graph.input_type)
    np.testing.assert_array_equal([accelerator.quantize(image) for image in real], integers)
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
    assert device.registers[0] == 2
    device.registers |= {4: 4, 8: 7}
    with pytest.raises(driver.DeviceError, match="error 7: a read got an error response"):
        accelerator._wait(1.0)


def test_foreign_hardware_and_images_are_refused(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device = Device(lowered)
    device.registers[0x40] ^= 1
    with pytest.raises(driver.DeviceError, match="the hardware must have build id"):
        driver.Accelerator(device, device.allocate, tmp_path)
    device.registers[0x40] ^= 1
    image = bytearray((tmp_path / "image.bin").read_bytes())
    image[8] ^= 1
    (tmp_path / "image.bin").write_bytes(image)
    with pytest.raises(driver.DeviceError, match=r"image\.bin must have the hardware's build id"):
        driver.Accelerator(device, device.allocate, tmp_path)
