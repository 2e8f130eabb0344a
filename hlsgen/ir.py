# SPDX-License-Identifier: Apache-2.0
"""The Graph: small, immutable, static single assignment, typed.

A tensor of one image has no batch axis in its type; `Op.golden` and `Op.reference` take arrays with any
number of leading batch axes. A type is *float* (no range) or *integer* (`low`, `high`, `scale`), where
real = integer * scale.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import ArrayLike

from hlsgen.display.graph import ShownGraph
from hlsgen.display.names import free_name
from hlsgen.errors import RangeOverflow, TypeMismatch, UsageError
from hlsgen.progress.steps import step
from hlsgen.quantizers import Quantizer
from hlsgen.windows import View

_T = TypeVar("_T")

OUTPUT_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)
"""Names of outputs: they reach every file of a build folder."""
BATCH_ELEMENTS = 1 << 22
"""Most elements, over all tensors of the graph, that one batch may have: few enough for caches to serve."""


@dataclass(frozen=True)
class TensorType:
    """Shape of one image's tensor, and for integers the value range and the scale."""

    shape: tuple[int, ...]
    low: int | None = None
    high: int | None = None
    scale: float | None = None

    @property
    def is_integer(self) -> bool:
        return self.low is not None

    @property
    def bits(self) -> int:
        """Two's complement width that holds the range (unsigned ranges count no sign bit)."""
        low, high = self.integer_range
        return high.bit_length() if low >= 0 else max(high.bit_length(), (-low - 1).bit_length()) + 1

    @property
    def integer_range(self) -> tuple[int, int]:
        if self.low is None or self.high is None:
            raise TypeMismatch("an integer type was expected, not a float type")
        return self.low, self.high

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        if not self.is_integer:
            return f"float[{shape}]"
        return f"int[{shape}] {self.low}..{self.high} scale {self.scale:.9g}"


def quantize_images(images: ArrayLike, kind: TensorType) -> np.ndarray:
    """Real images [N, C, H, W], or one [C, H, W], as the integers of `kind`: nearest, half up, saturated.

    The result is int8 of the same shape, uint8 where `kind` has no sign. The hosts' programs do the same
    (templates/device/input.py.j2). Raises `UsageError` for another shape, and for what is no finite number.
    """
    array = np.asarray(images)
    if kind.shape not in (array.shape, array.shape[1:]):
        wanted = ", ".join(map(str, kind.shape))
        raise UsageError(f"images must have shape [N, {wanted}], not {list(array.shape)}")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise UsageError("images must be finite real numbers")
    low, high = kind.integer_range
    steps = np.floor(array.astype(np.float64) / (kind.scale or 1.0) + 0.5)
    return np.clip(steps, low, high).astype(np.int8 if low < 0 else np.uint8)


@dataclass(frozen=True)
class Source:
    """Where a node comes from: the user's module path and `file:line`."""

    module: str = ""
    location: str = ""

    def __str__(self) -> str:
        return " at ".join(part for part in (self.module, self.location) if part)


class Op:
    """What a node computes; the fields of the subclass are its only parameters."""

    stem: ClassVar[str]
    chooses: ClassVar[bool] = False
    """Whether the op takes one of its inputs, by the task."""

    def infer(self, *types: TensorType) -> TensorType:
        """Return the result's type, or raise `TypeMismatch` or `RangeOverflow`."""
        raise TypeMismatch(f"{type(self).__name__}: no type rule for {len(types)} inputs")

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        """Integer meaning: exact, arrays of int64 in and out."""
        name = type(self).__name__
        raise TypeMismatch(f"{name}: no integer meaning for {len(arrays)} inputs: quantize first")

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        """Float meaning in float64."""
        raise TypeMismatch(f"{type(self).__name__}: no float meaning for {len(arrays)} inputs")

    def __str__(self) -> str:
        parts = []
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value = f"<{'x'.join(map(str, value.shape))}>"
            parts.append(f"{item.name}={value}")
        return f"{type(self).__name__}({', '.join(parts)})"


REGISTRY: dict[str, type[Op]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def op(cls: type[_T]) -> type[_T]:
    """Freeze the class as a keyword-only dataclass and register it under its name."""
    frozen: Any = dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
    frozen.stem = cls.__module__.rsplit(".", 1)[-1]
    if cls.__name__ in REGISTRY:
        raise TypeMismatch(f"op {cls.__name__} is defined twice")
    REGISTRY[cls.__name__] = frozen
    return frozen


@dataclass(frozen=True)
class Node:
    """One assignment: `name = op(inputs)`."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    type: TensorType
    source: Source = field(default_factory=Source)

    def __str__(self) -> str:
        return f"%{self.name} = {self.op} ({', '.join('%' + i for i in self.inputs)}) : {self.type}"


@dataclass(frozen=True, repr=False)
class Graph(ShownGraph):
    """An immutable SSA graph with one image as input and one run for each task.

    A graph with several tasks has `Choose` nodes, which take their input number `task`, and is evaluated as
    one of the graphs that `for_task` returns. A task is chosen for a run; a run gives all outputs of the
    task.
    """

    input: str
    input_type: TensorType
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    """Tensors: of each task as many as there are names, task by task. A tensor may be there twice."""
    names: tuple[str, ...] = ()
    """Of a run's outputs, where there are several; else empty."""
    views: tuple[View | None, ...] = ()
    """How the model itself orders each of `outputs`, None: as the tensor; empty: all of them are None."""
    quantizers: tuple[Quantizer, ...] = ()
    """Those that the model itself had, in its order; passes over graphs drop them."""

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.outputs) // self._each

    @property
    def output(self) -> str:
        """The first output of the first task."""
        return self.outputs[0]

    @property
    def _each(self) -> int:
        return max(1, len(self.names))

    def results(self, task: int = 0) -> dict[str, str]:
        """The outputs of a run for `task`: name to tensor; a single output has the name ''."""
        tensors = self.outputs[task * self._each : (task + 1) * self._each]
        return dict(zip(self.names or ("",), tensors, strict=True))

    def shown(self, found: Mapping[str, np.ndarray], task: int = 0) -> dict[str, np.ndarray]:
        """The outputs of a run [..., rows, columns], by name, each as the model orders it."""
        kept = {name: self.view(number, task) for number, name in enumerate(self.names or ("",))}
        return {
            name: value if (view := kept[name]) is None else view.of(value) for name, value in found.items()
        }

    def view(self, number: int, task: int = 0) -> View | None:
        """How the model orders output `number` of a run for `task`; None: as the tensor."""
        return self.views[task * self._each + number] if self.views else None

    def for_task(self, task: int, more: Iterable[str] = ()) -> Graph:
        """What task `task`, and tensors `more` in it, need: a graph of one task, without `Choose`."""
        if not 0 <= task < self.tasks:
            raise UsageError(f"task must be in 0..{self.tasks - 1}, not {task!r}")
        if self.tasks == 1:
            return self
        chosen, kept = dict[str, str](), list[Node]()
        for node in self.nodes:
            inputs = tuple(chosen.get(name, name) for name in node.inputs)
            if node.op.chooses:
                chosen[node.name] = inputs[task]
            else:
                kept.append(dataclasses.replace(node, inputs=inputs))
        outputs = tuple(chosen.get(name, name) for name in self.results(task).values())
        views = self.views[task * self._each :][: self._each]
        nodes = live(tuple(kept), (*outputs, *(chosen.get(name, name) for name in more)))
        return Graph(self.input, self.input_type, nodes, outputs, self.names, views)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def node(self, name: str) -> Node:
        """The node that defines `name`."""
        if name not in self._makers:
            raise TypeMismatch(f"%{name} is not defined by a node")
        return self._makers[name]

    def type_of(self, name: str) -> TensorType:
        return self.input_type if name == self.input else self.node(name).type

    def users(self, name: str) -> tuple[Node, ...]:
        """The nodes that read a tensor, in order."""
        return self._readers.get(name, ())

    @cached_property
    def _makers(self) -> dict[str, Node]:
        """Each node by its name; of several the first."""
        return {node.name: node for node in reversed(self.nodes)}

    @cached_property
    def _readers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each tensor."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def verify(self) -> Graph:
        """Check single assignment, definition before use and every type; return self."""
        types = {self.input: self.input_type}
        for node in self.nodes:
            if node.name in types:
                raise TypeMismatch(f"%{node.name}: defined twice")
            missing = [name for name in node.inputs if name not in types]
            if missing:
                raise TypeMismatch(f"%{node.name}: used before definition: {', '.join(missing)}")
            if node.op.chooses and len(node.inputs) != self.tasks:
                raise TypeMismatch(f"%{node.name}: must choose among {self.tasks} tasks")
            inferred = _infer(node.op, [types[name] for name in node.inputs], node.name, node.source)
            if inferred != node.type:
                raise TypeMismatch(f"%{node.name}: type must be {inferred}, not {node.type}")
            types[node.name] = node.type
        self._verify_outputs(types)
        return self

    def _verify_outputs(self, types: Mapping[str, TensorType]) -> None:
        missing = [name for name in self.outputs if name not in types]
        if missing or not self.outputs:
            raise TypeMismatch(f"output %{', %'.join(missing)} is not defined")
        if len(set(self.names)) != len(self.names) or len(self.outputs) % self._each:
            raise TypeMismatch(f"{len(self.outputs)} outputs must have different names, task by task")
        wrong = [name for name in self.names if not OUTPUT_NAME.fullmatch(name)]
        if wrong:
            raise TypeMismatch(f"an output's name must be letters, digits, _ and dots, not {wrong[0]!r}")
        if self.views and len(self.views) != len(self.outputs):
            raise TypeMismatch(f"{len(self.outputs)} outputs must have as many views, not {len(self.views)}")
        for name, view in zip(self.outputs, self.views, strict=False):
            if view is not None:
                view.verify(math.prod(types[name].shape))

    def __str__(self) -> str:
        lines = [f"input %{self.input} : {self.input_type}"]
        lines += [str(node) for node in self.nodes]
        lines.append(f"output {', '.join('%' + name for name in self.outputs)}")
        lines += [f"names {', '.join(self.names)}"] if self.names else []
        lines += [f"views {', '.join(map(str, self.views))}"] if any(self.views) else []
        return "\n".join(lines) + "\n"


def _infer(op: Op, types: Sequence[TensorType], name: str, source: Source) -> TensorType:
    """The type of node `name`; an overflow says where it is."""
    try:
        return op.infer(*types)
    except RangeOverflow as error:
        place = " ".join(filter(None, (f"%{name}", str(source))))
        wheres = [", ".join(filter(None, (place, each.where))) for each in error.problems]
        each = zip(error.problems, wheres, strict=True)
        raise RangeOverflow([dataclasses.replace(item, where=where) for item, where in each]) from error


class GraphBuilder:
    """Collects nodes in order and infers their types."""

    def __init__(self, input_name: str, input_type: TensorType) -> None:
        self._input = input_name
        self._types = {input_name: input_type}
        self._nodes: list[Node] = []

    def add(self, name: str, op: Op, inputs: Sequence[str], source: Source | None = None) -> str:
        """Append `name = op(inputs)`; names that are taken get a numeric suffix. Returns the name."""
        unique = free_name(name, self._types)
        source = source or Source()
        result = _infer(op, [self._types[i] for i in inputs], unique, source)
        self._nodes.append(Node(unique, op, tuple(inputs), result, source))
        self._types[unique] = result
        return unique

    @property
    def input(self) -> str:
        """The image's name."""
        return self._input

    def type_of(self, name: str) -> TensorType:
        return self._types[name]

    def finish(self, *outputs: str, names: Sequence[str] = (), views: Sequence[View | None] = ()) -> Graph:
        """The graph with these outputs, task by task; `names`, `views`: see `Graph`."""
        kind = self._types[self._input]
        views = tuple(views) if any(views) else ()
        return Graph(self._input, kind, tuple(self._nodes), outputs, tuple(names), views).verify()


def live(nodes: Sequence[Node], outputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes that the outputs depend on, in order."""
    needed, result = set(outputs), []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            result.append(node)
    return tuple(result[::-1])


def walk(graph: Graph, value: np.ndarray, task: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor that `task` computes for the input `value` (leading batch axes allowed), in graph order.

    Each is let go after the last node that reads it; the receiver must not change it.
    """
    graph = graph.for_task(task)
    integer = graph.input_type.is_integer
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    values = {graph.input: value.astype(np.int64 if integer else np.float64)}
    yield graph.input, values[graph.input]
    for index, node in enumerate(graph.nodes):
        arguments = [values[name] for name in node.inputs]
        values[node.name] = node.op.golden(*arguments) if integer else node.op.reference(*arguments)
        yield node.name, values[node.name]
        del arguments
        for name in {node.name, *node.inputs}:
            if last.get(name, index) <= index:
                values.pop(name)


def evaluate(graph: Graph, value: np.ndarray, task: int = 0) -> Mapping[str, np.ndarray]:
    """Every tensor that `task` computes for the input `value` (leading batch axes allowed), by name."""
    return dict(walk(graph, value, task))


def elements(graph: Graph) -> int:
    """Elements of all tensors of one image, the image included."""
    return sum(math.prod(node.type.shape) for node in graph) + math.prod(graph.input_type.shape)


def batch_size(graph: Graph, most: int) -> int:
    """Images to evaluate at once, at most `most`, so that all their tensors fit `BATCH_ELEMENTS`."""
    return max(1, min(most, BATCH_ELEMENTS // elements(graph)))


def outputs(graph: Graph, images: np.ndarray, most: int = 64, task: int = 0) -> np.ndarray:
    """The task's first output for many images [N, ...], a batch at a time."""
    return next(iter(results(graph, images, most, task).values()))


def results(graph: Graph, images: np.ndarray, most: int = 64, task: int = 0) -> dict[str, np.ndarray]:
    """All outputs of a run for `task`, by name as in `Graph.results`, for many images [N, ...]."""
    size, wanted = batch_size(graph, most), graph.for_task(task).results()
    with step("evaluate", len(images)) as told:
        parts = [_kept(graph, part, task, set(wanted.values())) for part in told.parts(images, size)]
    return {name: np.concatenate([part[tensor] for part in parts]) for name, tensor in wanted.items()}


def _kept(graph: Graph, images: np.ndarray, task: int, wanted: set[str]) -> dict[str, np.ndarray]:
    return {name: array for name, array in walk(graph, images, task) if name in wanted}
