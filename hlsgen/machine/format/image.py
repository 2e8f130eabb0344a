# SPDX-License-Identifier: Apache-2.0
"""The Image: one blob with header, commands, constants, weights and addends, in consumption order."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.interface import Header
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div

MAGIC = 0x47534C48
VERSION = 6
_HEADER = struct.Struct(f"<{len(Header)}I")
HEADER_BYTES = _HEADER.size
SECTIONS = (
    (Header.PROGRAM, COMMAND_BYTES),
    (Header.CONSTANTS, 1),
    (Header.WEIGHTS, 1),
    (Header.ADDENDS, 1),
)
"""The word with a section's offset, and the bytes that the word behind it, its size, counts."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """The sections, unpadded; `pack` and `unpack` are inverse up to the padding."""

    build_id: int
    program: bytes
    constants: bytes
    weights: bytes
    addends: bytes
    input_bytes: int
    output_bytes: int
    workspace_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of the blob."""
        sizes = (ceil_div(len(data), SECTION_ALIGN) * SECTION_ALIGN for data in self._sections)
        return HEADER_BYTES + sum(sizes)

    @property
    def _sections(self) -> tuple[bytes, ...]:
        return self.program, self.constants, self.weights, self.addends

    def pack(self) -> bytes:
        """The blob as the machine reads it."""
        offset, parts, crc = HEADER_BYTES, [], 0
        words = dict.fromkeys(Header, 0) | {Header.MAGIC: MAGIC, Header.VERSION: VERSION}
        for (word, unit), data in zip(SECTIONS, self._sections, strict=True):
            padding = bytes(-len(data) % SECTION_ALIGN)
            section = len(data) + len(padding)
            words |= {word: offset, word + 1: section if unit == 1 else len(data) // unit}
            parts += [data, padding]
            crc = zlib.crc32(padding, zlib.crc32(data, crc))
            offset += section
        words |= {Header.BUILD_ID: self.build_id, Header.TOTAL: offset, Header.CRC: crc}
        words |= {Header.INPUT_BYTES: self.input_bytes, Header.OUTPUT_BYTES: self.output_bytes}
        words |= {Header.WORKSPACE_BYTES: self.workspace_bytes}
        return b"".join([_HEADER.pack(*(words[word] for word in Header)), *parts])

    @classmethod
    def unpack(cls, blob: bytes) -> Image:
        """The sections of a blob; raises `UsageError` when it is foreign, truncated or damaged."""
        if len(blob) < HEADER_BYTES:
            raise UsageError(f"Image must have at least {HEADER_BYTES} bytes, not {len(blob)}")
        words = _HEADER.unpack_from(blob)
        magic, version = words[Header.MAGIC], words[Header.VERSION]
        if magic != MAGIC or version != VERSION:
            raise UsageError(
                f"Image must begin with {MAGIC:#x} and version {VERSION}, not {magic:#x}, {version}"
            )
        if words[Header.TOTAL] != len(blob):
            raise UsageError(f"Image must have {words[Header.TOTAL]} bytes, not {len(blob)}")
        if words[Header.CRC] != zlib.crc32(blob[HEADER_BYTES:]):
            raise UsageError("Image must match its checksum: the file is damaged")
        sections = []
        for word, unit in SECTIONS:
            start, end = words[word], words[word] + words[word + 1] * unit
            if start % SECTION_ALIGN or end > len(blob):
                raise UsageError(f"Image section at {start}..{end} must lie within {len(blob)} bytes")
            sections.append(blob[start:end])
        program, constants, weights, addends = sections
        return cls(
            build_id=words[Header.BUILD_ID],
            program=program,
            constants=constants,
            weights=weights,
            addends=addends,
            input_bytes=words[Header.INPUT_BYTES],
            output_bytes=words[Header.OUTPUT_BYTES],
            workspace_bytes=words[Header.WORKSPACE_BYTES],
        )
