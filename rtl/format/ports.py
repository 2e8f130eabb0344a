# SPDX-License-Identifier: Apache-2.0
"""Bundles of ports that travel together between stages, each defined once."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import REASONS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import queue_depth
from hlsgen.numerics import MULTIPLIER_BITS, SHIFT_BITS
from hlsgen.rtl.format.streams import ADDRESS_UNITS, LENGTH_UNITS, segment
from hlsgen.rtl.format.widths import drain_bits, group_lanes, slot_bits, tile_groups, write_lane_bits
from hlsgen.rtl.parts.pipeline import address_bits, count_bits
from hlsgen.rtl.parts.ports import Bundle

LEVELS = data.StructLayout({reason.level: 1 for reason in REASONS})
"""What MULTIPLY does in a cycle: one of these is 1 until the core is done."""


class SectionsPorts(wiring.PureInterface):
    """An interface of `Sections`."""

    open: Signal
    offset: Signal
    units: Signal
    spent: Signal


class Sections(Bundle):
    """One section of a stream after another, opened by whoever knows which is next (`Out`).

    open : Out(1)
        High for one cycle: the reader goes on with this section. Only while `spent`.
    offset, units : Out
        Where it begins, from the stream's begin, and its length; in units of 64 bytes.
    spent : In(1)
        All of the section before has been asked for. It speaks of a section some cycles after `open`.
    """

    interface: ClassVar = SectionsPorts

    def __init__(self) -> None:
        super().__init__(
            {"open": Out(1), "offset": Out(LENGTH_UNITS), "units": Out(LENGTH_UNITS), "spent": In(1)}
        )


class PlannedPorts(wiring.PureInterface):
    """An interface of `Planned`."""

    sections: SectionsPorts
    segments: stream.Interface


class Planned(Bundle):
    """What the planner (`Out`) says of a stream of which it chooses sections.

    sections : Out(Sections)
        For the channel that reads them.
    segments : Out(stream of segment)
        For the one that takes their padding out; in the cycle of `sections.open`.
    """

    interface: ClassVar = PlannedPorts

    def __init__(self) -> None:
        super().__init__({"sections": Out(Sections()), "segments": Out(stream.Signature(segment()))})


class PlacePorts(wiring.PureInterface):
    """An interface of `Place`."""

    load: Signal
    address: Signal
    units: Signal
    spent: Signal


class Place(Bundle):
    """Where in external memory a channel's next data lie, said by whoever owns that channel (`Out`).

    load : Out(1)
        High for one cycle.
    address, units : Out
        Place and length in units of 64 bytes.
    spent : In(1)
        All of it has been asked for: another place may be set.
    """

    interface: ClassVar = PlacePorts

    def __init__(self) -> None:
        super().__init__(
            {"load": Out(1), "address": Out(ADDRESS_UNITS), "units": Out(LENGTH_UNITS), "spent": In(1)}
        )


class ScaleWritePorts(wiring.PureInterface):
    """An interface of `ScaleWrite`."""

    valid: Signal
    slot: Signal
    row: Signal
    multiplier: Any
    shift: Any


class ScaleWrite(Bundle):
    """The scales of a group of context rows, from LOAD (`Out`) to DRAIN.

    valid : Out(1)
    slot, row : Out
        Which of the context tiles, and the group's number in it.
    multiplier : Out(W x 16), shift : Out(W x 6)
        Of each row of the group.
    """

    interface: ClassVar = ScaleWritePorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "slot": Out(slot_bits(p)),
                "row": Out(address_bits(tile_groups(p))),
                "multiplier": Out(data.ArrayLayout(MULTIPLIER_BITS + 1, p.row_width)),
                "shift": Out(data.ArrayLayout(SHIFT_BITS, p.row_width)),
            }
        )


class ReservationsPorts(wiring.PureInterface):
    """An interface of `Reservations`."""

    addends: Signal
    output: Signal
    groups: Signal
    level: Signal
    space: Signal


class Reservations(Bundle):
    """What MULTIPLY (`Out`) takes of DRAIN's queues in advance, so that DRAIN never waits.

    addends, output : Out(1)
        With a block's last step: its addends, its places in the output queue are spoken for.
    groups : Out
        How many of them: groups of rows of the block.
    level : In
        Addends that are there and not reserved.
    space : In(1)
        A whole tile's output words have a place.
    """

    interface: ClassVar = ReservationsPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "addends": Out(1),
                "output": Out(1),
                "groups": Out(count_bits(tile_groups(p))),
                "level": In(count_bits(queue_depth(p))),
                "space": In(1),
            }
        )


class OperandWritePorts(wiring.PureInterface):
    """An interface of `OperandWrite`."""

    keys: Signal
    values: Signal
    rows: Signal
    lane: Signal
    address: Signal
    data: Signal


class OperandWrite(Bundle):
    """A group of rows for the key or the value memory, from DRAIN or the operand fill (`Out`).

    keys, values : Out(1)
        Which memory is written, if any.
    rows : Out(W)
        Which rows of the group are real.
    lane, address : Out
        Key or value lane within its bank, and the word.
    data : Out(W * C bytes)
    """

    interface: ClassVar = OperandWritePorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "keys": Out(1),
                "values": Out(1),
                "rows": Out(p.row_width),
                "lane": Out(write_lane_bits(p)),
                "address": Out(drain_bits(p)),
                "data": Out(8 * group_lanes(p)),
            }
        )


class HeadsPorts(wiring.PureInterface):
    """An interface of `Heads`."""

    filled: Signal
    freed: Signal


class Heads(Bundle):
    """Places of the key or the value memory, between the operand fill (`Out`) and MULTIPLY.

    filled : Out(1)
        A head's are complete; the memory's last write may be under way for one more cycle.
    freed : In(1)
        The last tile has passed a head's: its place may be written.
    """

    interface: ClassVar = HeadsPorts

    def __init__(self) -> None:
        super().__init__({"filled": Out(1), "freed": In(1)})
