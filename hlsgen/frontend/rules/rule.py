# SPDX-License-Identifier: Apache-2.0
"""The table of ATen operators and what a rule sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hlsgen.frontend.read.export import Call, Constant, Export, Ref
from hlsgen.frontend.read.places import identifier
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Value, named
from hlsgen.frontend.rules.tokens import settle
from hlsgen.ir import Op


@dataclass(frozen=True)
class CallSite:
    """One call being read, and where its results go."""

    call: Call
    terms: Terms
    image: Term
    constants: dict[str, Constant]
    routed: bool = False
    """Whether the model chooses the largest of something, as mixtures of experts do."""

    def settle(self, value: Value, name: str = "") -> Term:
        """The term that equals `value` seen as tokens [T, N]; `name` is for a new part of a linear layer."""
        return settle(self.terms, value, name)

    def name(self, role: str, *, parameter: int | None = None) -> str:
        """A node's name: the path of the parameter at that position, else module path and role."""
        if parameter is not None and parameter < len(self.call.args):
            argument = self.call.args[parameter]
            constant = self.constants.get(argument.name) if isinstance(argument, Ref) else None
            if constant is not None and constant.path:
                for suffix in (".weight", "_weight", ".bias"):
                    if constant.path.endswith(suffix):
                        return identifier(constant.path.removesuffix(suffix))
        return named(self.call.source.module, role)

    def emit(self, op: Op, inputs: tuple[Term, ...], name: str, shape: tuple[int, ...]) -> Value:
        """A new term with this call's place, as a value of `shape`."""
        return self.terms.value(self.terms.make(op, inputs, name, self.call.source), shape)


FLOATS = "floats"
NOT_FLOATS = "quantized weights are other numbers without their scales, and hlsgen quantizes floats by itself"
Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""Operator -> rule; a rule takes the `CallSite` and the operator's own arguments."""


def rule(*targets: str) -> Callable[[Rule], Rule]:
    """Register a function for some operators (`aten.` and the overload included)."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(targets, function))
        return function

    return register


Rewrite = Callable[[Export], Export]
REWRITES: list[Rewrite] = []
"""What an export goes through before it is read: each puts one call in the place of many."""


def rewrite(function: Rewrite) -> Rewrite:
    """Register a function for all exports."""
    REWRITES.append(function)
    return function


def array(tensor: torch.Tensor) -> np.ndarray:
    """A copy, so that a graph does not change when the model is trained further."""
    return np.array(tensor.numpy(), order="C")


def constant(argument: Any, what: str) -> torch.Tensor:
    """The argument as a constant tensor, or a refusal."""
    if isinstance(argument, torch.Tensor):
        return argument
    raise Refusal(f"{what} must be a constant, not computed from the image")


def floats(argument: Any, what: str) -> torch.Tensor:
    """The argument as a constant tensor of floats, as PyTorch demands of layers; files may hold others."""
    tensor = constant(argument, what)
    if tensor.is_floating_point():
        return tensor
    kind = str(tensor.dtype).removeprefix("torch.")
    raise Refusal(f"{what} must be {FLOATS}, not {kind}")


def computed(argument: Any, what: str) -> Value:
    """The argument as a value computed from the image, or a refusal."""
    if isinstance(argument, Value):
        return argument
    raise Refusal(f"{what} must be computed from the image, not a constant")
