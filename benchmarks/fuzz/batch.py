# SPDX-License-Identifier: Apache-2.0
"""Batches: models that share one random machine, which is as small as the largest of them allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.fuzz.compositions import draw_composed
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import Limits, draw_graph, draw_images
from hlsgen.errors import HlsgenError
from hlsgen.ir import Graph
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape, joint
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.parameters import BUS_BYTES, MachineParameters

SIZE = 32
"""Cases of a batch: the C++ and the RTL of their machine are compiled once."""
RTL_EVERY, TORCH_EVERY, COMPOSED_EVERY = 8, 10, 5
"""Every eighth batch, from the first one on, has a machine so small that its RTL is soon compiled; of every
ten batches one has models that come from PyTorch, and two have ops in any order."""


@dataclass(frozen=True)
class Case:
    """One model on the batch's machine, or why there is none.

    images: int8 [2, C, H, W]. failure: the exception that drawing or lowering the model raised.
    """

    index: int
    graph: Graph | None = None
    images: np.ndarray | None = None
    lowered: Lowered | None = None
    failure: Exception | None = None


@dataclass(frozen=True)
class Batch:
    """Everything that `number` and `seed` say of `SIZE` cases."""

    seed: int
    number: int

    @property
    def indices(self) -> range:
        """Numbers of the cases."""
        return range(self.number * SIZE, (self.number + 1) * SIZE)

    @property
    def rtl(self) -> bool:
        """Whether the cases run in RTL as well."""
        return self.number % RTL_EVERY == 0

    @property
    def torch(self) -> bool:
        """Whether the models come from PyTorch."""
        return self.number % TORCH_EVERY == TORCH_EVERY - 3

    @property
    def composed(self) -> bool:
        """Whether the models are ops in any order."""
        return self.number % COMPOSED_EVERY == COMPOSED_EVERY - 1

    def cases(self) -> list[Case]:
        """All cases, lowered to one machine."""
        draw = Draw(self.seed, self.number, 0)
        experts = draw.chance(0.5)
        tasks = draw.pick(1, 1, 1, 2, 2, 3, 3 if self.rtl else 16)
        array = _array(draw, experts, self.rtl)
        limits = Limits(
            logit_bits=draw.integer(8, 12),
            tasks=1 if self.torch and not experts else tasks,
            experts=experts,
            row_width=array.row_width,
            large=not self.rtl,
        )
        twins = draw.chance(0.5)  # models of one shape: the machine has no word more than each of them needs
        slots = 3 if twins else draw.integer(2, 4)
        made = [self._case(index, limits, twins) for index in self.indices]
        sizes = [_size(case, array) for case in made]
        machines = [size for size in sizes if isinstance(size, MachineParameters)]
        if array.streamed and any(machine.products for machine in machines):
            # One machine for all, and a product keeps keys and values inside.
            array = dataclasses.replace(array, streamed=False, span=0)
            sizes = [_size(case, array) for case in made]
            machines = [size for size in sizes if isinstance(size, MachineParameters)]
        if not machines:
            return [_failed(case, size) for case, size in zip(made, sizes, strict=True)]
        machine = dataclasses.replace(joint(machines), tile_slots=slots)
        return [
            _lowered(case, array, machine) if isinstance(size, MachineParameters) else _failed(case, size)
            for case, size in zip(made, sizes, strict=True)
        ]

    def _case(self, index: int, limits: Limits, twins: bool) -> Case:
        try:
            graph, images = self._model(index, limits, twins)
        except Exception as error:  # noqa: BLE001 whatever it is, the case says so
            return Case(index, failure=error)
        return Case(index, graph, images)

    def _model(self, index: int, limits: Limits, twins: bool) -> tuple[Graph, np.ndarray]:
        values = Draw(self.seed, self.number, 2, index)
        if self.composed:
            graph = draw_composed(values, limits.logit_bits, limits.tasks, experts=limits.experts)
            return graph, draw_images(values, graph)
        if self.torch:
            from benchmarks.fuzz.torch_models import draw_quantized

            graph = draw_quantized(Draw(self.seed, self.number, 3, 0 if twins else index), values, limits)
        else:
            graph = draw_graph(Draw(self.seed, self.number, 1, 0 if twins else index), values, limits)
        return graph, draw_images(values, graph)


def batches(seed: int, cases: int) -> Iterator[Batch]:
    """Those that hold the first `cases` cases."""
    return (Batch(seed, number) for number in range(-(-cases // SIZE)))


def _array(draw: Draw, experts: bool, rtl: bool) -> ArrayShape:
    """Any legal array, bus, ring and place of keys and values; of small ones for RTL."""
    if rtl:
        rows, columns, depth = draw.pick(
            (1, 1, 1), (2, 2, 2), (3, 2, 4), (3, 4, 2), (4, 4, 2), (5, 2, 1), (2, 1, 4), (4, 2, 2), (1, 4, 4)
        )
    else:
        rows = draw.pick(1, 2, 3, 4, 5, 6, 7, 8, 12, 17)
        columns, depth = (draw.pick(1, 2, 4, 8, 16, draw.pick(1, 32, 64)) for _ in range(2))
    widths = [w for w in (1, 2, 4) if rows % w == 0 and w <= min(columns, depth) and not experts]
    streamed = draw.chance(0.3)
    return ArrayShape(
        rows=rows,
        columns=columns,
        depth=depth,
        bus_bytes=draw.pick(*BUS_BYTES),
        ring_bytes=draw.pick(1, 1, 1, 64, 512, 1 << 18),
        row_width=draw.pick(*(widths or [1])),
        streamed=streamed,
        span=draw.pick(0, 1, 2, 3) if streamed else 0,
    )


def _size(case: Case, array: ArrayShape) -> MachineParameters | Exception:
    """The machine that the case needs, or why it has none."""
    if case.graph is None:
        return case.failure or HlsgenError("no model was drawn")
    try:
        return Sizer(case.graph).parameters(array)
    except Exception as error:  # noqa: BLE001
        return error


def _lowered(case: Case, array: ArrayShape, machine: MachineParameters) -> Case:
    assert case.graph is not None
    try:
        return dataclasses.replace(case, lowered=lower(case.graph, array, machine))
    except Exception as error:  # noqa: BLE001
        return _failed(case, error)


def _failed(case: Case, failure: MachineParameters | Exception) -> Case:
    assert isinstance(failure, Exception)
    return dataclasses.replace(case, failure=failure)
