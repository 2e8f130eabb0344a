# SPDX-License-Identifier: Apache-2.0
"""The stages behind the front end's answer: a tiny machine compiled, and the list of problems again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import hlsgen
from benchmarks.zoo.judge import DONE
from benchmarks.zoo.removal import missed
from hlsgen.errors import DoesNotFit, RangeOverflow, UnsupportedModel
from hlsgen.frontend.capture import examine

ARRAY = "4x8x8"
IMAGES = 4


def further(level: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage finds of a model's export."""
    if level == "removal":
        return {"kind": DONE, "missed": missed(found["export"]) if found["export"] is not None else []}
    graph = examine(found["export"]).graph
    assert graph is not None, "only accepted models are compiled"
    pictures = np.random.default_rng(9).normal(size=(IMAGES, *found["images"].shape[1:])).astype(np.float32)
    try:
        design = hlsgen.compile(hlsgen.quantize(graph, pictures), board="zcu102", array=ARRAY)
    except (UnsupportedModel, DoesNotFit, RangeOverflow) as error:
        return {"kind": DONE, "images": 0, "refused": str(error.problems[0])}
    return {"kind": DONE, "images": design.simulate("program", samples=1).images}
