# SPDX-License-Identifier: Apache-2.0
"""The Image: one blob with header, commands, constants, weights and addends, in consumption order."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hlsgen.errors import UsageError
from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div

MAGIC = 0x47534C48
VERSION = 3
HEADER_BYTES = 64


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
        sections = (self.program, self.constants, self.weights, self.addends)
        return HEADER_BYTES + sum(ceil_div(len(data), SECTION_ALIGN) * SECTION_ALIGN for data in sections)

    def pack(self) -> bytes:
        """The blob as the machine reads it."""
        offset, parts, fields, crc = HEADER_BYTES, [], [], 0
        for data, size in (
            (self.program, len(self.program) // COMMAND_BYTES),
            (self.constants, None),
            (self.weights, None),
            (self.addends, None),
        ):
            padding = bytes(-len(data) % SECTION_ALIGN)
            section = len(data) + len(padding)
            fields += [offset, section if size is None else size]
            parts += [data, padding]
            crc = zlib.crc32(padding, zlib.crc32(data, crc))
            offset += section
        words = [MAGIC, VERSION, self.build_id, offset, *fields, self.input_bytes, self.output_bytes]
        return b"".join([struct.pack("<16I", *words, crc, self.workspace_bytes), *parts])

    @classmethod
    def unpack(cls, blob: bytes) -> Image:
        """The sections of a blob; raises `UsageError` when it is foreign, truncated or damaged."""
        if len(blob) < HEADER_BYTES:
            raise UsageError(f"Image must have at least {HEADER_BYTES} bytes, not {len(blob)}")
        words = struct.unpack_from("<16I", blob)
        if words[0] != MAGIC or words[1] != VERSION:
            raise UsageError(
                f"Image must begin with {MAGIC:#x} and version {VERSION}, not {words[0]:#x}, {words[1]}"
            )
        if words[3] != len(blob):
            raise UsageError(f"Image must have {words[3]} bytes, not {len(blob)}")
        if words[14] != zlib.crc32(blob[HEADER_BYTES:]):
            raise UsageError("Image must match its checksum: the file is damaged")
        sections = []
        for index, unit in ((4, COMMAND_BYTES), (6, 1), (8, 1), (10, 1)):
            start, end = words[index], words[index] + words[index + 1] * unit
            if start % SECTION_ALIGN or end > len(blob):
                raise UsageError(f"Image section at {start}..{end} must lie within {len(blob)} bytes")
            sections.append(blob[start:end])
        program, constants, weights, addends = sections
        return cls(
            build_id=words[2],
            program=program,
            constants=constants,
            weights=weights,
            addends=addends,
            input_bytes=words[12],
            output_bytes=words[13],
            workspace_bytes=words[15],
        )
