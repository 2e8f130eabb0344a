# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.centred`: the trained examples' held-out images, with and without `centred`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import numpy as np
from torch import nn

from hlsgen.errors import QuantizationWarning
from hlsgen.examples.digits.data import calibration, heldout, patch_kinds
from hlsgen.examples.digits.model import digits
from hlsgen.examples.digits.moe import digits_moe
from hlsgen.ir import evaluate, quantize_images
from hlsgen.pipeline import capture, quantize
from hlsgen.quantization.config import QuantizeConfig


def lines(name: str, model: nn.Module, tasks: int) -> Iterator[str]:
    """A line for each setting and task: classes that are right, and dB of what differs between images."""
    images, labels = heldout()
    wanted = (labels[:, None], patch_kinds(images))
    example = images[:1] if tasks == 1 else (images[:1], 0)
    for centred in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QuantizationWarning)
            made = quantize(capture(model, example), calibration()[0], QuantizeConfig(centred=centred))
        graph = made.graph
        integers = quantize_images(images, graph.input_type)
        for task, output in enumerate(graph.outputs):
            found = evaluate(graph, integers, task)[output] * (graph.type_of(output).scale or 1.0)
            real = evaluate(made.reference, images, task)[made.reference.outputs[task]].reshape(found.shape)
            classes = found.reshape(len(images), -1, found.shape[-1]).argmax(-1)
            differs, noise = real - real.mean(0), found - real
            decibel = 10 * np.log10((differs**2).sum() / (noise**2).sum())
            setting, right = "centred" if centred else "default", 100 * (classes == wanted[task]).mean()
            yield f"{name}, task {task}, {setting}: {right:.2f} % right, {decibel:.1f} dB"


def main() -> int:
    """Print all lines."""
    for name, model, tasks in (("digits", digits(), 1), ("digits-moe", digits_moe(), 2)):
        for line in lines(name, model, tasks):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
