# SPDX-License-Identifier: Apache-2.0
"""Everyone who reads an output reads the same numbers: at row widths 1, 2 and 4, one row of it or many."""

from __future__ import annotations

import dataclasses
import json
import struct
import subprocess
from functools import cache
from pathlib import Path
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
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.interface import TRACE_PORTS, TRACES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import OutputLayout, Program
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.rtl.board.top import runs

SHAPE = Vit(image=(1, 6, 6), width=16, heads=2, blocks=1, hidden=16, classes=10)
"""10 tokens: at row width 4 the last group has 2."""
WIDTHS = pytest.mark.parametrize("width", [1, 2, 4])
TASKS = pytest.mark.parametrize("task", [0, 1], ids=["class", "tokens"])


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


def driver() -> ModuleType:
    module = ModuleType("driver")
    module.__file__ = "driver.py"
    exec(compile(render("vivado/hlsgen_driver.py", {}), "driver", "exec"), module.__dict__)  # noqa: S102
    return module


@WIDTHS
@TASKS
def test_the_layout(width: int, task: int) -> None:
    _, lowered = made(width)
    output, golden, _ = written(width, task)
    layout, parameters = lowered.program.outputs[task], lowered.program.parameters
    np.testing.assert_array_equal(layout.unpack(output, parameters), golden)
    assert layout.pack(golden, parameters) == output
    assert len(output) == layout.size(parameters)


@WIDTHS
@TASKS
def test_the_driver(width: int, task: int) -> None:
    graph, lowered = made(width)
    output, golden, _ = written(width, task)
    device = driver().Accelerator.__new__(driver().Accelerator)
    device.design = json.loads(json.dumps(describe(graph, lowered.program, lowered.image)))
    data = output.ljust(lowered.image.output_bytes, b"\xff")  # left by another task
    np.testing.assert_array_equal(device._unpack(data, device.design["tasks"][task]), golden)


@WIDTHS
def test_the_serial_answer(width: int) -> None:
    """Class and logits: also where the largest int16 lies between the runs, which no machine leaves there."""
    _, lowered = made(width)
    program, (output, golden, _) = lowered.program, written(width, 0)
    logits = golden[0].tolist()
    words = np.full(len(output) // 2, 32767, "<i2")
    words[program.output.places(program.parameters)[0]] = logits
    for memory in (output, words.tobytes()):
        sent, _ = answer(logits, memory=memory, runs=runs(program))
        assert sent == b"\x5a\0" + struct.pack("<H10hI", int(np.argmax(logits)), *logits, CYCLES)


@WIDTHS
def test_the_bench_of_the_cpp(width: int, tmp_path: Path) -> None:
    """`expected.bin` as the build folder has it, compared byte by byte with what the C++ writes."""
    _, lowered = made(width)
    program, (_, golden, _) = lowered.program, written(width, 0)
    expected = program.output.pack(golden, program.parameters)
    pixels = program.input.pack(images(SHAPE, 1)[0], 4)
    for path, text in hls(program, lowered.image).items():
        (tmp_path / Path(path).name).write_text(text)
    for name, data in (
        ("image", lowered.image.pack()),
        ("inputs", pixels),
        ("expected", expected.ljust(lowered.image.output_bytes, b"\0")),
    ):
        (tmp_path / f"{name}.bin").write_bytes(data)
    flags = ["-std=c++17", "-O0", "-Wno-unknown-pragmas"]
    subprocess.run(["g++", *flags, "-o", "tb", "top.cpp", "tb.cpp"], cwd=tmp_path, check=True)
    files = [f"{name}.bin" for name in ("image", "inputs", "expected")]
    done = subprocess.run(["./tb", *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 outputs equal\n")


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


@WIDTHS
def test_the_recorder_of_the_bench(width: int, tmp_path: Path) -> None:
    """Groups of rows on the trace ports, as records that the build folder's own comparison takes."""
    graph, lowered = made(width)
    program, (_, _, trace) = lowered.program, written(width, 0)
    records_module = module_of(bench(program), tmp_path, "records")
    recorder_module = module_of({}, tmp_path, "trace_recorder")
    idle = {f"{port}_valid": SimpleNamespace(value=0) for port in TRACES}
    dut = SimpleNamespace(**idle)
    recorder = recorder_module.Recorder(dut, 4)
    dut.__dict__.update(idle)
    keys = np.stack([trace[name].astype(int) for name in ("which", "command", "kind", "head", "word")])
    keys = np.vstack([keys, trace["row"] // width])
    for number, key in enumerate(np.unique(keys, axis=1).T):
        group = trace[(keys == key[:, None]).all(0)]
        ports = show(TRACES[key[0]], group, width, 4)
        valid = getattr(dut, f"{TRACES[key[0]]}_valid")
        valid.value = ports.pop(f"{TRACES[key[0]]}_valid").value
        dut.__dict__.update(ports)
        recorder.look(number)
        valid.value = 0
    views = json.loads(bench(program)["sim/design.json"])["views"]
    golden = evaluate(graph, images(SHAPE, 1)[0])
    records = recorder.records()
    assert len(records) == len(trace)
    assert records_module.first_difference(views, records, golden) is None
    records["data"][len(records) // 2, 0] ^= 1
    assert records_module.first_difference(views, records, golden) is not None


def slowly(layout: OutputLayout, parameters: MachineParameters) -> list[tuple[int, int]]:
    """Row and column of each int16, in the order in which DRAIN writes them."""
    lanes, blocks = parameters.columns, -(-layout.columns // parameters.columns)
    sizes = [len(part) for part in np.array_split(np.arange(blocks), layout.groups)]
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
@pytest.mark.parametrize(("columns", "groups"), [(1, 1), (4, 1), (9, 2), (10, 3), (33, 4)])
def test_the_layout_is_that_of_an_obvious_loop(width: int, rows: int, columns: int, groups: int) -> None:
    parameters = MachineParameters(rows=4, columns=4, depth=4, row_width=width)
    layout = OutputLayout(tensor="t", rows=rows, columns=columns, groups=groups)
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
