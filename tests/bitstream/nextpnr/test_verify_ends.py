# SPDX-License-Identifier: Apache-2.0
"""Boards in simulation end with the call that switched them on, however it ends."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hlsgen.bitstream.nextpnr.verify import _run_all
from hlsgen.errors import Mismatch
from hlsgen.host.processes import Ended, signals_end
from hlsgen.sim.serial_board import SerialBoard

HOUR = 3600.0


class Device:
    """A host's device: it waits for an answer until the board is off, as a terminal tells it."""

    def __init__(self, port: str) -> None:
        self._file = os.open(port, os.O_RDONLY | os.O_NOCTTY)

    def wait(self) -> None:
        os.read(self._file, 2)
        raise TimeoutError("zeros")

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def board(tmp_path: Path) -> SerialBoard:
    """A simulator that never answers."""
    program = tmp_path / "board"
    program.write_text("#!/bin/sh\nexec sleep 3600\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return SerialBoard(program, 4.0)


def test_a_signal_switches_all_boards_off(board: SerialBoard) -> None:
    waiting = threading.Barrier(3)

    def run(device: Any, _: int) -> int:
        waiting.wait(20)
        device.wait()
        return 0

    def kill() -> None:
        waiting.wait(20)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=kill, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(Ended), signals_end():
        _run_all(board, [[0], [1]], Device, run)
    assert time.monotonic() - begun < HOUR / 60


def test_the_first_failure_is_told_and_the_others_are_not_waited_for(board: SerialBoard) -> None:
    waiting = threading.Event()

    def run(device: Any, index: int) -> int:
        if index == 1:
            waiting.wait(20)
            raise Mismatch("image 1 differs")
        waiting.set()
        device.wait()
        return 0

    with pytest.raises(Mismatch, match="image 1 differs"):
        _run_all(board, [[0], [1]], Device, run)


def test_cycles_come_in_the_order_of_the_images(board: SerialBoard) -> None:
    assert _run_all(board, [[0, 1], [2], [3, 4]], Device, lambda _, index: 10 * index) == [0, 10, 20, 30, 40]
