# SPDX-License-Identifier: Apache-2.0
"""The C driver of a design: C99 for bare metal and Linux, the design's facts, images for its self test."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np

from hlsgen.emit.device import Vectors, describe, image_facts
from hlsgen.emit.render import render
from hlsgen.ir import Graph
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.input import pad
from hlsgen.machine.format.interface import Header
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div
from hlsgen.machine.format.program import Program
from hlsgen.version import __version__

FILES = (
    "hlsgen.h", "hlsgen.c", "hlsgen_design.h", "hlsgen_design.c", "hlsgen_data.S",
    "hlsgen_linux.h", "hlsgen_linux.c", "self_test.c", "Makefile",
)  # fmt: skip
"""Texts of the driver, by the names of their templates."""
IMAGE, VECTORS = "image.bin", "vectors.bin"


class VectorsWord(IntEnum):
    """Words at the beginning of `vectors.bin`, 32 bits each, little endian.

    IMAGE_CRC: the CRC-32 of the Image's header; RECORD: bytes of an image with all its outputs; CRC: the
    CRC-32 of all that follows.
    """

    IMAGE_CRC = 0
    COUNT = 1
    RECORD = 2
    CRC = 3


def c_driver(graph: Graph, program: Program, image: Image, vectors: Vectors) -> dict[str, str | bytes]:
    """Name to contents of every file; equal designs and vectors give equal bytes."""
    facts = describe(graph, program, image) | {"image": image_facts(image.pack())}
    stored = stored_images(vectors, program, image)
    context = facts | {
        "version": __version__,
        "crc_table": [f"{_crc_entry(byte):#010x}u" for byte in range(256)],
        "vectors_words": list(VectorsWord),
        "vectors_header_bytes": SECTION_ALIGN,
        "vectors_size": len(stored),
        "memory_bytes": memory_bytes(facts),
        "input_elements": int(np.prod(graph.input_type.shape)),
        "output_elements": max(sum(layout.rows * layout.columns for layout in run) for run in program.runs),
    }
    texts: dict[str, str | bytes] = {name: render(f"driver/{name}", context) for name in FILES}
    return texts | {IMAGE: image.pack(), VECTORS: stored}


def memory_bytes(facts: dict[str, Any]) -> int:
    """Bytes of Image, input, output and workspace, one behind the other at multiples of 64 bytes."""
    sizes = (facts["image"]["bytes"], facts["input_bytes"], facts["output_bytes"], facts["workspace_bytes"])
    return sum(ceil_div(size, SECTION_ALIGN) * SECTION_ALIGN for size in sizes)


def stored_images(vectors: Vectors, program: Program, image: Image) -> bytes:
    """Images for a self test: of each its input as it lies in memory, then its outputs' integers, row by row.

    A header of 64 bytes comes first (`VectorsWord`); every part is padded with zeros to 64 bytes.
    """
    columns, records = program.parameters.columns, []
    outputs = (vectors.outputs, *vectors.others)
    for picture, *wanted in zip(vectors.images, *outputs, strict=True):
        parts = [program.input.pack(picture, columns).ljust(image.input_bytes, b"\0")]
        parts += [np.ascontiguousarray(values).astype("<i2").tobytes() for values in wanted]
        records.append(b"".join(map(pad, parts)))
    data = b"".join(records)
    words = {
        VectorsWord.IMAGE_CRC: struct.unpack_from(f"<{HEADER_BYTES // 4}I", image.pack())[Header.CRC],
        VectorsWord.COUNT: len(records),
        VectorsWord.RECORD: len(records[0]) if records else 0,
        VectorsWord.CRC: zlib.crc32(data),
    }
    return pad(struct.pack(f"<{len(words)}I", *_in_order(words))) + data


def _in_order(words: dict[VectorsWord, int]) -> Iterable[int]:
    return (words[word] for word in VectorsWord)


def _crc_entry(byte: int) -> int:
    """CRC-32 register after one byte from a register of zeros; the polynomial of zlib, bits reversed."""
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte
