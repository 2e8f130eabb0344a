# SPDX-License-Identifier: Apache-2.0
"""One real scale for every tensor of the folded float Graph."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node
from hlsgen.ops import Linear
from hlsgen.ops.kinds import Kind, placed
from hlsgen.quantization.calibrate import Calibration
from hlsgen.quantization.config import QuantizeConfig, chosen
from hlsgen.quantization.imported import Given
from hlsgen.quantization.roles import streams
from hlsgen.quantization.rules.combine import fit_results
from hlsgen.quantization.rules.rule import INT8, INT16, Model, rule_of

NOTHING = Given()


def assign(
    graph: Graph,
    kinds: Mapping[str, Kind],
    seen: Calibration,
    config: QuantizeConfig,
    given: Given = NOTHING,
) -> Model:
    """The model with a scale by tensor, real = integer * scale; all positive; `given` are the model's own.

    Norm scales are exactly `2**shift / multiplier`, those of means what a shift makes of the input's.
    Raises `UsageError` when an override matches nothing.
    """
    _check_overrides(graph, kinds, config)
    model = Model(graph, dict(kinds), seen, config, {}, given)
    model.scales[graph.input] = model.observed(graph.input, INT8, config.image) or 1.0 / INT8
    for members in streams(graph, model.kinds):
        model.scales.update(dict.fromkeys(members, _stream(model, members)))
    fit_results(model)
    for node in graph:
        if node.name not in model.scales:
            model.scales[node.name] = rule_of(node).scale(node.op, model.site(node))
    return model


def has_own_scale(node: Node, kind: Kind) -> bool:
    """Whether the scale of `node` is chosen by an observer."""
    return kind in (Kind.NARROW, Kind.INDEX, Kind.LOGITS, Kind.ROUTER) and not placed(node.op).moves()


def counted(
    graph: Graph, kinds: Mapping[str, Kind], config: QuantizeConfig, given: Given = NOTHING
) -> set[str]:
    """Tensors whose observer looks at more than their largest magnitude."""
    defaults = {Kind.LOGITS: config.logits, Kind.ROUTER: config.logits}
    texts = {node.name: defaults.get(kinds[node.name], config.activations) for node in graph}
    own = {node.name for node in graph if has_own_scale(node, kinds[node.name])}
    texts = {graph.input: config.image} | {name: text for name, text in texts.items() if name in own}
    asked = {name: text for name, text in texts.items() if name not in given.scales}
    return {name for name, text in asked.items() if chosen(name, config.overrides, text).counts}


def averaged(graph: Graph, config: QuantizeConfig) -> set[str]:
    """Tensors whose averages the rules ask for: what linear layers read."""
    if not config.centred:
        return set()
    return {node.inputs[0] for node in graph if isinstance(node.op, Linear)}


def _check_overrides(graph: Graph, kinds: Mapping[str, Kind], config: QuantizeConfig) -> None:
    tensors = [graph.input, *(node.name for node in graph if has_own_scale(node, kinds[node.name]))]
    indices = [node.name for node in graph if kinds[node.name] is Kind.INDEX]
    narrow = [node.name for node in graph if kinds[node.name] is Kind.NARROW]
    linears = [node.name for node in graph if rule_of(node).weighted]
    problems = [
        Problem(
            f"{field} must match the name of {what}, not {pattern!r}",
            why=f"the names are {', '.join(names)}" if names else "the model has none",
        )
        for field, patterns, names, what in (
            ("overrides", config.overrides, tensors, "an int8 tensor or of attention logits"),
            ("activation_overrides", config.activation_overrides, indices, "what an activation reads"),
            ("weight_overrides", config.weight_overrides, linears, "a linear layer"),
            ("weight_bits", _globs(config.weight_bits), linears, "a linear layer"),
            ("feature_bits", _globs(config.feature_bits), narrow, "an int8 tensor but the image"),
        )
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if problems:
        raise UsageError(problems, code=Code.QUANTIZER)


def _globs(bits: int | Mapping[str, int]) -> Mapping[str, int]:
    return {} if isinstance(bits, int) else bits


def _headroom(graph: Graph, members: tuple[str, ...], config: QuantizeConfig) -> float:
    """The output's, where the members are all that the model ends with; the larger one for both together."""
    if not any(name in members for name in graph.outputs):
        return config.residual_headroom
    inside = any(user.name not in members for name in members for user in graph.users(name))
    return max(config.residual_headroom, config.output_headroom) if inside else config.output_headroom


def _stream(model: Model, members: tuple[str, ...]) -> float:
    """Nothing that calibration saw saturates; a wider scale where a floor or a reader asks for it."""
    graph, config = model.graph, model.config
    nodes = [graph.node(name) for name in members]
    largest = max(model.largest(name) for name in members)
    constants = [rule_of(node).reach(node.op) for node in nodes]
    levels = (1 << (config.residual_bits - 1)) - 1
    headroom = _headroom(graph, members, config)
    floors = [rule_of(node).floor(node.op, model.site(node)) for node in nodes]
    floors += [model.floor(name) for name in members]
    wanted = model.given.scales.get(members[0], max([largest, *constants]) * headroom / levels)
    scale = float(max(wanted, *floors)) or 1.0 / INT16
    for user in (user for name in members for user in graph.users(name)):
        fitted = rule_of(user).fitted(user.op, model.site(user), scale)
        if fitted != scale:
            return fitted
    return scale
