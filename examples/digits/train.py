# SPDX-License-Identifier: Apache-2.0
"""Train the digits model and write weights.safetensors: `python -m hlsgen.examples.digits.train`.

`RECIPE` did best of `RECIPES` in cross-validation on the training images (99.00 % of the images left out; the
others 97.79 to 98.86 %, an earlier recipe with shifts by whole pixels 96.93 %). `--select` repeats that
comparison and trains nothing else. Three more recipes were begun and ended before a result, for time.

Looks at the held-out images: the weights that `RECIPE` gave were measured, in float and integers, and stayed.
In integers twice, for the number of calibration images was doubled between, because the quantizer warned that
ranges still grew; top-1 did not change. The multi-task model was measured before this recipe was chosen, but
the choice was cross-validation's alone.

Earlier weights had been tuned on the held-out images of another split. That split is gone: 93 of its 397
held-out images are held out again, the other 304 held out now were among its training images. What did not
begin anew is the choice of the architecture, and what is known about such recipes in general.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.examples.digits.augment import Distortion, distort
from hlsgen.examples.digits.data import heldout, training
from hlsgen.examples.digits.model import WEIGHTS, untrained

FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train: AdamW, one cycle of the learning rate, distorted images."""

    distortion: Distortion = field(default_factory=Distortion)
    average: float = 0.0
    """What a step keeps of the running mean of the weights that becomes the result; 0: no mean."""
    smoothing: float = 0.1
    dropout: float = 0.1
    epochs: int = 120
    batch: int = 50
    rate: float = 3e-3
    decay: float = 0.05


WIDE = Distortion(turn=15, stretch=0.15, slant=0.2, move=1.0, kept=0.1)
SMALL = Distortion(turn=8, stretch=0.08, move=0.5)
RECIPES = (
    Recipe(),
    Recipe(average=0.998),
    Recipe(average=0.998, epochs=200),
    Recipe(average=0.998, epochs=160, distortion=SMALL),
    Recipe(distortion=SMALL),
    Recipe(distortion=Distortion(noise=0.1)),
    Recipe(distortion=Distortion(slant=0.15), epochs=200),
    Recipe(distortion=WIDE, epochs=200),
    Recipe(dropout=0.0),
    Recipe(smoothing=0.0),
)
RECIPE = Recipe(average=0.998, epochs=200)
"""That of the shipped weights."""


def initialise(model: nn.Module) -> None:
    """Small normal weights, zero biases; norms stay as they are."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            continue
        if parameter.dim() > 1:
            nn.init.trunc_normal_(parameter, std=0.02 if name.endswith(("token", "pos_embed")) else 0.1)
        else:
            nn.init.zeros_(parameter)


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 in percent."""
    model.eval()
    with torch.no_grad():
        classes = model(torch.from_numpy(images)).argmax(-1).numpy()
    return 100.0 * float((classes == labels).mean())


class Mean:
    """A running mean of a model's parameters."""

    def __init__(self, model: nn.Module, kept: float) -> None:
        """`kept` of the mean stays at each update; 0: the mean is the parameters themselves."""
        self._parameters, self._kept = list(model.parameters()), kept
        self._mean: list[Tensor] = [parameter.detach().clone() for parameter in self._parameters]

    def update(self) -> None:
        """Move the mean towards the parameters."""
        with torch.no_grad():
            for mean, parameter in zip(self._mean, self._parameters, strict=True):
                mean.lerp_(parameter, 1.0 - self._kept)

    def apply(self) -> None:
        """Give the parameters the mean."""
        with torch.no_grad():
            for mean, parameter in zip(self._mean, self._parameters, strict=True):
                parameter.copy_(mean)


def train(
    seed: int = 0,
    recipe: Recipe = RECIPE,
    data: tuple[np.ndarray, np.ndarray] | None = None,
) -> nn.Module:
    """Train from scratch on one thread; the same seed gives the same weights on one machine.

    data: images [N, 1, 8, 8] and labels [N]; without them all training images.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    images, labels = (torch.from_numpy(array) for array in data or training())
    model = untrained(dropout=recipe.dropout)
    initialise(model)
    mean = Mean(model, recipe.average)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(recipe.epochs):
        model.train()
        for index in torch.randperm(len(images), generator=random).split(recipe.batch):
            results = model(distort(images[index], recipe.distortion, random))
            loss = functional.cross_entropy(results, labels[index], label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean.update()
    mean.apply()
    return model.eval()


def validate(recipe: Recipe) -> float:
    """Mean accuracy in percent on the images left out, over `FOLDS` trainings that each leave out others."""
    images, labels = training()
    fold = np.arange(len(images)) % FOLDS
    found = []
    for index in range(FOLDS):
        model = train(index, recipe, (images[fold != index], labels[fold != index]))
        found.append(accuracy(model, images[fold == index], labels[fold == index]))
    return sum(found) / FOLDS


def select() -> Recipe:
    """The recipe that does best in cross-validation on the training images; prints all of them."""
    scores: dict[Recipe, float] = {}
    for recipe in RECIPES:
        scores[recipe] = validate(recipe)
        print(f"left out {scores[recipe]:.2f} %: {recipe}", flush=True)
    return max(RECIPES, key=lambda recipe: scores[recipe])


def main() -> None:
    """Train, print the accuracy, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--select", action="store_true", help="choose the recipe again, write nothing")
    arguments = parser.parse_args()
    if arguments.select:
        print(f"best: {select()}")
        return
    start = time.perf_counter()
    model = train(arguments.seed)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, arguments.output)
    print(f"training {accuracy(model, *training()):.2f} %, held-out {accuracy(model, *heldout()):.2f} %")
    print(f"{arguments.output} written after {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
