# SPDX-License-Identifier: Apache-2.0
"""Modules that hlsgen reads as one step: mixture of experts.

`MoE` trains like any module. Under `torch.export` it stays one operator, `hlsgen::moe`, where a loop over
experts would export with sizes that depend on the data. `register` does the same for modules of your own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.errors import UsageError
from hlsgen.ops.pointwise import NAMED
from hlsgen.ops.route import CONVENTIONS

__all__ = ["MoE", "register"]

ONNX = "hlsgen::moe"
"""Domain and operator of an `MoE` in an ONNX file."""
_M = TypeVar("_M", bound=nn.Module)

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "quick_gelu": lambda x: x * (1.702 * x).sigmoid(),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu6": functional.relu6,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
}
CONVERSIONS: dict[type[nn.Module], Callable[[nn.Module], MoE]] = {}
"""Registered modules: class -> function that makes the equal `MoE`."""


class MoE(nn.Module):
    """Mixture of experts: each token goes to its k best experts, weighted by its gates.

    Parameters
    ----------
    width, hidden
        Elements of a token, and of an expert's middle layer.
    experts, k
        How many there are, and how many each token uses.
    tasks
        Number of routers; all tasks share the experts.
    convention
        Gate weights: `softmax_all` (softmax over all experts, not renormalised, as M3ViT), `renormalised`,
        `softmax_topk`, `sigmoid`.
    activation
        A name of `hlsgen.ops.pointwise.NAMED`: `gelu`, `gelu_tanh`, `relu`, `silu`, `quick_gelu`, `sigmoid`,
        `tanh`, `relu6`, `hardswish` or `hardsigmoid`.
    router_bias
        Whether routers have a bias.

    Raises `UsageError` for sizes and names that are not possible.

    state_dict: `router_weight` [tasks, experts, width], `router_bias` [tasks, experts], `fc1_weight`
    [experts, hidden, width], `fc1_bias` [experts, hidden], `fc2_weight` [experts, width, hidden], `fc2_bias`
    [experts, width].
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        experts: int,
        k: int = 2,
        *,
        tasks: int = 1,
        convention: str = "softmax_all",
        activation: str = "gelu",
        router_bias: bool = False,
    ) -> None:
        """Weights uniform as those of `nn.Linear`, biases zero; raises `UsageError`."""
        super().__init__()
        _check(width, hidden, experts, k, tasks, convention, activation)
        self.k, self.tasks, self.convention, self.activation = k, tasks, convention, activation

        def weight(*shape: int) -> nn.Parameter:
            bound = shape[-1] ** -0.5
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.router_weight = weight(tasks, experts, width)
        self.router_bias = nn.Parameter(torch.zeros(tasks, experts)) if router_bias else None
        self.fc1_weight = weight(experts, hidden, width)
        self.fc1_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.fc2_weight = weight(experts, width, hidden)
        self.fc2_bias = nn.Parameter(torch.zeros(experts, width))

    def forward(self, x: Tensor, task: Tensor | int | None = None) -> Tensor:
        """Tokens [B, T, width] -> [B, T, width]; `task` is an integer scalar.

        Raises `UsageError` without a task when there are several routers.
        """
        if task is None:
            if self.tasks > 1:
                raise UsageError(f"task must be given: there are {self.tasks} routers")
            task = 0
        if not isinstance(task, Tensor):
            weight, bias = self.router_weight[task : task + 1], self.router_bias
            return self._apply_op(x, weight, None if bias is None else bias[task : task + 1], None)
        return self._apply_op(x, self.router_weight, self.router_bias, task)

    def _apply_op(self, x: Tensor, weight: Tensor, bias: Tensor | None, task: Tensor | None) -> Tensor:
        tensors = (
            x, weight, bias, self.fc1_weight, self.fc1_bias, self.fc2_weight, self.fc2_bias, task,
        )  # fmt: skip
        if torch.onnx.is_in_onnx_export() and torch.compiler.is_exporting():
            options: dict[str, Any] = {
                "k": self.k,
                "convention": self.convention,
                "activation": self.activation,
            }
            return torch.onnx.ops.symbolic(ONNX, tensors, options, dtype=x.dtype, shape=x.shape)
        call = torch.ops.hlsgen.moe if torch.compiler.is_exporting() else mixture
        return call(*tensors, self.k, self.convention, self.activation)

    def logits(self, x: Tensor, task: int = 0) -> Tensor:
        """A router's logits [B, T, experts] for tokens [B, T, width]: for a balancing loss."""
        bias = None if self.router_bias is None else self.router_bias[task]
        return functional.linear(x, self.router_weight[task], bias)


def register(cls: type[_M]) -> Callable[[Callable[[_M], MoE]], Callable[[_M], MoE]]:
    """Decorate a function that makes an `MoE` of a module of `cls`: `capture` then reads the `MoE` instead.

    `capture` calls the `MoE` with the module's own arguments: the tokens and, if any, the task. It raises
    `UsageError` where the function returns something else.
    """

    def remember(convert: Callable[[_M], MoE]) -> Callable[[_M], MoE]:
        CONVERSIONS[cls] = convert  # type: ignore[assignment]
        return convert

    return remember


def converted(model: nn.Module) -> None:
    """Replace, in place, every registered module inside `model`."""
    for name, child in model.named_children():
        convert = next((CONVERSIONS[kind] for kind in type(child).__mro__ if kind in CONVERSIONS), None)
        if convert is None:
            converted(child)
            continue
        new = convert(child)
        if not isinstance(new, MoE):
            raise UsageError(
                f"{type(child).__name__}: its conversion must return hlsgen.nn.MoE, not {new!r:.80}"
            )
        setattr(model, name, new.train(child.training))


def has_registered(model: nn.Module) -> bool:
    """Whether a module inside `model` is registered."""
    return any(kind in CONVERSIONS for module in model.modules() for kind in type(module).__mro__)


def gate_weights(logits: Tensor, k: int, convention: str) -> tuple[Tensor, Tensor]:
    """Expert indices and gate weights [..., k] of logits [..., E]; of equals the lower index first."""
    order = torch.argsort(logits, dim=-1, descending=True, stable=True)[..., :k]
    picked = logits.gather(-1, order)
    if convention == "sigmoid":
        return order, picked.sigmoid()
    if convention == "softmax_all":
        return order, logits.softmax(-1).gather(-1, order)
    return order, picked.softmax(-1)


def mixture(
    x: Tensor,
    router_weight: Tensor,
    router_bias: Tensor | None,
    fc1_weight: Tensor,
    fc1_bias: Tensor,
    fc2_weight: Tensor,
    fc2_bias: Tensor,
    task: Tensor | None,
    k: int,
    convention: str,
    activation: str,
) -> Tensor:
    """Every expert on every token, times a gate that is zero where it was not chosen; differentiable."""
    index = 0 if task is None else task.reshape(())
    logits = functional.linear(x, router_weight[index], None if router_bias is None else router_bias[index])
    order, gates = gate_weights(logits, k, convention)
    dense = torch.zeros_like(logits).scatter(-1, order, gates)
    hidden = _ACTIVATIONS[activation](torch.einsum("...d,ehd->...eh", x, fc1_weight) + fc1_bias)
    results = torch.einsum("...eh,edh->...ed", hidden, fc2_weight) + fc2_bias
    return (results * dense[..., None]).sum(-2)


_SCHEMA = (
    "(Tensor x, Tensor router_weight, Tensor? router_bias, Tensor fc1_weight, Tensor fc1_bias, "
    "Tensor fc2_weight, Tensor fc2_bias, Tensor? task, int k, str convention, str activation) -> Tensor"
)
_operator = torch.library.custom_op("hlsgen::moe", mixture, mutates_args=(), schema=_SCHEMA)
_operator.register_fake(lambda x, *_: torch.empty_like(x))


def _check(
    width: int, hidden: int, experts: int, k: int, tasks: int, convention: str, activation: str
) -> None:
    sizes = {"width": width, "hidden": hidden, "experts": experts, "tasks": tasks}
    problems = [f"{name} must be positive, not {size}" for name, size in sizes.items() if size < 1]
    if not 1 <= k <= experts:
        problems.append(f"k must be in 1..{experts}, the number of experts, not {k}")
    if convention not in CONVENTIONS:
        problems.append(f"convention must be one of {', '.join(CONVENTIONS)}, not {convention!r}")
    if activation not in NAMED:
        problems.append(f"activation must be one of {', '.join(NAMED)}, not {activation!r}")
    if problems:
        raise UsageError("; ".join(problems))
