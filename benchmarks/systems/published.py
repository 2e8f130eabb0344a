# SPDX-License-Identifier: Apache-2.0
"""Published models at their own size, from timm's classes, with seeded random weights: cycles and shares."""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.zoo.pytorch_image_models import library
from hlsgen.errors import QuantizationWarning
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import Graph, quantize_images
from hlsgen.pipeline import capture, quantize

EDGE, CALIBRATION = 224, 2
"""Pixels of the images, and how many calibrate: weights are random, only the time is measured."""
MODELS = {
    "dinov2-s14": ("vit_small_patch14_reg4_dinov2", {"img_size": EDGE}),
    "cait-xxs24": ("cait_xxs24_224", {}),
    "mixer-s16": ("mixer_s16_224", {}),
    "resmlp-s12": ("resmlp_12_224", {}),
    "clip-b32": ("vit_base_patch32_clip_224", {}),
    "swin-t": ("swin_tiny_patch4_window7_224", {}),
}
"""timm's name and arguments of each."""
ROW_WIDTHS = {"swin-t": 2}
"""Words that LOAD reads at once; 1 for other models."""


def prepared(name: str) -> tuple[Graph, np.ndarray, int]:
    """The integer Graph of a published model, an image in its integers, and the model's multiply-accumulates.

    The last are those of PyTorch's products, as its own counter has them: no copies, nothing that was folded.
    """
    timm = library()
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    entry, arguments = MODELS[name]
    torch.manual_seed(0)
    model = timm.create_model(entry, pretrained=False, num_classes=1000, **arguments).eval()
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
