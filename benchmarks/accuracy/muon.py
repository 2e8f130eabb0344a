# SPDX-License-Identifier: Apache-2.0
"""The optimizer Muon: the step of a matrix is its momentum with all singular values made about 1."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.accuracy.team import Team

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of a quintic that takes singular values of 0..1 to about 1 in five steps (K. Jordan, Muon, 2024)."""


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors, and singular values of about 1; computed in bfloat16."""
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16()
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """For matrices only. The step's root mean square is that of an Adam step with the same rate."""

    def __init__(
        self, parameters: list[Tensor], rate: float, decay: float, team: Team, momentum: float = 0.95
    ) -> None:
        """The processes of a team share the work. A matrix of three times its width counts as three."""
        super().__init__(parameters, {"lr": rate, "decay": decay, "momentum": momentum})
        self._team = team

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the momentum."""
        for group in self.param_groups:
            steps = [self._step(at, each, group["momentum"]) for at, each in enumerate(group["params"])]
            for parameter, step in zip(group["params"], self._team.total(steps), strict=True):
                parameter.mul_(1.0 - group["lr"] * group["decay"])
                parameter.add_(step, alpha=-group["lr"])

    def _step(self, index: int, parameter: Tensor, momentum: float) -> Tensor:
        """The direction of a parameter's step; zero where it is another process' work."""
        if index % self._team.size != self._team.rank:
            return torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
        mean.lerp_(gradient, 1.0 - momentum)
        wanted = gradient.lerp(mean, momentum)
        parts = wanted.chunk(3 if len(wanted) == 3 * wanted.shape[1] else 1)
        return torch.cat([orthogonal(part) * 0.2 * max(part.shape) ** 0.5 for part in parts])
