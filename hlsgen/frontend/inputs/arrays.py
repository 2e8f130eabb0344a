# SPDX-License-Identifier: Apache-2.0
"""Plain arrays of .npy and .npz files: no pickles, and no header is believed beyond the file's size."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from hlsgen.frontend.read.bounds import Damaged, Members, printable, reason

_MAGIC, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_HEADER = 10_000
"""Bytes of a header at most, numpy's own limit."""
_READERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
_SUFFIX = ".npy"


def read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """The array of a .npy file, as "", or those of a .npz file: the `wanted`, else the only one.

    The other arrays of a .npz are not read: they are empty in the result. Raises `Damaged` or `OSError`.
    """
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        if head == _MAGIC:
            file.seek(0)
            return {"": _array(file, path.stat().st_size)}
    if head[: len(_ZIP)] != _ZIP:
        raise Damaged("it begins neither as a .npy nor as a .npz file")
    with Members(path) as members:
        names = [name.removesuffix(_SUFFIX) for name in members.names if name.endswith(_SUFFIX)]
        if not names:
            raise Damaged("it holds no arrays")
        chosen = names if len(names) == 1 else [name for name in names if name in wanted]
        arrays = dict.fromkeys(map(printable, names), np.zeros(0))
        for name in chosen:
            data = members.read(f"{name}{_SUFFIX}")
            arrays[printable(name)] = _array(io.BytesIO(data), len(data))
        return arrays


def _array(file: BinaryIO, size: int) -> np.ndarray:
    """One array of a stream of `size` bytes."""
    head = io.BytesIO(file.read(npy.MAGIC_LEN + 4 + _HEADER))
    try:
        version = npy.read_magic(head)
        if version not in _READERS:
            raise Damaged("its .npy header must be of version 1.0 or 2.0")
        shape, fortran, dtype = _READERS[version](head, max_header_size=_HEADER)
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"its .npy header is damaged: {reason(error)}") from error
    if dtype.hasobject:
        raise Damaged("it holds Python objects, which would have to be unpickled")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size - head.tell():
        raise Damaged(f"its header says {_text(shape)} of {dtype}, more than its {size} bytes hold")
    file.seek(head.tell())
    count = math.prod(shape)
    if isinstance(file, io.BytesIO):
        array = np.frombuffer(file.getbuffer(), dtype, count, head.tell())
    else:
        array = np.fromfile(file, dtype, count)
    return array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)


def _text(shape: tuple[int, ...]) -> str:
    try:
        return printable(str(list(shape)))
    except ValueError:  # more digits than Python writes
        return "an array"
