# SPDX-License-Identifier: Apache-2.0
"""The core of a machine that may skip commands: planner, sections, routing and expert queues."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import COMMANDS_AHEAD
from hlsgen.rtl.core.constants import ConstantReader
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.experts.queues import DRAIN, LOAD, ExpertQueues
from hlsgen.rtl.experts.route import Route
from hlsgen.rtl.format.experts import ExpertEvents
from hlsgen.rtl.format.ports import Sections
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.sequence.planner import Planner, planned_command
from hlsgen.rtl.sequence.segments import Segments
from hlsgen.rtl.sequence.sequencer import Sequencer

RETIRED = 256
"""Commands that may be under way or skipped before DRAIN has taken notice."""


def plan_members(p: MachineParameters) -> dict[str, Any]:
    """The core's ports of a machine that may skip commands."""
    members: dict[str, Any] = {
        "task": In(4),
        "weights_sections": Out(Sections()),
        "constants_sections": Out(Sections()),
    }
    return members | {"events": Out(ExpertEvents(p))} if p.experts else members


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
    m.submodules.weights_segments = weights = Segments(p.columns * p.depth)
    m.submodules.constants_segments = constants = Segments(word_bytes(p.columns))
    for planned_of, sections, segments, source, target in (
        (planner.weights, core.weights_sections, weights, core.weights, ring.words),
        (planner.constants, core.constants_sections, constants, core.constants, reader.words),
    ):
        wiring.connect(m, planned_of.sections, wiring.flipped(sections))
        wiring.connect(m, planned_of.segments, segments.segments)
        wiring.connect(m, wiring.flipped(source), segments.i)
        wiring.connect(m, segments.o, target)
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
    wiring.connect(m, drain.logits, route.logits)
    wiring.connect(m, reader.gate, route.table)
    wiring.connect(m, route.append, queues.append)
    wiring.connect(m, load.queue, queues.read[LOAD])
    wiring.connect(m, drain.queue, queues.read[DRAIN])
    wiring.connect(m, planner.queue, queues.size)
    m.d.comb += [queues.start.eq(drain.logits.begin), planner.routing.eq(route.busy)]
    return route


def report_events(m: Module, core: Any, route: Route, multiply: MultiplyStage) -> None:
    """What the counters outside count, a cycle later."""
    waits = multiply.wait_tile | multiply.wait_weights | multiply.wait_drain
    m.d.sync += [
        core.events.token.valid.eq(route.append.valid),
        core.events.token.expert.eq(route.append.expert),
        core.events.wait.valid.eq(waits & (multiply.expert != 0)),
        core.events.wait.expert.eq(multiply.expert - 1),
    ]
