# SPDX-License-Identifier: Apache-2.0
"""Tensors of an ONNX file, in it or in the file of data beside it; what is allocated is bounded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hlsgen.errors import shown
from hlsgen.frontend.read.bounds import MOST_ELEMENTS, Damaged, printable

EXTERNAL, RAW = 1, "raw_data"
_DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""TensorProto.DataType to torch's; ONNX's numbers are fixed by its specification."""
INTEGERS = {4: (0, (1 << 16) - 1), 21: (0, 15), 22: (-8, 7)}
"""Types whose integers torch has no arithmetic for, in more bits there: uint16, uint4 and int4."""
_HELD = {4: torch.int32, 21: torch.uint8, 22: torch.int8}
_FOUR_BITS = 21, 22
_FIELDS = {
    torch.float32: "float_data",
    torch.float64: "double_data",
    torch.int64: "int64_data",
    **dict.fromkeys((torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool), "int32_data"),
}
"""The field of numbers where a tensor has no raw bytes; halves lie there as bits."""


def dtype(number: int) -> torch.dtype:
    """torch's type of the elements of an ONNX type; `Damaged` for one that no model of ours has."""
    if number in INTEGERS:
        return _HELD[number]
    if number not in _DTYPES:
        raise Damaged(f"tensors must be of a plain type, not of ONNX's type {shown(number)}")
    return _DTYPES[number]


def bring_in(model: Any, folder: Path) -> None:
    """Put weights of files of data into the model; files are looked for in `folder` only."""
    for proto in model.graph.initializer:
        if proto.data_location == EXTERNAL:
            needed = _bytes(math.prod(_sizes(proto)), proto.data_type)
            proto.raw_data = _outside(proto, folder, printable(proto.name), needed)
            proto.ClearField("data_location")
            proto.ClearField("external_data")


def _sizes(proto: Any) -> list[int]:
    sizes = [int(size) for size in proto.dims]
    if min(sizes, default=0) < 0 or math.prod(size or 1 for size in sizes) > MOST_ELEMENTS:
        what = f"a tensor must have 0..{MOST_ELEMENTS} elements, not {shown(sizes)}"
        raise Damaged(f"{printable(proto.name)}: {what}")
    return sizes


def _bytes(count: int, number: int) -> int:
    """Bytes that so many elements of an ONNX type take."""
    if number in _FOUR_BITS:
        return (count + 1) // 2
    return count * (2 if number in INTEGERS else dtype(number).itemsize)


def tensor(proto: Any) -> torch.Tensor:
    """The tensor that a TensorProto describes."""
    if proto.data_type in INTEGERS:
        return _few(proto)
    sizes, kind, name = _sizes(proto), dtype(proto.data_type), printable(proto.name)
    count = math.prod(sizes)
    if proto.data_location == EXTERNAL:
        raise Damaged(f"{name}: only weights may lie in a file of data")
    if proto.HasField(RAW):
        return _raw(proto.raw_data, kind, sizes, name)
    field = _FIELDS.get(kind, "int32_data")
    numbers = np.array(getattr(proto, field))
    if len(numbers) != count:
        raise Damaged(f"{name}: {len(numbers)} numbers stored, {count} needed")
    if kind in (torch.float16, torch.bfloat16):
        return torch.from_numpy(numbers.astype(np.uint16)).view(kind).reshape(sizes)
    return torch.from_numpy(numbers).to(kind).reshape(sizes)


def _few(proto: Any) -> torch.Tensor:
    """A tensor of one of the types `INTEGERS`; of two elements of 4 bits the first one lies below."""
    sizes, name, number = _sizes(proto), printable(proto.name), proto.data_type
    if proto.data_location == EXTERNAL:
        raise Damaged(f"{name}: only weights may lie in a file of data")
    count = math.prod(sizes)
    data = proto.raw_data if proto.HasField(RAW) else _stored(proto.int32_data, number)
    if len(data) != _bytes(count, number):
        raise Damaged(f"{name}: {len(data)} bytes stored, {_bytes(count, number)} needed")
    values = np.frombuffer(data, "<u2" if number not in _FOUR_BITS else np.uint8).astype(np.int32)
    if number in _FOUR_BITS:
        values = np.stack([values & 15, values >> 4], axis=-1).reshape(-1)[:count]
        values = np.where(values > INTEGERS[number][1], values - 16, values)
    return torch.from_numpy(values).to(_HELD[number]).reshape(sizes)


def _stored(numbers: Any, number: int) -> bytes:
    """Numbers of the field as raw bytes."""
    kind = np.uint8 if number in _FOUR_BITS else np.dtype("<u2")
    return (np.array(numbers, np.int64) & np.iinfo(kind).max).astype(kind).tobytes()


def _raw(data: bytes | bytearray, kind: torch.dtype, sizes: list[int], name: str) -> torch.Tensor:
    count = math.prod(sizes)
    if len(data) != count * kind.itemsize:
        raise Damaged(f"{name}: {len(data)} bytes stored, {count * kind.itemsize} needed")
    if not count:
        return torch.zeros(sizes, dtype=kind)
    return torch.frombuffer(bytearray(data), dtype=kind).reshape(sizes)


def _outside(proto: Any, folder: Path, name: str, needed: int) -> bytes:
    """The bytes of a tensor in a file of data, which must lie in the model's own folder."""
    entry = {item.key: item.value for item in proto.external_data}
    place = entry.get("location", "")
    if not place or Path(place).name != place or place in (".", ".."):
        raise Damaged(f"{name}: its data must lie in a file beside the model, not at {shown(place)}")
    try:
        offset = int(entry.get("offset") or 0)
        length = int(entry.get("length") or needed)
    except ValueError:
        raise Damaged(f"{name}: offset and length of its data must be numbers") from None
    path = folder / place
    if path.is_symlink() or not path.is_file():
        raise Damaged(f"the file of its weights is not there: {printable(place)}")
    if offset < 0 or length != needed or offset + length > path.stat().st_size:
        raise Damaged(f"{name}: {needed} bytes needed at {offset} of {printable(place)}")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
