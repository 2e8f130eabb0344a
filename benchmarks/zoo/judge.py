# SPDX-License-Identifier: Apache-2.0
"""What becomes of one model: the front end's answer, and whether an accepted one is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.zoo.entry import ABSENT
from hlsgen.frontend.capture import Capture, examine
from hlsgen.ir import Graph, results

PLAIN, ACCEPTED, REFUSED = "without attention", "accepted", "refused"
WRONG, TRACEBACK, HANG, CRASH = "wrong", "traceback", "hang", "crash"
DONE = "done"
"""The result of a further stage that found what it looks for or nothing, and did not fail."""
BAD = (WRONG, TRACEBACK, HANG, CRASH)
TOLERANCE = 1e-5
"""Of the float Graph's outputs, relative to the largest element."""


def judged(found: Mapping[str, Any]) -> dict[str, Any]:
    """The front end's answer to what `exported` found, ready for JSON."""
    if found["kind"] == ABSENT:
        return {"kind": ABSENT, "reason": found["reason"]}
    if not found["attention"]:
        return {"kind": PLAIN}
    if found["export"] is None:
        return {"kind": REFUSED, "problems": found["problems"]}
    result = examine(found["export"])
    if result.graph is None:
        return {"kind": REFUSED, "problems": [asdict(problem) for problem in result.problems]}
    error = difference(result.graph, found)
    if error > TOLERANCE and found.get("told"):
        return {"kind": REFUSED, "problems": found["told"]}  # a right Graph of a wrong export
    return {"kind": ACCEPTED if error <= TOLERANCE else WRONG, "error": error, "ops": _ops(result)}


def _ops(result: Capture) -> int:
    return 0 if result.graph is None else len(list(result.graph))


def difference(graph: Graph, found: Mapping[str, Any]) -> float:
    """The largest relative difference of the Graph's outputs, each to the module's nearest tensor."""
    wanted_of: list[list[np.ndarray]] = found["results"]
    worst = 0.0
    for output in graph.shown(results(graph, found["images"])).values():
        near = np.inf
        for leaves in zip(*wanted_of, strict=True):
            if leaves[0].size == output[0].size and leaves[0].dtype.kind == "f":
                wanted = np.stack([leaf.reshape(output[0].shape) for leaf in leaves])
                near = min(near, float(np.abs(output - wanted).max() / np.abs(wanted).max()))
        worst = max(worst, near)
    return worst
