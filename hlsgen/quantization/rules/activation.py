# SPDX-License-Identifier: Apache-2.0
"""Activations become tables."""

from __future__ import annotations

import numpy as np

from hlsgen.ops import Activation, IntegerTable
from hlsgen.ops.activation import FUNCTIONS
from hlsgen.quantization.observers import Function
from hlsgen.quantization.rules.rule import INT8, Rule, Site, nearest, rule


@rule(Activation)
class ActivationRule(Rule[Activation]):
    """The function of each of the 256 inputs."""

    def scale(self, op: Activation, site: Site) -> float:
        del op
        return site.narrow() or 1.0 / INT8

    def integer(self, op: Activation, site: Site) -> IntegerTable:
        values = FUNCTIONS[op.function](site.sources[0] * np.arange(-128.0, 128.0))
        return IntegerTable(table=nearest(np.clip(values / site.scale, -128, 127)), scale=site.scale)

    def function(self, op: Activation) -> Function:
        return FUNCTIONS[op.function]
