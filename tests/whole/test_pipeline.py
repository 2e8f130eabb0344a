# SPDX-License-Identifier: Apache-2.0
"""The way through in Python: capture, quantize, compile; predict, trace, simulate, save, load."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import sign

import hlsgen
from hlsgen import Design, Samples
from hlsgen.cli import main
from hlsgen.emit.contents import contents
from hlsgen.errors import ClippedInput, DoesNotFit, Mismatch, UsageError
from hlsgen.fit.options import parse_array
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import evaluate, quantize_images
from hlsgen.machine.format.interface import REASONS
from hlsgen.pipeline import KEPT, make_samples
from hlsgen.store.paths import DERIVED, PLAIN, TRACED
from hlsgen.store.samples import warn_of_clipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of the digits example."""
    place = tmp_path_factory.mktemp("pipeline") / "digits"
    hlsgen.build("digits", place, board="ulx3s-85f", array="4x4x8")
    return place


@pytest.fixture(scope="module")
def design(folder: Path) -> Design:
    return Design.load(folder)


def test_integers_are_as_good_as_floats(design: Design) -> None:
    """The bars: top-1 within 0.3 points of float on all held-out images, logits of at least 30 dB."""
    accuracy = design.report().accuracy
    assert accuracy.images == 397
    assert accuracy.integer is not None
    assert accuracy.float is not None
    assert accuracy.float >= 0.98 * 397
    assert abs(accuracy.integer - accuracy.float) <= 0.003 * 397
    assert accuracy.logits_db is not None
    assert accuracy.logits_db >= 30


def test_predict_is_golden_in_real_numbers(design: Design) -> None:
    data = load_data("digits", heldout=True)
    logits = design.predict(data.images[:70])
    assert logits.shape == (70, 10)
    scale = design.graph.type_of(design.graph.output).scale or 0.0
    np.testing.assert_array_equal(logits, design.logits(design.samples.images[:70]) * scale)
    np.testing.assert_array_equal(design.predict(data.images[3]), logits[3:4])


def test_trace_has_every_tensor(design: Design) -> None:
    images = load_data("digits", heldout=True).images[:2]
    tensors = design.trace(images)
    assert list(tensors) == [design.graph.input, *(node.name for node in design.graph)]
    for node in design.graph:
        assert tensors[node.name].shape == (2, *node.type.shape)
        low, high = node.type.integer_range
        assert low <= tensors[node.name].min()
        assert tensors[node.name].max() <= high


def test_the_program_equals_golden_in_every_tensor(design: Design) -> None:
    result = design.simulate("program", samples=3)
    golden = evaluate(design.graph, design.samples.images[:3])
    assert result.images == 3
    assert result.classes == tuple(golden[design.graph.output].reshape(3, -1).argmax(-1))
    assert result.elements >= sum(golden[name].size for name in result.tensors)
    assert result.labels == tuple(load_data("digits", heldout=True).labels[:3])  # type: ignore[index]


def test_a_wrong_weight_is_found_in_the_first_tensor_it_touches(design: Design) -> None:
    weights = bytearray(design.image.weights)
    weights[len(weights) // 2] ^= 0x55
    broken = dataclasses.replace(design, image=dataclasses.replace(design.image, weights=bytes(weights)))
    with pytest.raises(Mismatch) as caught:
        broken.simulate("program", samples=1)
    (problem,) = caught.value.problems
    match = re.fullmatch(
        r"image 0: (\w+)\[(\d+), (\d+)\]: golden (-?\d+), got (-?\d+) "
        r"\(command (\d+), cycle \d+; (\d+) elements differ\)",
        problem.what,
    )
    assert match, problem.what
    views = [view.tensor for view in design.program.views]
    name, command = match[1], int(match[6])
    assert design.program.views[views.index(name)].command == command
    assert problem.where.startswith(f"command {command}: ")


def test_the_folder_lists_its_files_and_loads_back(folder: Path, design: Design) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    compiled = {path for path in here if not path.startswith("build/")} - {"manifest.json", *DERIVED}
    assert set(listed) == compiled
    for path in (
        "README.md",
        "Makefile",
        "program.txt",
        "hls/top.cpp",
        "rtl/top.v",
        "sim/bench.py",
        "data/image.bin",
    ):
        assert path in listed
    expected = (folder / "data/expected.bin").read_bytes()
    size = design.program.output.size(design.program.parameters)
    logits = design.logits(design.samples.images[:5])
    for index, row in enumerate(logits):
        data = expected[index * size : (index + 1) * size]
        np.testing.assert_array_equal(
            design.program.output.unpack(data, design.program.parameters).ravel(), row
        )
        assert design.program.output.pack(row, design.program.parameters) == data


def test_saving_a_loaded_design_gives_the_same_bytes(folder: Path, design: Design) -> None:
    for path, data in contents(design).items():
        assert (folder / path).read_bytes() == data, path


def test_two_compilations_give_the_same_bytes(tmp_path: Path) -> None:
    """In two processes whose hashes of strings differ, and whose caches are empty."""
    places, running = [tmp_path / seed for seed in ("1", "2")], []
    for place in places:
        command = [sys.executable, "-m", "hlsgen", "compile", "awkward", "--array", "2x4x4", "-o", str(place)]
        own = {"PYTHONHASHSEED": place.name, "XDG_CACHE_HOME": str(tmp_path / f"cache{place.name}")}
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | own))
    assert [process.wait() for process in running] == [0, 0]
    first, second = (
        {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in places
    )
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


def test_no_path_of_this_machine_is_in_the_folder(folder: Path) -> None:
    root = str(Path(__file__).resolve().parents[2]).encode()
    for path in folder.rglob("*"):
        if path.is_file() and "build" not in path.relative_to(folder).parts:
            assert root not in path.read_bytes(), path


def test_a_changed_or_foreign_folder_is_refused(design: Design, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="must be empty, new, or a build folder of hlsgen"):
        design.save(tmp_path)
    with pytest.raises(UsageError, match="must be a folder, not a file"):
        design.save(tmp_path / "mine.txt")
    copy = tmp_path / "copy"
    design.save(copy)
    (copy / "left.over").touch()
    program = (copy / "program.txt").read_text()
    (copy / "program.txt").write_text(program.replace("macs ", "macs 1"))
    (copy / "graph.safetensors").unlink()
    with pytest.raises(UsageError) as caught:
        Design.load(copy)
    assert [(Path(p.what.split()[0]).name, p.why) for p in caught.value.problems] == [
        ("graph.safetensors", "no such file or directory"),
        ("program.txt", "the file was changed"),
    ]
    design.save(copy)
    assert str(Design.load(copy).program) == str(design.program)
    assert (copy / "left.over").exists()


def test_a_recompilation_removes_what_is_no_longer_made(design: Design, tmp_path: Path) -> None:
    place = tmp_path / "again"
    design.save(place)
    (place / TRACED).write_text("of an earlier machine")
    bare = Samples(design.samples.images[:4])
    dataclasses.replace(design, samples=bare, quantization={}).save(place)
    assert not (place / TRACED).exists()
    assert not (place / "data/labels.npy").exists()
    assert not (place / "quantization.json").exists()
    assert len(Design.load(place).samples) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "gates"}, "level must be one of program, csim, rtl, not 'gates'"),
        ({"simulator": "x"}, "simulator must be one of verilator, icarus, not 'x'"),
        ({"samples": 398}, "samples must be in 1..397, the number in the build folder, not 398"),
        ({"samples": 0}, "samples must be in 1..397, the number in the build folder, not 0"),
    ],
)
def test_simulate_refuses(design: Design, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        design.simulate(**arguments)
    assert str(caught.value) == message


def test_compile_refuses_what_does_not_fit(design: Design) -> None:
    with pytest.raises(DoesNotFit):
        hlsgen.compile(design.graph, board="ulx3s-85f", array="16x16x8")
    with pytest.raises(UsageError, match="array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '4x4'"):
        hlsgen.compile(design.graph, array="4x4")
    assert parse_array("1x2x4") == (1, 2, 4)


def test_compile_without_samples_makes_some(design: Design) -> None:
    made = hlsgen.compile(design.graph, array=(2, 2, 2))
    assert made.simulate("program", samples=1).images == 1
    assert made.report().accuracy.logits_db is None


def test_images_are_rounded_half_up_and_saturated(design: Design) -> None:
    kind = dataclasses.replace(design.graph.input_type, scale=0.5)
    image = np.zeros((1, 8, 8))
    image[0, 0, :6] = [0.25, -0.25, 0.7, 1000, -1000, 0.24]
    with pytest.warns(ClippedInput, match=r"3\.1% of the pixels are clipped: they lie outside -64\.\.63\.5"):
        warn_of_clipped(image, kind)
    integers = quantize_images(image, kind)
    np.testing.assert_array_equal(integers[0, 0, :6], [1, 0, 1, 127, -128, 0])
    with pytest.raises(UsageError, match=re.escape("images must have shape [N, 1, 8, 8], not [2, 8, 8]")):
        quantize_images(np.zeros((2, 8, 8)), kind)
    with pytest.raises(UsageError, match="images must be finite real numbers"):
        quantize_images(np.full((1, 8, 8), np.nan), kind)


def test_a_folder_keeps_a_bounded_number_of_images() -> None:
    from hlsgen.frontend.inputs.images import Data
    from hlsgen.ir import GraphBuilder, TensorType
    from hlsgen.ops import Patches

    real, integer = (
        GraphBuilder("image", kind) for kind in (TensorType((1, 2, 2)), TensorType((1, 2, 2), -128, 127, 1.0))
    )
    first, second = (
        made.finish(made.add("patches", Patches(patch=(2, 2)), ["image"])) for made in (real, integer)
    )
    samples = make_samples(first, second, Data(np.ones((KEPT + 1, 1, 2, 2), np.float32)))
    assert len(samples) == KEPT


def test_simulate_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(folder), "--samples", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"program: 2 images, \d+ tensors each, \d+ elements, all equal to golden", first)
    assert re.fullmatch(r"classes \d \d; [012] of 2 as labelled", second)
    assert main(["simulate", str(folder), "--samples", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["equal"], document["images"]) == (0, True, 2)


def test_the_cpp_equals_golden_on_all_held_out_images(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(folder), "--level", "csim"]) == 0
    assert "csim: 397 images" in capsys.readouterr().out


def test_what_lies_in_the_folder_is_what_runs(design: Design, tmp_path: Path, capsys: Any) -> None:
    """A C++ source changed by hand is refused; one that the manifest lists so runs, and exits with 5."""
    place = tmp_path / "changed"
    design.save(place)
    source = place / "hls/drain_add.hpp"
    text = source.read_text()
    changed = text.replace("-32768, 32767)", "-32768, 100)")
    assert changed != text
    source.write_text(changed)
    command = ["simulate", str(place), "--level", "csim", "--samples", "1"]
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f"hlsgen: error: {source} must be as it was compiled\n"
        "  why: the file was changed\n  fix: hlsgen compile again\n"
    )
    sign(place)
    assert main(command) == 5
    error = capsys.readouterr().err
    assert re.match(r"hlsgen: error: image 0: \w+\[\d+, \d+\]: golden \d+, got 100 \(command 0, ", error)


def test_the_rtl_equals_golden(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(folder), "--level", "rtl", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == 16
    digest = json.loads((folder / "manifest.json").read_text())["files"][PLAIN]
    assert document["verilog"] == {"sha256": digest, "itself": False}
    assert "trace_tile_valid" in (folder / TRACED).read_text()
    assert "trace_tile_valid" not in (folder / PLAIN).read_text()
    counters = document["counters"][0]
    assert sum(counters[reason.title] for reason in REASONS) <= counters["cycles"]
    assert document["utilisation"] == document["macs"] / (
        max(c["cycles"] for c in document["counters"]) * 128
    )


def test_images_of_the_user_s_are_simulated_too(design: Design) -> None:
    data = load_data("digits", heldout=True)
    assert data.labels is not None
    stored = design.simulate("program", samples=3)
    given = design.simulate("program", samples=data.images[:3], labels=data.labels[:3])
    assert given == stored
    assert design.simulate("program", samples=data.images[2]).classes == stored.classes[2:]
    assert design.simulate("program", samples=data.images[:20]).images == 20  # all, not what takes seconds
    assert design.simulate("program", samples=data.images[:2]).labels == ()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8, 8)), None, "images must have shape [N, 1, 8, 8], not [2, 8, 8]"),
        (np.zeros((2, 1, 8, 9)), None, "images must have shape [N, 1, 8, 8], not [2, 1, 8, 9]"),
        (np.zeros((0, 1, 8, 8)), None, "at least one image is needed"),
        (np.full((1, 8, 8), np.inf), None, "images must be finite real numbers"),
        (np.zeros((2, 1, 8, 8)), np.zeros(3, np.int64), "samples: labels must be 2, not 3"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    design: Design, images: np.ndarray, labels: np.ndarray | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        design.simulate(samples=images, labels=labels)
    assert str(caught.value) == message


def test_images_from_a_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_data("digits", heldout=True)
    np.savez(tmp_path / "mine.npz", images=data.images[5:9], labels=data.labels[5:9])  # type: ignore[index]
    assert main(["simulate", str(folder), "--images", str(tmp_path / "mine.npz")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("program: 4 images, ")
    assert second.endswith("of 4 as labelled")
    assert main(["simulate", str(folder), "--images", str(tmp_path / "mine.npz"), "--samples", "2"]) == 0
    assert capsys.readouterr().out.startswith("program: 2 images, ")
    np.save(tmp_path / "other.npy", np.zeros((2, 1, 9, 8), np.float32))
    assert main(["simulate", str(folder), "--images", str(tmp_path / "other.npy")]) == 2
    assert "images must be 1x8x8, not 1x9x8" in capsys.readouterr().err


def test_golden_runs_once_over_the_samples(design: Design, tmp_path: Path, monkeypatch: Any) -> None:
    import hlsgen.store.compiled as module

    seen: list[int] = []

    def counted(graph: Any, images: np.ndarray, **rest: Any) -> np.ndarray:
        seen.append(len(images))
        return outputs(graph, images, **rest)

    from hlsgen.ir import outputs

    monkeypatch.setattr(module, "outputs", counted)
    bare = dataclasses.replace(design, samples=design.samples.first(5), _known={})
    bare.save(tmp_path / "once").report()
    assert seen == [4]  # the first one with all its tensors
    logits, tensors = bare.sample_golden
    np.testing.assert_array_equal(logits, design.logits(design.samples.images[:5]))
    assert tensors.keys() == evaluate(design.graph, design.samples.images[0]).keys()
    other = dataclasses.replace(bare, samples=design.samples.first(2))
    assert len(other.sample_golden[0]) == 2  # what is known is of other samples


def test_a_design_is_shown_in_a_line(design: Design) -> None:
    assert re.fullmatch(
        r"Design\('digits', board='ulx3s-85f', array=4x4x8, commands=\d+, samples=397, directory='.*'\)",
        repr(design),
    )


_NO_TORCH = """
import sys
sys.modules["torch"] = None
from hlsgen.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--array", "8x8"), 2, "array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '8x8'"),
        (("--board", "nexys"), 2, "board must be one of kv260, "),
        (("--array", "3x4x8", "--row-width", "2"), 2, "row_width must be a power of two that divides rows"),
        (("--attention", "streamed"), 2, "attention must be resident on ulx3s-85f"),
        (("--array", "16x16x16"), 4, "the 16x16x16 array must need at most 143 DSP blocks on ulx3s-85f"),
        (("-o", "FILE"), 2, "FILE must be a folder, not a file"),
        (("-o", "FILE/below"), 2, "FILE must be a folder, not a file"),
        (("-o", "FOREIGN"), 2, "FOREIGN must be empty, new, or a build folder of hlsgen"),
        (("-o", "/proc/nowhere"), 2, "/proc/nowhere can't be written"),
        (("--calibration", "/nowhere.npy"), 2, "there is no data '/nowhere.npy'"),
        (("--samples", "/nowhere.npy"), 2, "there is no data '/nowhere.npy'"),
    ],
)
def test_what_is_wrong_is_said_before_pytorch_is_loaded(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/mine").touch()
    names = {"FILE": str(tmp_path / "file"), "FOREIGN": str(tmp_path / "foreign")}

    def named(text: str) -> str:
        for name, path in names.items():
            text = text.replace(name, path)
        return text

    given = ["-o", str(tmp_path / "new"), *map(named, arguments)]
    command = [sys.executable, "-c", _NO_TORCH, "compile", "deit-tiny", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert named(message) in done.stderr
    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "foreign"]


def test_all_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        hlsgen.build("digits", "/proc/x", board="nexys", array="4x4", span=-1)
    assert [problem.what.split(",")[0] for problem in caught.value.problems] == [
        "board must be one of kv260",
        "array must be ROWSxCOLUMNSxDEPTH",
    ]
