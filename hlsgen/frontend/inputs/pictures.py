# SPDX-License-Identifier: Apache-2.0
"""Folders of PNG and JPEG files as images, with classes from sub-folders or from a list."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hlsgen.errors import CalibrationError, Problem, shown
from hlsgen.frontend.inputs.preprocessing import SETTINGS, Preprocessing, read_preprocessing
from hlsgen.frontend.inputs.shipped import missing

SUFFIXES = (".png", ".jpg", ".jpeg")
LABELS = "labels.csv"
"""A line for each picture: its path below the folder, a comma, its class."""


def find_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder and of the folders in it, in the order of their paths; may raise `OSError`."""
    inside = list(folder.iterdir())
    inside += [path for sub in inside if sub.is_dir() for path in sub.iterdir()]
    return sorted(path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file())


def read_pictures(
    folder: Path, files: Sequence[Path], shape: Sequence[int] | None, preprocessing: Preprocessing | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images float32 [N, C, H, W] of a folder's `files`, and their classes [N] where they are known.

    `shape` is the [C, H, W] that the model needs; without it pictures are read as colours. Without
    `preprocessing` the folder must hold a `preprocessor_config.json`. Raises `CalibrationError`, and
    `ToolMissing` without Pillow.
    """
    settings = preprocessing or _settings(folder)
    channels = 3 if shape is None else shape[0]
    wrong = settings.problems(channels) if channels in (1, 3) else ["pictures have 1 or 3 channels"]
    if wrong:
        raise CalibrationError(
            [Problem(f"{folder}: {text}, for a model of {channels} channels") for text in wrong]
        )
    labels = _labels(folder, files)
    images: list[np.ndarray] = []
    for path in files:
        image = _picture(path, settings, channels)
        wanted = tuple(shape) if shape is not None else images[0].shape if images else image.shape
        if image.shape != wanted:
            raise CalibrationError(_other_size(path, image.shape, wanted))
        images.append(image)
    return np.stack(images), labels


def _settings(folder: Path) -> Preprocessing:
    path = folder / SETTINGS
    if path.is_file():
        return read_preprocessing(path)
    what = f"{folder} must hold a {SETTINGS}, or --preprocessing must name one"
    why = "what a model sees depends on how pictures are resized and normalised"
    raise CalibrationError(Problem(what, why=why, fix="copy the file that came with the model's weights"))


def _other_size(path: Path, found: Sequence[int], wanted: Sequence[int]) -> Problem:
    sizes = "x".join(map(str, wanted)), "x".join(map(str, found))
    return Problem(
        f"{path}: preprocessed it must be {sizes[0]}, not {sizes[1]}",
        fix=f"give the {SETTINGS} a size, or a crop_size, of {wanted[1]}x{wanted[2]} pixels",
    )


def _picture(path: Path, settings: Preprocessing, channels: int) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise missing(error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                return settings.apply(picture, channels)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        plain = "it is neither PNG nor JPEG" if isinstance(error, UnidentifiedImageError) else str(error)
        raise CalibrationError(Problem(f"{path} can't be read as a picture", why=plain)) from error


def _labels(folder: Path, files: Sequence[Path]) -> np.ndarray | None:
    """Classes [N]: of the list if there is one, else of the sub-folders."""
    if (folder / LABELS).is_file():
        return _listed(folder / LABELS, [path.relative_to(folder).as_posix() for path in files])
    names = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in files]
    if "" in names:
        return None
    return _numbered(names)


def _numbered(names: Sequence[str]) -> np.ndarray:
    """Classes of sub-folders' names: the numbers that they are, or their places in alphabetical order."""
    if all(name.isdecimal() and len(name) < 9 for name in names):
        return np.array([int(name) for name in names], np.int64)
    places = {name: place for place, name in enumerate(sorted(set(names)))}
    return np.array([places[name] for name in names], np.int64)


def _listed(path: Path, names: Sequence[str]) -> np.ndarray:
    """Classes from the list; raises `CalibrationError` with all that is wrong in it."""
    found: dict[str, int] = {}
    problems = []
    try:
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise CalibrationError(Problem(f"{path} can't be read", why=str(error))) from error
    for number, row in enumerate(rows, 1):
        match row:
            case [name, text] if (text := text.strip()).isdecimal() and len(text) < 9:
                found[name.strip()] = int(text)
            case [] | ["file", "label"]:
                continue
            case _:
                problems.append(
                    f"line {number} must be a picture's path, a comma and a class, not {shown(','.join(row))}"
                )
    lost = [name for name in names if name not in found]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        problems.append(f"there must be a class for {', '.join(map(shown, lost[:3]))}{more}")
    if problems:
        raise CalibrationError([Problem(f"{path}: {text}") for text in problems])
    return np.array([found[name] for name in names], np.int64)
