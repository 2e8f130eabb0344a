# SPDX-License-Identifier: Apache-2.0
"""Activations become tables."""

from __future__ import annotations

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ops import Activation, IntegerTable
from hlsgen.ops.pointwise import function
from hlsgen.quantization.observers import Function
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import INT8, Rule, Site, rule


@rule(Activation)
class ActivationRule(Rule[Activation]):
    """The function of each of the 256 inputs."""

    def scale(self, op: Activation, site: Site) -> float:
        del op
        return site.narrow() or 1.0 / INT8

    def integer(self, op: Activation, site: Site) -> IntegerTable:
        inputs = site.sources[0] * np.arange(-128.0, 128.0)
        values = function(op.function)(inputs)
        if np.isnan(values).any():
            raise UnsupportedModel([_undefined(op, site, inputs[np.isnan(values)])], code=Code.INTEGERS)
        return IntegerTable(table=nearest(np.clip(values / site.scale, -128, 127)), scale=site.scale)

    def function(self, op: Activation) -> Function:
        return function(op.function)


def _undefined(op: Activation, site: Site, inputs: np.ndarray) -> Problem:
    return Problem(
        f"{site.node.name}: the function {op.function:.60} must be defined for all inputs of 8 bits",
        where=str(site.node.source),
        why=f"it is not a number at {inputs[0]:.6g} and {len(inputs) - 1} more of 256 inputs",
        fix="limit the function's input first, with torch.clamp",
    )
