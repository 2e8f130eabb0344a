# SPDX-License-Identifier: Apache-2.0
"""Several outputs of one run: golden = interpreter = C++ = RTL, and every driver gives all of them."""

from __future__ import annotations

import json
import struct
from ctypes import c_void_p
from pathlib import Path
from socket import socketpair
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch")

import hlsgen
from hlsgen import Design
from hlsgen.emit.device import Vectors, describe
from hlsgen.emit.driver import c_driver
from hlsgen.emit.hls import hls
from hlsgen.errors import Mismatch
from hlsgen.ir import Graph, evaluate, quantize_images, results
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Target
from hlsgen.machine.format.interface import ANSWER
from hlsgen.machine.format.program import Program
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.rtl.board.top import logits, runs
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim
from hlsgen.store.samples import Samples
from tests.emit.vivado.test_driver import BASE, Buffer, Device, build_files
from tests.frontend.rules.test_drained import TwoTasks
from tests.support.c_driver import Driver, aligned
from tests.support.experts import Shape
from tests.support.outputs import NAMES, pictures, quantized, wanted
from tests.whole.test_readers import BOARD, host_program

ARRAYS = {
    "plain": ArrayShape(rows=4, columns=4, depth=8),
    "odd": ArrayShape(rows=5, columns=2, depth=4),
    "one": ArrayShape(rows=1, columns=1, depth=1),
    "sweeps": ArrayShape(rows=4, columns=2, depth=4, ring_bytes=1),
    "streamed": ArrayShape(rows=4, columns=4, depth=8, streamed=True),
}


def lowered(name: str = "plain") -> Lowered:
    return lower(quantized()[2], ARRAYS[name])


def integers(count: int = 2) -> np.ndarray:
    return quantize_images(pictures(count), quantized()[2].input_type)


def golden(images: np.ndarray) -> dict[str, np.ndarray]:
    return results(quantized()[2], images)


def vectors(images: np.ndarray) -> Vectors:
    first, *others = golden(images).values()
    return Vectors(images=images, outputs=first, others=tuple(others))


def test_the_graphs_give_what_the_model_gives() -> None:
    model, graph, integer = quantized()
    images = pictures(4)
    real, found = wanted(model, images), results(graph, images)
    exact = golden(quantize_images(images, integer.input_type))
    assert tuple(real) == tuple(found) == tuple(exact) == integer.names == NAMES
    assert integer.tasks == 1
    for name, tensor in integer.results().items():
        np.testing.assert_allclose(found[name], real[name], atol=1e-5)
        error = exact[name] * (integer.type_of(tensor).scale or 0.0) - real[name]
        assert 10 * np.log10((real[name] ** 2).sum() / (error**2).sum()) > 34, name
        assert integer.type_of(tensor).bits == 16


def test_copies_lose_nothing() -> None:
    """The integers of the residual stream themselves; int8 results to within a step of 16 bits.

    These have the constant of each channel again, which the 8 bits are without.
    """
    graph = quantized()[2]
    values = evaluate(graph, integers(3))
    for copy, stream in (("hidden_states_0", "embedding"), ("hidden_states_1", "add"), ("token", "select_2")):
        np.testing.assert_array_equal(values[copy], values[stream])
    for layer, source in (("inner_2", "context"), ("inner_3", "relu")):
        fine, coarse = (graph.type_of(name).scale or 0.0 for name in (layer, source))
        more = (values[layer] * fine - values[source] * coarse).reshape(-1, values[layer].shape[-1])
        assert np.ptp(more, axis=0).max() < 2.2 * fine


def check(program: Program, index: int, output: bytes, records: np.ndarray) -> None:
    images = integers()
    values = evaluate(quantized()[2], images[index])
    assert compare(program, records, values) is None
    for layout, got in zip(program.results(), program.unpack_outputs(output), strict=True):
        np.testing.assert_array_equal(got, values[layout.tensor])


@pytest.mark.parametrize("name", ARRAYS)
def test_the_interpreter_writes_all_of_them(name: str) -> None:
    found = lowered(name)
    program, images = found.program, integers()
    assert tuple(layout.name for layout in program.results()) == NAMES
    assert Program.parse(str(program)) == program
    assert (program.output_bytes, program.output_bytes % 64) == (found.image.output_bytes, 0)
    starts = {layout.tensor: layout.start for layout in program.outputs}
    assert len(starts) == len(NAMES) - 1  # one is there twice, and written once
    outputs = [index for index, each in enumerate(program.commands) if each.target is Target.OUTPUT]
    assert len(outputs) == len(starts)
    if name == "streamed":
        assert outputs == [*range(len(program.commands))][-len(outputs) :]
    interpreter = Interpreter(program.parameters, found.image.pack())
    for index, image in enumerate(images):
        done = interpreter.run(program.input.pack(image, program.parameters.columns))
        check(program, index, done.output, done.records)
        assert program.pack_outputs([value[index] for value in golden(images).values()]) == done.output


@pytest.mark.parametrize("name", ["plain", pytest.param("streamed", marks=pytest.mark.slow)])
def test_the_cpp_writes_all_of_them(name: str, tmp_path: Path) -> None:
    found = lowered(name)
    files = hls(found.program, found.image)
    done = CSim(found.program, found.image.pack(), files, tmp_path, tracing=True).run(integers())
    for got, value in zip(done.results, golden(integers()).values(), strict=True):
        np.testing.assert_array_equal(got, value)
    for index, records in enumerate(done.records):
        assert compare(found.program, records, evaluate(quantized()[2], integers()[index])) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "streamed"])
def test_the_rtl_writes_all_of_them(name: str, tmp_path: Path) -> None:
    found = lowered(name)
    harness = cosim.build(found.program.parameters, tmp_path, trace=True, quick=True)
    columns = found.program.parameters.columns
    inputs = [found.program.input.pack(image, columns) for image in integers()]
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=40, stall=0.4, seed=3)):
        for index, run in enumerate(harness.run(found.image.pack(), inputs, memory=memory)):
            assert run.error == 0
            assert run.records is not None
            check(found.program, index, run.output, run.records)
            cosim.check(found.program, run, evaluate(quantized()[2], integers()[index]))


def test_cosim_looks_at_every_output() -> None:
    found = lowered()
    program = found.program
    done = Interpreter(program.parameters, found.image.pack()).run(program.input.pack(integers()[0], 4))
    values = dict(evaluate(quantized()[2], integers()[0]))
    for layout in program.results():
        output = bytearray(done.output)
        output[2 * layout.start] ^= 1
        run = cosim.Run(output=bytes(output), counters={"error": 0}, records=done.records)
        with pytest.raises(Mismatch, match=layout.tensor):
            cosim.check(program, run, values)


def test_the_c_driver_gives_all_of_them(tmp_path: Path) -> None:
    found, images = lowered(), integers(3)
    files = c_driver(quantized()[2], found.program, found.image, vectors(images[:2]))
    device = Device(found)
    device.buffer = aligned(1 << 18).view(Buffer)
    driver = Driver(files, tmp_path / "driver", device, device.buffer, BASE)
    assert driver.open() == 0
    assert driver.load(found.image.pack()) == 0
    stored = files["vectors.bin"]
    assert isinstance(stored, bytes)
    assert driver.self_test(stored)[0] == 0
    values = [value[2] for value in golden(images).values()]
    sizes = [value.size for value in values]
    got = np.split(driver.run(images[2], 0, (sum(sizes),)), np.cumsum(sizes)[:-1])
    for one, value in zip(got, values, strict=True):
        np.testing.assert_array_equal(one, value.ravel())
    for number, value in enumerate(values):
        single = np.zeros(value.shape, np.int16)
        assert driver.call("get_output", 0, number, single.ctypes.data_as(c_void_p)) == 0
        np.testing.assert_array_equal(single, value)
    single = np.zeros(1, np.int16)
    assert driver.call("get_output", 0, len(values), single.ctypes.data_as(c_void_p)) != 0
    for name in ("pooled.mean", "scores"):
        wrong_output(driver, device, found.program, stored, NAMES.index(name))


def wrong_output(driver: Driver, device: Device, program: Program, stored: bytes, number: int) -> None:
    """The self test names the output in which the accelerator is wrong."""
    right, place = device.answer, 2 * program.results()[number].start

    def wrong(result: bytes) -> bytes:
        answer = bytearray(right(result))
        answer[place] ^= 1
        return bytes(answer)

    device.answer = wrong  # type: ignore[method-assign]
    code, found = driver.self_test(stored)
    assert code != 0
    assert (found.image, found.task, found.output, found.row, found.column) == (0, 0, number, 0, 0)
    device.answer = right  # type: ignore[method-assign]


def python_driver(folder: Path) -> tuple[ModuleType, Device]:
    found = lowered()
    return build_files(quantized()[2], found, vectors(integers()), folder), Device(found)


def test_the_python_driver_gives_all_of_them(tmp_path: Path) -> None:
    module, device = python_driver(tmp_path)
    accelerator = module.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == 2
    assert accelerator.names() == list(NAMES)
    real, graph = pictures(3, seed=9), quantized()[2]
    expected = golden(quantize_images(real, graph.input_type))
    found = accelerator.predict(real)
    assert list(found) == list(NAMES)
    for name, tensor in graph.results().items():
        np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(accelerator.predict(real[0])[name], expected[name][0])
        assert accelerator.scale(name=name) == graph.type_of(tensor).scale
    with pytest.raises(ValueError, match=r"name must be one of last_hidden_state, .*, not nothing"):
        accelerator.scale(name="nothing")
    right = device.answer
    device.answer = lambda result: right(result)[:-64] + bytes(64)  # type: ignore[method-assign]
    with pytest.raises(module.DeviceError, match=r"^image 0, output (token|scores) \(0, \d\): must be "):
        accelerator.self_test()


def test_tasks_with_several_outputs_each(tmp_path: Path) -> None:
    """A run gives all outputs of its task; each task has its own places for them."""
    graph, images, found = two_tasks()
    program = found.program
    assert [[layout.name for layout in run] for run in program.runs] == [["logits", "x"]] * 2
    expected = [list(results(graph, images, task=task).values()) for task in range(2)]
    interpreter = Interpreter(program.parameters, found.image.pack())
    for task, index in ((0, 0), (1, 0), (1, 1), (0, 1)):
        done = interpreter.run(program.input.pack(images[index], 4), task=task)
        assert compare(program, done.records, evaluate(graph, images[index], task), task) is None
        for got, value in zip(program.unpack_outputs(done.output, task), expected[task], strict=True):
            np.testing.assert_array_equal(got, value[index])
    first, *others = (value for values in expected for value in values)
    module = build_files(graph, found, Vectors(images=images, outputs=first, others=tuple(others)), tmp_path)
    device = Device(found)
    accelerator = module.Accelerator(device, device.allocate, tmp_path)
    assert accelerator.self_test() == len(images)
    for task in range(2):
        got = accelerator.run(images[1], task=task)
        np.testing.assert_array_equal(got["x"], expected[task][1][1])


def two_tasks() -> tuple[Graph, np.ndarray, Lowered]:
    import torch

    torch.manual_seed(0)
    pixels = np.random.default_rng(1).normal(size=(32, 1, 6, 6)).astype(np.float32)
    graph = hlsgen.capture(TwoTasks(Shape()).eval(), (pixels[:1], 0), ["logits", "x"])
    integer = hlsgen.quantize(graph, pixels).graph
    images = quantize_images(pixels[:2], integer.input_type)
    return integer, images, lower(integer, ARRAYS["plain"])


def test_a_design_with_several_outputs(tmp_path: Path) -> None:
    """Build folder, predict, simulate and report know all of them."""
    graph = quantized()[2]
    design = hlsgen.compile(graph, samples=Samples(integers(3)), board="ulx3s-85f", array="4x4x8")
    kept = Design.load(design.save(tmp_path / "x").directory or "")
    assert kept.graph.names == NAMES
    assert kept.digest == design.digest
    real = kept.predict(pictures(2))
    assert isinstance(real, dict)
    for name, value in golden(integers(2)).items():
        np.testing.assert_array_equal(real[name], value * kept.scales()[name])
    done = kept.simulate("program", samples=2)
    assert set(graph.outputs) <= set(done.tensors)
    assert done.classes == ()
    stored = np.load(tmp_path / "x/data/outputs.npz")
    np.testing.assert_array_equal(stored["scores"], golden(integers(3))["scores"])
    size = kept.image.output_bytes
    data = (tmp_path / "x/data/expected.bin").read_bytes()
    for index in range(3):
        parts = kept.program.unpack_outputs(data[index * size : (index + 1) * size])
        for part, value in zip(parts, golden(integers(3)).values(), strict=True):
            np.testing.assert_array_equal(part, value[index])
    shown = kept.report().summary
    assert "output     hidden_states.1: 7x9, 12 cycles of the array" in shown
    readme = (tmp_path / "x/README.md").read_text()
    assert "| output `pooled.mean` | int16 [1, 9], real value = integer * " in readme


def test_the_serial_host_reads_all_of_them() -> None:
    """All integers of the run come over the line; `Frames` is told how many."""
    found, (image,) = lowered(), integers(1)
    module = host_program(BOARD)
    data = (
        Interpreter(found.program.parameters, found.image.pack())
        .run(found.program.input.pack(image, 4))
        .output
    )
    count = logits(found.program)
    assert (runs(found.program), 2 * count) == ({}, found.program.drained_size())
    ours, theirs = socketpair()
    with ours, theirs:
        board = module.Board.__new__(module.Board)
        facts = describe(quantized()[2], found.program, found.image)
        board.design, board._file = json.loads(json.dumps(facts)), theirs.fileno()
        ours.sendall(bytes([ANSWER, 0, 7, 0]) + data[: 2 * count] + struct.pack("<I", 99))
        label, got = board.run(image)
    assert (label, board.cycles, list(got)) == (None, 99, list(NAMES))
    for name, value in golden(integers(1)).items():
        np.testing.assert_array_equal(got[name], value[0])
