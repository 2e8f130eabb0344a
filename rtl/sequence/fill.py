# SPDX-License-Identifier: Apache-2.0
"""What stands in the jobs: fields of the command, or of the walk through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import C, Cat, Mux, Value

from hlsgen.machine.format.commands import Drain, Target
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import COMMAND, groups_of, key_part_bits, width_bits


@dataclass(frozen=True, kw_only=True)
class Place:
    """The job about to be handed on, in values."""

    parameters: MachineParameters
    command: Any
    number: Value
    kind: Value
    tile: Value
    outer: Value
    slot: Value
    memory: Value
    operand: Value
    token: Value
    block: Value
    blocks: Value
    first_outer: Value
    fresh: Value
    last_tile: Value
    last_outer: Value
    opens: Value
    closes: Value
    headed: Value
    head_jump: Value
    addend_offset: Value

    @property
    def rows(self) -> Value:
        """Rows of the tile."""
        return Mux(self.last_tile, self.command.tail_rows, self.parameters.rows)

    def group_address(self, address: Value) -> Value:
        """A row memory's address within a bank; rows begin at whole groups."""
        return address[width_bits(self.parameters) :]

    @property
    def head(self) -> Value:
        """The head, as the trace shows it."""
        return Mux(self.kind == Kind.PLAIN, 0, self.outer)

    def key_steps(self, words: Value) -> Value:
        """A key word's address as a step."""
        shift = key_part_bits(self.parameters)
        return Cat(C(0, shift), words) if shift >= 0 else words[-shift:]


def fill_load(job: Any, at: Place, *, trace: bool) -> list[Any]:
    """Statements that fill a LOAD job."""
    command = at.command
    copied = sorted(set(job.shape().members) & set(COMMAND.members))
    filled = {
        "kind": at.kind,
        "first": at.tile == 0,
        "fresh": at.fresh,
        "slot": at.slot,
        "rows": at.rows,
        "words": Mux(at.kind == Kind.CONTEXT, command.exp_words, command.k_words),
        "tile": at.tile,
        "source": Mux(at.kind == Kind.SCORES, at.memory, at.group_address(command.source)),
    }
    if at.parameters.experts:
        filled |= {"queue": command.queue_base}
    if trace:
        filled |= {"command": at.number, "head": at.head, "token": at.token}
    return _statements(job, {name: getattr(command, name) for name in copied} | filled)


def fill_multiply(job: Any, at: Place) -> list[Any]:
    """Statements that fill a MULTIPLY job."""
    command, plain, scores = at.command, at.kind == Kind.PLAIN, at.kind == Kind.SCORES
    streamed = at.parameters.streamed
    stored = (command.target == Target.KEYS) | (command.target == Target.VALUES)
    filled = {
        "kind": at.kind,
        "row_groups": groups_of(at.parameters, at.rows),
        "blocks": at.blocks,
        "steps": Mux(at.kind == Kind.CONTEXT, command.exp_steps, command.k_steps),
        "base": Mux(scores, at.key_steps(at.operand), at.operand),
        "block_step": Mux(scores, at.key_steps(command.head_words), 1),
        "step_step": Mux(scores, 1, command.head_words),
        "waits": ~plain & at.opens if streamed else scores & at.fresh,
        "operand_depends_on": command.operand_depends_on,
        "first_pass": at.tile == 0,
        "last_pass": at.last_tile,
        "addends": plain & (command.drain == Drain.ADD) & command.stream_addend,
        "output": plain & ((command.target == Target.OUTPUT) | (stored if streamed else 0)),
    }
    if streamed:
        filled |= {"opens": at.opens, "closes": at.closes}
    if at.parameters.experts:
        filled |= {"expert": command.expert}
    return _statements(job, filled)


def fill_drain(job: Any, at: Place, *, trace: bool) -> list[Any]:
    """Statements that fill a DRAIN job."""
    command, p = at.command, at.parameters
    scores, context = at.kind == Kind.SCORES, at.kind == Kind.CONTEXT
    ended = at.last_outer & ~scores
    copied = ("drain", "target", "stream_addend", "activation_bank", "keys", "last")
    filled = {
        "kind": at.kind,
        "slot": at.slot,
        "fresh": at.first_outer & (at.tile == 0),
        "first_tile": at.tile == 0,
        "last_tile": at.last_tile,
        "end_tile": ended,
        "end_command": ended & at.last_tile,
        "rows": at.rows,
        "blocks": at.blocks,
        "base": Mux(context, at.memory, at.group_address(command.target_base)),
        "addend_offset": at.addend_offset,
        "multiplier": command.logit_multiplier,
        "shift": command.logit_shift,
    }
    half = 1 << (p.logit_bits - 1)
    filled["low"] = Mux(scores, -half, Mux(context, -128, command.low))
    filled["high"] = Mux(scores, half - 1, Mux(context, 127, command.high))
    if p.experts:
        filled |= {name: getattr(command, name) for name in ("experts", "choices", "gate_mode", "gate_shift")}
        filled |= {"queue": command.queue_base + at.token, "route_stride": command.source_stride}
    if trace:
        first_block = Mux(at.kind == Kind.PLAIN, at.block, 0)
        filled |= {"command": at.number, "head": at.head, "token": at.token, "block": first_block}
    return _statements(job, {name: getattr(command, name) for name in copied} | filled | _walk(at))


def _walk(at: Place) -> dict[str, Value]:
    """How rows and blocks follow one another in the target memory."""
    command, p = at.command, at.parameters
    keys, headed = command.target == Target.KEYS, at.headed & (at.kind == Kind.PLAIN)
    row_step = Mux(headed, command.head_words, command.target_stride)
    if p.experts:  # the queue says where a row goes
        row_step = Mux(command.drain == Drain.COMBINE, 0, row_step)
    return {
        "row_step": Mux(at.kind == Kind.SCORES, p.score_words, row_step),
        "lane_last": Mux(~headed, 0, Mux(keys, p.columns // p.row_width - 1, p.depth // p.row_width - 1)),
        # Without heads no block is a head's last word: the counter never gets to -1.
        "head_words": Mux(headed, command.head_words, 0),
        "head_jump": at.head_jump,
    }


def settle(command: Any, p: MachineParameters) -> dict[str, Value]:
    """What jobs need of a command alone, to be registered before its first job."""
    keys, values = command.target == Target.KEYS, command.target == Target.VALUES
    stride = Mux(keys, command.head_stride, command.value_stride)
    return {
        "headed": keys | values,
        "head_jump": stride - command.head_words + 1,
        "addend_offset": command.addend_base[width_bits(p) :] - command.target_base[width_bits(p) :],
    }


def _statements(job: Any, values: dict[str, Value]) -> list[Any]:
    return [getattr(job, name).eq(value) for name, value in values.items()]
