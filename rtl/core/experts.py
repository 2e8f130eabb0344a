# SPDX-License-Identifier: Apache-2.0
"""The core of a machine that may skip commands: planner, sections, routing and expert queues."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.core.constants import ConstantReader
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.experts.counters import event_members
from hlsgen.rtl.experts.queues import ExpertQueues
from hlsgen.rtl.experts.route import Route
from hlsgen.rtl.format.streams import LENGTH_UNITS
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.sequence.planner import STREAMS, Planner, planned_command
from hlsgen.rtl.sequence.segments import Segments
from hlsgen.rtl.sequence.sequencer import Sequencer

COMMANDS_AHEAD = 8
"""Commands that wait for the sequencer, their sections asked for; where commands may be skipped."""
RETIRED = 256
"""Commands that may be under way or skipped before DRAIN has taken notice."""


def plan_members(p: MachineParameters) -> dict[str, Any]:
    """The core's ports of a machine that may skip commands."""
    members: dict[str, Any] = {"task": In(4)}
    for name in STREAMS:
        members |= {
            f"{name}_open": Out(1),
            f"{name}_offset": Out(LENGTH_UNITS),
            f"{name}_units": Out(LENGTH_UNITS),
            f"{name}_spent": In(1),
        }
    return members | event_members(p) if p.experts else members


def plan_ahead(
    m: Module,
    core: Any,
    p: MachineParameters,
    sequencer: Sequencer,
    drain: DrainStage,
    ring: Ring,
    reader: ConstantReader,
) -> Planner:
    """Commands pass the planner, and wait behind it; the padding of sections is taken out."""
    m.submodules.planner = planner = Planner(p)
    m.submodules.planned = planned = Queue(planned_command(), COMMANDS_AHEAD)
    m.submodules.retired = retired = Queue(1, RETIRED)
    wiring.connect(m, wiring.flipped(core.commands), planner.commands)
    wiring.connect(m, planner.o, planned.i)
    wiring.connect(m, planner.retired, retired.i)
    wiring.connect(m, retired.o, drain.retired)
    m.d.comb += [
        sequencer.commands.valid.eq(planned.o.valid),
        sequencer.commands.payload.eq(planned.o.payload.command),
        sequencer.number.eq(planned.o.payload.number),
        planned.o.ready.eq(sequencer.commands.ready),
        planner.task.eq(core.task),
        planner.drained_commands.eq(drain.operand_commands),
    ]
    for name, size, source, target in (
        ("weights", p.columns * p.depth, core.weights, ring.words),
        ("constants", word_bytes(p.columns), core.constants, reader.words),
    ):
        m.submodules[f"{name}_segments"] = segments = Segments(size)
        wiring.connect(m, getattr(planner, f"{name}_segment"), segments.segments)
        wiring.connect(m, wiring.flipped(source), segments.i)
        wiring.connect(m, segments.o, target)
        for port in ("open", "offset", "units"):
            m.d.comb += getattr(core, f"{name}_{port}").eq(getattr(planner, f"{name}_{port}"))
        m.d.comb += getattr(planner, f"{name}_spent").eq(getattr(core, f"{name}_spent"))
    return planner


def connect_experts(
    m: Module,
    p: MachineParameters,
    planner: Planner,
    load: LoadStage,
    drain: DrainStage,
    reader: ConstantReader,
) -> Route:
    """Routing fills the queues; LOAD, DRAIN and the planner read them."""
    m.submodules.route = route = Route(p)
    m.submodules.expert_queues = queues = ExpertQueues(p)
    m.d.comb += [
        route.begin.eq(drain.route_begin),
        route.config.eq(drain.route_config),
        route.write.eq(drain.route_write),
        route.token_end.eq(drain.route_token_end),
        route.command_end.eq(drain.route_command_end),
        route.address.eq(drain.route_address),
        route.word.eq(drain.route_word),
        route.table_write.eq(reader.gate_write),
        route.table_address.eq(reader.gate_address),
        route.table_data.eq(reader.table_data),
        queues.start.eq(drain.route_begin),
        queues.append.eq(route.append),
        queues.append_expert.eq(route.append_expert),
        queues.append_entry.eq(route.append_entry),
        queues.read_address[0].eq(load.queue_address),
        load.queue_offset.eq(queues.read_entry[0].offset),
        queues.read_address[1].eq(drain.queue_address),
        drain.queue_entry.eq(queues.read_entry[1]),
        queues.expert.eq(planner.expert),
        planner.tiles.eq(queues.tiles),
        planner.tail_rows.eq(queues.tail_rows),
        planner.routing.eq(route.busy),
    ]
    return route


def report_events(m: Module, core: Any, route: Route, multiply: MultiplyStage) -> None:
    """What the counters outside count, a cycle later."""
    waits = multiply.wait_tile | multiply.wait_weights | multiply.wait_drain
    m.d.sync += [
        core.expert_token.eq(route.append),
        core.expert_token_of.eq(route.append_expert),
        core.expert_wait.eq(waits & (multiply.expert != 0)),
        core.expert_wait_of.eq(multiply.expert - 1),
    ]
