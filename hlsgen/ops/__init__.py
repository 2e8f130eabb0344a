# SPDX-License-Identifier: Apache-2.0
"""Graph ops, one file each: fields, type rule, float reference and integer golden."""

from hlsgen.ops.activation import Activation, IntegerTable
from hlsgen.ops.add import Add, AddConstant, IntegerAdd, IntegerAddConstant
from hlsgen.ops.cast import Cast, IntegerCast
from hlsgen.ops.choose import Choose
from hlsgen.ops.combine import Combine, IntegerCombine
from hlsgen.ops.constant import Constant, IntegerConstant
from hlsgen.ops.context import Context, IntegerContext
from hlsgen.ops.experts import ExpertLinear, IntegerExpertLinear
from hlsgen.ops.gather import Gather
from hlsgen.ops.grouped_linear import GroupedLinear, IntegerGroupedLinear
from hlsgen.ops.layer_norm import IntegerLayerNorm, LayerNorm
from hlsgen.ops.linear import IntegerLinear, Linear
from hlsgen.ops.matmul import IntegerMatmul, Matmul
from hlsgen.ops.mean import IntegerMean, Mean
from hlsgen.ops.mixed_scores import IntegerMixedScores, MixedScores
from hlsgen.ops.patches import Patches
from hlsgen.ops.rms_norm import IntegerRMSNorm, RMSNorm
from hlsgen.ops.route import IntegerRoute, Route
from hlsgen.ops.scores import IntegerScores, Scores
from hlsgen.ops.select import Select
from hlsgen.ops.softmax import IntegerExp, Softmax
from hlsgen.ops.transpose import Transpose

__all__ = [
    "Activation",
    "Add",
    "AddConstant",
    "Cast",
    "Choose",
    "Combine",
    "Constant",
    "Context",
    "ExpertLinear",
    "Gather",
    "GroupedLinear",
    "IntegerAdd",
    "IntegerAddConstant",
    "IntegerCast",
    "IntegerCombine",
    "IntegerConstant",
    "IntegerContext",
    "IntegerExp",
    "IntegerExpertLinear",
    "IntegerGroupedLinear",
    "IntegerLayerNorm",
    "IntegerLinear",
    "IntegerMatmul",
    "IntegerMean",
    "IntegerMixedScores",
    "IntegerRMSNorm",
    "IntegerRoute",
    "IntegerScores",
    "IntegerTable",
    "LayerNorm",
    "Linear",
    "Matmul",
    "Mean",
    "MixedScores",
    "Patches",
    "RMSNorm",
    "Route",
    "Scores",
    "Select",
    "Softmax",
    "Transpose",
]
