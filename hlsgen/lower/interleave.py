# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts: what their commands need besides those of a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hlsgen.errors import UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.lower.constants import ConstantStream, Table
from hlsgen.lower.refuse import must_be
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.constants import Item
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.ops import IntegerCombine, IntegerRoute, IntegerTable
from hlsgen.ops.route import GATE_BITS

ADDEND_DISTANCE = 32
"""Cycles after which DRAIN may read a residual row that it has written: more than its pipeline is long."""


def interleave(steps: list[Step], array: ArrayShape) -> list[Step]:
    """Each expert's first layer before the second one of the expert before it.

    While one expert's last results drain and are loaded again, the array works on the next expert; their
    middle layers lie in two places that take turns. Second layers may then follow one another directly, and a
    token's row is added to again: only where a tile of them takes long enough for that.
    """
    second = [step for step in steps if isinstance(step, LinearStep) and step.expert and step.combine]
    turns = {step.route.name for step in second if step.route and _takes_turns(step, array)}
    result: list[Step] = []
    waiting: LinearStep | None = None
    for step in steps:
        routed = isinstance(step, LinearStep) and step.expert and step.route
        if not routed or routed.name not in turns or not isinstance(step, LinearStep):
            result += [waiting] if waiting else []
            waiting = None
            result.append(step)
        elif step.combine is None:
            result.append(replace(step, place=_place(step.result, step)))
            result += [waiting] if waiting else []
            waiting = None
        else:
            waiting = replace(step, rows=replace(step.rows, place=_place(step.rows.tensor, step)))
    return [*result, *([waiting] if waiting else [])]


def _takes_turns(step: LinearStep, array: ArrayShape) -> bool:
    """Whether a tile of the experts' second layer, `step`, is long enough."""
    outputs, inputs = step.linear.op.weight.shape  # type: ignore[attr-defined]
    return ceil_div(outputs, array.columns) * ceil_div(inputs, array.depth) >= ADDEND_DISTANCE


def _place(tensor: str, step: LinearStep) -> str:
    return f"{tensor}#{step.expert % 2}"


class ExpertTables:
    """The tables and the last router command of each routing.

    Every router command of a routing loads the same tables into the same banks: one of them runs.
    """

    def __init__(self) -> None:
        self._tables: dict[str, tuple[Table, Table]] = {}
        self._routers: dict[str, int] = {}

    def router(self, step: LinearStep) -> int:
        """The last router command of the step's routing."""
        return self._routers[_name(step)]

    def fields(
        self,
        step: LinearStep,
        following: Sequence[Step],
        constants: ConstantStream,
        index: int,
        parameters: MachineParameters,
    ) -> dict[str, Any]:
        """The command's fields; a router command's tables go to the constants."""
        if not step.expert:
            self._routers[_name(step)] = index
            return self._router_fields(step, following, constants, index, parameters.logit_bits)
        _, activation = self._tables[_name(step)]
        fields: dict[str, Any] = {
            "expert": step.expert,
            "queue_base": (step.expert - 1) * parameters.queue_tokens,
        }
        if step.combine is None:
            return fields | {"gather": 1, "depends_on": self.router(step), "activation_bank": activation.bank}
        match step.combine.op:
            case IntegerCombine(left=left):
                return fields | {"gate_shift": GATE_BITS - left}
            case _:
                raise must_be(step.combine, "a combination of experts")

    def _router_fields(
        self, step: LinearStep, following: Sequence[Step], constants: ConstantStream, index: int, bits: int
    ) -> dict[str, Any]:
        name, route, table = _name(step), step.route, step.experts_table
        if route is None or not isinstance(route.op, IntegerRoute):
            raise UnsupportedModel(f"{step.linear.name}: must be a router", code=Code.LOWERING)
        if step.linear.type.bits != bits:
            raise UnsupportedModel(
                f"{step.linear.name}: all logits must have {bits} bits", code=Code.LOWERING
            )
        if table is None or not isinstance(table.op, IntegerTable):
            raise UnsupportedModel(f"{name}: its experts must have an activation table", code=Code.LOWERING)
        if name not in self._tables:
            mine = [
                i
                for i, later in enumerate(following)
                if isinstance(later, LinearStep) and later.route is route
            ]
            user = index + 1 + mine[-1]
            self._tables[name] = (
                constants.reserve(Item.GATE_TABLE, route.op.table, user),
                constants.reserve(Item.ACTIVATION_TABLE, table.op.table, user),
            )
        for loaded in self._tables[name]:
            constants.load(loaded)
        return {
            "experts": step.linear.type.shape[-1],
            "choices": route.op.k,
            "gate_mode": int(route.op.mode),
        }


def _name(step: LinearStep) -> str:
    return step.route.name if step.route else ""
