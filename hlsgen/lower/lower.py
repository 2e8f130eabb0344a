# SPDX-License-Identifier: Apache-2.0
"""Integer Graph -> Program and Image, for one array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hlsgen.errors import UsageError
from hlsgen.ir import Graph
from hlsgen.lower.allocate import Request, allocate, memory_words
from hlsgen.lower.commands import CommandBuilder
from hlsgen.lower.image import input_layout, uses_image
from hlsgen.lower.interleave import interleave
from hlsgen.lower.layout import Layout
from hlsgen.lower.legalise.expand import needs_width
from hlsgen.lower.legalise.spread import Pitch
from hlsgen.lower.limits import check_holds, check_limits
from hlsgen.lower.lists import key_lists, run_lists
from hlsgen.lower.macs import useful_macs
from hlsgen.lower.moves import moves
from hlsgen.lower.norm_shifts import norm_shifts
from hlsgen.lower.parts import kept_addends, needs_bases, with_cuts
from hlsgen.lower.passes import run
from hlsgen.lower.shape import Shape, linear_shape, mixed_shape, source_layout
from hlsgen.lower.size import (
    ArrayShape,
    accumulator_bits,
    exp_words,
    read_keys,
    ring_words,
    step_needs,
)
from hlsgen.lower.step import AttentionStep, LinearStep, Step
from hlsgen.lower.verify import verify_order
from hlsgen.lower.views import pitched
from hlsgen.machine.format.commands import Target
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.format.program import OutputLayout, Program, Region


@dataclass(frozen=True)
class Lowered:
    """A Program and the Image it consumes."""

    program: Program
    image: Image


@dataclass(frozen=True)
class Prepared:
    """What lowering knows of an integer Graph whatever the array; accumulator: bits that hold every sum.

    `source` is the given Graph, `graph` one of products alone, see `expand`. `wider`: the same for row widths
    that ask for another graph, as far as they were asked for, see `align`.
    """

    source: Graph
    graph: Graph
    steps: list[Step]
    accumulator: int
    pitches: Mapping[str, Pitch]
    wider: dict[int, Prepared] = field(default_factory=dict, repr=False)

    def machine(self, array: ArrayShape) -> Machine:
        """The machine for an array; raises `DoesNotFit` with every limit of it that the model exceeds."""
        own = self.at(array.row_width)
        array = inside(own.steps, array)
        if array.streamed and own.pitches:  # no windows there, so no rows between them
            own = prepare(self.source, array.row_width, windows=False)
        graph, steps = own.graph, outputs_last(interleave(own.steps, array), array)
        verify_order(steps, graph, "interleave")
        layouts = tensor_layouts(steps, graph, array)
        spread = {name: each.pitch for name, each in own.pitches.items()}
        steps = with_cuts(steps, array, layouts, spread)
        regions = place(steps, layouts, array.row_width)
        parameters = size_machine(steps, graph, array, layouts, regions, own.accumulator)
        check_limits(graph, array, parameters, regions)
        return Machine(array, graph, steps, layouts, regions, parameters, own.pitches)

    def at(self, row_width: int) -> Prepared:
        """What is known on arrays of a row width: `self`, unless a tensor must be made in another way."""
        if row_width not in self.wider:
            same = row_width == 1 or not needs_width(self.source, row_width)
            self.wider[row_width] = self if same else prepare(self.source, row_width)
        return self.wider[row_width]


@dataclass(frozen=True)
class Machine:
    """A model's steps and memory map on an array, and the parameters that they need."""

    array: ArrayShape
    graph: Graph
    steps: list[Step]
    layouts: dict[str, Layout]
    regions: tuple[Region, ...]
    parameters: MachineParameters
    pitches: Mapping[str, Pitch]


def prepare(graph: Graph, row_width: int = 1, *, windows: bool = True) -> Prepared:
    """The steps of a graph on any array; raises `UnsupportedModel` with every node that no step covers.

    windows: attention may go by windows.
    """
    if not graph.input_type.is_integer:
        raise UsageError("lower: the graph must be quantized first")
    state = run(graph, row_width, windows=windows)
    steps = list(state.steps)
    return Prepared(graph, state.graph, steps, accumulator_bits(steps, state.graph), state.pitches)


def lower(
    graph: Graph | Prepared,
    array: ArrayShape,
    machine: MachineParameters | None = None,
    *,
    outline: bool = False,
) -> Lowered:
    """Lower an integer Graph; raises `UnsupportedModel` with every node that has no place.

    machine: one of this array that the model shall run on, with memories as large as it needs or larger;
    without it the smallest that holds it. outline: all weights in the Image are zero, for the cycle model, to
    which only their number matters.

    Raises `DoesNotFit` with every limit of the machine that the model exceeds on this array.
    """
    prepared = prepare(graph) if isinstance(graph, Graph) else graph
    sized = prepared.machine(array)
    array, graph, parameters = sized.array, sized.graph, sized.parameters
    if machine is not None:
        check_holds(machine, graph, parameters)
        parameters = machine
    places = {region.tensor: region for region in sized.regions}
    builder = CommandBuilder(graph, parameters, sized.layouts, places, array, sized.steps, outline=outline)
    for index, step in enumerate(sized.steps):
        builder.add(step, sized.steps[index + 1 :])
    commands = builder.finish()
    shown = {node.name for node in prepared.source}
    views = pitched(builder.views, sized.pitches)
    program = Program(
        parameters=parameters,
        commands=commands,
        regions=sized.regions,
        views=tuple(view for view in views if view.tensor in shown),
        input=input_layout(graph, array),
        outputs=output_layouts(graph, builder.output_sweeps, parameters),
        moves=moves(sized.steps, builder.first, graph, prepared.source),
        task_macs=tuple(useful_macs(prepared.source.for_task(task)) for task in range(graph.tasks)),
    )
    return Lowered(program, _image(program, builder))


def _image(program: Program, builder: CommandBuilder) -> Image:
    """The Image of a Program, with the streams that its commands were made with."""
    parameters = program.parameters
    return Image(
        build_id=parameters.build_id,
        program=b"".join(command.pack() for command in program.commands),
        constants=builder.constants.pack(),
        weights=b"".join(builder.weights),
        addends=b"".join(builder.addends),
        input_bytes=ceil_div(program.input.words * parameters.columns, 64) * 64,
        output_bytes=program.output_bytes,
        workspace_bytes=parameters.workspace_bytes,
    )


def output_layouts(
    graph: Graph, sweeps: Mapping[str, int], parameters: MachineParameters
) -> tuple[OutputLayout, ...]:
    """The outputs, task by task; `sweeps`: of each output's command, in the commands' order."""
    found = []
    for task in range(graph.tasks):
        wanted, places, start = graph.for_task(task).results(), {}, 0
        for name in (name for name in sweeps if name in wanted.values()):
            rows, columns = graph.type_of(name).shape
            layout = OutputLayout(tensor=name, rows=rows, columns=columns, sweeps=sweeps[name], start=start)
            places[name], start = layout, start + layout.drained_size(parameters) // 2
        found += [dataclasses.replace(places[tensor], name=name) for name, tensor in wanted.items()]
    return tuple(found)


def inside(steps: list[Step], array: ArrayShape) -> ArrayShape:
    """The array; keys and values stay in the machine where a product of its own reads them.

    External memory holds those of softmax attention alone, in which each head has its own.
    """
    products = any(
        step.factors if isinstance(step, LinearStep) else any(step.shared) or not step.keys for step in steps
    )
    return dataclasses.replace(array, streamed=False, span=0) if products else array


def outputs_last(steps: list[Step], array: ArrayShape) -> list[Step]:
    """Where keys and values go to external memory, the outputs follow them: both take the same way out.

    Elsewhere an output leaves where it is made, so that its operands' memory is free again.
    """
    if not array.streamed:
        return steps
    leave = [isinstance(step, LinearStep) and step.target is Target.OUTPUT for step in steps]
    inside = [step for step, out in zip(steps, leave, strict=True) if not out]
    return inside + [step for step, out in zip(steps, leave, strict=True) if out]


def tensor_layouts(steps: list[Step], graph: Graph, array: ArrayShape) -> dict[str, Layout]:
    """How each tensor that a command reads or writes lies in words."""
    layouts: dict[str, Layout] = {}
    for step in steps:
        if isinstance(step, AttentionStep):
            heads, size = step.scores.type.shape[0], step.context.type.shape[1]
            layouts[step.result] = Layout.headed(size, array.columns, array.depth, heads)
            continue
        size = step.linear.type.shape[-1] if step.route else graph.type_of(step.result).shape[-1]
        if step.heads and step.padded:
            layouts[step.region] = Layout.headed(size, array.columns, array.depth, step.heads)
        elif step.heads:
            layouts[step.region] = Layout.split(size, array.columns, step.heads)
        else:
            layouts[step.region] = Layout(size, array.columns)
    for step in steps:
        if isinstance(step, AttentionStep) and array.streamed:
            _make_even(step, layouts)
    _share_strides(steps, layouts)
    return layouts


def _share_strides(steps: list[Step], layouts: dict[str, Layout]) -> None:
    """Give tensors whose rows a command finds at the same distance one stride: the longest.

    These are what DRAIN adds and its result; and what a router reads, what experts gather and what they add
    to, since a queue holds the distance of a token's row from the first one.
    """
    plain = [step for step in steps if isinstance(step, LinearStep)]
    routed = [(step, step.route.name) for step in plain if step.route]
    gathered = {route: step.rows.region for step, route in routed if step.expert and not step.combine}
    pairs = [(step.addend, step.region) for step in plain if step.addend and step.addend in layouts]
    pairs += [(gathered[route], step.region) for step, route in routed if step.combine]
    pairs += [(gathered[route], step.rows.region) for step, route in routed if not step.expert]
    changes = True
    while changes:
        changes = False
        for pair in pairs:
            least = max(layouts[name].stride for name in pair)
            for name in pair:
                changes |= layouts[name].stride != least
                layouts[name] = dataclasses.replace(layouts[name], least=least)


def _make_even(step: AttentionStep, layouts: dict[str, Layout]) -> None:
    """Give a head's keys and values the same words: they come from external memory in the same way."""
    names = (step.query, *step.operands, step.result)
    words = max(layouts[name].head_words for name in names)
    layouts |= {name: dataclasses.replace(layouts[name], head_words=words) for name in names}


def place(steps: list[Step], layouts: dict[str, Layout], row_width: int = 1) -> tuple[Region, ...]:
    """The memory map: every tensor in the residual or feature memory by lifetime, in whole groups of rows."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for index, step in enumerate(steps):
        first.setdefault(step.region, index)
        for name in (*reads(step), step.region):
            last[name] = index
    requests = []
    for index, step in enumerate(steps):
        if first[step.region] != index:
            continue  # experts write one tensor together
        target = step.target if isinstance(step, LinearStep) else Target.FEATURES
        if target not in (Target.FEATURES, Target.RESIDUAL):
            continue
        addend = step.addend if isinstance(step, LinearStep) else None
        # Not for experts: a token's second one reads the row that the first one read as well.
        in_place = isinstance(step, LinearStep) and not step.expert and addend is not None
        in_place = in_place and isinstance(step, LinearStep) and step.rows.tensor != addend
        in_place = in_place and isinstance(step, LinearStep) and not step.addend_first
        rows = step.rows_stored if isinstance(step, LinearStep) else step.context.type.shape[0]
        requests.append(
            Request(
                tensor=step.region,
                memory="residual" if target is Target.RESIDUAL else "features",
                words=ceil_div(rows, row_width) * row_width * layouts[step.region].stride,
                first=index,
                last=last[step.region],
                reuse=addend if in_place else None,
            )
        )
    return allocate(requests)


def _attention_parameters(
    steps: list[Step], array: ArrayShape, layouts: Mapping[str, Layout]
) -> dict[str, int]:
    """What parts of attention need. Tiles of windows are short, so scores are farther ahead of contexts."""
    needs = {
        "operand_bases": int(needs_bases(steps, array, layouts)),
        "key_list_words": key_lists(steps, array, layouts).words,
        "addend_words": kept_addends(steps, array, layouts),
    }
    if any(isinstance(step, AttentionStep) and step.windows for step in steps):
        needs |= {"windows": 1, "score_slots": 3, "tile_slots": 4}
    return needs


def _brought(steps: list[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> dict[str, int]:
    """Memories that the constant stream fills and commands read anywhere."""
    lists = run_lists(steps, layouts, array.row_width)
    return {"list_words": lists.words, "norm_shift_words": norm_shifts(steps).words}


def reads(step: Step) -> list[str]:
    """Tensors a step reads from the residual and feature memories."""
    if isinstance(step, AttentionStep):
        return [step.query]
    return [name for name in (step.rows.region, step.addend) if name]


def _unparted(step: LinearStep, shape: Shape, head_words: int, array: ArrayShape) -> list[tuple[int, int]]:
    """Blocks, and ring words of each, whose weights the ring must hold together."""
    if shape.walk:
        return [(shape.blocks, shape.ring_words)]
    if shape.weighted and shape.parts > 1:
        return [(shape.blocks // shape.parts, shape.ring_words)]
    if array.streamed and step.target in (Target.KEYS, Target.VALUES):
        return [(head_words, shape.ring_words)]
    return []


def _ring_parameters(
    shapes: Sequence[Shape], whole: list[tuple[int, int]], array: ArrayShape
) -> dict[str, int]:
    """The rings of weights and constants; whole: what `ring_words` can't cut."""
    weighted = [(shape.blocks, shape.ring_words) for shape in shapes if shape.weighted]
    return {
        "ring_words": ring_words(array, weighted, whole),
        "constant_words": 2 * max([shape.blocks for shape in shapes] or [1]),
        "narrow_weights": int(any(shape.narrow for shape in shapes)),
    }


def size_machine(
    steps: list[Step],
    graph: Graph,
    array: ArrayShape,
    layouts: dict[str, Layout],
    regions: tuple[Region, ...],
    accumulator: int,
) -> MachineParameters:
    """The parameters whose memories hold the model, with accumulators of so many bits."""
    shapes, whole = [], []
    for step in steps:
        if not isinstance(step, LinearStep):
            continue
        result = layouts[step.region]
        shape = linear_shape(step, array, source_layout(step, graph, layouts, array), result)
        shapes.append(shape)
        whole += _unparted(step, shape, result.head_words, array)
    tile = max([shape.k_words for shape in shapes] or [1])
    for step in steps:
        if isinstance(step, AttentionStep):
            query = layouts[step.query]
            tile = max(tile, query.head_words if step.keys else query.words)
            if not step.keys:
                mixed = mixed_shape(query, array)
                shapes.append(mixed)
                whole.append((mixed.blocks, mixed.ring_words))
            tile = max(tile, step.digits * exp_words(read_keys(step, array), array, step.digits))
    return array.parameters(
        tile_words=tile,
        residual_words=memory_words(regions, "residual"),
        feature_words=memory_words(regions, "features"),
        **_ring_parameters(shapes, whole, array),
        image_words=input_layout(graph, array).words if uses_image(graph) else 1,
        accumulator_bits=accumulator,
        tasks=graph.tasks,
        **_brought(steps, array, layouts),
        **_attention_parameters(steps, array, layouts),
        **step_needs(steps, graph, array, layouts, walks=any(shape.walk for shape in shapes)),
    )
