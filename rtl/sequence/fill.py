# SPDX-License-Identifier: Apache-2.0
"""What stands in the jobs: fields of the command, or of the walk through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from amaranth import C, Mux, Value

from hlsgen.machine.format.commands import Drain, Product, Target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.modes.product_weights import TAPS
from hlsgen.numerics import logit_range
from hlsgen.rtl.format.command import NARROWED
from hlsgen.rtl.format.jobs import Stationary
from hlsgen.rtl.format.widths import groups_of, key_steps, width_bits
from hlsgen.rtl.sequence.walk import Position


class Settled(NamedTuple):
    """What jobs need of a command alone, registered before its first job."""

    headed: Value
    head_jump: Value
    addend_offset: Value


@dataclass(frozen=True, kw_only=True)
class Place:
    """The job about to be handed on, in values."""

    parameters: MachineParameters
    command: Any
    number: Value
    kind: Value
    blocks: Value
    fresh: Value
    last_tile: Value
    last_outer: Value
    closes: Value
    at: Position
    target: Value
    settled: Settled

    @property
    def rows(self) -> Value:
        """Rows of the tile."""
        return Mux(self.last_tile, self.command.tail_rows, self.parameters.rows)

    @property
    def stationary(self) -> Value:
        """A `Stationary`."""
        if not self.parameters.products:
            return self.kind
        keys, values = (self.command.product == product for product in (Product.KEYS, Product.VALUES))
        found = Mux(keys, Stationary.KEYS, Mux(values, Stationary.VALUES, self.kind))
        return Mux(self._mixes & (self.kind == Kind.SCORES), Stationary.RING, found)

    @property
    def adds(self) -> Value:
        """Whether the job's results take addends from the stream."""
        command = self.command
        adds = (self.kind == Kind.PLAIN) & (command.drain == Drain.ADD) & command.stream_addend
        if not self.parameters.score_addends:
            return adds
        return adds | ((self.kind == Kind.SCORES) & command.score_addends)

    @property
    def again(self) -> Value:
        """Whether these addends are those that the first head of the command has left."""
        if not self.parameters.addend_words:
            return C(0, 1)
        return self.adds & self.command.kept_addends & ~self.at.first_outer

    @property
    def _mixes(self) -> Value:
        """Whether scores are sums of maps."""
        return self.command.product == Product.MAPS if self.parameters.taps else C(0, 1)

    @property
    def listed(self) -> Value:
        """Whether the job's keys are those of its tile's runs."""
        return (self.command.key_runs != 0) & (self.kind != Kind.PLAIN)

    @property
    def waits(self) -> Value:
        """Whether the job must wait for keys and values; the jobs behind it find what it has waited for."""
        first = self.at.opens if self.parameters.streamed else self.fresh
        return ((self.stationary != Stationary.RING) | self._mixes) & first


def fill_load(job: Any, place: Place, *, trace: bool) -> list[Any]:
    """Statements that fill a LOAD job."""
    command = place.command
    copied = sorted(set(job.shape().members) & set(NARROWED.members))
    filled = {
        "kind": place.kind,
        "first": place.at.tile == 0,
        "fresh": place.fresh,
        "slot": place.at.slot,
        "rows": place.rows,
        "words": Mux(place.kind == Kind.CONTEXT, command.exp_words, command.k_words),
        "tile": place.at.tile,
        "source": place.at.memory,
    }
    if place.parameters.experts:
        filled |= {"queue": command.queue_base}
    if trace:
        plain = (place.kind == Kind.PLAIN) & (command.outer_source == 0)
        head = Mux(plain, 0, place.at.outer)
        filled |= {"command": place.number, "head": head, "token": place.at.token}
    return _statements(job, {name: command[name] for name in copied} | filled)


def fill_multiply(job: Any, place: Place) -> list[Any]:
    """Statements that fill a MULTIPLY job."""
    command, plain, stationary = place.command, place.kind == Kind.PLAIN, place.stationary
    keys, streamed = stationary == Stationary.KEYS, place.parameters.streamed
    stored = (command.target == Target.KEYS) | (command.target == Target.VALUES)
    filled = {
        "kind": place.kind,
        "row_groups": groups_of(place.parameters, place.rows),
        "blocks": place.blocks,
        "steps": Mux(place.kind == Kind.CONTEXT, command.exp_steps, command.k_steps),
        "base": Mux(keys, key_steps(place.parameters, place.at.operand), place.at.operand),
        "block_step": Mux(keys, command.k_steps, 1),
        "step_step": Mux(keys, 1, place.blocks),
        "waits": place.waits,
        "operand_depends_on": command.operand_depends_on,
        "first_pass": place.at.tile == 0,
        "last_pass": place.last_tile,
        "addends": place.adds & ~place.again,
        "output": plain & ((command.target == Target.OUTPUT) | (stored if streamed else 0)),
    }
    if place.parameters.products:
        filled |= {"stationary": stationary}
    if place.parameters.taps:
        filled |= {name: Mux(place.kind == Kind.CONTEXT, 0, command[name]) for name in TAPS.reads}
    if place.parameters.narrow_weights:
        filled |= {"narrow": command.narrow}
    if place.parameters.numerator_digits > 1:
        wide = command.high_digits & (place.kind == Kind.CONTEXT)
        filled |= {"digit_steps": Mux(wide, command.exp_steps, 0)}
        filled["steps"] = Mux(wide, command.exp_steps << 1, filled["steps"])
    if streamed:
        filled |= {"opens": place.at.opens, "closes": place.closes}
    if place.parameters.experts:
        filled |= {"expert": command.expert}
    if place.parameters.key_list_words:
        filled |= {"listed": place.listed}
    return _statements(job, filled)


def fill_keys(job: Any, place: Place) -> list[Any]:
    """Statements that fill a job of the reader of key lists."""
    command, context = place.command, place.kind == Kind.CONTEXT
    filled = {
        "context": context,
        "first": place.at.tile == 0,
        "list": command.key_base,
        "runs": command.key_runs,
        "passes": Mux(context, command.head_words, 1),
        "base": place.at.operand,
        "waits": place.waits,
        "operand_depends_on": command.operand_depends_on,
    }
    return _statements(job, filled)


def fill_drain(job: Any, place: Place, *, trace: bool) -> list[Any]:
    """Statements that fill a DRAIN job."""
    command, p = place.command, place.parameters
    scores, context = place.kind == Kind.SCORES, place.kind == Kind.CONTEXT
    ended, own_rows = place.last_outer & ~scores, command.outer_target != 0
    copied = ("drain", "target", "stream_addend", "activation_bank", "keys", "last")
    filled = {
        "kind": place.kind,
        "slot": place.at.slot,
        "fresh": (place.at.first_outer | own_rows) & (place.at.tile == 0),
        "first_tile": place.at.tile == 0,
        "last_tile": place.last_tile,
        "end_tile": ended,
        "end_command": ended & place.last_tile,
        "rows": place.rows,
        "blocks": place.blocks,
        "base": place.target,
        "addend_offset": place.settled.addend_offset,
        "multiplier": command.logit_multiplier,
        "shift": command.logit_shift,
    }
    low, high = _score_range(place)
    filled["low"] = Mux(scores, low, Mux(context, -128, command.low))
    filled["high"] = Mux(scores, high, Mux(context, 127, command.high))
    if p.score_addends:
        filled["stream_addend"] = place.adds
    if p.addend_words:
        filled |= {"keeps": scores & command.kept_addends, "again": place.again}
    if p.windows:
        filled |= {"window_groups": command.window_rows[width_bits(p) :]}
    if p.experts:
        filled |= {name: command[name] for name in ("experts", "choices", "gate_mode", "gate_shift")}
        filled |= {"queue": command.queue_base + place.at.token, "route_stride": command.source_stride}
    if trace:
        first_block = Mux(place.kind == Kind.PLAIN, place.at.block, 0)
        head = Mux(place.kind == Kind.PLAIN, 0, place.at.outer)
        filled |= {"command": place.number, "head": head, "token": place.at.token, "block": first_block}
    return _statements(job, {name: command[name] for name in copied} | filled | _walk(place))


def _score_range(place: Place) -> tuple[Any, Any]:
    """The range of requantized scores: a logit's, or the command's own where addends may follow."""
    if not place.parameters.score_addends:
        return logit_range(place.parameters.logit_bits, adds=False)
    return place.command.low, place.command.high


def _walk(place: Place) -> dict[str, Value]:
    """How rows and blocks follow one another in the target memory."""
    command, p = place.command, place.parameters
    keys, headed = command.target == Target.KEYS, place.settled.headed & (place.kind == Kind.PLAIN)
    row_step = Mux(headed, command.head_words, command.target_stride)
    if p.experts:  # the queue says where a row goes
        row_step = Mux(command.drain == Drain.COMBINE, 0, row_step)
    return {
        "row_step": Mux(place.kind == Kind.SCORES, p.score_words, row_step),
        "lane_last": Mux(~headed, 0, Mux(keys, p.columns // p.row_width - 1, p.depth // p.row_width - 1)),
        # Without heads no block is a head's last word: the counter never gets to -1.
        "head_words": Mux(headed, command.head_words, 0),
        "head_jump": place.settled.head_jump,
    }


def settle(command: Any, p: MachineParameters) -> Settled:
    """What jobs need of a command alone, in values."""
    keys, values = command.target == Target.KEYS, command.target == Target.VALUES
    stride = Mux(keys, command.head_stride, command.value_stride)
    return Settled(
        headed=keys | values,
        head_jump=stride - command.head_words + 1,
        addend_offset=command.addend_base[width_bits(p) :] - command.target_base[width_bits(p) :],
    )


def _statements(job: Any, values: dict[str, Value]) -> list[Any]:
    return [job[name].eq(value) for name, value in values.items()]
