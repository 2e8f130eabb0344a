# SPDX-License-Identifier: Apache-2.0
"""The Vivado project: as text, and its Tcl run in tclsh on stand-ins for Vivado's commands."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.graphs import TINY, integer_vit

from hlsgen.boards import load_board
from hlsgen.emit.driver import FILES
from hlsgen.emit.render import module_ports
from hlsgen.emit.vivado.project import WRAPPER, Vectors, vivado_project
from hlsgen.errors import UsageError
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape

MOCKS = Path(__file__).parents[2] / "mock_tools"
TOP = "".join(
    line for line in (MOCKS / "top.v").read_text().splitlines(keepends=True) if "trace_" not in line
).replace("_BUILD_ID_", "00000000")
needs_tcl = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh")


@functools.cache
def project(board: str = "zcu102", name: str = "digits", bus_bytes: int = 16) -> dict[str, str | bytes]:
    graph = integer_vit(TINY)
    lowered = lower(graph, ArrayShape(rows=2, columns=4, depth=2, bus_bytes=bus_bytes))
    vectors = Vectors(images=np.zeros((2, 1, 2, 2)), outputs=np.zeros((2, 2)))
    return vivado_project(
        load_board(board), TOP, graph, lowered.program, lowered.image, vectors=vectors, name=name
    )


def text(path: str, **options: str) -> str:
    data = project(**options)[f"vivado/{path}"]
    assert isinstance(data, str)
    return data


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / "vivado"


def run(
    folder: Path, script: str = "project.tcl", *arguments: str, **environ: str
) -> tuple[int, str, list[list[str]]]:
    """Exit code, output and recorded calls of a script, started in another folder than its own."""
    record = folder / "calls.txt"
    record.unlink(missing_ok=True)
    done = subprocess.run(
        ["tclsh", str(MOCKS / "vivado.tcl"), str(record), str(folder / script), *arguments],
        cwd=folder.parent, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    lines = record.read_text().splitlines() if record.exists() else []
    return done.returncode, done.stdout, [split(line) for line in lines]


def split(line: str) -> list[str]:
    """The elements of a Tcl list without nested braces."""
    return [a or b for a, b in re.findall(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}|(\S+)", line)]


def named(calls: list[list[str]], name: str) -> list[list[str]]:
    return [call[1:] for call in calls if call[0] == name]


def test_files() -> None:
    assert sorted(project()) == [
        "vivado/LICENSE", "vivado/Makefile", "vivado/README.md", "vivado/constraints.xdc",
        *(f"vivado/driver/c/{name}" for name in sorted([*FILES, "image.bin", "vectors.bin"])),
        "vivado/driver/design.json",
        "vivado/driver/hlsgen_driver.py", "vivado/driver/image.bin", "vivado/driver/vectors.npz",
        "vivado/hlsgen_accelerator.v", "vivado/package_ip.tcl", "vivado/project.tcl", "vivado/top.v",
    ]  # fmt: skip
    project.cache_clear()
    first = project()
    project.cache_clear()
    assert project() == first


@needs_tcl
@pytest.mark.parametrize("board", ["zcu102", "kv260"])
def test_the_whole_flow_runs_in_order(tmp_path: Path, board: str) -> None:
    folder = write(tmp_path, project(board))
    code, output, calls = run(folder)
    assert code == 0, output
    order = [call[0] for call in calls]
    milestones = [
        "create_project", "add_files", "create_bd_design", "create_bd_cell", "connect_bd_intf_net",
        "connect_bd_net", "assign_bd_address", "validate_bd_design", "save_bd_design", "generate_target",
        "make_wrapper", "launch_runs", "report_utilization", "report_timing_summary", "write_hw_platform",
    ]  # fmt: skip
    assert [order.index(name) for name in milestones] == sorted(order.index(name) for name in milestones)
    assert named(calls, "create_project")[0][2:] == ["-part", load_board(board).part, "-force"]
    assert named(calls, "launch_runs") == [
        ["synth_1", "-jobs", "4"],
        ["impl_1", "-to_step", "write_bitstream", "-jobs", "4"],
    ]
    built = {path.name for path in (folder / "build").iterdir() if path.is_file()}
    assert built == {"digits.bit", "digits.hwh", "digits.xsa", "utilization.txt", "timing.txt", "summary.txt"}
    assert "WARNING: no board files for xilinx.com:" in output
    assert not named(calls, "apply_bd_automation")


@needs_tcl
def test_every_pin_that_is_connected_exists_and_is_driven_once(tmp_path: Path) -> None:
    _, _, calls = run(write(tmp_path, project()))
    wrapper = text(f"{WRAPPER}.v")
    ports = module_ports(wrapper, WRAPPER)
    interfaces = set(re.findall(r"aximm:1\.0 (\w+) ", wrapper))
    assert interfaces == {"s_axil", "m_axi"}
    cells = {
        call[-1]: call[call.index("-vlnv") + 1] for call in named(calls, "create_bd_cell") if "-vlnv" in call
    }
    assert cells == {
        "ps": "xilinx.com:ip:zynq_ultra_ps_e", "reset": "xilinx.com:ip:proc_sys_reset",
        "control": "xilinx.com:ip:smartconnect", "memory": "xilinx.com:ip:smartconnect",
    }  # fmt: skip
    assert [call for call in named(calls, "create_bd_cell") if "-reference" in call] == [
        ["-type", "module", "-reference", WRAPPER, "accelerator"]
    ]
    assert named(calls, "connect_bd_intf_net") == [
        ["ps/M_AXI_HPM0_FPD", "control/S00_AXI"],
        ["control/M00_AXI", "accelerator/s_axil"],
        ["accelerator/m_axi", "memory/S00_AXI"],
        ["memory/M00_AXI", "ps/S_AXI_HP0_FPD"],
    ]
    nets = named(calls, "connect_bd_net")
    driven = [sink for _, sink in nets]
    assert len(driven) == len(set(driven))
    plain = {pin.split("/")[1] for net in nets for pin in net if pin.startswith("accelerator/")}
    assert plain == {name for name in ports if not name.startswith(tuple(f"{i}_" for i in interfaces))}
    sources = {sink: source for source, sink in nets}
    assert sources["accelerator/rst"] == "reset/peripheral_reset"
    clocked = {sink for sink, source in sources.items() if source == "ps/pl_clk0"}
    assert clocked == {
        "ps/maxihpm0_fpd_aclk", "ps/saxihp0_fpd_aclk", "reset/slowest_sync_clk", "control/aclk",
        "memory/aclk", "accelerator/clk",
    }  # fmt: skip
    assert sources["ps/pl_ps_irq0"] == sources["done_led"] == "accelerator/irq"


@needs_tcl
def test_the_processing_system_is_set_up(tmp_path: Path) -> None:
    code, output, calls = run(write(tmp_path, project()), MOCK_BOARD_FILES="1")
    assert code == 0, output
    assert "WARNING" not in output
    assert ["board_part", "xilinx.com:zcu102:part0:9.9", "project"] in named(calls, "set_property")
    order = [call[0] for call in calls]
    settings = next(call for call in named(calls, "set_property") if call[-1] == "ps")
    assert order.index("apply_bd_automation") < calls.index(["set_property", *settings])
    words = split(settings[1])
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    assert pairs == {
        "CONFIG.PSU__USE__M_AXI_GP0": "1",
        "CONFIG.PSU__USE__M_AXI_GP1": "0",
        "CONFIG.PSU__USE__M_AXI_GP2": "0",
        "CONFIG.PSU__USE__S_AXI_GP2": "1",
        "CONFIG.PSU__SAXIGP2__DATA_WIDTH": "128",
        "CONFIG.PSU__USE__IRQ0": "1",
        "CONFIG.PSU__FPGA_PL0_ENABLE": "1",
        "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": "300",
    }


@needs_tcl
def test_goals_stop_where_they_say(tmp_path: Path) -> None:
    folder = write(tmp_path, project())
    code, output, calls = run(folder, "project.tcl", "project")
    assert (code, named(calls, "launch_runs")) == (0, []), output
    code, output, calls = run(folder, "project.tcl", "synthesis")
    assert (code, named(calls, "launch_runs")) == (0, [["synth_1", "-jobs", "4"]]), output
    code, output, calls = run(folder, "project.tcl", "everything")
    assert (code, calls) == (1, [])
    assert "the goal must be project, synthesis or bitstream, not everything" in output


@needs_tcl
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MOCK_SLACK": "-0.25"}, "timing must be met at 300 MHz: the worst slack is -0.25 ns"),
        ({"MOCK_FAILS": "impl_1"}, "impl_1 failed: route_design ERROR"),
        ({"MOCK_NO_PART": "1"}, "this Vivado has no files for the device xczu9eg-ffvb1156-2-e"),
    ],
)
def test_failures_end_the_script(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    folder = write(tmp_path, project())
    code, output, _ = run(folder, **environ)
    assert code == 1
    assert message in output
    assert not list((folder / "build").glob("*.bit"))


@needs_tcl
def test_a_missing_source_is_noticed(tmp_path: Path) -> None:
    folder = write(tmp_path, project())
    (folder / "top.v").unlink()
    code, output, _ = run(folder)
    assert (code, "top.v doesn't exist" in output) == (1, True)


@needs_tcl
def test_ip_packaging(tmp_path: Path) -> None:
    code, output, calls = run(write(tmp_path, project()), "package_ip.tcl")
    assert code == 0, output
    order = [call[0] for call in calls]
    assert (
        order.index("ipx::package_project")
        < order.index("ipx::check_integrity")
        < order.index("ipx::save_core")
    )
    assert ["name", "digits", "core"] in named(calls, "set_property")
    assert ["top", WRAPPER, "sources_1"] in named(calls, "set_property")


@needs_tcl
def test_constraints_are_tcl_for_ports_that_exist(tmp_path: Path) -> None:
    for board in ("zcu102", "kv260"):
        folder = write(tmp_path / board, project(board))
        code, output, calls = run(folder, "constraints.xdc")
        assert code == 0, output
        ports = {call[-1] for call in named(calls, "create_bd_port")}
        _, _, created = run(folder)
        ports = {call[-1] for call in named(created, "create_bd_port")}
        assert {call[0] for call in named(calls, "get_ports")} == ports
        assert (["PACKAGE_PIN", "AG14", "done_led"] in named(calls, "set_property")) == (board == "zcu102")


@needs_tcl
def test_names_reach_no_tool_unescaped(tmp_path: Path) -> None:
    name = 'x"; [exec touch pwned] $env(HOME) {\n`touch pwned` ; rm -rf \\ } é'
    folder = write(tmp_path, project(name=name))
    code, output, calls = run(folder)
    assert code == 0, output
    assert named(calls, "create_project")[0][0] == "x_exec_touch_pwned_env_HOME_touch_pwned_rm_rf"
    assert run(folder, "package_ip.tcl")[0] == 0
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_the_wrapper_fits_the_top(tmp_path: Path) -> None:
    folder = write(tmp_path, project())
    command = ["iverilog", "-Wall", "-Wno-timescale", "-t", "null", "-s", WRAPPER, f"{WRAPPER}.v", "top.v"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if WRAPPER in line]) == (0, [])
    ports = module_ports(text(f"{WRAPPER}.v"), WRAPPER)
    inner = module_ports(TOP, "top")
    assert inner.keys() <= ports.keys()
    assert {name: port for name, port in ports.items() if inner.get(name) != port} == {
        "s_axil_awaddr": ("in", 12), "s_axil_araddr": ("in", 12),
        "m_axi_arcache": ("out", 4), "m_axi_awcache": ("out", 4),
        "m_axi_arprot": ("out", 3), "m_axi_awprot": ("out", 3),
    }  # fmt: skip


def test_wrong_boards_and_tops_are_refused() -> None:
    with pytest.raises(UsageError, match="must be for a Zynq UltraScale\\+ board, not ulx3s-85f"):
        project("ulx3s-85f")
    graph = integer_vit(TINY)
    lowered = lower(graph, ArrayShape(rows=2, columns=4, depth=2))
    vectors = Vectors(images=np.zeros((1, 1, 2, 2)), outputs=np.zeros((1, 2)))
    wrong = TOP.replace("m_axi_awaddr", "m_axi_address").replace("irq", "interrupt")
    with pytest.raises(UsageError, match=r"look at interrupt, irq, m_axi_awaddr$"):
        vivado_project(load_board("kv260"), wrong, graph, lowered.program, lowered.image, vectors=vectors)
