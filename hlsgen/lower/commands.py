# SPDX-License-Identifier: Apache-2.0
"""Steps -> commands, with their share of the Image's streams."""

from __future__ import annotations

import dataclasses
from typing import Any

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.ir import Graph, Node
from hlsgen.lower.attention import mixed_scores, pack_score_addends, part_fields, score_fields, score_range
from hlsgen.lower.constants import (
    block_constants,
    constant_stream,
    pack_addends,
    pack_grouped,
    pack_weights,
    product_constants,
    table_entries,
)
from hlsgen.lower.image import patch_fields
from hlsgen.lower.interleave import ADDEND_DISTANCE, ExpertTables
from hlsgen.lower.layout import Layout
from hlsgen.lower.lists import key_lists, part_name, run_lists
from hlsgen.lower.norm_shifts import norm_shifts
from hlsgen.lower.part import Part
from hlsgen.lower.parts import attention_parts
from hlsgen.lower.refuse import must_be
from hlsgen.lower.shape import Shape, drained, linear_shape, source_layout
from hlsgen.lower.size import ArrayShape, Sweeps, cut, operand_words
from hlsgen.lower.step import AttentionStep, LinearStep, Step
from hlsgen.lower.views import attention_views, linear_views
from hlsgen.lower.windows import by_windows
from hlsgen.machine.format.commands import Command, Depends, Drain, Load, Product, Target
from hlsgen.machine.format.constants import Item
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters, ceil_div
from hlsgen.machine.format.program import Region, View
from hlsgen.ops import (
    IntegerAddConstant,
    IntegerContext,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    Patches,
)


class CommandBuilder:
    """Appends one command per step; holds the growing streams."""

    def __init__(
        self,
        graph: Graph,
        parameters: MachineParameters,
        layouts: dict[str, Layout],
        regions: dict[str, Region],
        array: ArrayShape,
        steps: list[Step],
        *,
        outline: bool = False,
    ) -> None:
        """steps: all that `add` will be given. outline: weights are zeros, as many as there are."""
        self._graph, self._parameters, self._array = graph, parameters, array
        self._outline = outline
        self._layouts, self._regions = layouts, regions
        self._producer: dict[str, int] = {}
        self._commands: list[Command] = []
        self._exp_banks: dict[str, int] = {}
        self.views: list[View] = []
        self.first: list[int] = []
        """The number of each step's first command."""
        self.constants = constant_stream(parameters)
        self._experts = ExpertTables()
        self.weights: list[bytes] = []
        self._weight_parts = 0
        self.addends: list[bytes] = []
        self.output_sweeps: dict[str, int] = {}
        self.lists = run_lists(steps, layouts, parameters.row_width)
        self.key_lists = key_lists(steps, array, layouts)
        self._shifts, self._windows = norm_shifts(steps), by_windows(steps)

    def add(self, step: Step, following: list[Step]) -> None:
        """Append the commands of `step`; `following` are the steps after it."""
        self.first.append(len(self._commands))
        if isinstance(step, LinearStep):
            self._append(step, self._linear(step, following))
            return
        for part in attention_parts(step, self._array, self._layouts):
            self._append(step, self._attention(step, part))

    def _append(self, step: Step, command: Command) -> None:
        if step.tasks:
            self.constants.forget()
        command = dataclasses.replace(command, tasks=step.tasks, **self._sections())
        self._producer[step.region] = len(self._commands)
        self._commands.append(command)

    def finish(self) -> tuple[Command, ...]:
        """The commands, each task's last output marked: what runs behind it is for other tasks."""
        outputs = [i for i, command in enumerate(self._commands) if command.target is Target.OUTPUT]
        for task in range(self._parameters.tasks):
            last = max(i for i in outputs if self._commands[i].runs_for(task))
            self._commands[last] = dataclasses.replace(self._commands[last], last=1)
        return tuple(self._commands)

    def _sections(self) -> dict[str, int]:
        """The command's parts of the streams, where it may be skipped; weights are padded here."""
        constant_units, constant_words = self.constants.section()
        fields = {"constant_units": constant_units, "constant_words": constant_words}
        if not self._parameters.planned or len(self.weights) == self._weight_parts:
            return fields
        size = len(self.weights[-1])
        units = ceil_div(size, SECTION_ALIGN)
        self.weights[-1] += bytes(units * SECTION_ALIGN - size)
        self._weight_parts = len(self.weights)
        word = self._parameters.columns * self._parameters.depth
        return fields | {"weight_units": units, "weight_words": size // word}

    # -- weight commands ---------------------------------------------------------------------------------

    def _linear(self, step: LinearStep, following: list[Step]) -> Command:
        index, p = len(self._commands), self._parameters
        result = self._layouts[step.region]
        source = source_layout(step, self._graph, self._layouts, self._array)
        shape = linear_shape(step, self._array, source, result)
        sweeps, rows = self._sweeps(step, result, shape), step.tile_rows
        fields: dict[str, Any] = {
            "load": step.rows.load,
            "drain": step.drain,
            "target": step.target,
            "tiles": ceil_div(rows, p.rows),
            "tail_rows": rows - (ceil_div(rows, p.rows) - 1) * p.rows,
            "k_words": shape.k_words,
            "k_steps": shape.k_steps,
            "sweeps": sweeps.count,
            "blocks": sweeps.blocks,
            "extra": sweeps.extra,
            "outer_source": shape.outer,
            "narrow": int(shape.narrow),
            "low": step.linear.op.low,  # type: ignore[attr-defined]
            "high": step.linear.op.high,  # type: ignore[attr-defined]
        }
        fields |= self._rows_fields(step, rows) | self.lists.fields(step, shape.k_words)
        fields |= self._target_fields(step, result, rows)
        fields |= self._drain_fields(step, index, sweeps)
        if step.route is not None:
            fields |= self._experts.fields(step, following, self.constants, index, self._parameters)
        if following and isinstance(following[0], AttentionStep):
            self._exp_table(
                following[0], index + len(attention_parts(following[0], self._array, self._layouts))
            )
        fields |= self._factors(step, result)
        fields |= shape.walk.fields if shape.walk else {}
        for lists in (self.lists, self.key_lists, self._shifts):
            lists.bring(step, self.constants)
        self._weights(step, source, result, shape)
        copies = shape.parts > 1 and step.parts == 1
        self.views += linear_views(step, index, None if copies else source, result, self._graph)
        return Command(**fields)

    def _weights(self, step: LinearStep, source: Layout, result: Layout, shape: Shape) -> None:
        """The command's share of constants and weights."""
        p, op = self._parameters, step.linear.op
        match op:
            case IntegerLinear():
                self.constants.constants(*block_constants(op, result, p.columns))
                size = result.words * p.columns * shape.ring_words * p.depth
                words = bytes(size) if self._outline else pack_weights(op, source, result, shape, p)
                self.weights.append(words)
            case IntegerGroupedLinear():
                self.constants.constants(*block_constants(op, result, p.columns))
                self.weights.append(pack_grouped(op, result, shape, p))
            case IntegerMatmul():
                self.constants.constants(*product_constants(op, result, p.columns))
            case _:
                raise must_be(step.linear, "a linear layer or a product")

    def _factors(self, step: LinearStep, result: Layout) -> dict[str, int]:
        """What a product of two tensors needs: where its factors lie, and how heads follow one another."""
        factors, p = step.factors, self._parameters
        if factors is None:
            return {}
        rows = self._graph.type_of(factors.tensor).shape[0]
        words = self._layouts[factors.tensor].head_words
        name, lanes = ("head_stride", p.columns) if factors.keys else ("value_stride", p.depth)
        outer = result.stride * step.tile_rows if step.stacked else 0
        return {
            "product": Product.KEYS if factors.keys else Product.VALUES,
            "operand_depends_on": self._producer[factors.tensor],
            name: ceil_div(rows, lanes) * words,
            "outer_target": outer,
            "shared": factors.shared,
        }

    def _sweeps(self, step: LinearStep, result: Layout, shape: Shape) -> Sweeps:
        """Keys and values that go to external memory leave head by head."""
        if shape.parts > 1 or step.factors is not None:
            return Sweeps(count=shape.parts, blocks=shape.blocks // shape.parts, extra=0)
        if self._parameters.streamed and step.target in (Target.KEYS, Target.VALUES):
            return Sweeps(count=step.heads, blocks=result.head_words, extra=0)
        if shape.walk:
            return Sweeps(count=1, blocks=shape.blocks, extra=0)
        return cut(result.words, shape.ring_words, self._parameters.ring_words)

    def _rows_fields(self, step: LinearStep, rows: int) -> dict[str, Any]:
        """What LOAD needs: source, dependency and the transform's parameters."""
        if step.rows.patches is not None:
            return self._patch_fields(step, step.rows.patches) | self._after_addend(step, {})
        if not step.rows.region:
            return self._after_addend(step, {"depends": Depends.NONE})
        self._check_first_row(step)
        name, stride = step.rows.region, self._layouts[step.rows.region].stride
        fields: dict[str, Any] = {
            "source": self._regions[name].base + step.rows.first * stride,
            "source_stride": stride,
        }
        fields |= self._dependency(step, rows)
        if step.rows.norm is not None:
            fields |= self._shifts.fields(step.rows.norm)
        if step.rows.pool is not None:
            fields |= self._pool_fields(step.rows.pool)
        return fields

    def _check_first_row(self, step: LinearStep) -> None:
        wrong = [row for row in (step.rows.first, step.addend_first) if row % self._parameters.row_width]
        if wrong:
            raise UnsupportedModel(
                Problem(
                    f"{step.linear.name}: its first row, {wrong[0]}, must be a multiple of "
                    f"the row width, {self._parameters.row_width}",
                    where=str(step.linear.source),
                    fix="compile with row width 1",
                )
            )

    def _dependency(self, step: LinearStep, rows: int) -> dict[str, Any]:
        """The command that LOAD waits for, all of it or tile by tile."""
        name = step.rows.region
        before = self._producer[name]
        if step.expert and step.rows.norm is not None:
            # The queues are there, so the rows are: the machine waits for them before it begins the command.
            return {"depends": Depends.NONE, "depends_on": self._experts.router(step)}
        whole = step.expert > 0 or self._graph.type_of(name).shape[0] == rows
        aligned = step.rows.gather is None and step.rows.first == 0 and step.rows.pool is None and whole
        maker = self._commands[before]
        aligned = aligned and maker.drain is not Drain.COMBINE and not maker.outer_target
        if maker.load is Load.ATTENTION:  # of its rows the command may have made the last part alone
            aligned = aligned and maker.tiles == ceil_div(rows, self._parameters.rows)
        depends = {"depends": Depends.TILE if aligned else Depends.COMMAND, "depends_on": before}
        return self._after_addend(step, depends)

    def _after_addend(self, step: LinearStep, depends: dict[str, int]) -> dict[str, int]:
        """The dependency; where DRAIN may still hold rows of the addend when it is read, all of it.

        That is so while fewer results lie between than its pipeline holds.
        """
        if step.addend is None:
            return depends
        maker = self._producer[step.addend]
        between = sum(
            0 if command.expert or command.tasks else drained(command, self._parameters)
            for command in self._commands[maker + 1 :]
        )
        if between >= ADDEND_DISTANCE or (step.expert and maker < len(self._commands) - 1):
            return depends
        return {"depends": Depends.COMMAND, "depends_on": max(maker, depends.get("depends_on", 0))}

    def _pool_fields(self, node: Node) -> dict[str, Any]:
        match node.op:
            case IntegerMean(shift=shift):
                return {"pool_rows": self._graph.type_of(node.inputs[0]).shape[0], "pool_shift": shift}
            case _:
                raise must_be(node, "a mean")

    def _patch_fields(self, step: LinearStep, node: Node) -> dict[str, Any]:
        if not isinstance(node.op, Patches) or node.inputs[0] != self._graph.input:
            raise UnsupportedModel(
                Problem(
                    f"{step.linear.name}: patches must come from the input image",
                    where=str(step.linear.source),
                )
            )
        return patch_fields(node.op, self._graph, self._array)

    def _target_fields(self, step: LinearStep, result: Layout, rows: int) -> dict[str, Any]:
        p = self._parameters
        if step.target is Target.QUEUES:
            return {"target_stride": result.words}
        if step.target in (Target.FEATURES, Target.RESIDUAL):
            return {"target_base": self._regions[step.region].base, "target_stride": result.stride}
        if step.target is Target.OUTPUT:
            return {"target_stride": result.stride} if step.addend else {}
        lanes = p.columns if step.target is Target.KEYS else p.depth
        window = self._windows.get(step.result, 0)
        stride = operand_words(rows, lanes, window) * result.head_words
        name = "head_stride" if step.target is Target.KEYS else "value_stride"
        return {"head_words": result.head_words, name: stride, "window_rows": window}

    def _drain_fields(self, step: LinearStep, index: int, sweeps: Sweeps) -> dict[str, Any]:
        if step.target is Target.OUTPUT:
            self.output_sweeps[step.result] = sweeps.count
        if step.expert and step.combine is not None:
            return {"addend_base": self._regions[str(step.addend)].base}
        if step.expert:
            return {}  # the bank is the routing's: see ExpertTables
        if step.table is not None:
            return {"activation_bank": self._table(Item.ACTIVATION_TABLE, step.table, index)}
        if step.constant is not None:
            self.addends.append(self._constant_rows(step.constant, self._layouts[step.region], sweeps))
            return {"stream_addend": 1}
        if step.addend is not None:
            stride = self._layouts[step.addend].stride
            return {"addend_base": self._regions[step.addend].base + step.addend_first * stride}
        return {}

    def _table(self, item: Item, node: Node, user: int) -> int:
        """The bank of a node's table, which is loaded before the constants of command `user`."""
        entries = table_entries(node.op)
        if entries is None:
            raise must_be(node, "a table")
        return self.constants.table(item, entries, user)

    def _constant_rows(self, node: Node, layout: Layout, sweeps: Sweeps) -> bytes:
        """The addend stream's part for a constant that is added."""
        match node.op:
            case IntegerAddConstant(value=value):
                return pack_addends(layout.padded(value), sweeps.count, self._parameters)
            case _:
                raise must_be(node, "the addition of a constant")

    # -- attention ---------------------------------------------------------------------------------------

    def _exp_table(self, step: AttentionStep, user: int) -> None:
        """Load the exp table before the constants of an earlier command, so that it is there in time."""
        self._exp_banks[step.exp.name] = self._table(Item.EXP_TABLE, step.exp, user)

    def _attention(self, step: AttentionStep, part: Part) -> Command:
        p, context = self._parameters, step.context.op
        if not isinstance(context, IntegerContext):
            raise must_be(step.context, "an attention context")
        if step.scores.type.bits != p.logit_bits:
            raise UnsupportedModel(f"{step.scores.name}: all logits must have {p.logit_bits} bits")
        query, result = self._layouts[step.query], self._layouts[step.result]
        row, _ = part.rows(p.rows, step.scores.type.shape[1])
        self.views += attention_views(step, len(self._commands), query, result, part, p)
        self.addends += pack_score_addends(step, part, p)
        source, target = self._regions[step.query].base, self._regions[step.result].base
        words = self._layouts[step.values].head_words
        fields = self._scores(step, query)
        base = self.key_lists.bases.get(part_name(step, part), 0)
        fields |= part_fields(step, part, p, key_words=query.head_words, value_words=words, list_base=base)
        fields |= {"outer_source": part.window_rows * query.stride} if part.window_rows else {}
        fields |= score_range(step, part, p)
        return Command(
            load=Load.ATTENTION,
            drain=Drain.ATTENTION,
            target=Target.FEATURES,
            depends=Depends.COMMAND if part.tiles[0] or part.window_rows else Depends.TILE,
            depends_on=self._producer[step.query],
            operand_depends_on=max(self._producer[name] for name in step.operands),
            exp_bank=self._exp_banks[step.exp.name],
            source=source + row * query.stride,
            source_word=part.heads[0] * query.head_words,
            source_stride=query.stride,
            target_base=target + row * result.stride,
            target_word=part.heads[0] * words,
            target_stride=result.stride,
            context_multiplier=context.multiplier,
            context_shift=context.shift,
            outer_target=part.window_rows * result.stride,
            **fields,
        )

    def _scores(self, step: AttentionStep, query: Layout) -> dict[str, Any]:
        """What the scores need; weights for those that are mixed from maps."""
        if step.keys:
            return score_fields(step, query, self._array, self._parameters)
        fields, weights = mixed_scores(step, query, self._array)
        self.weights.append(weights)
        return fields
