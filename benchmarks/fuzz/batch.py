# SPDX-License-Identifier: Apache-2.0
"""Batches: models that share one random machine, which is as small as the largest of them allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.fuzz.compositions import draw_composed
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.integers import draw_integers
from benchmarks.fuzz.models import Limits, draw_graph, draw_images
from hlsgen.errors import HlsgenError
from hlsgen.ir import Graph
from hlsgen.lower import Lowered
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

    images: int8 [N, C, H, W]. failure: the exception that drawing or lowering the model raised.
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
    only_composed: bool = False
    """Whether all batches of the run have ops in any order, on small machines."""
    integers: bool = False
    """Whether the models are integer Graphs that no quantizer has made, see `integers`."""

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
        return not (self.only_composed or self.integers) and self.number % TORCH_EVERY == TORCH_EVERY - 3

    @property
    def composed(self) -> bool:
        """Whether the models are ops in any order."""
        return self.only_composed or self.number % COMPOSED_EVERY == COMPOSED_EVERY - 1

    def cases(self) -> list[Case]:
        """All cases, lowered to one machine."""
        draw = Draw(self.seed, self.number, 0)
        experts = draw.chance(0.5) and not self.integers
        small = self.rtl or self.only_composed or self.integers
        tasks = draw.pick(1, 1, 1, 2, 2, 3, 3 if small else 16)
        array = _array(draw, experts, small)
        limits = Limits(
            logit_bits=draw.integer(8, 12),
            activation_bits=Draw(self.seed, self.number, 4).pick(8, 8, 9, 10, 12),
            numerator_bits=Draw(self.seed, self.number, 5).pick(8, 8, 8, 9, 12),
            tasks=1 if self.torch and not experts else tasks,
            experts=experts,
            row_width=array.row_width,
            large=not self.rtl,
        )
        twins = draw.chance(0.5)  # models of one shape: the machine has no word more than each of them needs
        slots = 3 if twins else draw.integer(2, 4)
        made = [self._case(index, limits, twins) for index in self.indices]
        sizers = [_sizer(case) for case in made]
        sizes = [_size(sizer, array) for sizer in sizers]
        machines = [size for size in sizes if isinstance(size, MachineParameters)]
        if array.streamed and any(machine.products for machine in machines):
            # One machine for all, and a product keeps keys and values inside.
            array = dataclasses.replace(array, streamed=False, span=0)
            sizes = [_size(sizer, array) for sizer in sizers]
            machines = [size for size in sizes if isinstance(size, MachineParameters)]
        if not machines:
            return [_failed(case, size) for case, size in zip(made, sizes, strict=True)]
        machine = dataclasses.replace(joint(machines), tile_slots=slots)
        return [
            _failed(case, size if isinstance(size, Exception) else sizer)
            if isinstance(size, Exception) or isinstance(sizer, Exception)
            else _lowered(case, sizer, array, machine)
            for case, sizer, size in zip(made, sizers, sizes, strict=True)
        ]

    def _case(self, index: int, limits: Limits, twins: bool) -> Case:
        try:
            graph, images = self._model(index, limits, twins)
        except Exception as error:  # noqa: BLE001 whatever it is, the case says so
            return Case(index, failure=error)
        return Case(index, graph, images)

    def _model(self, index: int, limits: Limits, twins: bool) -> tuple[Graph, np.ndarray]:
        values = Draw(self.seed, self.number, 2, index)
        if self.integers:
            graph = draw_integers(values, limits.tasks, named=limits.tasks == 1)
            return graph, draw_images(values, graph)[:1]
        if self.composed:
            graph = draw_composed(
                values, limits.logit_bits, limits.tasks, experts=limits.experts,
                activation_bits=limits.activation_bits, numerator_bits=limits.numerator_bits,
            )  # fmt: skip
            return graph, draw_images(values, graph)[[values.integer(0, 1)]]  # many graphs, not many images
        if self.torch:
            from benchmarks.fuzz.torch_models import draw_quantized

            graph = draw_quantized(Draw(self.seed, self.number, 3, 0 if twins else index), values, limits)
        else:
            graph = draw_graph(Draw(self.seed, self.number, 1, 0 if twins else index), values, limits)
        return graph, draw_images(values, graph)


def batches(seed: int, cases: int, *, composed: bool = False, integers: bool = False) -> Iterator[Batch]:
    """Those that hold the first `cases` cases; composed, integers: all of them have such models."""
    return (Batch(seed, number, composed, integers) for number in range(-(-cases // SIZE)))


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


def _sizer(case: Case) -> Sizer | Exception:
    """What lowering knows of the case on any machine, or why it has none."""
    if case.graph is None:
        return case.failure or HlsgenError("no model was drawn")
    try:
        return Sizer(case.graph)
    except Exception as error:  # noqa: BLE001
        return error


def _size(sizer: Sizer | Exception, array: ArrayShape) -> MachineParameters | Exception:
    """The machine that the case needs, or why it has none."""
    if isinstance(sizer, Exception):
        return sizer
    try:
        return sizer.parameters(array)
    except Exception as error:  # noqa: BLE001
        return error


def _lowered(case: Case, sizer: Sizer, array: ArrayShape, machine: MachineParameters) -> Case:
    try:
        return dataclasses.replace(case, lowered=sizer.lower(array, machine))
    except Exception as error:  # noqa: BLE001
        return _failed(case, error)


def _failed(case: Case, failure: object) -> Case:
    assert isinstance(failure, Exception)
    return dataclasses.replace(case, failure=failure)
