# SPDX-License-Identifier: Apache-2.0
"""Activations become tables."""

from __future__ import annotations

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ops import Activation, IntegerTable
from hlsgen.ops.kinds import Kind
from hlsgen.ops.pointwise import function
from hlsgen.quantization.observers import Function
from hlsgen.quantization.rounding import nearest
from hlsgen.quantization.rules.rule import INT8, Rule, Site, rule


@rule(Activation)
class ActivationRule(Rule[Activation]):
    """The function of each input of the index's bits."""

    def scale(self, op: Activation, site: Site) -> float:
        del op
        return site.narrow() or 1.0 / INT8

    def integer(self, op: Activation, site: Site) -> IntegerTable:
        # The input's product says how many integers it has.
        (before,) = site.node.inputs
        low, high = site.model.site(site.model.graph.node(before)).range
        inputs = site.sources[0] * np.arange(low, high + 1.0)
        values = function(op.function)(inputs)
        if np.isnan(values).any():
            raise UnsupportedModel([_undefined(op, site, inputs, np.isnan(values))], code=Code.INTEGERS)
        least, most = site.range if site.kind is Kind.NARROW else (-128, 127)
        return IntegerTable(table=nearest(np.clip(values / site.scale, least, most)), scale=site.scale)

    def function(self, op: Activation) -> Function:
        return function(op.function)


def _undefined(op: Activation, site: Site, inputs: np.ndarray, wrong: np.ndarray) -> Problem:
    bits, found = len(inputs).bit_length() - 1, inputs[wrong]
    return Problem(
        f"{site.node.name}: the function {op.function:.60} must be defined for all inputs of {bits} bits",
        where=str(site.node.source),
        why=f"it is not a number at {found[0]:.6g} and {len(found) - 1} more of {len(inputs)} inputs",
        fix="limit the function's input first, with torch.clamp",
    )
