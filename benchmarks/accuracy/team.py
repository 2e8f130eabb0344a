# SPDX-License-Identifier: Apache-2.0
"""Processes that train one model together, one thread each.

Threads of one process wait for each other at every operator. Where other work takes a core from one of them,
all wait; processes meet only once for each step.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing


class Team:
    """This process among the others. Each must call the same methods in the same order."""

    def __init__(self, rank: int, size: int) -> None:
        """Process `rank` of `size`."""
        self.rank, self.size = rank, size

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum over all processes of each tensor."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        if self.size > 1:
            dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def leaders(self, number: float) -> float:
        """The number that the first process has."""
        value = torch.tensor([number])
        if self.size > 1:
            dist.broadcast(value, 0)
        return value.item()


def run(size: int, work: Callable[..., None], *arguments: object) -> None:
    """Run `work(team, *arguments)` in so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        given = (size, Path(folder) / "store", work, arguments)
        if size == 1:
            work(Team(0, 1), *arguments)
        else:
            multiprocessing.spawn(_member, given, size)  # pyright: ignore[reportPrivateImportUsage]


def _member(
    rank: int, size: int, store: Path, work: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    os.setsid()  # a scheduler that shares a core among sessions counts each process
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=size)
    work(Team(rank, size), *arguments)
    dist.destroy_process_group()
