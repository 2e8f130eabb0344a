# SPDX-License-Identifier: Apache-2.0
"""One ONNX node as the functions of the tables see it, and the tables themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.read.export import Call
from hlsgen.frontend.read.onnx_program import Known, Program, Unreadable
from hlsgen.ir import Source


@dataclass
class Node:
    """A node's inputs (None where one is left out), attributes and place, and the program that grows."""

    program: Program
    kind: str
    inputs: tuple[Known | None, ...]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]
    source: Source
    literals: set[int]
    """Identities of the known tensors that the exporter made of numbers in the model's code."""
    lonely: Callable[[Any], bool]
    """Whether a value is read by one node only."""
    made: int = 0

    def get(self, index: int) -> Known | None:
        """An input, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def need(self, index: int) -> Known:
        """An input that must be there."""
        value = self.get(index)
        if value is None:
            raise Unreadable(f"no input {index}")
        return value

    def known(self, index: int, what: str) -> torch.Tensor:
        """An input that must be a constant."""
        value = self.need(index)
        if not isinstance(value, torch.Tensor):
            raise Unreadable(f"{what} computed from the image")
        return value

    def integers(self, index: int, what: str) -> list[int]:
        """An input as plain numbers."""
        return [int(number) for number in self.known(index, what).reshape(-1).tolist()]

    def axes(self, index: int, name: str = "axes") -> list[int] | None:
        """Axes: an attribute in old opsets, an input in new ones, None where there are none."""
        if name in self.attributes:
            value = self.attributes[name]
            return [int(item) for item in (value if isinstance(value, list) else [value])]
        return None if self.get(index) is None else self.integers(index, name)

    def shape(self, value: Any) -> tuple[int, ...]:
        """The shape of a value."""
        return self.program.shape(value)

    def number(self, value: Any) -> Any:
        """A literal as the number in the model's code; anything else as it is.

        The exporter rounds numbers to float32. The shortest decimal that rounds to the same is the number
        that was written.
        """
        if not isinstance(value, torch.Tensor) or id(value) not in self.literals or value.numel() != 1:
            return value
        if value.dim() > 1 or value.dtype is not torch.float32:
            return value
        return shortest(float(value))

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """The result of an ATen operator."""
        name = self.outputs[0] if not self.made else f"{self.outputs[0]}/{self.made}"
        self.made += 1
        return self.program.call(f"aten.{target}", args, kwargs, name, self.source)

    def parameter(self, tensor: torch.Tensor, path: str) -> torch.Tensor:
        """A known tensor as a parameter of that path, unless it has one."""
        return tensor if self.program.path(tensor) else self.program.parameter(tensor, path)

    def producer(self, value: Any) -> Call | None:
        """The call that computes a value which only this node reads."""
        return self.program.producer(value) if self.lonely(value) else None


def shortest(number: float) -> float:
    """The shortest decimal that rounds to the same float32."""
    return float(str(np.float32(number)))


Operator = Callable[[Node], Any]
OPERATORS: dict[str, Operator] = {}
"""ONNX operator -> function that makes its ATen calls and returns its result or results."""


def operator(*kinds: str) -> Callable[[Operator], Operator]:
    """Register a function for some ONNX operators."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(kinds, function))
        return function

    return register
