# SPDX-License-Identifier: Apache-2.0
"""Golden = interpreter = C++, every tensor, with range checks and sanitizers; and how csim fails."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, DISTILLED, MIXED, RMS, TINY, Vit, images, integer_vit

from hlsgen import numerics
from hlsgen.emit.hls import hls
from hlsgen.errors import ToolFailed, ToolMissing, UsageError
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Load, Target
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import IntegerAddConstant, IntegerLinear, IntegerMean, Patches, Select
from hlsgen.sim.csim import CSim, split

Array = tuple[int, int, int]


def lowered(graph: Graph, array: Array, bus_bytes: int = 16, row_width: int = 1) -> Lowered:
    rows, columns, depth = array
    shape = ArrayShape(
        rows=rows, columns=columns, depth=depth, bus_bytes=bus_bytes, ring_bytes=2048, row_width=row_width
    )
    return lower(graph, shape)


def csim(result: Lowered, folder: Path, *, tracing: bool = False, sanitize: bool = False) -> CSim:
    files = hls(result.program, result.image)
    return CSim(result.program, result.image.pack(), files, folder, tracing=tracing, sanitize=sanitize)


def check(graph: Graph, result: Lowered, machine: CSim, inputs: np.ndarray) -> None:
    """Every tensor of every input equals golden; every record equals the interpreter's, in its order."""
    golden = evaluate(graph, inputs)
    got = machine.run(inputs)
    np.testing.assert_array_equal(got.outputs, golden[graph.output])
    for index, records in enumerate(got.records):
        expected = {name: value[index] for name, value in golden.items()}
        assert trace.compare(result.program, records, expected) is None
        for name, tensor in got.tensors[index].items():
            np.testing.assert_array_equal(tensor, expected[name])
    interpreter = Interpreter(result.program.parameters, result.image.pack())
    packed = result.program.input.pack(inputs[0], result.program.parameters.columns)
    both = [
        trace.known(result.program.commands, records)
        for records in (got.records[0], interpreter.run(packed).records)
    ]
    np.testing.assert_array_equal(both[0], both[1])


@pytest.mark.parametrize(
    ("model", "array", "bus_bytes", "row_width"),
    [
        (DIGITS, (4, 4, 8), 16, 1),
        (DIGITS, (4, 4, 8), 16, 4),
        (AWKWARD, (3, 4, 2), 4, 1),
        (AWKWARD, (8, 16, 8), 64, 2),
        (AWKWARD, (5, 8, 1), 32, 1),
        (TINY, (1, 1, 8), 8, 1),
        (DISTILLED, (4, 4, 8), 16, 1),
        (dataclasses.replace(DISTILLED, prefix=3, ends=3), (2, 8, 2), 16, 1),
        (RMS, (4, 4, 8), 16, 2),
        (MIXED, (3, 4, 2), 4, 1),
    ],
    ids=[
        "digits-4x4x8",
        "digits-4x4x8w4",
        "awkward-3x4x2",
        "awkward-8x16x8w2",
        "awkward-5x8x1",
        "tiny-1x1x8",
        "distilled-4x4x8",
        "three-heads-2x8x2",
        "rms-4x4x8w2",
        "mixed-3x4x2",
    ],
)
def test_every_tensor_equals_golden(
    model: Vit, array: Array, bus_bytes: int, row_width: int, cpp_folder: Path
) -> None:
    graph = integer_vit(model)
    result = lowered(graph, array, bus_bytes, row_width)
    machine = csim(result, cpp_folder, tracing=True, sanitize=True)
    check(graph, result, machine, images(model, 3))


def test_a_whole_test_set_runs_in_seconds(cpp_folder: Path) -> None:
    graph = integer_vit(DIGITS)
    inputs = images(DIGITS, 400)
    got = csim(lowered(graph, (4, 4, 8)), cpp_folder).run(inputs, seconds=30)
    np.testing.assert_array_equal(got.outputs, evaluate(graph, inputs)[graph.output])
    assert all(records.size == 0 for records in got.records)


def test_keys_that_do_not_exist_never_are_the_row_maximum(cpp_folder: Path) -> None:
    """Every real logit is the lowest there is, so a padding key's zero would win."""
    graph = integer_vit(DIGITS)
    bias = {"b0_q": (1 << 18) - 1, "b0_k": -(1 << 18)}
    nodes = []
    for node in graph:
        if isinstance(node.op, IntegerLinear) and node.name in bias:
            op = dataclasses.replace(node.op, bias=np.full_like(node.op.bias, bias[node.name]))
            node = dataclasses.replace(node, op=op)
        nodes.append(node)
    graph = dataclasses.replace(graph, nodes=tuple(nodes)).verify()
    inputs = images(DIGITS, 1)
    assert (evaluate(graph, inputs)["b0_scores"] == -512).all()
    result = lowered(graph, (4, 4, 8))
    check(graph, result, csim(result, cpp_folder, tracing=True), inputs)


# -- modes that the models above do not use ----------------------------------------------------------------


class Small:
    """A graph of patches, linear layers and what a test puts between them."""

    def __init__(self, image: tuple[int, int, int], patch: tuple[int, int], prefix: int) -> None:
        self.random = np.random.default_rng(11)
        self.image = image
        self.graph = GraphBuilder("image", TensorType(image, -128, 127, 1 / 64))
        self.last = self.graph.add("patches", Patches(patch=patch, prefix=prefix), ["image"])

    def linear(self, name: str, size: int, high: int = 32767) -> None:
        k = self.graph.type_of(self.last).shape[-1]
        ratio = min(high, 9000) / (3 * 73 * 73 * k**0.5)
        multiplier, shift = np.array(
            [numerics.dyadic(ratio * f) for f in self.random.uniform(0.5, 1.5, size)]
        ).T
        op = IntegerLinear(
            weight=self.random.integers(-127, 128, (size, k)),
            bias=self.random.integers(-500, 500, size),
            multiplier=multiplier,
            shift=shift,
            low=-high - 1,
            high=high,
            scale=1 / 256,
        )
        self.last = self.graph.add(name, op, [self.last])

    def images(self, count: int) -> np.ndarray:
        return self.random.integers(-128, 128, (count, *self.image))


def test_mean_without_norm_and_patches_that_divide_no_word(cpp_folder: Path) -> None:
    small = Small((3, 4, 10), (2, 5), prefix=2)
    small.linear("embed", 9)
    value = small.random.integers(-9000, 9000, small.graph.type_of(small.last).shape)
    small.last = small.graph.add("position", IntegerAddConstant(value=value), [small.last])
    small.last = small.graph.add("mean", IntegerMean(shift=9, low=-128, high=127), [small.last])
    small.linear("head", 5)
    graph = small.graph.finish(small.last)
    result = lowered(graph, (4, 8, 4))
    assert [command.load for command in result.program.commands] == [Load.PATCHES, Load.POOL]
    check(graph, result, csim(result, cpp_folder, tracing=True, sanitize=True), small.images(4))


def test_features_and_selected_rows(cpp_folder: Path) -> None:
    small = Small((1, 6, 12), (3, 6), prefix=0)
    small.linear("embed", 11, high=127)
    small.linear("middle", 7, high=127)
    small.last = small.graph.add("select", Select(start=1, stop=4), [small.last])
    small.linear("head", 6)
    graph = small.graph.finish(small.last)
    result = lowered(graph, (2, 4, 2))
    targets = [command.target for command in result.program.commands]
    assert targets == [Target.FEATURES, Target.FEATURES, Target.OUTPUT]
    check(graph, result, csim(result, cpp_folder, tracing=True, sanitize=True), small.images(4))


# -- failures ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Lowered:
    return lowered(integer_vit(TINY), (2, 2, 2))


@pytest.mark.parametrize(
    ("at", "error"), [(0, 1), (4, 2), (8, 3), (20, 3), (28, 3), (56, 3)], ids=lambda value: str(value)
)
def test_a_foreign_image_is_refused(tiny: Lowered, cpp_folder: Path, at: int, error: int) -> None:
    blob = bytearray(tiny.image.pack())
    blob[at] ^= 1
    files = hls(tiny.program, tiny.image)
    machine = CSim(tiny.program, bytes(blob), files, cpp_folder)
    with pytest.raises(
        ToolFailed, match=rf"(?s)exit code 3.*the Image must be this machine's: error {error}$"
    ):
        machine.run(images(TINY, 1))


def test_a_damaged_constant_stream_ends_with_an_error(tiny: Lowered, cpp_folder: Path) -> None:
    image = dataclasses.replace(tiny.image, constants=bytes(len(tiny.image.constants)))
    blob = tiny.image.pack()[:64] + image.pack()[64:]
    machine = CSim(tiny.program, blob, hls(tiny.program, tiny.image), cpp_folder)
    with pytest.raises(ToolFailed, match=r"error 3$"):
        machine.run(images(TINY, 1))


def test_a_truncated_image_is_refused(tiny: Lowered, cpp_folder: Path) -> None:
    blob = tiny.image.pack()
    machine = CSim(tiny.program, blob[:-64], hls(tiny.program, tiny.image), cpp_folder)
    with pytest.raises(ToolFailed, match=f"the Image must have {len(blob)} bytes, not {len(blob) - 64}"):
        machine.run(images(TINY, 1))


def test_a_missing_compiler(tiny: Lowered, tmp_path: Path) -> None:
    files = hls(tiny.program, tiny.image)
    machine = CSim(tiny.program, tiny.image.pack(), files, tmp_path, compiler="no-such-compiler")
    with pytest.raises(ToolMissing, match=r"^no-such-compiler must be installed"):
        machine.run(images(TINY, 1))


def test_cpp_that_does_not_compile_shows_the_compiler(tiny: Lowered, tmp_path: Path) -> None:
    files = hls(tiny.program, tiny.image) | {"hls/top.cpp": "int main() { return unknown; }\n"}
    machine = CSim(tiny.program, tiny.image.pack(), files, tmp_path)
    with pytest.raises(ToolFailed, match=r"(?s)did not compile \(exit code 1\).*where: .*g\+\+.*unknown"):
        machine.build()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("commands", "count", "planned", "sizes"),
    [
        ([0, 1, 1, 0, 1], 2, True, [3, 2]),
        ([2, 2, 2, 2], 2, True, [2, 2]),  # a task of one command
        ([3, 3], 1, True, [2]),
        ([0, 1, 0, 1], 2, False, [2, 2]),
    ],
)
def test_records_of_each_input(commands: list[int], count: int, planned: bool, sizes: list[int]) -> None:
    records = np.array([(number,) for number in commands], [("command", "<u2")])
    assert [len(part) for part in split(records, count, planned=planned)] == sizes


def test_no_inputs_are_refused(tiny: Lowered, cpp_folder: Path) -> None:
    with pytest.raises(UsageError, match="at least one input"):
        csim(tiny, cpp_folder).run(images(TINY, 0))


def test_equal_cpp_is_compiled_once(tiny: Lowered, cpp_folder: Path) -> None:
    binary = csim(tiny, cpp_folder).build()
    stamp = binary.stat().st_mtime_ns
    assert csim(tiny, cpp_folder).build() == binary
    assert binary.stat().st_mtime_ns == stamp
    files = hls(tiny.program, tiny.image)
    changed = files | {"hls/top.cpp": files["hls/top.cpp"] + "// changed\n"}
    assert CSim(tiny.program, tiny.image.pack(), changed, cpp_folder)._key("g++") != binary.parent.name
    assert csim(tiny, cpp_folder, tracing=True)._key("g++") != csim(tiny, cpp_folder)._key("g++")


# -- the project as a user gets it -------------------------------------------------------------------------


@pytest.fixture
def project(tiny: Lowered, tmp_path: Path) -> Path:
    """The build folder's `hls` and `data`, with two inputs."""
    for path, text in hls(tiny.program, tiny.image).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    data = tmp_path / "data"
    data.mkdir()
    packed = [tiny.program.input.pack(image, 2) for image in images(TINY, 2)]
    interpreter = Interpreter(tiny.program.parameters, tiny.image.pack())
    (data / "image.bin").write_bytes(tiny.image.pack())
    (data / "inputs.bin").write_bytes(b"".join(packed))
    (data / "expected.bin").write_bytes(b"".join(interpreter.run(x).output for x in packed))
    return tmp_path


def test_make_csim_compares_with_the_expected_outputs(project: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        ["make", "-s", "-C", project / "hls", "csim"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 outputs equal"), done.stderr
    expected = bytearray((project / "data" / "expected.bin").read_bytes())
    expected[64 + 3] ^= 5
    (project / "data" / "expected.bin").write_bytes(expected)
    right, wrong = expected[67] ^ 5, expected[67]
    done = subprocess.run(
        [project / "hls/build/tb", *files_of(project)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"output 1 differs at byte 3: expected {wrong}, got {right}\n"


def files_of(project: Path) -> list[Path]:
    return [project / "data" / name for name in ("image.bin", "inputs.bin", "expected.bin")]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("inputs.bin", lambda data: data[:-1], "inputs must be a multiple of 64 bytes, not 127"),
        ("expected.bin", lambda data: data[:64], "expected outputs must have 128 bytes, not 64"),
        ("image.bin", None, "image.bin must be a file that can be read"),
    ],
)
def test_the_test_bench_refuses_files(
    tiny: Lowered, project: Path, cpp_folder: Path, name, change, message
) -> None:
    path = project / "data" / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    binary = csim(tiny, cpp_folder).build()
    done = subprocess.run([binary, *files_of(project)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(message)


def test_a_trace_needs_a_traced_binary(tiny: Lowered, project: Path, cpp_folder: Path) -> None:
    binary = csim(tiny, cpp_folder).build()
    command = [binary, *files_of(project), "-", project / "trace.bin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "compile with -DHLSGEN_TRACE" in done.stderr


@pytest.mark.parametrize(
    ("model", "array", "bus_bytes", "row_width", "span"),
    [(DIGITS, (4, 4, 8), 16, 2, 0), (AWKWARD, (3, 8, 2), 4, 1, 2), (TINY, (1, 1, 1), 64, 1, 1)],
    ids=["digits", "awkward", "tiny"],
)
def test_streamed_attention_equals_golden(
    model: Vit, array: Array, bus_bytes: int, row_width: int, span: int, tmp_path: Path
) -> None:
    graph = integer_vit(model)
    rows, columns, depth = array
    shape = ArrayShape(
        rows=rows, columns=columns, depth=depth, bus_bytes=bus_bytes, row_width=row_width,
        ring_bytes=2048, streamed=True, span=span,
    )  # fmt: skip
    result = lower(graph, shape)
    check(graph, result, csim(result, tmp_path, tracing=True, sanitize=True), images(model, 2))
