# SPDX-License-Identifier: Apache-2.0
"""The host's program, at a pseudo terminal whose other end is the interpreter."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.graphs import DIGITS, images, integer_vit

from hlsgen.emit.device import Vectors, describe, pack_vectors
from hlsgen.emit.render import render
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.interface import ANSWER, REQUEST, Error
from hlsgen.machine.run.interpreter import Interpreter

GRAPH = integer_vit(DIGITS)
LOWERED = lower(GRAPH, ArrayShape(rows=4, columns=4, depth=8))
CLASSES = 10


class Fake:
    """The board at a terminal: answers with a code, or with logits, one of them changed by `fault`."""

    def __init__(self) -> None:
        self.file, peer = os.openpty()
        tty.setraw(self.file)
        tty.setraw(peer)
        self.port, self._peer = os.ttyname(peer), peer
        self.fault = self.code = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        os.close(self._peer)
        os.close(self.file)

    def _serve(self) -> None:
        size = LOWERED.program.input.words * 4
        machine = Interpreter(LOWERED.program.parameters, LOWERED.image.pack())
        while True:
            try:
                data = b""
                while len(data) < 1 + size:
                    data += os.read(self.file, 1 + size - len(data))
            except OSError:
                return
            assert data[0] == REQUEST
            if self.code:
                os.write(self.file, bytes([0x5A, self.code]))
                continue
            output = machine.run(data[1:]).output
            logits = list(LOWERED.program.output.unpack(output, LOWERED.program.parameters)[0])
            label = int(np.argmax(logits))
            logits[3] ^= self.fault
            os.write(self.file, bytes([ANSWER, 0]) + struct.pack(f"<H{CLASSES}hI", label, *logits, 12345))


@pytest.fixture
def board() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inputs = images(DIGITS, 4)
    vectors = Vectors(images=inputs, outputs=evaluate(GRAPH, inputs)[GRAPH.output])
    facts = describe(GRAPH, LOWERED.program, LOWERED.image) | {"baud": 1_000_000, "quiet_seconds": 0.01}
    (tmp_path / "design.json").write_text(json.dumps(facts))
    (tmp_path / "vectors.npz").write_bytes(pack_vectors(vectors, LOWERED.program))
    (tmp_path / "hlsgen_host.py").write_text(render("serial/hlsgen_host.py", {}))
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, str(folder / "hlsgen_host.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_self_test(board: Fake, folder: Path) -> None:
    assert run(folder, board.port) == (0, "4 images equal, 12345 cycles each\n", "")
    board.fault = 2
    code, _, error = run(folder, board.port)
    assert code == 1
    assert error.startswith("hlsgen_host: image 0, logit 3: must be ")
    assert error.count("\n") == 1


def test_real_images(board: Fake, folder: Path) -> None:
    scale = GRAPH.type_of(GRAPH.output).scale or 1.0
    batch = images(DIGITS, 3, seed=9)
    golden = evaluate(GRAPH, batch)[GRAPH.output].reshape(3, -1)
    np.save(folder / "images.npy", batch * (GRAPH.input_type.scale or 1.0))
    code, output, error = run(folder, board.port, str(folder / "images.npy"))
    assert (code, error) == (0, "")
    lines = [[str(np.argmax(row)), *(f"{value * scale:.4f}" for value in row)] for row in golden]
    assert [line.split() for line in output.splitlines()] == lines


def test_errors(board: Fake, folder: Path) -> None:
    board.code = Error.WATCHDOG
    code, _, error = run(folder, board.port)
    assert code == 1
    assert error == f"hlsgen_host: error 0xa: {Error.WATCHDOG.text}\n"
    code, _, error = run(folder)
    assert code == 2
    assert "python hlsgen_host.py /dev/ttyUSB0 images.npy" in error


def test_a_wrong_port_is_one_line(folder: Path, tmp_path: Path) -> None:
    missing, plain = str(tmp_path / "no port"), tmp_path / "file"
    plain.write_text("")
    rule = "hlsgen_host: port must be a serial port"
    for port, wanted in (
        (missing, f"{rule} that can be opened, not {missing} (No such file or directory): "),
        (str(tmp_path), f"{rule} that can be opened, not {tmp_path} (Is a directory): "),
        (str(plain), f"{rule} with 1000000 bits per second, not {plain} ("),
    ):
        code, output, error = run(folder, port)
        assert (code, output) == (2, "")
        assert error.startswith(wanted)
        assert error.count("\n") == 1


def test_a_wrong_file_is_one_line(board: Fake, folder: Path) -> None:
    images_file = str(folder / "images.npy")
    for value in (np.zeros((2, 2)), np.zeros((0, 1, 8, 8)), np.zeros((1, 8, 9))):
        np.save(images_file, value)
        shape = f"(1, 8, 8) or a batch of it, not {value.shape}"
        assert run(folder, board.port, images_file) == (
            2,
            "",
            f"hlsgen_host: images must have shape {shape}\n",
        )
    np.save(images_file, np.full((1, 8, 8), np.nan))
    assert run(folder, board.port, images_file) == (2, "", "hlsgen_host: images must be finite\n")
    Path(images_file).write_bytes(b"no array")
    (folder / "vectors.npz").write_bytes(b"PK\3\4 and no more")
    for arguments in ((images_file,), ("no file.npy",), ()):
        code, _, error = run(folder, board.port, *arguments)
        assert (code, error[:13], error.count("\n")) == (2, "hlsgen_host: ", 1)
    (folder / "design.json").write_text("{")
    code, _, error = run(folder, board.port)
    assert (code, error[:13], error.count("\n")) == (2, "hlsgen_host: ", 1)


def test_a_missing_package_is_one_line(folder: Path) -> None:
    program = str(folder / "hlsgen_host.py")
    script = (
        "import runpy, sys; sys.modules['numpy'] = None; sys.argv = ['host', '/dev/null']; "
        f"runpy.run_path({program!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("hlsgen_host needs Linux and NumPy (")
    assert done.stderr.endswith("): pip install numpy\n")
    assert done.stderr.count("\n") == 1


def test_clipped_pixels_are_one_line(board: Fake, folder: Path) -> None:
    real = np.random.default_rng(3).uniform(0, 1, (3, *DIGITS.image)) * 255
    np.save(folder / "images.npy", real)
    code, output, error = run(folder, board.port, str(folder / "images.npy"))
    assert (code, output.count("\n"), error.count("\n")) == (0, 3, 1)
    share = (real >= 127.5 / 64).mean()
    assert error.startswith(
        f"hlsgen_host: warning: {share:.1%} of the pixels are clipped, in 3 of 3 images: "
        "they lie outside -2..1.984, "
    )
    assert "preprocessing" in error
