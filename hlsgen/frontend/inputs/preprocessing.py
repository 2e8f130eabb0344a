# SPDX-License-Identifier: Apache-2.0
"""How a picture becomes a model's input: resized, cropped, scaled, normalised."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hlsgen.errors import CalibrationError, Problem, shown
from hlsgen.errors.codes import Code

if TYPE_CHECKING:
    from PIL.Image import Image

SETTINGS = "preprocessor_config.json"
"""File of a picture folder, or of a Hugging Face folder, with the settings."""
TABLE = "[data.preprocessing]"
"""The table of hlsgen.toml with the same entries."""
MOST_EDGE = 1 << 14
"""Pixels of an edge at most."""
_STEPS = ("do_normalize", "do_resize", "do_center_crop", "do_rescale", "do_convert_rgb")
_SIZES = ("size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std")
_ABOUT = (
    "image_processor_type", "feature_extractor_type", "processor_class", "data_format", "return_tensors",
    "input_data_format", "default_to_square", "device", "disable_grouping",
)  # fmt: skip
"""Entries that say nothing about the pixels."""
_BILINEAR, _RESAMPLES = 2, range(6)
_FIX = f"""give the model's own {SETTINGS}, for example {{"size": {{"height": 224, "width": 224}}, \
"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}}"""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to a picture, in this order; None leaves a step out.

    The steps and their rounding are those of `transformers`' image processors on Pillow.
    """

    size: tuple[int, int] | int | None = None
    """Height and width to resize to; a number is the shorter edge."""
    resample: int = _BILINEAR
    """Pillow's number of the filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming."""
    crop: tuple[int, int] | None = None
    """Height and width of the part in the middle; what lies outside a smaller picture is black."""
    factor: float = 1 / 255
    """Pixels of 0..255 are multiplied by it."""
    mean: tuple[float, ...] = (0.0,)
    """Taken away from the scaled pixels, for each channel or for all."""
    std: tuple[float, ...] = (1.0,)
    """Divides the difference, for each channel or for all."""

    def apply(self, picture: Image, channels: int) -> np.ndarray:
        """Float32 [channels, H, W] of a picture; 1 channel is grey, 3 are red, green, blue."""
        picture = picture.convert("L" if channels == 1 else "RGB")
        if self.size is not None:
            height, width = self._size(picture)
            picture = picture.resize((width, height), self.resample)
        pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
        if self.crop is not None:
            pixels = _middle(pixels, *self.crop)
        real = (pixels.astype(np.float64) * self.factor).astype(np.float32)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.ascontiguousarray(((real - mean) / std).transpose(2, 0, 1), np.float32)

    def _size(self, picture: Image) -> tuple[int, int]:
        """Height and width that the picture is resized to."""
        if not isinstance(self.size, int):
            assert self.size is not None
            return self.size
        short, long = sorted((picture.height, picture.width))
        longer = max(1, int(self.size * long / short))
        return (self.size, longer) if picture.height <= picture.width else (longer, self.size)

    def problems(self, channels: int) -> list[str]:
        """What is wrong for pictures of so many channels."""
        found = [
            f"{name} must have 1 or {channels} numbers, not {len(values)}"
            for name, values in (("image_mean", self.mean), ("image_std", self.std))
            if len(values) not in (1, channels)
        ]
        return found + (["image_std must not be 0"] if 0.0 in self.std else [])


def _middle(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle [height, width, channels] of pixels [H, W, channels], zeros where they end."""
    result = np.zeros((height, width, pixels.shape[2]), pixels.dtype)
    here, there = [], []
    for wanted, found in ((height, pixels.shape[0]), (width, pixels.shape[1])):
        # A smaller picture stands in the middle, its margin rounded up on the first side.
        first = (found - wanted) // 2 if found >= wanted else -((wanted - found + 1) // 2)
        begin, end = max(first, 0), min(first + wanted, found)
        there.append(slice(begin, end))
        here.append(slice(begin - first, end - first))
    result[here[0], here[1]] = pixels[there[0], there[1]]
    return result


def settings_of(model: str) -> str | None:
    """The settings that lie in a folder of Hugging Face, or nothing."""
    path = Path(model) / SETTINGS
    return str(path) if path.is_file() else None


def read_preprocessing(path: Path) -> Preprocessing:
    """The settings in a `preprocessor_config.json`; raises `CalibrationError` with all that is wrong."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CalibrationError(
            Problem(f"{path} can't be read", why=error.strerror or str(error), fix=_FIX),
            code=Code.PREPROCESSING,
        ) from error
    except (ValueError, RecursionError) as error:
        raise CalibrationError(
            Problem(f"{path} is not JSON", why=str(error), fix=_FIX), code=Code.PREPROCESSING
        ) from error
    if not isinstance(data, dict):
        raise CalibrationError(
            Problem(f"{path} must hold an object, not {shown(data)}", fix=_FIX), code=Code.PREPROCESSING
        )
    return preprocessing_of(data, str(path))


def preprocessing_of(data: Mapping[str, Any], where: str = TABLE) -> Preprocessing:
    """The settings of entries as a `preprocessor_config.json` has them; raises as `read_preprocessing`."""
    reader = _Reader(data)
    result = reader.preprocessing()
    if reader.problems:
        raise CalibrationError(
            [Problem(f"{where}: {text}", fix=_FIX) for text in reader.problems], code=Code.PREPROCESSING
        )
    return result


class _Reader:
    """Reads the settings of one file and collects what is wrong with them."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.problems: list[str] = []

    def preprocessing(self) -> Preprocessing:
        """The settings; what is wrong is left at its default."""
        plain = Preprocessing()
        for name in sorted(self._data.keys() - {*_STEPS, *_SIZES, *_ABOUT}):
            if self._data[name] and not name.startswith("_"):
                self.problems.append(f"{shown(name)} is not a step that hlsgen does")
        normal, resized = self._does("normalize"), self._does("resize")
        return Preprocessing(
            size=self._edges("size") if resized else None,
            resample=self._resample() if resized else plain.resample,
            crop=self._crop() if self._does("center_crop") else None,
            factor=self._number("rescale_factor", plain.factor) if self._does("rescale") else 1.0,
            mean=self._numbers("image_mean", plain.mean) if normal else plain.mean,
            std=self._numbers("image_std", plain.std) if normal else plain.std,
        )

    def _does(self, step: str) -> bool:
        """A step is left out where its switch is off; without a switch its settings decide."""
        needs = {"resize": "size", "center_crop": "crop_size", "normalize": "image_mean"}.get(step)
        return bool(self._data.get(f"do_{step}", needs is None or needs in self._data))

    def _edges(self, name: str) -> tuple[int, int] | int | None:
        match self._data.get(name):
            case {"height": height, "width": width, **rest} if _edge(height) and _edge(width) and not rest:
                return height, width
            case {"shortest_edge": edge, **rest} if _edge(edge) and not rest:
                return edge
            case int(edge) if _edge(edge):
                return edge
            case None:
                self.problems.append(f"{name} is missing, though its step is on")
            case found:
                what = f"height and width, or shortest_edge, of 1..{MOST_EDGE} pixels"
                self.problems.append(f"{name} must give {what}, not {shown(found)}")
        return None

    def _crop(self) -> tuple[int, int] | None:
        edges = self._edges("crop_size")
        return (edges, edges) if isinstance(edges, int) else edges

    def _resample(self) -> int:
        found = self._data.get("resample", _BILINEAR)
        if isinstance(found, int) and not isinstance(found, bool) and found in _RESAMPLES:
            return found
        self.problems.append(f"resample must be one of Pillow's filters 0..5, not {shown(found)}")
        return _BILINEAR

    def _number(self, name: str, default: float) -> float:
        found = self._data.get(name, default)
        if _real(found):
            return float(found)
        self.problems.append(f"{name} must be a number, not {shown(found)}")
        return default

    def _numbers(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        found = self._data.get(name, default)
        values: Sequence[Any] = found if isinstance(found, list | tuple) else [found]
        if values and all(_real(value) for value in values):
            return tuple(float(value) for value in values)
        self.problems.append(f"{name} must be numbers, one for each channel, not {shown(found)}")
        return default


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def _edge(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_EDGE
