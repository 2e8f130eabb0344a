# SPDX-License-Identifier: Apache-2.0
"""Every mode: the interpreter, the cycle model, `hlsgen ops` and docs/commands.md go through these tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeVar

from hlsgen.machine.format.commands import Command, Drain, Load, Product, Target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes import (
    drain_activation,
    drain_add,
    drain_combine,
    drain_context,
    drain_requantize,
    drain_route,
    load_exp,
    load_layer_norm,
    load_patches,
    load_pool,
    load_rows,
    product_attention,
    product_maps,
    product_operands,
    product_weights,
    target_operands,
    target_output,
    target_rows,
)
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.mode import DrainMode, LoadMode, Mode, ProductMode, TargetMode, Unit

_Code = TypeVar("_Code", bound=IntEnum)
_Mode = TypeVar("_Mode", bound=Mode[Any])


def _by_code(codes: type[_Code], modes: Sequence[_Mode]) -> Mapping[_Code, _Mode]:
    """The modes by their codes; raises `TypeError` unless every code has one."""
    found = {mode.code: mode for mode in modes}
    if len(found) < len(modes) or set(found) != set(codes):
        raise TypeError(f"{codes.__name__}: every code must have one mode")
    return {code: found[code] for code in codes}


LOADS: Mapping[Load, LoadMode] = _by_code(
    Load,
    (
        load_rows.Rows(),
        load_layer_norm.LayerNorm(),
        load_patches.PatchRows(),
        load_pool.Pool(),
        load_pool.PoolNorm(),
        load_exp.Attention(),
    ),
)
PRODUCTS: Mapping[Product, ProductMode] = _by_code(
    Product,
    (
        product_weights.Weights(),
        product_attention.Attention(),
        product_operands.Keys(),
        product_operands.Values(),
        product_maps.Maps(),
    ),
)
DRAINS: Mapping[Drain, DrainMode] = _by_code(
    Drain,
    (
        drain_requantize.Requantize(),
        drain_activation.Activation(),
        drain_add.Add(),
        drain_combine.Combine(),
        drain_context.Attention(),
    ),
)
TARGETS: Mapping[Target, TargetMode] = _by_code(
    Target,
    (
        target_rows.Features(),
        target_rows.Residual(),
        target_operands.Keys(),
        target_operands.Values(),
        target_output.Output(),
        drain_route.Queues(),
    ),
)
STAGES: Mapping[str, Sequence[Mode[Any]]] = {
    "load": tuple(LOADS.values()),
    "product": tuple(PRODUCTS.values()),
    "drain": tuple(DRAINS.values()),
    "target": tuple(TARGETS.values()),
}
"""The modes by the field that holds their codes."""
UNITS: Mapping[str, Unit] = {
    unit.name: unit for modes in STAGES.values() for mode in modes for unit in mode.units
}


def jobs(p: MachineParameters, command: Command) -> Iterator[Job]:
    """The jobs of a command in the machine's order."""
    return PRODUCTS[command.product].jobs(p, command)
