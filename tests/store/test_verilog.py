# SPDX-License-Identifier: Apache-2.0
"""What is simulated is what is delivered: `rtl/top.v` of the build folder, by digest."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.folders import design, sign

from hlsgen import Design
from hlsgen.cli import main
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Mismatch, UsageError
from hlsgen.sim import cosim
from hlsgen.sim.levels import build_folder
from hlsgen.store.files import sha256
from hlsgen.store.paths import PLAIN, TRACED


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return design().save(tmp_path_factory.mktemp("verilog") / "a")


def _place(saved: Design) -> Path:
    assert saved.directory is not None
    return saved.directory


def _invert(text: str) -> str:
    """One result turned round: what is written to memory."""
    width = re.search(r"^  wire (\[\d+:0\]) m_axi_wdata;$", text, re.MULTILINE)
    assert width is not None
    turned = f"{width[0]}\n  wire {width[1]} turned;\n  assign m_axi_wdata = ~turned;"
    return text.replace(width[0], turned, 1).replace("wdata(m_axi_wdata)", "wdata(turned)", 1)


def test_the_delivered_text_is_the_one_that_is_simulated(
    saved: Design, capsys: pytest.CaptureFixture
) -> None:
    place = _place(saved)
    delivered = (place / PLAIN).read_text()
    assert main(["simulate", str(place), "--level", "rtl", "--samples", "2"]) == 0
    line = f"{PLAIN} {sha256(delivered.encode())[:12]}: the generator's text of this machine, simulated with"
    assert line in capsys.readouterr().out
    (place / TRACED).write_text("of nobody")
    assert saved.simulate("rtl", samples=1).verilog is not None
    assert (place / TRACED).read_text() == rtl_text(saved.program.parameters, saved.rtl_target, trace=True)


def test_a_changed_text_is_refused_by_every_verb(saved: Design, capsys: pytest.CaptureFixture) -> None:
    place = _place(saved)
    text = (place / PLAIN).read_text()
    (place / PLAIN).write_text(_invert(text))
    for verb in (["simulate"], ["simulate", "--level", "rtl"], ["export"], ["report"]):
        assert main([*verb, str(place)]) == 2
        wanted = f"{place}/{PLAIN} must be as it was compiled\n  why: the file was changed"
        assert wanted in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"rtl/top\.v must be as it was compiled"):
        saved.export()  # it was loaded before
    with pytest.raises(UsageError, match=r"rtl/top\.v must be as it was compiled"):
        saved.simulate("rtl", samples=1)
    (place / PLAIN).write_text(text)


def test_another_text_than_this_generators_runs_itself(saved: Design, tmp_path: Path) -> None:
    """As in a folder of another version: the manifest lists it, but it does something else."""
    place = tmp_path / "other"
    shutil.copytree(_place(saved), place)
    (place / PLAIN).write_text(_invert((place / PLAIN).read_text()))
    sign(place)
    loaded = Design.load(place)
    with pytest.raises(
        Mismatch, match=r"rtl/top\.v, image 0 of its batch: it must do the same .*, output not eq"
    ):
        loaded.simulate("rtl", samples=1)
    assert (loaded.export() / "top.v").read_bytes() == (place / PLAIN).read_bytes()
    with pytest.raises(
        UsageError, match=r"rtl/top\.v must be what this version generates, for an export to ulx"
    ):
        loaded.export("ulx3s-85f")


def test_an_exported_project_holds_the_verified_text(saved: Design, tmp_path: Path) -> None:
    place = saved.export(directory=tmp_path / "board")
    assert (place / "top.v").read_bytes() == (_place(saved) / PLAIN).read_bytes()


def test_both_texts_of_a_machine_do_the_same_in_every_cycle(saved: Design) -> None:
    """Tensors are seen in the traced text; the delivered one has no trace ports, and no other difference."""
    parameters, place = saved.program.parameters, build_folder(saved)
    inputs = [saved.program.input.pack(image, parameters.columns) for image in saved.samples.images]
    texts = {trace: rtl_text(parameters, saved.rtl_target, trace=trace) for trace in (True, False)}
    harnesses = [
        cosim.build(parameters, place, trace=trace, text=text, quick=True) for trace, text in texts.items()
    ]
    traced, plain = (harness.run(saved.packed_image, inputs) for harness in harnesses)
    for one, other in zip(traced, plain, strict=True):
        assert one.output == other.output
        assert {**one.counters, "records": 0} == {**other.counters, "records": 0}
