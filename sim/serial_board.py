# SPDX-License-Identifier: Apache-2.0
"""A board's netlist in Verilator, at its pins; its serial port is a terminal for the host's program."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlsgen.errors import Mismatch, UsageError
from hlsgen.errors.codes import Code
from hlsgen.sim import library, verilator
from hlsgen.sim.netlist import Netlist
from hlsgen.sim.place import build_place
from hlsgen.store.cache import kept_file, key

NAME = "board"
"""The module's name."""
POLL_SECONDS = 0.1
"""How often one looks whether the simulator has ended."""
LIMIT_CYCLES = 4_000_000
"""How long a board may be busy without moving its serial line; its watchdog ends an image sooner."""
_ENDS = {
    3: f"the netlist must answer a request within {LIMIT_CYCLES} cycles: it did not",
    4: "the netlist must send every byte with its stop bit: it did not",
}


@dataclass(frozen=True)
class SerialBoard:
    """The built simulator. bit_cycles: cycles of the core for one bit of the serial port."""

    executable: Path
    bit_cycles: float

    @contextmanager
    def port(self, over: threading.Event | None = None) -> Iterator[str]:
        """Switch the board on; gives its terminal's name, and ends the simulator, also once `over` is set.

        Once the simulator has ended by itself, the host reads zeros, and no answer begins with them.
        `Mismatch` is raised then, in place of the host's error.
        """
        ours, theirs = os.openpty()
        tty.setraw(ours)
        tty.setraw(theirs)
        command = [str(self.executable), f"{self.bit_cycles!r}", str(LIMIT_CYCLES)]
        with subprocess.Popen(command, stdin=ours) as process:
            watcher = threading.Thread(
                target=_tell_the_host, args=(process, ours, over or threading.Event()), daemon=True
            )
            watcher.start()
            try:
                yield os.ttyname(theirs)
            except Exception:
                _raise_end(process.poll())
                raise
            finally:
                process.terminate()
                watcher.join()
                os.close(theirs)
                os.close(ours)


def _tell_the_host(process: subprocess.Popen[bytes], terminal: int, over: threading.Event) -> None:
    while process.poll() is None:
        if over.wait(POLL_SECONDS):
            process.terminate()
            process.wait()
    os.write(terminal, bytes(2))


def _raise_end(code: int | None) -> None:
    """Raise `Mismatch` when the simulator ended by itself."""
    if code is not None:
        raise Mismatch(_ENDS.get(code, f"the netlist's simulator ended with {code}"), code=Code.NETLIST)


def build_board(netlist: Netlist, bit_cycles: float, folder: Path) -> SerialBoard:
    """The simulator of a netlist whose module is `NAME`, from `folder` if it was built there before.

    Raises `ToolMissing`, `ToolFailed`, or `UsageError` for ports that are not a board's.
    """
    source, pins = Path(__file__).with_suffix(".cpp"), _pins(netlist)
    name = key(f"{pins} {verilator.version()}", source.read_bytes(), netlist.text)

    def compile_in(work: Path) -> None:
        (work / f"{NAME}.v").write_text(netlist.text)
        shutil.copy(source, work)
        names = ("--prefix", f"V{NAME}", "--top-module", NAME, f"{NAME}.v", source.name)
        library.build(work, ("-CFLAGS", pins, *names), NAME)

    executable = kept_file(build_place(folder) / f"netlist-{name}" / NAME, compile_in)
    return SerialBoard(executable, bit_cycles)


def _pins(netlist: Netlist) -> str:
    """The board's own names, for the simulator: of its clock and its lights, which a 0 may light."""
    ports = netlist.ports
    clocks = [name for name, way in ports.items() if way == "input" and name != "uart_rx"]
    lights = [name for name in ("led", "led_n") if ports.get(name) == "output"]
    if ports.get("uart_rx") != "input" or ports.get("uart_tx") != "output" or len(clocks) != 1 or not lights:
        rule = "a clock, uart_rx, uart_tx, and led or led_n"
        raise UsageError(f"the board's ports must be {rule}, not {', '.join(ports)}")
    return f"-DCLOCK={clocks[0]} -DLIGHTS={lights[0]} -DLOW={int(lights[0] == 'led_n')}"
