# SPDX-License-Identifier: Apache-2.0
"""Layouts and bundles of the routing: logits in, queues of tokens out, events counted."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.widths import gather_bits, memory_bits, queue_bits, router_words, row_bits
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import address_bits
from hlsgen.rtl.parts.ports import Bundle

GATE_BITS = 15
COUNTER_BITS = 32


def expert_bits(p: MachineParameters) -> int:
    """Bits of an expert's number."""
    return address_bits(p.experts)


def logit_address_bits(p: MachineParameters) -> int:
    """Bits of a word's address in the logit memory."""
    return address_bits(p.queue_tokens * router_words(p))


def queue_entry(p: MachineParameters) -> data.StructLayout:
    """A token: its row's distance from the tensor's first one, in words, its gate, whether no expert before
    this one has it."""
    return data.StructLayout({"offset": memory_bits(p), "gate": GATE_BITS, "first": 1})


def route_config(p: MachineParameters) -> data.StructLayout:
    """What a router command says."""
    names = ("experts", "choices", "gate_mode")
    return data.StructLayout({name: FIELD_BITS[name] for name in names} | {"route_stride": memory_bits(p)})


class RouterLogitsPorts(wiring.PureInterface):
    """An interface of `RouterLogits`."""

    begin: Signal
    config: Any
    valid: Signal
    token_end: Signal
    command_end: Signal
    address: Signal
    word: Any


class RouterLogits(Bundle):
    """A router command's logits, from DRAIN (`Out`) to the routing.

    begin : Out(1), config : Out(route_config)
        A router command's first row is on its way.
    valid : Out(1), address : Out, word : Out(W * C x signed logit)
        C logits; W is 1 in machines with experts. The words of a token lie side by side.
    token_end, command_end : Out(1)
        With `valid`: the token's, the command's last word.
    """

    interface: ClassVar = RouterLogitsPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {
                "begin": Out(1),
                "config": Out(route_config(p)),
                "valid": Out(1),
                "token_end": Out(1),
                "command_end": Out(1),
                "address": Out(logit_address_bits(p)),
                "word": Out(words_of(p.logit_bits, p.columns)),
            }
        )


class QueueAppendPorts(wiring.PureInterface):
    """An interface of `QueueAppend`."""

    valid: Signal
    expert: Signal
    entry: Any


class QueueAppend(Bundle):
    """A token's way into an expert's queue, from the routing (`Out`).

    valid : Out(1), expert : Out, entry : Out(queue_entry)
    """

    interface: ClassVar = QueueAppendPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__({"valid": Out(1), "expert": Out(expert_bits(p)), "entry": Out(queue_entry(p))})


class QueueReadPorts(wiring.PureInterface):
    """An interface of `QueueRead`."""

    address: Signal
    entry: Any


class QueueRead(Bundle):
    """A reader of the expert queues (`Out`).

    address : Out
        Expert times queue length, plus place in the queue.
    entry : In(queue_entry)
        Two cycles after `address`.
    """

    interface: ClassVar = QueueReadPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__({"address": Out(queue_bits(p)), "entry": In(queue_entry(p))})


class QueueSizePorts(wiring.PureInterface):
    """An interface of `QueueSize`."""

    expert: Signal
    tiles: Signal
    tail_rows: Signal


class QueueSize(Bundle):
    """Whoever asks for a queue's size (`Out`).

    expert : Out
        Whose queue.
    tiles, tail_rows : In
        Its tiles, and the rows of the last one; 0 tiles for an empty queue. One cycle after `expert`.
    """

    interface: ClassVar = QueueSizePorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {"expert": Out(expert_bits(p)), "tiles": In(gather_bits(p)), "tail_rows": In(row_bits(p))}
        )


class ExpertEventPorts(wiring.PureInterface):
    """An interface of `ExpertEvent`."""

    valid: Signal
    expert: Signal


class ExpertEvent(Bundle):
    """Something happened to an expert (`valid : Out(1)`), and to which (`expert : Out`)."""

    interface: ClassVar = ExpertEventPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__({"valid": Out(1), "expert": Out(expert_bits(p))})


class ExpertEventsPorts(wiring.PureInterface):
    """An interface of `ExpertEvents`."""

    token: ExpertEventPorts
    wait: ExpertEventPorts


class ExpertEvents(Bundle):
    """What is counted of the experts, from the core (`Out`) to the counters, at most one of each a cycle.

    token : Out(ExpertEvent)
        A token went to this expert's queue.
    wait : Out(ExpertEvent)
        MULTIPLY had a job of this expert and issued no step.
    """

    interface: ClassVar = ExpertEventsPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__({"token": Out(ExpertEvent(p)), "wait": Out(ExpertEvent(p))})


class ExpertCountsPorts(wiring.PureInterface):
    """An interface of `ExpertCounts`."""

    expert: Signal
    tokens: Signal
    waits: Signal


class ExpertCounts(Bundle):
    """Whoever reads the counters of experts (`Out`).

    expert : Out
        Whose.
    tokens, waits : In(32)
        In the same cycle.
    """

    interface: ClassVar = ExpertCountsPorts

    def __init__(self, p: MachineParameters) -> None:
        super().__init__(
            {"expert": Out(expert_bits(p)), "tokens": In(COUNTER_BITS), "waits": In(COUNTER_BITS)}
        )
