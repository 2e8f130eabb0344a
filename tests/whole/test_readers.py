# SPDX-License-Identifier: Apache-2.0
"""Everyone who reads an output reads the same numbers: at row widths 1, 2 and 4, one row of it or many."""

from __future__ import annotations

import dataclasses
import json
import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from socket import socketpair
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.bench_package import module_of
from support.frames import CYCLES, answer
from support.graphs import Vit, images, two_tasks

from hlsgen.emit.bench import bench
from hlsgen.emit.device import describe
from hlsgen.emit.hls import hls
from hlsgen.emit.render import render
from hlsgen.ir import Graph, TensorType, evaluate, quantize_images
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.input import InputLayout, pad
from hlsgen.machine.format.interface import TRACE_PORTS, TRACES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import OutputLayout, Program
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import rebuild
from hlsgen.rtl.board.top import runs
from hlsgen.sim import cosim

SHAPE = Vit(image=(1, 6, 6), width=16, heads=2, blocks=1, hidden=16, classes=10)
"""10 tokens: at row width 4 the last group has 2."""
WIDTHS = pytest.mark.parametrize("width", [1, 2, 4])


@cache
def made(width: int) -> tuple[Graph, Lowered]:
    graph = two_tasks(SHAPE, 21)
    return graph, lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=width))


@cache
def written(width: int, task: int) -> tuple[bytes, np.ndarray, Any]:
    """What the machine writes for an image, what it means, and the trace."""
    graph, lowered = made(width)
    program, image = lowered.program, images(SHAPE, 1)[0]
    done = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4), task=task)
    golden = dict(evaluate(graph, image, task))[program.outputs[task].tensor]
    return done.output, golden, done.records


def show(port: str, group: np.ndarray, width: int, columns: int) -> dict[str, Any]:
    """The ports' values for the records of one group of rows."""
    first = group[0]
    base = int(first["row"]) // width * width
    data = np.zeros((width, columns), "<i2")
    data[group["row"] - base] = group["data"]
    fields = {name: int(first[name]) for name in TRACE_PORTS} | {"row": base}
    fields["valid"] = sum(1 << int(row - base) for row in group["row"])
    bits = SimpleNamespace(value=Bits(data.tobytes()))
    return {f"{port}_{name}": SimpleNamespace(value=value) for name, value in fields.items()} | {
        f"{port}_data": bits
    }


class Bits:
    """A value as cocotb gives it: an integer that has a length."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __int__(self) -> int:
        return int.from_bytes(self._data, "little")

    def __len__(self) -> int:
        return 8 * len(self._data)


def recorded(trace: np.ndarray, width: int, module: ModuleType) -> Any:
    """The bench's recorder after it has seen ports that show the records of a trace, group by group."""
    dut = SimpleNamespace(**{f"{port}_valid": SimpleNamespace(value=0) for port in TRACES})
    recorder = module.Recorder(dut, 4)
    keys = np.stack([trace[name].astype(int) for name in ("which", "command", "kind", "head", "word")])
    keys = np.vstack([keys, trace["row"] // width])
    for number, key in enumerate(np.unique(keys, axis=1).T):
        ports = show(TRACES[key[0]], trace[(keys == key[:, None]).all(0)], width, 4)
        valid = getattr(dut, f"{TRACES[key[0]]}_valid")
        valid.value = ports.pop(f"{TRACES[key[0]]}_valid").value
        dut.__dict__.update(ports)
        recorder.look(number)
        valid.value = 0
    return recorder


def host_program(template: str) -> ModuleType:
    """A program of a project's host."""
    module = ModuleType("host")
    module.__file__ = "host.py"
    exec(compile(render(template, {}), template, "exec"), module.__dict__)  # noqa: S102
    return module


DRIVER, BOARD = "vivado/hlsgen_driver.py", "serial/hlsgen_host.py"


@cache
def design_json(width: int) -> dict[str, Any]:
    """What lies beside the hosts' programs."""
    graph, lowered = made(width)
    return json.loads(json.dumps(describe(graph, lowered.program, lowered.image)))


def by_the_layout(width: int, task: int, _folder: Path) -> np.ndarray:
    """The owner; it also makes the bytes of the tensor."""
    lowered = made(width)[1]
    output, golden = written(width, task)[:2]
    layout, parameters = lowered.program.outputs[task], lowered.program.parameters
    assert layout.pack(golden, parameters) == output
    assert len(output) == layout.size(parameters)
    return layout.unpack(output, parameters)


def by_the_driver(width: int, task: int, _folder: Path) -> np.ndarray:
    device = host_program(DRIVER).Accelerator.__new__(host_program(DRIVER).Accelerator)
    device.design = design_json(width)
    data = written(width, task)[0].ljust(device.design["output_bytes"], b"\xff")  # left by another task
    return host_program(DRIVER).unpack(data, device.design["tasks"][task][0], device.design["columns"])


def by_the_board(width: int, task: int, _folder: Path) -> np.ndarray:
    """RTL and host program of the serial port; where the largest int16 lies between the runs, too.

    No machine leaves something there, but the class must not depend on it.
    """
    program = made(width)[1].program
    assert task == 0, "a board runs the first task"
    output, golden, _ = written(width, task)
    words = np.full(len(output) // 2, 32767, "<i2")
    words[program.output.places(program.parameters)[0]] = golden[0]
    module = host_program(BOARD)
    read = []
    for memory in (output, words.tobytes()):
        sent, _ = answer(golden[0].tolist(), memory=memory, runs=runs(program))
        ours, theirs = socketpair()
        with ours, theirs:
            ours.sendall(sent)
            board = module.Board.__new__(module.Board)
            board.design, board._file = design_json(width), theirs.fileno()
            label, logits = board.run(images(SHAPE, 1)[0])
        assert (label, board.cycles) == (int(np.argmax(golden[0])), CYCLES)
        read.append(logits)
    np.testing.assert_array_equal(*read)
    return read[0][None]


def by_the_cpp(width: int, task: int, folder: Path) -> np.ndarray:
    """The C++ writes it, and its test bench compares it with `expected.bin` as the build folder has it."""
    _, lowered = made(width)
    program, golden = lowered.program, written(width, task)[1]
    layout, size = program.outputs[task], lowered.image.output_bytes
    for path, text in hls(program, lowered.image).items():
        (folder / Path(path).name).write_text(text)
    for name, data in (
        ("image", lowered.image.pack()),
        ("inputs", program.input.pack(images(SHAPE, 1)[0], 4)),
        ("expected", layout.pack(golden, program.parameters).ljust(size, b"\0")),
    ):
        (folder / f"{name}.bin").write_bytes(data)
    flags = ["-std=c++17", "-O0", "-Wno-unknown-pragmas"]
    subprocess.run(["g++", *flags, "-o", "tb", "top.cpp", "tb.cpp"], cwd=folder, check=True)
    files = [*(f"{name}.bin" for name in ("image", "inputs", "expected", "outputs")), "-", str(task)]
    done = subprocess.run(["./tb", *files], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 outputs equal\n")
    return layout.unpack((folder / "outputs.bin").read_bytes(), program.parameters)


def by_the_rtl(width: int, task: int, folder: Path) -> np.ndarray:
    """Through the harness, from memory and from the trace."""
    graph, lowered = made(width)
    program, image = lowered.program, images(SHAPE, 1)[0]
    harness = cosim.build(program.parameters, folder, trace=True, quick=True)
    (run,) = harness.run(lowered.image.pack(), [program.input.pack(image, 4)], task=task)
    cosim.check(program, run, dict(evaluate(graph, image, task)), task)
    return program.outputs[task].unpack(run.output, program.parameters)


def by_the_bench(width: int, task: int, folder: Path) -> np.ndarray:
    """Groups of rows on the trace ports, as records that the build folder's own comparison takes."""
    graph, lowered = made(width)
    program, trace = lowered.program, written(width, task)[2]
    comparison = module_of(bench(program), folder, "records")
    recorder = recorded(trace, width, module_of({}, folder, "trace_recorder"))
    views = json.loads((folder / "sim/design.json").read_text())["views"]
    golden = evaluate(graph, images(SHAPE, 1)[0])
    records = recorder.records()
    assert len(records) == len(trace)
    assert comparison.first_difference(views, records, golden) is None
    shown = rebuild(program, records, golden)[program.outputs[task].tensor]
    records["data"][len(records) // 2, 0] ^= 1
    assert comparison.first_difference(views, records, golden) is not None
    return shown


READERS: dict[str, tuple[Callable[[int, int, Path], np.ndarray], tuple[int, ...]]] = {
    "layout": (by_the_layout, (0, 1)),
    "driver": (by_the_driver, (0, 1)),
    "board": (by_the_board, (0,)),
    "cpp": (by_the_cpp, (0, 1)),
    "rtl": (by_the_rtl, (0, 1)),
    "bench": (by_the_bench, (0,)),
}
"""Who reads an output, and of which tasks: 0 has a class, 1 a result for each token."""


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_the_same_numbers(reader: str, width: int, tmp_path: Path) -> None:
    read, tasks = READERS[reader]
    for task in tasks:
        np.testing.assert_array_equal(read(width, task, tmp_path), written(width, task)[1])


@pytest.mark.parametrize("template", [DRIVER, BOARD])
@pytest.mark.parametrize("scale", [1 / 64, 0.0123, 3.7])
def test_every_host_reads_pixels_as_the_golden_model_does(template: str, scale: float) -> None:
    """The same integers, halves and both ends of the range included, and the same bytes of them."""
    program = host_program(template)
    kind = TensorType((2, 5, 6), -128, 127, scale)
    steps = np.random.default_rng(3).uniform(-140, 140, (7, 2, 5, 6))
    steps[0] = np.floor(steps[0]) + 0.5
    steps[1].flat[:6] = (-128.5, -128.51, 127.49, 127.5, 0.5, -0.5)
    real = steps * scale
    design = {"input_scale": scale, "input_low": -128, "input_high": 127}
    integers = quantize_images(real, kind)
    assert integers.dtype == program.quantize(real, design).dtype == np.int8
    np.testing.assert_array_equal(program.quantize(real, design), integers)
    np.testing.assert_array_equal(quantize_images(real[0], kind), integers[0])
    for columns in (1, 4, 8):
        layout = InputLayout(channels=2, height=5, width=6, row_words=-(-6 // columns))
        layouts = {
            "input_axes": list(InputLayout.AXES),
            "input_lines": layout.lines.tolist(),
            "input_pixels": layout.pixels(columns).tolist(),
            "input_windows": layout.windows(columns),
        }
        assert pad(program.pack(integers[2], layouts)) == layout.pack(integers[2], columns)


def slowly(layout: OutputLayout, parameters: MachineParameters) -> list[tuple[int, int]]:
    """Row and column of each int16, in the order in which DRAIN writes them."""
    lanes, blocks = parameters.columns, -(-layout.columns // parameters.columns)
    sizes = [len(part) for part in np.array_split(np.arange(blocks), layout.sweeps)]
    order, block = [], 0
    for size in sizes:
        for tile in range(0, layout.rows, parameters.rows):
            inside = min(parameters.rows, layout.rows - tile)
            padded = -(-inside // parameters.row_width) * parameters.row_width
            order += [
                (tile + row, (block + b) * lanes + lane)
                for b in range(size)
                for row in range(padded)
                for lane in range(lanes)
            ]
        block += size
    return order


@WIDTHS
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 9])
@pytest.mark.parametrize(("columns", "sweeps"), [(1, 1), (4, 1), (9, 2), (10, 3), (33, 4)])
def test_the_layout_is_that_of_an_obvious_loop(width: int, rows: int, columns: int, sweeps: int) -> None:
    parameters = MachineParameters(rows=4, columns=4, depth=4, row_width=width)
    layout = OutputLayout(tensor="t", rows=rows, columns=columns, sweeps=sweeps)
    value = np.random.default_rng(rows).integers(-32768, 32768, (rows, columns))
    order = slowly(layout, parameters)
    words = [int(value[r, c]) if r < rows and c < columns else 0 for r, c in order]
    data = struct.pack(f"<{len(words)}h", *words)
    packed = layout.pack(value, parameters)
    assert packed == data.ljust(layout.size(parameters), b"\0")
    np.testing.assert_array_equal(layout.unpack(data, parameters), value)


@WIDTHS
def test_runs_say_where_every_logit_lies(width: int) -> None:
    _, lowered = made(width)
    program: Program = lowered.program
    for columns in (1, 4, 5, 21):
        layout = dataclasses.replace(program.output, columns=columns)
        found = runs(dataclasses.replace(program, outputs=(layout,)))
        run, pitch = found.get("run", 1), found.get("pitch", 1)
        wanted = [c // run * pitch + c % run for c in range(columns)]
        assert layout.places(program.parameters)[0].tolist() == wanted
