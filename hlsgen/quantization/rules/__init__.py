# SPDX-License-Identifier: Apache-2.0
"""How each op is quantized: its scale and its integer op, one file for each kind of op."""

from hlsgen.quantization.rules import (
    activation,
    add,
    attention,
    cast,
    combine,
    constant,
    experts,
    linear,
    matmul,
    mean,
    moves,
    norm,
    route,
)

__all__ = [
    "activation",
    "add",
    "attention",
    "cast",
    "combine",
    "constant",
    "experts",
    "linear",
    "matmul",
    "mean",
    "moves",
    "norm",
    "route",
]
