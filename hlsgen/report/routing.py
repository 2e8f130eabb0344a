# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts in the report: who was chosen for which patch, loads, bytes, cycles by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hlsgen.ir import Graph, evaluate
from hlsgen.machine.format.commands import Load
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.bounds import least_cycles
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.plan import Plan, Routing, make_plan
from hlsgen.ops import IntegerRoute
from hlsgen.ops.route import split

if TYPE_CHECKING:
    from hlsgen.store.compiled import Compiled

SAMPLE = 0
"""The stored sample that the report looks at."""


def choices(graph: Graph, golden: Mapping[str, np.ndarray]) -> dict[str, tuple[int, np.ndarray]]:
    """Each routing in the golden tensors of one image: number of experts, and those chosen [tokens, k]."""
    found = {}
    for node in graph:
        if isinstance(node.op, IntegerRoute) and node.name in golden:
            experts = graph.type_of(node.inputs[0]).shape[-1]
            found[node.name] = experts, split(golden[node.name])[0].reshape(-1, node.op.k)
    return found


def loads(graph: Graph, golden: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], ...]:
    """Tokens of each expert, for each routing in the golden tensors of one image."""
    return tuple(_load(*routing) for routing in choices(graph, golden).values())


def _load(experts: int, chosen: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(chosen.reshape(-1), minlength=experts))


def sample_routing(design: Compiled, task: int = 0) -> Routing:
    """The task with the stored sample's queues; queues are even where no sample is stored."""
    if not len(design.samples) or not design.program.parameters.experts:
        return Routing(task=task)
    return Routing(task=task, loads=loads(design.graph, _golden(design, task)))


def _golden(design: Compiled, task: int) -> dict[str, np.ndarray]:
    return dict(evaluate(design.graph, design.samples.images[SAMPLE], task))


def expert_figures(design: Compiled) -> dict[str, Any] | None:
    """The page's figures of experts and tasks, ready for JSON; empty where the model has neither."""
    if not design.program.parameters.planned:
        return None
    routings, tasks = [], []
    for task in range(design.graph.tasks):
        golden = _golden(design, task) if len(design.samples) else {}
        found = choices(design.graph, golden)
        for name, (experts, chosen) in found.items():
            load = _load(experts, chosen)
            routings.append({"name": name, "task": task, "chosen": chosen.tolist(), "load": load})
        tasks.append(_task(design, Routing(task=task, loads=loads(design.graph, golden))))
    return {
        "sample": SAMPLE,
        "patches": _patches(design.program),
        "routings": routings,
        "calibration": list(design.quantization.get("routing", ())),
        "tasks": tasks,
    }


def _patches(program: Program) -> dict[str, int]:
    """Patches in a row of the image, and tokens before the first one."""
    command = next(command for command in program.commands if command.load is Load.PATCHES)
    return {"columns": command.patch_columns, "prefix": command.patch_prefix}


def _task(design: Compiled, routing: Routing) -> dict[str, Any]:
    """Cycles, their bound, and bytes of the sample for one task."""
    prediction = predict(design.program, design.image, routing=routing, target=design.rtl_target)
    plan = make_plan(design.program, design.image, routing)
    least = least_cycles([command for _, command in plan.commands], design.program)
    once, each = expert_bytes(plan)
    return {
        "task": routing.task,
        "cycles": prediction.cycles,
        "least": round(least),
        "bytes": prediction.bytes_read,
        "unordered": prediction.bytes_read - once + each,
        "experts": once,
    }


def expert_bytes(plan: Plan) -> tuple[int, int]:
    """Bytes of experts' weights and constants: once per layer and used expert; for each token anew."""
    rows = plan.program.parameters.rows
    once = each = 0
    for _, command in plan.commands:
        if command.expert:
            size = (command.weight_units + command.constant_units) * SECTION_ALIGN
            once, each = once + size, each + size * command.row_count(rows)
    return once, each
