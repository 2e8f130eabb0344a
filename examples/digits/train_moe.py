# SPDX-License-Identifier: Apache-2.0
"""Train the multi-task model and write moe.safetensors: `python -m hlsgen.examples.digits.train_moe`.

Tasks take turns, a batch each. A small loss on the mean routing keeps experts in use. Distortion and mean of
weights are those that led the cross-validation of the plain model (`train.py`); nothing was compared on
held-out images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.examples.digits.augment import Distortion, distort
from hlsgen.examples.digits.data import heldout, patch_kinds, training
from hlsgen.examples.digits.moe import WEIGHTS, DigitsMoE
from hlsgen.examples.digits.train import Mean, initialise
from hlsgen.nn import MoE

EPOCHS, BATCH, RATE, DECAY, SMOOTHING, BALANCE = 120, 50, 3e-3, 0.05, 0.1, 0.02
AVERAGE = 0.998


class Balance:
    """Collects the routers' mean weights while the model runs."""

    def __init__(self, model: nn.Module) -> None:
        self._losses: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, MoE):
                module.register_forward_pre_hook(self._look)

    def _look(self, module: nn.Module, inputs: tuple[Tensor, int]) -> None:
        assert isinstance(module, MoE)
        share = module.logits(*inputs).softmax(-1).flatten(0, -2).mean(0)
        self._losses.append(share.square().sum() * len(share))

    def take(self) -> Tensor:
        """The sum since the last call: at least 1 a layer, 1 where all experts weigh the same."""
        total = torch.stack(self._losses).sum()
        self._losses.clear()
        return total


def train(seed: int = 0, epochs: int = EPOCHS) -> DigitsMoE:
    """Train from scratch on one thread; the same seed gives the same weights on one machine."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    images, labels = (torch.from_numpy(array) for array in training())
    model = DigitsMoE(dropout=0.1)
    initialise(model)
    balance = Balance(model)
    mean = Mean(model, AVERAGE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = 2 * epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.1)
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(images), generator=random).split(BATCH):
            for task in (0, 1):
                batch = distort(images[index], Distortion(), random)
                results = model(batch, task)[task]
                wanted = labels[index] if task == 0 else torch.from_numpy(patch_kinds(batch.numpy()))
                loss = functional.cross_entropy(
                    results.flatten(0, -2), wanted.flatten(), label_smoothing=SMOOTHING
                )
                optimizer.zero_grad()
                (loss + BALANCE * balance.take()).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                mean.update()
    mean.apply()
    return model.eval()


def accuracies(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Digits, and kinds of patches, that are right, in percent."""
    with torch.no_grad():
        digits, kinds = (model(torch.from_numpy(images), task)[task].argmax(-1).numpy() for task in (0, 1))
    right = (digits == labels).mean(), (kinds == patch_kinds(images)).mean()
    return 100.0 * float(right[0]), 100.0 * float(right[1])


def main() -> None:
    """Train, print the accuracies, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    model = train(arguments.seed)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, arguments.output)
    for name, (images, labels) in (("training", training()), ("held-out", heldout())):
        digits, kinds = accuracies(model, images, labels)
        print(f"{name}: digits {digits:.2f} %, kinds of patches {kinds:.2f} %")
    print(f"{arguments.output} written after {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
