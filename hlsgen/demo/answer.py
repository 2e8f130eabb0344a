# SPDX-License-Identifier: Apache-2.0
"""A decision as plain data for the page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from hlsgen.demo.drawing import image_of
from hlsgen.demo.machine import Decision, Flip, Machine
from hlsgen.errors import UsageError


def answer(machine: Machine, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run what the page asks for: `strokes`, and if wanted `task` and `flip`.

    Raises `UsageError` for a request that no page of ours makes.
    """
    strokes, task, flip = request.get("strokes"), request.get("task", 0), request.get("flip")
    if not isinstance(strokes, list) or not all(isinstance(stroke, list) for stroke in strokes):
        raise UsageError("strokes must be a list of lists of points")
    if type(task) is not int:
        raise UsageError(f"task must be a number, not {task!r}")
    image = image_of(strokes)
    decision = machine.run(image, task, None if flip is None else _flip(flip))
    return data(machine, decision, task)


def _flip(asked: Any) -> Flip:
    match asked:
        case {"byte": int(byte), "bit": int(bit)}:
            return Flip(byte, bit)
    raise UsageError("flip must have the numbers byte and bit")


def data(machine: Machine, decision: Decision, task: int) -> dict[str, Any]:
    """Everything that the page shows, ready for JSON."""
    design, run = machine.design, decision.run
    scale = next(iter(design.scales(task).values()))
    tensors, elements = machine.compared(decision, task)
    found = decision.output
    return {
        "classes": found.argmax(-1).tolist(),
        "logits": (found * scale).round(4).tolist(),
        "cycles": decision.cycles,
        "microseconds": decision.cycles / machine.clock_mhz,
        "bytes": run.counters["read_beats"] * design.program.parameters.bus_bytes,
        "equal": decision.equal,
        "tensors_compared": tensors,
        "elements": elements,
        "difference": _difference(decision),
        "spans": [vars(span) for span in decision.spans],
        "tensors": [_tensor(name, values) for name, values in decision.tensors.items()],
        "experts": _experts(machine, decision, task),
    }


def _difference(decision: Decision) -> dict[str, Any] | None:
    found = decision.difference
    if found is None:
        return None if decision.arrived else {"tensor": "output", "text": "what arrived in memory differs"}
    return {"tensor": found.tensor, "text": str(found)}


def _tensor(name: str, values: np.ndarray) -> dict[str, Any]:
    """A tensor as pictures side by side: [pictures, rows, columns], 16 bits each."""
    shaped = values.reshape(-1, *values.shape[-2:])
    return {
        "name": name,
        "shape": list(values.shape),
        "pictures": list(shaped.shape),
        "low": int(values.min()),
        "high": int(values.max()),
        "values": base64.b64encode(shaped.astype("<i2").tobytes()).decode(),
    }


def _experts(machine: Machine, decision: Decision, task: int) -> dict[str, Any] | None:
    """Experts of each token by routing, and the bytes of their weights; nothing for a model without."""
    routings = machine.experts(decision, task)
    if not routings:
        return None
    once, each = machine.expert_bytes(decision, task)
    return {
        "routings": [
            {"name": name, "experts": count, "chosen": chosen.tolist()}
            for name, (count, chosen) in routings.items()
        ],
        "bytes": once,
        "bytes_by_token": each,
        "queues": [tokens for tokens, _ in decision.run.experts],
    }
