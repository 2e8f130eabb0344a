# SPDX-License-Identifier: Apache-2.0
"""A small compiled mixture of experts with two tasks, of one machine: its Verilog is generated once."""

from __future__ import annotations

import hlsgen
from hlsgen import Design
from hlsgen.store.samples import Samples
from tests.support.experts import Shape, make

TOKENS = 5
CHOICES = 2
"""Of each token."""


def tasks_design(images: int) -> Design:
    """The design with so many samples; not saved."""
    made = make(Shape(edge=4, k=CHOICES))
    return hlsgen.compile(
        made.quantized, samples=Samples(made.images[:images]), board="zcu102", array="4x4x8"
    )
