# SPDX-License-Identifier: Apache-2.0
"""From the text a user types for DATA to images."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hlsgen.errors import CalibrationError, Problem
from hlsgen.frontend.shipped import SHIPPED, missing, resolve

_FORMS = (
    "DATA is a .npy file with images [N, C, H, W], a .npz file with images (and labels), a folder of such "
    f"files, or the name of a shipped example ({', '.join(SHIPPED)})"
)
_IMAGES, _LABELS = ("images", "x"), ("labels", "y")


@dataclass(frozen=True)
class Data:
    """Images float32 [N, C, H, W] and, where known, labels int64 [N]."""

    images: np.ndarray
    labels: np.ndarray | None = None


def load_data(spec: str, *, heldout: bool = False, shape: Sequence[int] | None = None) -> Data:
    """Load calibration (or, of a shipped example, held-out) images; nothing is unpickled.

    `shape` is the [C, H, W] that the model needs. Raises `CalibrationError` when there are no such images.
    """
    if spec in SHIPPED:
        item = SHIPPED[spec]
        data = _shipped(item.heldout if heldout else item.calibration)
    else:
        data = _read(Path(spec))
    found = data.images.shape[1:]
    if shape is not None and tuple(shape) != found:
        raise CalibrationError(f"{spec}: images must be {_dims(shape)}, not {_dims(found)}")
    return data


def _shipped(path: str) -> Data:
    function = resolve(path)
    try:
        return Data(*function())
    except ImportError as error:
        raise missing(error) from error


def _dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _read(path: Path) -> Data:
    if path.is_file():
        return _file(path)
    if not path.is_dir():
        raise CalibrationError(Problem(f"there is no data {str(path)!r}", fix=_FORMS))
    files = sorted(file for file in path.iterdir() if file.suffix in (".npy", ".npz"))
    if not files:
        raise CalibrationError(Problem(f"{path} must hold .npy or .npz files", fix=_FORMS))
    parts = [_file(file) for file in files]
    shapes = {part.images.shape[1:]: file for part, file in zip(parts, files, strict=True)}
    if len(shapes) > 1:
        listed = ", ".join(f"{_dims(shape)} in {file.name}" for shape, file in shapes.items())
        raise CalibrationError(f"{path}: all images must have one shape, not {listed}")
    labels = [part.labels for part in parts if part.labels is not None]
    whole = np.concatenate(labels) if len(labels) == len(parts) else None
    return Data(np.concatenate([part.images for part in parts]), whole)


def _file(path: Path) -> Data:
    if path.suffix not in (".npy", ".npz"):
        raise CalibrationError(Problem(f"{path} must be a .npy or .npz file", fix=_FORMS))
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Data(_images(path, loaded))
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        why = str(error).partition("\n")[0]
        problem = Problem(f"{path} can't be read as plain arrays", why=why, fix=_FORMS)
        raise CalibrationError(problem) from error
    images = next((arrays[name] for name in _IMAGES if name in arrays), None)
    if images is None and len(arrays) == 1:
        (images,) = arrays.values()
    if images is None:
        what = f"{path} must hold an array 'images', not {', '.join(arrays)}"
        raise CalibrationError(Problem(what, fix=_FORMS))
    checked = _images(path, images)
    labels = next((arrays[name] for name in _LABELS if name in arrays), None)
    if labels is not None and labels.shape != checked.shape[:1]:
        raise CalibrationError(f"{path}: labels must be [{len(checked)}], not {list(labels.shape)}")
    return Data(checked, None if labels is None else labels.astype(np.int64))


def _images(path: Path, images: np.ndarray) -> np.ndarray:
    """Float32 [N, C, H, W]; one image [C, H, W] becomes N = 1."""
    if images.dtype.kind != "f":
        raise CalibrationError(
            Problem(
                f"{path}: images must be floats, not {images.dtype}",
                why="the model sees images after its own normalisation",
                fix="store what the model is called with, as float32",
            )
        )
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4 or 0 in images.shape:
        raise CalibrationError(f"{path}: images must be [N, C, H, W], not {list(images.shape)}")
    if not np.isfinite(images).all():
        raise CalibrationError(f"{path}: images must be finite, not NaN or infinite")
    return images.astype(np.float32)
