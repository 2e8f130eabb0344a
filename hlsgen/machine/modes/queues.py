# SPDX-License-Identifier: Apache-2.0
"""Expert queues: which tokens go to which expert, filled by a router command, read by the expert commands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.parameters import MachineParameters


@dataclass(frozen=True)
class Entry:
    """A token in an expert's queue.

    first: no expert before this one has the token: its result is added to the row as it was.
    """

    token: int
    gate: int
    first: bool


class ExpertQueues:
    """The queues, the router's logits on their way to them, and the gate table.

    Parameters
    ----------
    parameters
        The machine's shape.
    """

    def __init__(self, parameters: MachineParameters) -> None:
        self._p = parameters
        self.table = np.zeros(1 << parameters.logit_bits, np.int64)
        self._logits: dict[int, list[np.ndarray]] = {}
        self._queues: list[list[Entry]] = [[] for _ in range(parameters.experts)]
        self.tokens = np.zeros(parameters.experts, np.int64)
        """Tokens that each expert of any layer has had."""

    def start(self) -> None:
        """A router command begins: every queue is empty."""
        self._queues = [[] for _ in range(self._p.experts)]

    def logits(self, command: Command, tokens: np.ndarray, block: int, words: np.ndarray) -> None:
        """A block's logits [rows, C] of tokens [rows]; with the last block the tokens go to their queues."""
        for token, word in zip(tokens, words, strict=True):
            self._logits.setdefault(int(token), []).append(word)
            if block == command.total_blocks - 1:
                self._route(command, int(token))

    def _route(self, command: Command, token: int) -> None:
        logits = np.concatenate(self._logits.pop(token))[: command.experts]
        chosen, gates = numerics.route(logits, command.choices, command.gate_mode, self.table)
        for expert, gate in zip(chosen, gates, strict=True):
            self._queues[expert].append(Entry(token, int(gate), expert == chosen.min()))
            self.tokens[expert] += 1

    def queue(self, command: Command) -> list[Entry]:
        """The queue of the command's expert, which begins at `queue_base`."""
        return self._queues[command.queue_base // self._p.queue_tokens]

    def loads(self) -> tuple[int, ...]:
        """Tokens of each expert."""
        return tuple(map(len, self._queues))
