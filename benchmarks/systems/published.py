# SPDX-License-Identifier: Apache-2.0
"""Published models at their own size, with seeded random weights: cycles and shares."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.zoo.pytorch_image_models import library
from hlsgen.errors import QuantizationWarning
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import Graph, quantize_images
from hlsgen.pipeline import capture, quantize

EDGE, CALIBRATION = 224, 2
"""Pixels of the images, and how many calibrate: weights are random, only the time is measured."""


@dataclass(frozen=True)
class Published:
    """A model; `build` makes it. row_width: of the machine; memory: bytes a cycle."""

    build: Callable[[], Any]
    row_width: int = 1
    memory: int = 16


def _of_timm(entry: str, **arguments: Any) -> Callable[[], Any]:
    return lambda: library().create_model(entry, pretrained=False, num_classes=1000, **arguments)


def _neighbourhoods(grid: int) -> Callable[[], Any]:
    def build() -> Any:
        from benchmarks.systems.neighbourhoods import Neighbourhoods

        return Neighbourhoods(grid)

    return build


SWIN, GNA_14, GNA_28 = (
    _of_timm("swin_tiny_patch4_window7_224"),
    _neighbourhoods(14),
    _neighbourhoods(28),
)
MODELS: Mapping[str, Published] = {
    "dinov2-s14": Published(_of_timm("vit_small_patch14_reg4_dinov2", img_size=EDGE)),
    "cait-xxs24": Published(_of_timm("cait_xxs24_224")),
    "mixer-s16": Published(_of_timm("mixer_s16_224")),
    "resmlp-s12": Published(_of_timm("resmlp_12_224")),
    "clip-b32": Published(_of_timm("vit_base_patch32_clip_224")),
    "swin-t": Published(SWIN, row_width=2),
    "swin-t-32": Published(SWIN, row_width=2, memory=32),
    "gna-deit-14": Published(GNA_14, row_width=2),
    "gna-deit-14-32": Published(GNA_14, row_width=2, memory=32),
    "gna-deit-28": Published(GNA_28, row_width=2),
    "gna-deit-28-32": Published(GNA_28, row_width=2, memory=32),
}
"""timm's classes, and DeiT-Tiny's blocks with neighbourhoods of 7 x 7 on 14 x 14 and on 28 x 28 tokens."""


def prepared(name: str) -> tuple[Graph, np.ndarray, int]:
    """The integer Graph of a published model, an image in its integers, and the model's multiply-accumulates.

    The last are those of PyTorch's products, as its own counter has them: no copies, nothing that was folded.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    images = load_data("deit-tiny").images[: CALIBRATION + 1]
    example = torch.from_numpy(np.asarray(images[:1], np.float32))
    # The counter knows products, but not the fused attention of a processor.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        graph = quantize(capture(model, example), images[:CALIBRATION]).graph
    image = quantize_images(images[CALIBRATION:], graph.input_type)[0]
    return graph, image, counter.get_total_flops() // 2
