# SPDX-License-Identifier: Apache-2.0
"""Faults of files: of bytes, JSON, zip archives, .npy headers and TOML, each drawn from a generator."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import string
import struct
import zipfile
from typing import Any

import numpy as np

from benchmarks.odd_values import ODD_VALUES, RAW_VALUES


def bytes_damaged(rng: random.Random, data: bytes) -> bytes:
    """The bytes with one to three random faults."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        size = max(1, len(damaged))
        place, length = rng.randrange(size), rng.choice((1, 4, 64, size // 3 + 1))
        kind = rng.randrange(9)
        if kind <= 2:
            for _ in range(rng.choice((1, 1, 8))):
                place = rng.randrange(size)
                if place < len(damaged):
                    damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            del damaged[place:]
        elif kind == 4:
            damaged[place : place + length] = bytes(min(length, len(damaged) - place))
        elif kind == 5:
            del damaged[place : place + length]
        elif kind == 6:
            damaged[place:place] = rng.randbytes(length)
        elif kind == 7:
            damaged[place:place] = damaged[place : place + length]
        else:
            damaged = bytearray(
                rng.choice((b"", b"\xff" * 64, b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}", b"\0" * 4096))
            )
    return bytes(damaged)


def _places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        found += _places(value, (*at, key))
    return found


def json_damaged(rng: random.Random, data: bytes) -> bytes:
    """JSON with one or two values replaced, removed, renamed or doubled."""
    document, raw = json.loads(data), ""
    for _ in range(rng.choice((1, 1, 2))):
        places = _places(document)
        if not places:
            break
        *path, key = rng.choice(places)
        parent = document
        for step in path:
            parent = parent[step]
        kind = rng.randrange(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(string.ascii_letters)] = parent.pop(key)
        elif kind == 2:
            raw, parent[key] = rng.choice(RAW_VALUES), "@raw@"
        elif kind == 3 and isinstance(parent, list):
            parent.insert(key, parent[key])
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return json.dumps(document).replace('"@raw@"', raw).encode()


def members_of(data: bytes) -> dict[str, bytes]:
    """Name to bytes of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """The other way round."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_damaged(rng: random.Random, data: bytes) -> bytes:
    """A zip archive whose directory lies: encrypted, packed by another method, other sizes, a bomb."""
    kind = rng.randrange(6)
    if kind == 0:
        members = members_of(data)
        name = rng.choice(list(members))
        if rng.random() < 0.5:
            del members[name]
        else:
            members[rng.choice(("x", "../x", "a" * 300, "\u00e9.npy", f"x{name}"))] = members.pop(name)
        return packed(members)
    if kind == 1:
        members = members_of(data)
        members[rng.choice(list(members))] = bytes(rng.choice((1 << 20, 96 << 20)))
        return packed(members, zipfile.ZIP_DEFLATED)
    if kind == 2:
        return packed(
            members_of(data), rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        )
    damaged = bytearray(data)
    entries = [match.start() for match in re.finditer(rb"PK\x01\x02", data)]
    for entry in rng.sample(entries, rng.randint(1, len(entries))):
        offset, width, value = rng.choice(
            (
                (8, 2, 1),
                (10, 2, 99),
                (10, 2, 8),
                (20, 4, 0xFFFFFFFE),
                (24, 4, 0xFFFFFFFE),
                (24, 4, 3),
                (42, 4, 0),
                (16, 4, 0),
            )
        )
        damaged[entry + offset : entry + offset + width] = value.to_bytes(width, "little")
    return bytes(damaged)


def npy(header: bytes | str, body: bytes = b"\0" * 256, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with a header of one's own."""
    text = header.encode() if isinstance(header, str) else header
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text) if len(text) < 65536 else 65535)
    return b"\x93NUMPY" + bytes(version) + length + text + body


_DESCRIPTIONS = (
    "<f4", "<f8", "<f2", "|O", "<U9", "V0", "<c8", "|b1", "<i4", ">f4", "<M8[s]", "<f16", "S0", "xyz",
    "<f4,<f4",
)  # fmt: skip
_SHAPES = (
    "(1, 1, 8, 8)",
    "(99999999999, 1, 8, 8)",
    "(-1, 1, 8, 8)",
    "(1, 1, 8, 8",
    "1",
    "(1.5, 1, 8, 8)",
    "(True, 1, 8, 8)",
    "('a', 1)",
    "()",
    "(0, 1, 8, 8)",
    f"({'9' * 4000}, 1)",
    "(2, " * 30 + ")" * 30,
    "(" * 3000,
    "[1, 1, 8, 8]",
    "None",
    "(1,) * 2",
    "__import__('os').abort()",
)


def npy_damaged(rng: random.Random) -> bytes:
    """Headers that say too much, nothing, or something else; values that no image has."""
    description, shape, kind = rng.choice(_DESCRIPTIONS), rng.choice(_SHAPES), rng.randrange(6)
    if kind == 0:
        return _strange_values(rng)
    if kind == 1:
        return npy(b"\xff" * 200, version=rng.choice(((1, 0), (2, 0), (3, 0), (9, 9))))
    fortran = rng.choice(("False", "True", "None", "1", "'x'"))
    text = f"{{'descr': '{description}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    if kind == 2:
        text = text[: rng.randrange(len(text))]
    if kind == 3:
        text = rng.choice(_no_headers(text))
    return npy(text + "\n", version=rng.choice(((1, 0), (1, 0), (2, 0), (3, 0))))


def _strange_values(rng: random.Random) -> bytes:
    """Images that are right but for one value, or for all."""
    images = np.zeros((3, 1, 8, 8), rng.choice((np.float32, np.float64)))
    images[rng.randrange(3), 0, 2, 3] = rng.choice((np.nan, np.inf, -np.inf, 3e38, -1e-45))
    stream = io.BytesIO()
    with np.errstate(over="ignore"):
        np.save(stream, images * (1e270 if images.dtype == np.float64 else 1))
    return stream.getvalue()


def _no_headers(text: str) -> tuple[str, ...]:
    """What a parser can stumble over, some of it made from a header."""
    parts = ("[" * 5000, "{" * 200, f"{text}{text}", "1", "'", '"""', "\\", "\0", text * 300)
    return (text.replace("shape", "form"), *parts)


def toml_damaged(rng: random.Random, text: str) -> bytes:
    """A board with values replaced, lines lost or bytes damaged."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 3))):
        index = rng.randrange(len(lines))
        key, sign, _ = lines[index].partition("=")
        values = (
            '""',
            '"a b"',
            '"-x"',
            '"$(id)"',
            "0",
            "-1",
            "nan",
            "inf",
            "1e999",
            "[]",
            "{}",
            "true",
            "1979-05-27",
            "9" * 5000,
            "[" * 3000,
            '"' + "a" * 5000 + '"',
            '"\\u0000"',
            '"\\n"',
            '"0x0x0"',
            "'''a\nb'''",
            "[[1]]",
            "0x7fffffffffffffffff",
        )
        lines[index] = (
            f"{key}{sign} {rng.choice(values)}"
            if sign and rng.random() < 0.8
            else rng.choice(("", lines[index] * 2, "[" + key))
        )
    data = "\n".join(lines).encode()
    return bytes_damaged(rng, data) if rng.random() < 0.3 else data


def header_damaged(rng: random.Random, data: bytes) -> bytes:
    """A safetensors file whose header says something else."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json_damaged(rng, data[8 : 8 + size])
    stated = len(header) if rng.random() < 0.9 else rng.choice((0, 1, size + 1, 1 << 40, 2**64 - 1))
    return struct.pack("<Q", stated) + header + data[8 + size :]
