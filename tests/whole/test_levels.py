# SPDX-License-Identifier: Apache-2.0
"""The digits example at every level: all equal to golden, with stored images and the user's own."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import sign
from support.said import without_steps

from hlsgen import Design
from hlsgen.cli import main
from hlsgen.errors import Mismatch, UsageError
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import evaluate
from hlsgen.machine.format.interface import REASONS
from hlsgen.store.paths import PLAIN, TRACED


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "gates"}, "level must be one of program, csim, rtl, soc, not 'gates'"),
        ({"simulator": "x"}, "simulator must be one of verilator, icarus, not 'x'"),
        ({"samples": 398}, "samples must be in 1..397, the number in the build folder, not 398"),
        ({"samples": 0}, "samples must be in 1..397, the number in the build folder, not 0"),
    ],
)
def test_simulate_refuses(design: Design, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        design.simulate(**arguments)
    assert str(caught.value) == message


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
    assert without_steps(capsys.readouterr().err) == (
        f"hlsgen: error: {source} must be as it was compiled\n"
        "  why: the file was changed\n  fix: hlsgen compile again\n"
        "  more: hlsgen explain HG004\n"
    )
    sign(place)
    assert main(command) == 5
    error = without_steps(capsys.readouterr().err)
    assert re.match(r"hlsgen: error: image 0: \w+\[\d+, \d+\]: golden \d+, got 100 \(command 0, ", error)


def test_the_rtl_equals_golden(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(folder), "--level", "rtl", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == 16
    digest = json.loads((folder / "manifest.json").read_text())["files"][PLAIN]
    assert document["verilog"] == {"sha256": digest, "itself": False, "alone": False}
    assert "trace_tile_valid" in (folder / TRACED).read_text()
    assert "trace_tile_valid" not in (folder / PLAIN).read_text()
    counters = document["counters"][0]
    assert sum(counters[reason.title] for reason in REASONS) <= counters["cycles"]
    assert document["utilisation"] == document["macs"] / (
        max(c["cycles"] for c in document["counters"]) * 128
    )


@pytest.mark.slow
def test_a_processor_runs_the_digits_with_the_c_driver(folder: Path, capsys: Any) -> None:
    assert main(["simulate", str(folder), "--level", "soc", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["images"], document["elements"], document["classes"]) == (8, 80, document["labels"])
    digest = json.loads((folder / "manifest.json").read_text())["files"][PLAIN]
    assert document["verilog"] == {"sha256": digest, "itself": False, "alone": True}
    cycles = [counters["cycles"] for counters in document["counters"]]
    assert all(a < b for a, b in zip(cycles, document["processor_cycles"], strict=True))


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
