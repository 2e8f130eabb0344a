# SPDX-License-Identifier: Apache-2.0
"""From the text a user types for DATA to images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import CalibrationError, Problem, shown
from hlsgen.frontend.inputs.arrays import read_arrays
from hlsgen.frontend.inputs.pictures import find_pictures, read_pictures
from hlsgen.frontend.inputs.preprocessing import Preprocessing, preprocessing_of, read_preprocessing
from hlsgen.frontend.inputs.shipped import SHIPPED, missing, resolve
from hlsgen.frontend.read.bounds import Damaged

_FORMS = (
    "DATA is a .npy file with images [N, C, H, W], a .npz file with images (and labels), a folder of such "
    "files or of pictures (.png, .jpg), or the name of a shipped example "
    f"({', '.join(SHIPPED)})"
)
_IMAGES, _LABELS = ("images", "x"), ("labels", "y")


@dataclass(frozen=True)
class Data:
    """Images float32 [N, C, H, W] and, where known, labels int64 [N]."""

    images: np.ndarray
    labels: np.ndarray | None = None


def load_data(
    spec: str,
    *,
    heldout: bool = False,
    shape: Sequence[int] | None = None,
    preprocessing: str | Mapping[str, Any] | None = None,
) -> Data:
    """Load calibration (or, of a shipped example, held-out) images; nothing is unpickled.

    `shape` is the [C, H, W] that the model needs. `preprocessing` is the file that says how pictures become
    images, or its entries; without it their folder holds one. Raises `CalibrationError` when there are no
    such images.
    """
    if spec in SHIPPED:
        item = SHIPPED[spec]
        data = _shipped(item.heldout if heldout else item.calibration)
    else:
        try:
            data = _read(Path(spec), shape, preprocessing)
        except MemoryError:
            raise CalibrationError(f"{spec}: images must fit into this machine's memory") from None
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


def _read(path: Path, shape: Sequence[int] | None, preprocessing: str | Mapping[str, Any] | None) -> Data:
    try:
        if path.is_file():
            return _file(path)
        if not path.is_dir():
            raise CalibrationError(Problem(f"there is no data {shown(str(path))}", fix=_FORMS))
        files = sorted(file for file in path.iterdir() if file.suffix in (".npy", ".npz"))
        pictures = find_pictures(path)
    except OSError as error:
        what = f"data {shown(str(path))} can't be read"
        raise CalibrationError(Problem(what, why=error.strerror or str(error), fix=_FORMS)) from error
    if files and pictures:
        raise CalibrationError(
            Problem(
                f"{path} must hold arrays or pictures, not both: {files[0].name}, {pictures[0].name}",
                fix=_FORMS,
            )
        )
    if pictures:
        return Data(*read_pictures(path, pictures, shape, _settings(preprocessing)))
    if not files:
        raise CalibrationError(Problem(f"{path} must hold .npy or .npz files, or pictures", fix=_FORMS))
    return _joined(path, files)


def _settings(given: str | Mapping[str, Any] | None) -> Preprocessing | None:
    """The settings that are given as a file or as its entries."""
    if not given:
        return None
    return read_preprocessing(Path(given)) if isinstance(given, str) else preprocessing_of(given)


def _joined(path: Path, files: Sequence[Path]) -> Data:
    """The arrays of a folder's files, one behind the other."""
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
        arrays = read_arrays(path, (*_IMAGES, *_LABELS))
    except (Damaged, OSError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        problem = Problem(f"{path} can't be read as plain arrays", why=why, fix=_FORMS)
        raise CalibrationError(problem) from error
    images = next((arrays[name] for name in _IMAGES if name in arrays), None)
    if images is None and len(arrays) == 1:
        (images,) = arrays.values()
    if images is None:
        names = ", ".join(list(arrays)[:8]) + (", ..." if len(arrays) > 8 else "")
        raise CalibrationError(Problem(f"{path} must hold an array 'images', not {names}", fix=_FORMS))
    checked = _images(path, images)
    labels = next((arrays[name] for name in _LABELS if name in arrays), None)
    return Data(checked, None if labels is None else _labels(path, labels, len(checked)))


def _labels(path: Path, labels: np.ndarray, count: int) -> np.ndarray:
    """Int64 [N]; whole numbers of any type are taken."""
    if labels.shape != (count,):
        raise CalibrationError(f"{path}: labels must be [{count}], not {list(labels.shape)}")
    if labels.dtype.kind not in "biuf":
        raise CalibrationError(f"{path}: labels must be integers, not {labels.dtype}")
    whole = np.isfinite(labels) & (np.abs(labels.astype(np.float64)) < 2.0**31)
    whole[whole] = labels[whole] == np.floor(labels[whole])
    if not whole.all():
        index = int(np.argmin(whole))
        what = (
            f"{path}: labels must be whole numbers of at most 31 bits, not {labels[index]} of image {index}"
        )
        raise CalibrationError(what)
    return labels.astype(np.int64)


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
    with np.errstate(over="ignore"):
        narrow = np.asarray(images, np.float32)
    for name, finite in (("not NaN or infinite", images), ("within the range of float32", narrow)):
        if not np.isfinite(finite).all():
            index = int(np.argmin(np.isfinite(finite).all(axis=(1, 2, 3))))
            rule = f"finite, {name}" if finite is images else name
            raise CalibrationError(f"{path}: images must be {rule}: look at image {index}")
    return narrow
