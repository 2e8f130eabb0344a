# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.accuracy.train [--variant V]`: train the model of two digits, or retune a variant.

A loss on every patch, which digit's ink it shows, makes the model learn to read long before its class does.
The rate goes with the time, so that a run ends when it should: two runs give different weights. Held-out
images are looked at only to print their accuracy.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from benchmarks.accuracy import pairs, variants
from benchmarks.accuracy.muon import Muon
from benchmarks.accuracy.pairs_data import judged, material
from benchmarks.accuracy.team import Team, run
from hlsgen.cli.values import positive
from hlsgen.examples.digits.model import Attention, Block, VisionTransformer
from hlsgen.examples.pairs.model import loaded, weights

SMOOTHING, DECAY, WARM_STEPS = 0.05, 0.05, 40
MUON = 2.0
"""The rate of matrices, over that of all else."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for."""

    minutes: float
    batch: int
    rate: float
    variant: str
    resume: Path | None
    output: Path
    seed: int


class Learner(nn.Module):
    """The model with a second head for patches; its last block computes only the class token."""

    def __init__(self, model: VisionTransformer) -> None:
        """`model` is what is trained."""
        super().__init__()
        self.model = model
        self.patches = nn.Linear(model.head.in_features, pairs.BACKGROUND + 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of classes [B, 100], and of each patch's digit [B, 64, 11]."""
        model = self.model
        x = model.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([model.cls_token.expand(len(x), -1, -1), x], dim=1) + model.pos_embed
        *blocks, last = (block for block in model.blocks if isinstance(block, Block))
        for block in blocks:
            x = x + _attended(block.attn, block.norm1(x), x.shape[1])
            x = x + block.mlp(block.norm2(x))
        dense = self.patches(x[:, 1:])
        x = x[:, :1] + _attended(last.attn, last.norm1(x), 1)
        x = x + last.mlp(last.norm2(x))
        return model.head(model.norm(x[:, 0])).float(), dense.float()


def _attended(layer: Attention, x: Tensor, queries: int) -> Tensor:
    """The layer's result for the first `queries` tokens; plain products are several times faster here."""
    batch, tokens, width = x.shape
    size = width // layer.heads
    q_weight, kv_weight = layer.qkv.weight.split((width, 2 * width))
    q_bias, kv_bias = layer.qkv.bias.split((width, 2 * width))
    q = functional.linear(x[:, :queries], q_weight, q_bias).view(batch, queries, layer.heads, size)
    kv = functional.linear(x, kv_weight, kv_bias).view(batch, tokens, 2, layer.heads, size)
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
    shares = ((q.transpose(1, 2) @ k.transpose(-2, -1)) * size**-0.5).softmax(-1)
    return layer.proj((shares.to(v.dtype) @ v).transpose(1, 2).reshape(batch, queries, width))


def initialise(model: nn.Module) -> None:
    """Normal weights that keep the size of what goes through, zero biases; norms stay as they are."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            continue
        if parameter.dim() > 1:
            small = name.endswith(("token", "pos_embed"))
            nn.init.trunc_normal_(parameter, std=0.02 if small else 0.7 * parameter[0].numel() ** -0.5)
        else:
            nn.init.zeros_(parameter)


def loss(learner: Learner, batch: tuple[Tensor, Tensor, Tensor], progress: float) -> Tensor:
    """Of the class, of each digit alone, and, less and less, of the patches."""
    images, classes, labels = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits, dense = learner(images)
    table = logits.unflatten(1, (10, 10))
    first = functional.cross_entropy(table.logsumexp(2), classes // 10)
    second = functional.cross_entropy(table.logsumexp(1), classes % 10)
    whole = functional.cross_entropy(logits, classes, label_smoothing=SMOOTHING)
    patches = functional.cross_entropy(dense.flatten(0, 1), labels.flatten())
    return 0.5 * (whole + first + second) + 1.5 * (1.0 - progress) * patches


def optimizers(learner: Learner, rate: float, team: Team) -> Iterator[tuple[torch.optim.Optimizer, float]]:
    """Each with its rate: one for the matrices of blocks, one for all else."""
    learnt = [each for each in learner.parameters() if each.requires_grad]
    narrow = any(map(parametrize.is_parametrized, learner.modules()))
    matrices: list[Tensor] = [
        each for each in learner.model.blocks.parameters() if each.dim() == 2 and not narrow
    ]
    known = {id(each) for each in matrices}
    rest = [each for each in learnt if id(each) not in known]
    if matrices:
        yield Muon([*matrices], rate, DECAY, team), MUON * rate
    yield torch.optim.AdamW(rest, rate, betas=(0.9, 0.98), weight_decay=0.0), rate


def accuracy(model: nn.Module, images: Tensor, classes: Tensor) -> float:
    """Top-1 in percent."""
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in images.split(250)])
    return 100.0 * float((found == classes).float().mean())


def train(team: Team, plan: Plan) -> None:
    """One process of a training; the first one writes the weights."""
    torch.manual_seed(plan.seed)
    random = torch.Generator().manual_seed(plan.seed + 100 * team.rank)
    source = material()[0]
    learner = Learner(variants.begin(plan.variant, plan.resume, source))
    if plan.resume is None and not plan.variant:
        initialise(learner)
    mean = copy.deepcopy(learner.model)
    steppers, start, step = list(optimizers(learner, plan.rate, team)), time.perf_counter(), 0
    while (progress := team.leaders((time.perf_counter() - start) / (60 * plan.minutes))) < 1.0:
        share = min(1.0, step / WARM_STEPS, (1.0 - progress) / 0.7)
        # The photos' contrast grows at first, for a model that knows nothing yet.
        contrast = 1.0 if plan.resume or plan.variant else min(1.0, 0.2 + progress / 0.1)
        found = loss(learner, pairs.draw(source, plan.batch, random, background=contrast), progress)
        learner.zero_grad()
        found.backward()
        _exchange(learner, team)
        for stepper, rate in steppers:
            for group in stepper.param_groups:
                group["lr"] = rate * share
            stepper.step()
        step += 1
        _towards(mean, learner.model, min(0.995, step / (step + 20)))
        if team.rank == 0 and step % 100 == 0:
            print(
                f"{progress:.0%}: {step} steps of {plan.batch * team.size} images, loss {found:.2f}",
                flush=True,
            )
            variants.write(mean, plan.output)
    if team.rank == 0:
        variants.write(mean, plan.output)
        images, classes = map(torch.from_numpy, judged())
        right = accuracy(loaded(plan.variant, plan.output), images, classes)
        print(f"{plan.output}: {right:.2f} % of {len(images)} held-out images")


def _exchange(learner: Learner, team: Team) -> None:
    """Gradients become the mean over the processes; the long ones among the small parameters are cut."""
    owners = [each for each in learner.parameters() if each.grad is not None]
    totals = team.total([each.grad for each in owners if each.grad is not None])
    for owner, total in zip(owners, totals, strict=True):
        owner.grad = total / team.size
    nn.utils.clip_grad_norm_([each for each in owners if each.dim() != 2], 1.0)


def _towards(mean: nn.Module, model: nn.Module, kept: float) -> None:
    with torch.no_grad():
        for one, other in zip(mean.parameters(), model.parameters(), strict=True):
            one.lerp_(other, 1.0 - kept)


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.train", description=__doc__)
    parser.add_argument(
        "--variant", choices=("", *variants.VARIANTS), default="", help="retune it from the base"
    )
    parser.add_argument("--minutes", type=float, help="30, or 4 for a variant")
    parser.add_argument("--batch", type=positive, default=48, help="images of a process in each step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--processes", type=positive, default=2)
    parser.add_argument("--resume", type=Path, help="weights to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    plan = Plan(
        minutes=asked.minutes or (4.0 if asked.variant else 30.0),
        batch=asked.batch,
        rate=asked.rate,
        variant=asked.variant,
        resume=asked.resume,
        output=asked.output or weights(asked.variant),
        seed=asked.seed,
    )
    material()  # what is not there yet is downloaded once
    run(asked.processes, train, plan)


if __name__ == "__main__":
    main()
