# SPDX-License-Identifier: Apache-2.0
"""One real scale for every tensor of the folded float Graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from hlsgen import numerics
from hlsgen.errors import Problem, UsageError
from hlsgen.ir import Graph, Node
from hlsgen.ops import (
    Activation,
    AddConstant,
    Choose,
    Combine,
    Context,
    ExpertLinear,
    LayerNorm,
    Linear,
    Mean,
    Patches,
    Route,
    Scores,
    Select,
    Softmax,
)
from hlsgen.ops.activation import FUNCTIONS
from hlsgen.ops.route import GATE_BITS
from hlsgen.quantization.calibrate import Calibration
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.observers import Function, Observer, parse
from hlsgen.quantization.roles import Kind, streams

INT8, INT16 = 127, (1 << 15) - 1
RATIO_LIMIT = 2.0**-14
"""A result's scale over its input's at least: the ratio then has a dyadic form with a shift >= 0."""
LARGEST_RATIO = 2.0**20
"""A result's scale over its inputs' at most, where an observer cuts off most of the inputs: a context's shift
then stays below 38, and logits use what the inputs' integers can give."""
SMALLEST_SCALE = 2.0**-100
"""Smaller values are zero: products and ratios of scales stay finite."""
EPSILON_LIMIT = 1 << 47
"""Largest epsilon of an integer layer norm that scales are chosen for."""


def assign(
    graph: Graph, kinds: Mapping[str, Kind], seen: Calibration, config: QuantizeConfig
) -> dict[str, float]:
    """Scale by tensor, real = integer * scale; all positive.

    Layer norm scales are exactly `2**shift / multiplier`, those of means what a shift makes of the input's.
    Raises `UsageError` when an override matches nothing.
    """
    _check_overrides(graph, kinds, config)
    return _Assignment(graph, kinds, seen, config).run()


def mean_shift(source: float, tokens: int, scale: float) -> int:
    """The shift of an IntegerMean that turns scale `source` into `scale`."""
    return round(math.log2(scale * tokens / source))


def norm_floor(eps: float, width: int) -> float:
    """The smallest input scale at which an integer layer norm can hold its epsilon."""
    return math.sqrt(eps / EPSILON_LIMIT) * width


def has_own_scale(node: Node, kind: Kind) -> bool:
    """Whether the scale of `node` is chosen by an observer."""
    return kind in (Kind.NARROW, Kind.LOGITS, Kind.ROUTER) and not isinstance(
        node.op, Choose | Patches | Select
    )


def counted(graph: Graph, kinds: Mapping[str, Kind], config: QuantizeConfig) -> set[str]:
    """Tensors whose observer looks at more than their largest magnitude."""
    defaults = {Kind.LOGITS: config.logits, Kind.ROUTER: config.logits}
    texts = {node.name: defaults.get(kinds[node.name], config.activations) for node in graph}
    own = {node.name for node in graph if has_own_scale(node, kinds[node.name])}
    texts = {graph.input: config.image} | {name: text for name, text in texts.items() if name in own}
    return {name for name, text in texts.items() if chosen(name, config.overrides, text).counts}


def _check_overrides(graph: Graph, kinds: Mapping[str, Kind], config: QuantizeConfig) -> None:
    tensors = [graph.input, *(node.name for node in graph if has_own_scale(node, kinds[node.name]))]
    linears = [node.name for node in graph if isinstance(node.op, ExpertLinear | Linear)]
    problems = [
        Problem(
            f"{field} must match the name of {what}, not {pattern!r}",
            why=f"the names are {', '.join(names)}",
        )
        for field, patterns, names, what in (
            ("overrides", config.overrides, tensors, "an int8 tensor or of attention logits"),
            ("weight_overrides", config.weight_overrides, linears, "a linear layer"),
        )
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if problems:
        raise UsageError(problems)


def chosen(name: str, overrides: Mapping[str, str], default: str) -> Observer:
    """The observer of the first glob that matches, or the default."""
    return parse(next((text for glob, text in overrides.items() if fnmatchcase(name, glob)), default))


class _Assignment:
    def __init__(
        self, graph: Graph, kinds: Mapping[str, Kind], seen: Calibration, config: QuantizeConfig
    ) -> None:
        self.graph, self.kinds, self.seen, self.config = graph, kinds, seen, config
        self.scales: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        image = self._observed(self.graph.input, INT8, self.config.image)
        self.scales[self.graph.input] = image or 1.0 / INT8
        for members in streams(self.graph, dict(self.kinds)):
            scale = self._stream(members)
            self.scales |= dict.fromkeys(members, scale)
        self._fit_experts()
        for node in self.graph:
            if node.name not in self.scales:
                self.scales[node.name] = self._scale(node)
        return self.scales

    def _observed(self, name: str, levels: int, default: str, function: Function | None = None) -> float:
        if not self._largest(name):
            return 0.0
        observer = chosen(name, self.config.overrides, default)
        scale = observer.scale(self.seen.histograms[name], levels, function)
        # A percentile may be zero where most values are; the others need a scale all the same.
        return max(scale or self._largest(name) / levels, SMALLEST_SCALE)

    def _largest(self, name: str) -> float:
        """Largest magnitude seen; 0 where it lies below every scale."""
        largest = self.seen.growth[name].largest
        return largest if largest > SMALLEST_SCALE else 0.0

    def _scale(self, node: Node) -> float:
        """Scale of a node outside all streams; its inputs have theirs."""
        op = node.op
        inputs = [self.scales[name] for name in node.inputs]
        if isinstance(op, Choose | Patches | Select):
            return inputs[0]
        if isinstance(op, Route):
            return 1.0
        if self.kinds[node.name] is Kind.ROUTER:
            return self._router(node)
        if isinstance(op, Mean):
            return self._mean(node, inputs[0])
        if isinstance(op, Softmax):
            return 1.0 / numerics.EXP_ONE
        if isinstance(op, Scores):
            levels = (1 << (self.config.logit_width - 1)) - 1
            unit = inputs[0] * inputs[1] * op.scale
            floor, ceiling = (
                max(unit * RATIO_LIMIT, SMALLEST_SCALE),
                max(unit * LARGEST_RATIO, SMALLEST_SCALE),
            )
            return min(max(self._observed(node.name, levels, self.config.logits), floor), ceiling)
        if self.kinds[node.name] is Kind.OUTPUT:
            scale = self._largest(node.name) * self.config.output_headroom / INT16
            return max(scale, self._product_floor(node)) or 1.0
        scale = self._observed(node.name, INT8, self.config.activations, self._function_behind(node))
        if isinstance(op, LayerNorm):
            multiplier, shift = numerics.dyadic(1.0 / max(scale, RATIO_LIMIT))
            return 2.0**shift / multiplier
        scale = max(scale, self._product_floor(node))
        if isinstance(op, Context):
            scale = min(max(scale, inputs[1] * RATIO_LIMIT), inputs[1] * LARGEST_RATIO)
        return scale or 1.0 / INT8

    def _router(self, node: Node) -> float:
        """The routers among which the task chooses share a scale: the largest."""
        choices = [user for user in self.graph.users(node.name) if isinstance(user.op, Choose)]
        names = choices[0].inputs if choices else (node.name,)
        levels = (1 << (self.config.logit_width - 1)) - 1
        scales = [self._observed(name, levels, self.config.logits) for name in names]
        floors = [self._product_floor(self.graph.node(name)) for name in names]
        return max(scales + floors) or 1.0

    def _fit_experts(self) -> None:
        """The scale of experts' results is a power of two times the residual stream's."""
        for node in self.graph:
            if isinstance(node.op, Combine):
                residual, results = (self.scales[name] for name in node.inputs[:2])
                # Beyond the limit every gate but zero saturates the stream.
                left = min(max(0, math.ceil(math.log2(results / residual) - 1e-9)), GATE_BITS)
                self.scales[node.inputs[1]] = residual * 2.0**left

    def _function_behind(self, node: Node) -> Function | None:
        """The activation that is the only reader of `node`: errors count behind it."""
        users = self.graph.users(node.name)
        if len(users) == 1 and isinstance(users[0].op, Activation):
            return FUNCTIONS[users[0].op.function]
        return None

    def _product_floor(self, node: Node) -> float:
        """The smallest result scale at which a linear node's multipliers have a dyadic form; else 0."""
        if not isinstance(node.op, ExpertLinear | Linear):
            return 0.0
        weight = float(np.abs(node.op.weight).max(initial=0.0))
        return self._largest(node.inputs[0]) * weight / INT8**2 * RATIO_LIMIT

    def _norm_floor(self, name: str) -> float:
        """The smallest scale of `name`, and of its means, that the layer norms behind them allow; else 0."""
        users = self.graph.users(name)
        width = self.graph.type_of(name).shape[-1]
        floors = [norm_floor(user.op.eps, width) for user in users if isinstance(user.op, LayerNorm)]
        # Bounds a mean's shift: log2 of its tokens then lifts its scale to its floor.
        floors += [self._norm_floor(user.name) for user in users if isinstance(user.op, Mean)]
        return max(floors, default=0.0)

    def _stream(self, members: tuple[str, ...]) -> float:
        """Nothing that calibration saw saturates; a wider scale where a floor or an int8 mean asks for it."""
        nodes = [self.graph.node(name) for name in members]
        largest = max(self._largest(name) for name in members)
        constants = [np.abs(n.op.value).max(initial=0.0) for n in nodes if isinstance(n.op, AddConstant)]
        levels = (1 << (self.config.residual_bits - 1)) - 1
        last = any(name in members for name in self.graph.outputs)
        headroom = self.config.output_headroom if last else self.config.residual_headroom
        scale = max([largest, *constants]) * headroom / levels
        floors = [max(self._norm_floor(node.name), self._product_floor(node)) for node in nodes]
        scale = float(max([scale, *floors])) or 1.0 / INT16
        pooled = [user for name in members for user in self.graph.users(name) if self._is_narrow_mean(user)]
        if pooled:
            scale = self._fit_mean(scale, pooled[0])
        return scale

    def _is_narrow_mean(self, node: Node) -> bool:
        return isinstance(node.op, Mean) and self.kinds[node.name] is Kind.NARROW

    def _fit_mean(self, scale: float, node: Node) -> float:
        """Widen `scale`, by less than 2, until a mean's shift gives the int8 scale its observer chose.

        The mean has only a shift; one bit less of 16 costs nothing beside the bit it saves of 8.
        """
        tokens = self.graph.type_of(node.inputs[0]).shape[0]
        wanted = self._observed(node.name, INT8, self.config.activations) * tokens
        if wanted < scale:
            return scale
        return wanted * 2.0 ** -math.floor(math.log2(wanted / scale))

    def _mean(self, node: Node, source: float) -> float:
        tokens = self.graph.type_of(node.inputs[0]).shape[0]
        if self.kinds[node.name] is Kind.NARROW:
            wanted = self._observed(node.name, INT8, self.config.activations)
        else:
            wanted = self._largest(node.name) * self.config.residual_headroom / INT16
            wanted = max(wanted, self._norm_floor(node.name))
        steps = math.log2(wanted * tokens / source) if wanted else 0.0
        # The slack keeps a scale that already fits from being doubled by a rounding error.
        return source * 2.0 ** max(0, math.ceil(steps - 1e-9)) / tokens
