# SPDX-License-Identifier: Apache-2.0
"""Photos of scikit-image and scikit-learn: some to train and calibrate with, others to judge on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.accuracy.downloads import Stored, Wheel, file
from hlsgen.errors import Problem, ToolMissing

_WHEEL = Wheel("scikit-image", "0.26.0")
_OF_WHEEL = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
"""SHA-256 by name."""
CALIBRATION = (
    "astronaut.png",
    "brick.png",
    "coffee.png",
    "gravel.png",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "china.jpg",
)
"""`china.jpg` and `flower.jpg` are scikit-learn's."""
JUDGEMENT = ("camera.png", "chelsea.png", "grass.png", "moon.png", "ihc.png", "rocket.jpg", "flower.jpg")


def photos(names: tuple[str, ...]) -> list[np.ndarray]:
    """The photos [H, W, 3], uint8; grey ones have three equal channels."""
    from PIL import Image

    result = []
    for name in names:
        with Image.open(_place(name)) as picture:
            result.append(np.asarray(picture.convert("RGB")))
    return result


def _place(name: str) -> Path:
    if name in _OF_WHEEL:
        return file(Stored(_WHEEL, f"skimage/data/{name}", _OF_WHEEL[name]))
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ToolMissing(Problem("scikit-learn is missing", fix="pip install 'hlsgen[examples]'"))
    return Path(package.origin).parent / "datasets/images" / name


def square_crops(names: tuple[str, ...], count: int, size: int, seed: int) -> np.ndarray:
    """Crops [count, size, size, 3] within 0..1: squares of 160 to 512 pixels, of each photo in turn."""
    from PIL import Image

    random = np.random.default_rng(seed)
    pictures = photos(names)
    result = np.empty((count, size, size, 3), np.float32)
    for index in range(count):
        photo = pictures[index % len(pictures)]
        high, wide = photo.shape[:2]
        edge = int(random.integers(160, min(high, wide, 512) + 1))
        top, left = int(random.integers(high - edge + 1)), int(random.integers(wide - edge + 1))
        cut = photo[top : top + edge, left : left + edge]
        cut = cut[:, ::-1] if random.integers(2) else cut
        picture = Image.fromarray(np.ascontiguousarray(cut))
        result[index] = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255.0
    return result
