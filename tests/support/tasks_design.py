# SPDX-License-Identifier: Apache-2.0
"""A small compiled mixture of experts with two tasks, of one machine: its Verilog is generated once.

The machine multiplies tensors with each other, and its image lies in memory in another order than the host's:
windows that overlap and reach beyond the image stand there one behind the other.
"""

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
    made = make(Shape(edge=4, k=CHOICES, overlap=1, linear=True))
    return hlsgen.compile(
        made.quantized, samples=Samples(made.images[:images]), board="zcu102", array="4x4x8"
    )
