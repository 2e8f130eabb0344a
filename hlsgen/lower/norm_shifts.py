# SPDX-License-Identifier: Apache-2.0
"""What commands have of norms; the norm shifts of a program, and where each norm's lie in their memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hlsgen.ir import Node
from hlsgen.lower.constants import ConstantStream
from hlsgen.lower.refuse import must_be
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.constants import Item
from hlsgen.machine.format.norm_shifts import PARTS, WORD_BYTES, pack_shifts
from hlsgen.ops import IntegerRMSNorm
from hlsgen.ops.norm import IntegerNorm


@dataclass(frozen=True)
class NormShifts:
    """The shifts of all norms of a program, of equal ones once.

    bases: the first word of each norm's. brought: in front of whose constants which come, and to which word.
    """

    words: int
    bases: Mapping[str, int]
    brought: Mapping[str, Sequence[tuple[int, bytes]]]

    def bring(self, step: LinearStep, constants: ConstantStream) -> None:
        """Append the shifts that stand in front of the step's constants."""
        for word, data in self.brought.get(step.linear.name, ()):
            constants.placed(Item.NORM_SHIFTS, word * PARTS, data)

    def fields(self, node: Node) -> dict[str, Any]:
        """The fields of a command whose rows are normalised."""
        match node.op:
            case IntegerNorm(epsilon=epsilon, gain=gain, gain_shift=shift) as op:
                return {
                    "norm_width": node.type.shape[-1] // op.heads,
                    "norm_epsilon": epsilon,
                    "norm_gain": gain,
                    "norm_gain_shift": shift,
                    "norm_rms": int(isinstance(op, IntegerRMSNorm)),
                    "norm_shift_base": self.bases.get(node.name, -1) + 1,
                }
            case _:
                raise must_be(node, "a norm")


def norm_shifts(steps: Sequence[Step]) -> NormShifts:
    """The shifts of the steps' norms."""
    places: dict[bytes, int] = {}
    bases: dict[str, int] = {}
    brought: dict[str, list[tuple[int, bytes]]] = {}
    words, there = 0, set()
    for index, step in enumerate(steps):
        if not isinstance(step, LinearStep) or (norm := step.rows.norm) is None:
            continue
        if not isinstance(norm.op, IntegerNorm) or norm.op.shifts is None:
            continue
        data = pack_shifts(norm.op.shifts)
        if data not in places:
            places[data] = words
            words += len(data) // WORD_BYTES
        bases[norm.name] = places[data]
        bearers = _bearers(steps[:index], step.rows.region) if data not in there else []
        for bearer in bearers:
            item = (places[data], data)
            known = brought.setdefault(bearer.linear.name, [])
            known += [] if item in known else [item]
            there |= set() if bearer.tasks else {data}
    return NormShifts(words, bases, brought)


def _bearers(steps: Sequence[Step], region: str) -> list[LinearStep]:
    """The steps that may bring what a norm of rows of `region` needs: the last one that always runs.

    So it comes before the norm: that waits for rows of a command that has drained, and by then the constants
    of all before it were there. No step before may be one that always runs: then each brings it.
    """
    maker = max(index for index, step in enumerate(steps) if step.region == region)
    found = [step for step in steps[: maker + 1] if isinstance(step, LinearStep) and not step.expert]
    always = [step for step in found if not step.tasks]
    return always[-1:] or found
