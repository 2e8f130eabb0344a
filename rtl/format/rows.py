# SPDX-License-Identifier: Apache-2.0
"""Bundles of rows on their way: between LOAD, DRAIN and the memories of rows, scores and tiles."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.jobs import load_tag
from hlsgen.rtl.format.widths import drain_bits, group_lanes, score_words
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import address_bits
from hlsgen.rtl.parts.ports import Bundle


class RowReadPorts(wiring.PureInterface):
    """An interface of `RowRead`."""

    address: Signal
    data: Any


class RowRead(Bundle):
    """A reader of a memory of rows (`Out`): a group of words.

    address : Out
        The same in all banks, one for each row of a group.
    data : In(W*C elements)
        `latency.MEMORY` cycles after the address.

    Parameters
    ----------
    address_bits
        Of a bank's words.
    layout
        Of the group's elements.
    """

    interface: ClassVar = RowReadPorts

    def __init__(self, address_bits: int, layout: data.ArrayLayout) -> None:
        super().__init__({"address": Out(address_bits), "data": In(layout)})


class RowWritePorts(wiring.PureInterface):
    """An interface of `RowWrite`."""

    features: Signal
    residual: Signal
    address: Signal
    rows: Signal
    word: Any


class RowWrite(Bundle):
    """A group of rows for a memory of rows, from DRAIN (`Out`).

    features, residual : Out(1)
        Which memory is written, if any.
    address : Out
    rows : Out(W)
        Which rows of the group are real.
    word : Out(W*C x signed 16)
    """

    interface: ClassVar = RowWritePorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "features": Out(1),
                "residual": Out(1),
                "address": Out(drain_bits(p)),
                "rows": Out(p.row_width),
                "word": Out(words_of(16, group_lanes(p))),
            }
        )


class ScoreWritePorts(wiring.PureInterface):
    """An interface of `ScoreWrite`."""

    valid: Signal
    address: Signal
    word: Any


class ScoreWrite(Bundle):
    """A group of rows of logits for the score memory, from DRAIN (`Out`).

    valid : Out(1), address : Out, word : Out(W*C x signed logit)
    """

    interface: ClassVar = ScoreWritePorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(address_bits(score_words(p))),
                "word": Out(words_of(p.logit_bits, group_lanes(p))),
            }
        )


class DrainedPorts(wiring.PureInterface):
    """An interface of `Drained`."""

    commands: Signal
    tiles: Signal
    scores: Signal


class Drained(Bundle):
    """How far DRAIN (`Out`) is, for LOAD: as early as LOAD's way to the memories allows.

    commands, tiles : Out
        Commands that are over; tiles of the following command that are.
    scores : Out(1)
        One more score tile is.
    """

    interface: ClassVar = DrainedPorts

    def __init__(self, p: MachineParameters) -> None:
        tiles = field(p, "tiles")
        super().__init__({"commands": Out(p.command_count_bits), "tiles": Out(tiles), "scores": Out(1)})


class TileWritePorts(wiring.PureInterface):
    """An interface of `TileWrite`."""

    rows: Signal
    lane: Signal
    address: Signal
    data: Signal


class TileWrite(Bundle):
    """A group of operand words for the tile slots, from LOAD (`Out`).

    rows : Out(W)
        Which rows of the group are written.
    lane, address : Out
        The group's number, the word within the slots.
    data : Out(W*C bytes)
    """

    interface: ClassVar = TileWritePorts

    def __init__(self, p: MachineParameters) -> None:
        tag = load_tag(p, trace=False).members
        super().__init__(
            {
                "rows": Out(p.row_width),
                "lane": Out(tag["lane"]),
                "address": Out(tag["word"]),
                "data": Out(8 * group_lanes(p)),
            }
        )
