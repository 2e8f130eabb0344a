"""Graph ops, one file each: fields, type rule, float reference and integer golden."""

from hlsgen.ops.activation import Activation, IntegerTable
from hlsgen.ops.add import Add, AddConstant, IntegerAdd, IntegerAddConstant
from hlsgen.ops.context import Context, IntegerContext
from hlsgen.ops.layer_norm import IntegerLayerNorm, LayerNorm
from hlsgen.ops.linear import IntegerLinear, Linear
from hlsgen.ops.mean import IntegerMean, Mean
from hlsgen.ops.patches import Patches
from hlsgen.ops.scores import IntegerScores, Scores
from hlsgen.ops.select import Select
from hlsgen.ops.softmax import IntegerExp, Softmax

__all__ = [
    "Activation",
    "Add",
    "AddConstant",
    "Context",
    "IntegerAdd",
    "IntegerAddConstant",
    "IntegerContext",
    "IntegerExp",
    "IntegerLayerNorm",
    "IntegerLinear",
    "IntegerMean",
    "IntegerScores",
    "IntegerTable",
    "LayerNorm",
    "Linear",
    "Mean",
    "Patches",
    "Scores",
    "Select",
    "Softmax",
]
