# SPDX-License-Identifier: Apache-2.0
"""What host and machine say to each other, as data: registers, bits, error codes, counters, header, trace.

Whoever needs one of these facts takes it from here: the RTL and the Python of hlsgen import it; the hosts'
programs, the C++ and docs/registers.md are rendered from it; the bench of a build folder has a copy of this
file. So it imports nothing of hlsgen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

STREAMED, EXPERTS = "with streamed attention", "with experts"
"""Machines that have a register which not all have."""


class Register(IntEnum):
    """Registers of 32 bits behind AXI4-Lite, by address; a value of two words has its low one first.

    access: R is read, W written, RW a setting that reads as it was written. only: the machines that have it.
    """

    access: str
    meaning: str
    words: int
    reset: int
    only: str

    def __new__(
        cls, address: int, access: str, meaning: str, words: int = 1, reset: int = 0, only: str = ""
    ) -> Register:
        member = int.__new__(cls, address)
        member._value_, member.access, member.meaning = address, access, meaning
        member.words, member.reset, member.only = words, reset, only
        return member

    CONTROL = 0x00, "W", "a one starts, stops or clears: see the bits"
    STATUS = 0x04, "R", "what the machine is doing: see the bits"
    ERROR = 0x08, "R", "code of what ended the last image, 0 for nothing: see the errors"
    TASK = 0x0C, "RW", "which of the model's tasks the next image is for"
    IMAGE_BASE = 0x10, "RW", "address of the Image", 2
    IMAGE_BYTES = 0x18, "RW", "size of the Image as the host has it"
    INPUT_BASE = 0x1C, "RW", "address of the input", 2
    OUTPUT_BASE = 0x24, "RW", "address that the output goes to", 2
    WINDOW_BASE = 0x2C, "RW", "first address that the machine may touch, where the window has bytes", 2
    WINDOW_BYTES = 0x34, "RW", "size of the window in which all addresses must lie; 0: no window"
    WATCHDOG = 0x38, "RW", "cycles without progress after which an image ends", 1, 1 << 20
    LIMIT = 0x3C, "RW", "cycles after which an image ends whatever it does; 0: 2^32"
    BUILD_ID = 0x40, "R", "which machine this is: an Image states the one that it is for"
    SHAPE = 0x44, "R", "rows, columns, depth and bus bytes, a byte each from bit 0"
    CYCLES = 0x48, "R", "cycles from start to done, of all images of the queue"
    MULTIPLY = 0x4C, "R", "cycles in which MULTIPLY issued a step"
    WAIT_TILE = 0x50, "R", "cycles in which MULTIPLY waited for LOAD"
    WAIT_WEIGHTS = 0x54, "R", "cycles in which it waited for the weight ring, constants or addends"
    WAIT_DRAIN = 0x58, "R", "cycles in which it waited for accumulators, operands or output space"
    IDLE = 0x5C, "R", "cycles in which it had no job"
    WORKSPACE_BASE = 0x60, "RW", "address of the memory for keys and values", 2, 0, STREAMED
    EXPERT = 0x68, "RW", "whose counters the next two registers show", 1, 0, EXPERTS
    EXPERT_TOKENS = 0x6C, "R", "tokens that went to the expert, all layers", 1, 0, EXPERTS
    EXPERT_WAITS = (
        0x70,
        "R",
        "cycles with a job of the expert and no step of MULTIPLY",
        1,
        0,
        EXPERTS,
    )
    COMPLETED = 0x74, "R", "images that ended without an error since the reset, modulo 2^32"
    ROOM = 0x78, "R", "starts that would be taken now"

    @property
    def title(self) -> str:
        """The name in small letters, as a member of a record."""
        return self.name.lower()

    @property
    def setting(self) -> bool:
        """Whether it tells the machine how to run the next image."""
        return self.access == "RW" and self.only != EXPERTS


class _Bit(IntEnum):
    """The number of a bit, and what it means."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> _Bit:
        member = int.__new__(cls, number)
        member._value_, member.meaning = number, meaning
        return member

    @property
    def mask(self) -> int:
        """The bit as part of a word."""
        return 1 << self

    @property
    def title(self) -> str:
        """The name in small letters."""
        return self.name.lower()


class ControlBit(_Bit):
    """Bits of the register `control`, which act when a one is written."""

    START = 0, "run an image with the settings as they are, after those that wait"
    ABORT = 1, "stop the image, forget those that wait, and reset the machine"
    CLEAR = 2, "clear done, error and ignored"
    ACKNOWLEDGE = 3, "clear done alone"


class StatusBit(_Bit):
    """Bits of the register `status`."""

    BUSY = 0, "an image runs or waits"
    DONE = 1, "an image ended, its output is in memory"
    ERROR = 2, "the last image ended with an error"
    IGNORED = 3, "a start was ignored: there was no room, or an error was not cleared"


@dataclass(frozen=True)
class Counter:
    """A counter of all images since an idle machine's last start.

    label: for people. level: the signal that it counts the cycles of.
    """

    register: Register
    label: str
    level: str = ""

    @property
    def title(self) -> str:
        """The name in small letters."""
        return self.register.title


COUNTERS = (
    Counter(Register.CYCLES, "cycles"),
    Counter(Register.MULTIPLY, "multiplying", "issue"),
    Counter(Register.WAIT_TILE, "waiting for operand rows", "wait_tile"),
    Counter(Register.WAIT_WEIGHTS, "waiting for weights or constants", "wait_weights"),
    Counter(Register.WAIT_DRAIN, "waiting for accumulators or results", "wait_drain"),
    Counter(Register.IDLE, "no job", "idle"),
)
"""Of every machine. The first counts all cycles, each of the others those in which its level is high."""
CYCLES, REASONS = COUNTERS[0], COUNTERS[1:]
"""All cycles, and what MULTIPLY did with them."""
EXPERT_COUNTERS = (
    Counter(Register.EXPERT_TOKENS, "tokens", "token"),
    Counter(Register.EXPERT_WAITS, "waits", "wait"),
)
"""Of each expert; the register `expert` says whose the two registers show."""


class _Code(IntEnum):
    """The number of an error, what it means, and what to do."""

    meaning: str
    fix: str

    def __new__(cls, number: int, meaning: str, fix: str) -> _Code:
        member = int.__new__(cls, number)
        member._value_, member.meaning, member.fix = number, meaning, fix
        return member

    @property
    def text(self) -> str:
        """For people: meaning and remedy."""
        return f"{self.meaning}; {self.fix}" if self.fix else self.meaning


_RELOAD = "load the Image of the same export as the bitstream"


class Error(_Code):
    """Codes of the error register, and of the generated C++, which has no bus and no time."""

    NONE = 0, "no error", ""
    MAGIC = 1, "what lies at the Image's address is not an Image", "write the address of the Image"
    VERSION = 2, "the Image's format version is another", _RELOAD
    BUILD = 3, "the Image belongs to another accelerator (build id)", _RELOAD
    TRUNCATED = 4, "the Image is truncated", "write the Image's whole size"
    SECTION = 5, "a section lies outside the Image, or not where the one before it ends", _RELOAD
    WINDOW = 6, "an address lies outside the window", "put Image, input, output and workspace into it"
    READ = 7, "a read got an error response", "make all of Image, input and workspace readable"
    WRITE = 8, "a write got an error response", "make all of output and workspace writable"
    WATCHDOG = 10, "no progress: the watchdog ended the image", "check the memory, then start again"
    ALIGNMENT = 11, "a base address is not aligned to 64 bytes", "align it"
    ABORTED = 12, "the host aborted the image", "start again"
    TASK = 13, "the accelerator has no such task", "write a task that the model has"
    LIMIT = 14, "the image took longer than the limit", "check the Image and the memory's speed"


def error_text(code: int) -> str:
    """What a code of the error register means, and what to do."""
    known = {int(error): error.text for error in Error}
    return known.get(code, f"a code that this version does not know: {code}")


REQUEST, ANSWER = 0xA5, 0x5A
"""First byte of what a host at a serial port sends, and of what the board sends."""


class FrameError(_Code):
    """Codes of a board at a serial port beside those of its accelerator."""

    FRAMING = 0x80, "a byte came without its stop bit", "check the cable and the rate"
    TIMEOUT = 0x81, "the line was quiet within a request", "send a request without a pause"
    OVERRUN = 0x82, "bytes came before the answer was complete, and are lost", "wait for each answer"
    NO_REQUEST = 0x83, f"a request did not begin with 0x{REQUEST:02X}", "check the rate, then ask again"


class DriverError(_Code):
    """Codes of the C driver beside those of its accelerator: what it finds before a start and behind one."""

    HARDWARE = (
        0x40,
        "the hardware has another build id than the design",
        "load the bitstream of the same export",
    )
    MEMORY = (
        0x41,
        "the shared memory is too small or not aligned",
        "give HLSGEN_MEMORY_BYTES at a multiple of 64",
    )
    IMAGE_SIZE = 0x42, "the Image has another size than the design's", "copy all files of the export again"
    IMAGE_HEADER = (
        0x43,
        "a word of the Image's header is not the design's",
        "copy all files of the export again",
    )
    IMAGE_CRC = 0x44, "the Image's CRC-32 is wrong", "copy all files of the export again, check the memory"
    NOT_LOADED = 0x45, "no sound Image was loaded", "call hlsgen_load first"
    ARGUMENT = 0x46, "the model has no such task or expert", "count them from 0 to one below the design's"
    BUSY = 0x47, "the last image has not ended yet", "call hlsgen_wait or hlsgen_abort"
    IDLE = 0x48, "no image was started", "call hlsgen_start first"
    TIMEOUT = 0x49, "the image was not done in time and was aborted", "allow more time, or check the memory"
    STUCK = 0x4A, "the accelerator did not stop when it was told to", "reset it, and check the memory"
    VECTORS = 0x4B, "the stored images are damaged or another design's", "copy all files of the export again"
    DIFFERENT = 0x4C, "an output is not the stored one", "check clock, memory and cache maintenance"


class Header(IntEnum):
    """Words of the 64-byte header of an Image, 32 bits each, little endian."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> Header:
        member = int.__new__(cls, number)
        member._value_, member.meaning = number, meaning
        return member

    MAGIC = 0, "magic number"
    VERSION = 1, "format version"
    BUILD_ID = 2, "build id"
    TOTAL = 3, "total size"
    PROGRAM = 4, "program's offset"
    COMMANDS = 5, "number of commands"
    CONSTANTS = 6, "constants' offset"
    CONSTANTS_BYTES = 7, "constants' size"
    WEIGHTS = 8, "weights' offset"
    WEIGHTS_BYTES = 9, "weights' size"
    ADDENDS = 10, "addends' offset"
    ADDENDS_BYTES = 11, "addends' size"
    INPUT_BYTES = 12, "input size"
    OUTPUT_BYTES = 13, "output size"
    CRC = 14, "CRC-32"
    WORKSPACE_BYTES = 15, "workspace size"


TILE, DRAIN = 0, 1
"""`which` of a trace record: an operand word as LOAD wrote it, a result word as DRAIN wrote it."""
TRACES = ("trace_tile", "trace_drain")
"""The traced top's ports of each, as prefixes."""


class Kind(IntEnum):
    """A job's kind, as the trace shows it: no attention, or which of its two products."""

    PLAIN = 0
    SCORES = 1
    CONTEXT = 2


PLAIN, SCORES, CONTEXT = (int(kind) for kind in Kind)


@dataclass(frozen=True)
class TraceField:
    """A field of a trace record; `bits` of the ports that show it, 0 where none does."""

    name: str
    bytes: int
    bits: int
    meaning: str


TRACE_RECORD = (
    TraceField("command", 2, 16, "number of the command"),
    TraceField("kind", 1, 2, "0 plain, 1 scores, 2 context"),
    TraceField("head", 2, 16, "attention head; of a product or a copy, the part of the row"),
    TraceField("row", 2, 16, "row of the tensor"),
    TraceField("word", 2, 16, "word or column block of the row"),
    TraceField("cycle", 4, 0, "cycle in which it was seen, from the start"),
    TraceField("which", 4, 0, "0 operand (LOAD), 1 result (DRAIN)"),
)
"""A record is these fields, little endian, and then the word's elements, int16 each."""
TRACE_PORTS = {field.name: field.bits for field in TRACE_RECORD if field.bits}
"""Ports of the traced top for the fields of a word, with their bits."""
TRACE_HEAD_BYTES = sum(field.bytes for field in TRACE_RECORD)
"""Bytes of a record without its elements."""


def record_type(columns: int) -> np.dtype:
    """One trace record: a word of `columns` elements with its place."""
    fields = [(field.name, f"<u{field.bytes}") for field in TRACE_RECORD]
    return np.dtype([*fields, ("data", "<i2", (columns,))])


def shown_places(view: Any) -> tuple[slice, ...]:
    """Where in each axis of the tensor the elements stand that a `View` shows: all of them, or a part."""
    heads = max(view.heads, 1)
    if view.head_first:
        columns = view.keys if view.key_runs else view.columns
        first, sizes = (view.first_head, view.first_row, view.first_column), (heads, view.rows, columns)
    else:
        first, sizes = (view.first_row, view.first_head * view.columns), (view.rows, heads * view.columns)
    return tuple(slice(start, start + size) for start, size in zip(first, sizes, strict=True))


def shown_part(view: Any, tensor: np.ndarray) -> np.ndarray:
    """What of a tensor a `View` shows."""
    if view.windows:
        return np.stack([tensor[place] for place in window_places(view)])
    if view.key_runs:
        heads, rows, _ = shown_places(view)
        keys = listed_keys(view)
        behind = max(0, int(keys.max()) + 1 - view.keys)
        part = np.pad(tensor[heads, rows], ((0, 0), (0, 0), (0, behind)), constant_values=view.hidden)
        return np.take_along_axis(part, np.broadcast_to(keys, (len(part), *keys.shape)), 2)
    return tensor[shown_places(view)] if view.part else tensor


def listed_keys(view: Any) -> np.ndarray:
    """[rows, columns]: the column of the tensor that each column of a `View` by key lists is."""
    tiles = [[np.arange(first, first + count) for first, count in runs] for runs in key_runs(view)]
    return np.stack([np.concatenate(runs) for runs in tiles])[np.arange(view.rows) // view.tile_rows]


def key_runs(view: Any) -> list[list[list[int]]]:
    """First column and columns of each run, by tile, of a `View` by key lists."""
    tiles = (tile.split(",") for tile in view.key_runs.split(";"))
    return [[[int(part) for part in run.split("+")] for run in runs] for runs in tiles]


def window_places(view: Any) -> list[tuple[Any, ...]]:
    """Where in each axis of the tensor each window's elements stand that a `View` of windows shows."""
    head, size = view.first_head, view.columns
    starts = [view.first_row + at * view.rows for at in range(view.heads)]
    if view.head_first:
        return [(head, slice(at, at + view.rows), slice(at, at + size)) for at in starts]
    return [(slice(at, at + view.rows), slice(head * size, (head + 1) * size)) for at in starts]


def trace_places(view: Any, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the elements of records stand in the tensor that a `View` shows.

    Returns [records, elements] each: flat indices into the tensor, and which elements are no padding.
    """
    columns = records.dtype["data"].shape[0]
    word, row = (records[name].astype(np.int64)[:, None] for name in ("word", "row"))
    head = records["head"].astype(np.int64)[:, None]
    if view.heads and view.kind == PLAIN:
        head, word = head + word // view.head_words, word % view.head_words
    column = word * columns + np.arange(columns)[None, :]
    real = column < view.columns
    if view.pitch:
        real, row = (
            real & (row % view.pitch < view.pitch_rows),
            row // view.pitch * view.pitch_rows + row % view.pitch,
        )
    if view.windows:
        return (head * view.rows + row) * view.columns + column, real & (row < view.rows)
    if view.run:
        part, place = column // view.run, column % view.run
        column = part * view.run_columns + place
        real = (place < view.run_columns) & (column < view.columns)
    if view.heads and view.head_first:
        first = (head * view.rows + row) * view.columns
    elif view.heads:
        first = (row * view.heads + head) * view.columns
    else:
        first = row * view.columns
    return first + column, real
