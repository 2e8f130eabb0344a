# SPDX-License-Identifier: Apache-2.0
"""A RISC-V processor drives the RTL with the C driver: images for two tasks, every error code."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hlsgen.bitstream.machine import self_test
from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.emit.device import Vectors
from hlsgen.emit.driver import c_driver
from hlsgen.errors import Mismatch, ToolFailed, ToolMissing
from hlsgen.ir import evaluate
from hlsgen.machine.format.commands import Product
from hlsgen.machine.format.interface import DriverError, Error
from hlsgen.sim import soc
from hlsgen.sim.levels import build_folder
from tests.support.tasks_design import CHOICES, TOKENS, tasks_design

pytestmark = pytest.mark.skipif(shutil.which(soc.COMPILER) is None, reason="RISC-V's compiler is missing")
WORDS = 1 << 16
"""Of the memory, as `hlsgen simulate` chooses it for this design: one simulator serves all tests."""
PROVOKE = {"provoke.c": (soc.FOLDER / "provoke.c").read_text()}
IMAGES = 8


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """A mixture of experts with two tasks; the slow tests of `tests/whole` run the digits."""
    return tasks_design(IMAGES).save(tmp_path_factory.mktemp("soc") / "moe")


@pytest.fixture(scope="module")
def text(design: Design) -> str:
    assert design.directory is not None
    return (design.directory / "rtl/top.v").read_text()


@pytest.fixture(scope="module")
def system(design: Design, text: str) -> soc.System:
    return soc.build(text, design.program.parameters.bus_bytes, WORDS, build_folder(design))


def run(design: Design, text: str, runs: list[soc.Run]) -> list[soc.Done]:
    """The system is built once: its name is that of text and words."""
    place = build_folder(design)
    return soc.run_plan(design.graph, design.program, design.image, runs, place, text=text, words=WORDS)


def vectors(design: Design, count: int) -> Vectors:
    found = self_test(design)
    others = tuple(values[:count] for values in found.others)
    return Vectors(images=found.images[:count], outputs=found.outputs[:count], others=others)


def test_the_machine_has_products_and_an_image_of_windows(design: Design) -> None:
    """So every test here and in `test_pynq_model.py` is of such a machine, too."""
    program = design.program
    assert {command.product for command in program.commands} == {*Product} - {Product.MAPS}
    assert min(program.input.lines) == min(program.input.pixels(4)) == -1
    assert program.input.words * 4 > 2 * int(np.prod(design.graph.input_type.shape))


def test_images_for_two_tasks_in_turn(design: Design, text: str) -> None:
    """One firmware, sixteen runs: every integer, and the tokens of each expert, are golden's."""
    runs = soc.plan(design.graph, design.samples.images[:IMAGES], (0, 1))
    done = run(design, text, runs)
    assert len(done) == len(runs) == 2 * IMAGES
    for index, (one, item) in enumerate(zip(runs, done, strict=True)):
        golden = evaluate(design.graph, design.samples.images[index // 2], index % 2)
        (output,) = item.outputs
        np.testing.assert_array_equal(output, golden[design.graph.outputs[index % 2]].reshape(output.shape))
        assert one.task == index % 2
        tokens = sum(count for count, _ in item.experts)
        assert tokens == CHOICES * TOKENS
        assert 0 < item.counters["cycles"] < item.processor_cycles


def test_every_code_is_provoked_and_the_next_image_is_right(design: Design, system: soc.System) -> None:
    files = c_driver(design.graph, design.program, design.image, vectors(design, 1))
    code = soc.firmware(files, PROVOKE, WORDS)
    provoked = set(system.run(code, 40_000_000).words.tolist())
    assert provoked == {int(error) for error in (*Error, *DriverError)} - {0}


def test_a_wrong_output_is_told(design: Design, text: str) -> None:
    (one,) = soc.plan(design.graph, design.samples.images[:1], (1,))
    wrong = one.expected[0].copy()
    wrong[..., 1, 2] += 1
    message = (
        rf"the firmware failed: run 0, output {wrong.shape[-1] + 2} must be {wrong[..., 1, 2].item()}, not "
    )
    with pytest.raises(Mismatch, match=message):
        run(design, text, [replace(one, expected=(wrong,))])


def test_a_driver_that_forgets_its_cache_is_caught(design: Design, system: soc.System) -> None:
    """Each call of a hook is left out in turn; what is left must fail."""
    files = c_driver(design.graph, design.program, design.image, vectors(design, 2))
    text = files["hlsgen.c"]
    assert isinstance(text, str)
    for hook in (
        "invalidate(device, device->output, device->workspace - device->output)",
        "flush(device, 0, device->input)",
        "flush(device, device->input, device->output - device->input)",
    ):
        assert f"{hook};" in text
        forgetful = files | {"hlsgen.c": text.replace(f"{hook};", "(void)device;")}
        code = soc.firmware(forgetful, SELF_TEST, WORDS)
        with pytest.raises(Mismatch, match=r"ended with code (1|76)\n"):
            system.run(code, 40_000_000)


SELF_TEST = {
    "main.c": """
#include "board.h"
extern const uint8_t hlsgen_vectors[], hlsgen_vectors_end[];
int main(void)
{
    const hlsgen_port port = board_port();
    static hlsgen_device device;
    const size_t bytes = (size_t)(hlsgen_vectors_end - hlsgen_vectors);
    int code = hlsgen_open(&device, &port, &hlsgen_model);

    if (code == HLSGEN_OK)
        code = hlsgen_adopt(&device);
    return code == HLSGEN_OK ? hlsgen_self_test(&device, hlsgen_vectors, bytes, 1000000, 0) : code;
}
"""
}


def test_the_command_line(design: Design, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["simulate", str(design.directory), "--level", "soc", "--samples", "1", "--task", "0"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("task 0\nsoc: 1 images, the output of each, 3 elements, all equal to golden\n")
    assert "it ran itself, driven by the C driver on a RISC-V processor" in shown
    assert "with the driver, from image to integers: " in shown


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="riscv64-unknown-elf-gcc not found"):
        soc.compiler()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolMissing, match="PicoRV32 is missing"):
        soc.processor()


def test_a_firmware_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="the firmware must have at most 8 bytes, not 9"):
        soc.System(tmp_path, 2).run(bytes(9), 1)
