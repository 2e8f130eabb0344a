# SPDX-License-Identifier: Apache-2.0
"""What a rule of the quantizer sees, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Graph, Node, Op
from hlsgen.ops import Patches
from hlsgen.ops.kinds import FloatOp, Kind, placed
from hlsgen.quantization.calibrate import Calibration
from hlsgen.quantization.config import QuantizeConfig, by_name, chosen, matched
from hlsgen.quantization.imported import Given
from hlsgen.quantization.observers import Function, OnGrid
from hlsgen.quantization.rounding import Rounding
from hlsgen.quantization.statistics import Moments

INT8, INT16 = 127, (1 << 15) - 1
RATIO_LIMIT = 2.0**-14
"""A result's scale over its input's at least: the ratio then has a dyadic form with a shift >= 0."""
LARGEST_RATIO = 2.0**20
"""A result's scale over its inputs' at most, where an observer cuts off most of the inputs: a context's shift
then stays below 38, and logits use what the inputs' integers can give."""
SMALLEST_SCALE = 2.0**-100
"""Smaller values are zero: products and ratios of scales stay finite."""

_F = TypeVar("_F", bound=FloatOp)


@dataclass(frozen=True)
class Model:
    """A folded float Graph, what calibration saw of it, and the scales that were chosen so far."""

    graph: Graph
    kinds: dict[str, Kind]
    seen: Calibration
    config: QuantizeConfig
    scales: dict[str, float]
    given: Given = field(default_factory=Given)
    """Scales that the model brings along."""
    moments: dict[str, tuple[Moments, ...]] = field(default_factory=dict)
    """Of the inputs of layers whose weights are rounded by them: of all rows, or of each expert's."""

    def largest(self, name: str) -> float:
        """Largest magnitude seen; 0 where it lies below every scale."""
        largest = self.seen.growth[name].largest
        return largest if largest > SMALLEST_SCALE else 0.0

    def observed(self, name: str, levels: int, default: str, function: Function | None = None) -> float:
        """The model's own scale, or that which the observer chooses; 0 where it saw nothing but zeros."""
        if name in self.given.scales:
            return self.given.scales[name]
        if not self.largest(name):
            return 0.0
        observer = chosen(name, self.config.overrides, default)
        scale = observer.scale(self.seen.histograms[name], levels, function)
        # A percentile may be zero where most values are; the others need a scale all the same.
        return max(scale or self.largest(name) / levels, SMALLEST_SCALE)

    def site(self, node: Node) -> Site:
        """The place of a node."""
        return Site(self, node)

    def floor(self, name: str) -> float:
        """The smallest scale of `name` that the ops that read it allow; else 0."""
        users = self.graph.users(name)
        return max((rule_of(user).input_floor(user.op, Site(self, user)) for user in users), default=0.0)


@dataclass(frozen=True)
class Site:
    """One node and the model around it."""

    model: Model
    node: Node

    @property
    def kind(self) -> Kind:
        """What the node's result becomes."""
        return self.model.kinds[self.node.name]

    @property
    def config(self) -> QuantizeConfig:
        """The user's settings."""
        return self.model.config

    @property
    def sources(self) -> list[float]:
        """The scales of the node's inputs."""
        return [self.model.scales[name] for name in self.node.inputs]

    @property
    def scale(self) -> float:
        """The scale of the node's result."""
        return self.model.scales[self.node.name]

    @property
    def tokens(self) -> int:
        """Tokens of the node's first input."""
        return self.model.graph.type_of(self.node.inputs[0]).shape[0]

    @property
    def width(self) -> int:
        """Elements of a token of the node's first input."""
        return self.model.graph.type_of(self.node.inputs[0]).shape[-1]

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that read the result."""
        return self.model.graph.users(self.node.name)

    @property
    def weight_bits(self) -> int:
        """Bits of the node's weights."""
        bits = self.config.weight_bits
        if not isinstance(bits, int):
            return matched(self.node.name, bits, 8)
        first = isinstance(self.model.graph.node(self.node.inputs[0]).op, Patches)
        return 8 if first or self.kind in (Kind.OUTPUT, Kind.ROUTER) else bits

    @property
    def rounds_by_inputs(self) -> bool:
        """Whether the node's weights are rounded by what they meet."""
        return self.weight_bits < 8 and self.config.rounding == "gptq"

    def rounding(self, part: int = 0) -> Rounding:
        """How the node's weights, or those of one of its experts, become integers."""
        observer = chosen(self.node.name, self.config.weight_overrides, self.config.weights)
        observer = OnGrid(observer) if self.model.given.imported else observer
        moments = self.model.moments.get(self.node.name)
        return Rounding(observer, self.weight_bits, moments[part] if moments else None)

    @property
    def bits(self) -> int:
        """Bits of the node's result, where a product makes it."""
        config, name = self.config, self.node.name
        match self.kind:
            case Kind.NARROW:
                return matched(name, by_name(config.feature_bits), 8)
            case Kind.INDEX if placed(self.node.op).moves():
                return 8
            case Kind.INDEX:
                return matched(name, config.activation_overrides, config.activation_bits)
            case Kind.ROUTER:
                return config.logit_width
            case _:
                return 16

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value of the node's result, where a product makes it."""
        half = 1 << (self.bits - 1)
        return -half, half - 1

    @property
    def levels(self) -> int:
        """Steps from 0 to the largest value of an 8-bit tensor or of a table's index."""
        return self.range[1] if self.kind in (Kind.NARROW, Kind.INDEX) else INT8

    def narrow(self) -> float:
        """The scale for int8, or for a table's index, that the observer chooses.

        Errors count behind the only reader's function.
        """
        users = self.users
        function = rule_of(users[0]).function(users[0].op) if len(users) == 1 else None
        return self.model.observed(self.node.name, self.levels, self.config.activations, function)


class Rule(Generic[_F]):
    """How one op is quantized. `op` is the node's; scales are of real = integer * scale."""

    weighted: ClassVar[bool] = False
    """Whether `weight_overrides` apply."""

    def scale(self, op: _F, site: Site) -> float:
        """The scale of the result, where it shares none; the inputs have theirs."""
        raise TypeMismatch(f"%{site.node.name}: {type(op).__name__} shares its input's scale")

    def integer(self, op: _F, site: Site) -> Op:
        """The integer op; all scales are known."""
        raise TypeMismatch(f"%{site.node.name}: {type(op).__name__} has no integer form")

    def floor(self, op: _F, site: Site) -> float:
        """The smallest scale of the result that the integer op can have; 0: any."""
        del op, site
        return 0.0

    def input_floor(self, op: _F, site: Site) -> float:
        """The smallest scale of the first input that the integer op can have; 0: any."""
        del op, site
        return 0.0

    def fitted(self, op: _F, site: Site, scale: float) -> float:
        """The scale, `scale` or wider, that suits the op as its input's."""
        del op, site
        return scale

    def reach(self, op: _F) -> float:
        """Largest magnitude among the op's constants that are added to the residual stream."""
        del op
        return 0.0

    def function(self, op: _F) -> Function | None:
        """The function of one element that the op computes; None: another kind of op."""
        del op
        return None


RULES: dict[type[FloatOp], Rule] = {}
"""Float op -> rule; a class without an entry has that of its base."""


def rule(*ops: type[FloatOp]) -> Callable[[type[Rule]], type[Rule]]:
    """Register a class of rules for some ops."""

    def register(cls: type[Rule]) -> type[Rule]:
        RULES.update(dict.fromkeys(ops, cls()))
        return cls

    return register


def find(op: type[Op]) -> Rule | None:
    """The rule of an op's class, or nothing."""
    return next((RULES[base] for base in op.__mro__ if base in RULES), None)


def rule_of(node: Node) -> Rule:
    """The rule of a node's op; raises `TypeMismatch` where there is none."""
    found = find(type(node.op))
    if found is None:
        raise TypeMismatch(f"%{node.name}: {type(node.op).__name__} has no integer form")
    return found
