# SPDX-License-Identifier: Apache-2.0
"""The steps of each verb that get a number, in order."""

from __future__ import annotations

COMPILE = (
    "check",
    "images",
    "model",
    "capture",
    "quantize",
    "lower",
    "samples",
    "C++",
    "data",
    "RTL",
    "write",
    "report",
)
"""Of `hlsgen compile`; `hlsgen.build` does all but the last."""
FITTED = (*COMPILE[: COMPILE.index("lower")], "fit", *COMPILE[COMPILE.index("lower") :])
"""Of `hlsgen compile --fit`."""
INSPECT = ("model", "capture")
TUNE = ("images", "model", "capture", "quantize", "tensors alone", "layers alone")
SEARCH = ("images", "model", "capture", "options")
"""Of `hlsgen tune`, without and with a target."""
EXPORT = ("load", "project")
LEVELS = {
    "golden": (),
    "program": ("simulate",),
    "csim": ("build", "simulate"),
    "rtl": ("RTL", "build", "simulate"),
    "soc": ("RTL", "build", "simulate"),
}
"""Level to the steps of a simulation."""


def simulate(level: str) -> tuple[str, ...]:
    """Of `hlsgen simulate`."""
    return ("load", *LEVELS[level])


def evaluate(level: str) -> tuple[str, ...]:
    """Of `hlsgen evaluate`."""
    return ("load", "images", "float model", "golden", *LEVELS[level])


def explore(*, known: bool, confirm: bool) -> tuple[str, ...]:
    """Of `hlsgen explore`; of a model that its folder knows there is nothing to make."""
    made = () if known else ("images", "model", "capture", "quantize")
    return (*made, "points", *(("confirm",) if confirm else ()))


def bitstream(*, verify: bool) -> tuple[str, ...]:
    """Of `hlsgen bitstream`."""
    return ("project", "synthesis", *(("verify",) if verify else ()), "place and route", "pack")
