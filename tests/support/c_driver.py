# SPDX-License-Identifier: Apache-2.0
"""The C driver of a design, compiled for this computer and called from Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
DEVICE_BYTES = 1024
"""More than `hlsgen_device` has."""
_READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
_RANGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_CLOCK = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
_IDLE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Registers(Protocol):
    """What stands for the accelerator."""

    def read(self, offset: int) -> int: ...
    def write(self, offset: int, value: int) -> None: ...


class Port(ctypes.Structure):
    """`hlsgen_port`."""

    _fields_ = (
        ("registers", ctypes.c_void_p),
        ("memory", ctypes.c_void_p),
        ("address", ctypes.c_uint64),
        ("bytes", ctypes.c_size_t),
        ("context", ctypes.c_void_p),
        ("read", _READ),
        ("write", _WRITE),
        ("flush", _RANGE),
        ("invalidate", _RANGE),
        ("clock", _CLOCK),
        ("idle", _IDLE),
    )


class Difference(ctypes.Structure):
    """`hlsgen_difference`."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("image", "task", "output", "row", "column")),
        ("expected", ctypes.c_int16),
        ("found", ctypes.c_int16),
    )


def write_files(files: Mapping[str, str | bytes], folder: Path) -> None:
    """The driver's files in a folder."""
    for name, data in files.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def aligned(size: int) -> np.ndarray:
    """Bytes at a multiple of 64."""
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


class Driver:
    """The driver as a library, with a device of its own.

    files: as `c_driver` gives them; address: where the accelerator sees `memory`.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes],
        folder: Path,
        registers: Registers,
        memory: np.ndarray,
        address: int,
    ) -> None:
        folder.mkdir()
        write_files(files, folder)
        command = [
            "gcc",
            *STRICT,
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            "driver.so",
            "hlsgen.c",
            "hlsgen_design.c",
        ]
        subprocess.run(command, cwd=folder, check=True)
        self._library = ctypes.CDLL(str(folder / "driver.so"))
        self._library.hlsgen_text.restype = ctypes.c_char_p
        self._library.hlsgen_quantize.argtypes = (ctypes.c_void_p, ctypes.c_double)
        self._library.hlsgen_quantize.restype = ctypes.c_int8
        self.device = ctypes.create_string_buffer(DEVICE_BYTES)
        self.design = ctypes.byref((ctypes.c_char * 1).in_dll(self._library, "hlsgen_model"))
        self.flushed: list[tuple[int, int]] = []
        self.invalidated: list[tuple[int, int]] = []
        base = memory.ctypes.data
        self.port = Port(
            memory=base,
            address=address,
            bytes=memory.nbytes,
            read=_READ(lambda _, offset: registers.read(offset)),
            write=_WRITE(lambda _, offset, value: registers.write(offset, value)),
            flush=_RANGE(lambda _, start, size: self.flushed.append((start - base, size))),
            invalidate=_RANGE(lambda _, start, size: self.invalidated.append((start - base, size))),
        )

    def open(self) -> int:
        """`hlsgen_open` with the port and the design."""
        return self._library.hlsgen_open(self.device, ctypes.byref(self.port), self.design)

    def call(self, name: str, *arguments: Any) -> int:
        """`hlsgen_NAME` of the device."""
        return getattr(self._library, f"hlsgen_{name}")(self.device, *arguments)

    def load(self, image: bytes) -> int:
        """`hlsgen_load`."""
        return self.call("load", image, ctypes.c_size_t(len(image)))

    def run(self, image: np.ndarray, task: int, shape: tuple[int, ...], ticks: int = 10) -> np.ndarray:
        """Put an image, run it, get its integers; all must succeed."""
        assert self.call("put", np.ascontiguousarray(image, np.int8).ctypes.data_as(ctypes.c_void_p)) == 0
        assert self.call("run", task, ticks) == 0
        values = np.zeros(shape, np.int16)
        assert self.call("get", task, values.ctypes.data_as(ctypes.c_void_p)) == 0
        return values

    def self_test(self, vectors: bytes) -> tuple[int, Difference]:
        """Code and first difference."""
        difference = Difference()
        size = ctypes.c_size_t(len(vectors))
        return self.call("self_test", vectors, size, 10, ctypes.byref(difference)), difference

    def quantize(self, value: float) -> int:
        """`hlsgen_quantize`."""
        return self._library.hlsgen_quantize(self.design, value)

    def text(self, code: int) -> str:
        """`hlsgen_text`."""
        return self._library.hlsgen_text(code).decode()
