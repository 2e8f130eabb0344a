# SPDX-License-Identifier: Apache-2.0
"""What commands can count and address: the machine's limits, whatever the board."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from hlsgen.errors import DoesNotFit, Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node
from hlsgen.lower.image import input_layout
from hlsgen.lower.size import LARGER, ArrayShape
from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.format.program import Region
from hlsgen.ops import IntegerMatmul, IntegerMixedScores, IntegerScores, Patches

MOST_ITEMS = (1 << 16) - 1
"""Column blocks whose constants one header of the constant stream counts."""


def _most(field: str) -> int:
    """Largest value of a command's field."""
    return (1 << FIELD_BITS[field]) - 1


def check_holds(machine: MachineParameters, graph: Graph, needed: MachineParameters) -> None:
    """Raise `DoesNotFit` with everything that a machine lacks of what a model needs."""
    problems = []
    for name, value in dataclasses.asdict(needed).items():
        given = getattr(machine, name)
        if name in LARGER:
            if given < value:
                problems.append(Problem(f"the machine's {name} must be at least {value}, not {given}"))
        elif name != "tile_slots" and given != value:
            problems.append(Problem(f"the machine's {name} must be {value}, not {given}"))
    if machine.streamed and not needed.streamed and (needed.products or _scores(graph)):
        problems.append(Problem("the machine's workspace_units must be 0 where keys and values stay inside"))
    if problems:
        raise DoesNotFit(problems)


def check_limits(
    graph: Graph, array: ArrayShape, parameters: MachineParameters, regions: Sequence[Region]
) -> None:
    """Hold a model on an array against every limit of the machine.

    Raises `UnsupportedModel` for what no array can have, `DoesNotFit` for what other arrays might.
    """
    problems = list(_model(graph))
    if problems:
        raise UnsupportedModel(problems, code=Code.LOWERING)
    problems = [
        *_memories(graph, parameters, regions),
        *_array(parameters, input_layout(graph, array).row_words),
    ]
    if problems:
        raise DoesNotFit(problems)


def _memories(graph: Graph, p: MachineParameters, regions: Sequence[Region]) -> Iterator[Problem]:
    """Addresses and lengths in words, which are shorter with more columns."""
    bases = {region.memory: max(r.base for r in regions if r.memory == region.memory) for region in regions}
    kept = 2 if p.streamed else min([node.type.shape[0] for node in _scores(graph)] or [1])
    for name, words, field in (
        *((f"a tensor's place in the {name} memory", base, "source") for name, base in bases.items()),
        ("a head's keys", p.key_words // kept, "head_stride"),
        ("a head's values", p.value_words // kept, "value_stride"),
        ("an operand row", p.tile_words, "k_words"),
        ("a row of scores", p.score_words, "exp_words"),
    ):
        if words > _most(field):
            yield Problem(
                f"{name} must be at most {_most(field)} words, not {words}, on {p.columns} columns",
                why="commands count no further; a word is an element for each column",
                fix="use more columns, or a smaller model",
            )


def _array(p: MachineParameters, row_words: int) -> Iterator[Problem]:
    """Counts of blocks, steps and words of pixels."""
    steps = ceil_div(p.tile_words * p.columns, p.depth)
    if p.constant_words // 2 > MOST_ITEMS:
        yield Problem(
            f"a layer must have at most {MOST_ITEMS * p.columns} outputs on {p.columns} columns, "
            f"not about {p.constant_words // 2 * p.columns}",
            why=f"commands count {MOST_ITEMS} column blocks at most",
            fix="use more columns, or a smaller model",
        )
    if steps > _most("k_steps"):
        yield Problem(
            f"a layer must have at most {_most('k_steps') * p.depth} inputs with depth {p.depth}, "
            f"not {steps * p.depth}",
            why=f"commands count {_most('k_steps')} steps at most",
            fix="use a greater depth, or a smaller model",
        )

    if row_words > _most("row_words"):
        yield Problem(
            f"an image must have at most {_most('row_words') * p.columns} pixels in a row on {p.columns} "
            f"columns, not {row_words * p.columns}",
            why=f"commands count {_most('row_words')} words of a row at most",
            fix="use more columns, or smaller images",
        )


def _scores(graph: Graph) -> list[Node]:
    return [node for node in graph if isinstance(node.op, IntegerScores | IntegerMixedScores)]


def _model(graph: Graph) -> Iterator[Problem]:
    """Limits of the model itself."""
    channels, high, width = graph.input_type.shape
    ways = {op.windows(high, width) for node in graph if isinstance(op := node.op, Patches)}
    if len(ways) > 1:
        yield Problem(
            f"a model must cut its image in one way, not in {len(ways)}",
            why="the image lies in the machine as its patches are read",
            fix="make one patch embedding, and take its tokens apart",
        )
    for node in graph:
        op, found = node.op, []
        if isinstance(op, IntegerScores | IntegerMixedScores):
            found = [("heads", node.type.shape[0], "heads"), ("tokens", node.type.shape[2], "keys")]
        elif isinstance(op, IntegerMatmul):
            found = [("heads that share a factor", op.shared, "shared")]
        elif isinstance(op, Patches):
            height, across = op.patch
            found = [
                ("rows of a patch", height, "patch_height"),
                ("columns of a patch", across, "patch_width"),
                ("channels", channels, "patch_channels"),
                ("tokens before the patches", op.prefix, "patch_prefix"),
                ("tokens", node.type.shape[0], "keys"),
                ("patches side by side", op.windows(high, width)[1].count, "patch_columns"),
            ]
        for what, value, field in found:
            if value > _most(field):
                yield Problem(
                    f"{node.name}: {what} must be at most {_most(field)}, not {value}",
                    where=str(node.source),
                    why="the machine's commands count no further",
                    fix="change the model",
                )
