# SPDX-License-Identifier: Apache-2.0
"""Calibration data: checked, streamed through the float graph, observed; a bounded sample is kept."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
from numpy.typing import ArrayLike

from hlsgen.errors import CalibrationError, Problem
from hlsgen.ir import Graph, batch_size, elements, walk
from hlsgen.ops.kinds import Kind
from hlsgen.progress.steps import step
from hlsgen.quantization.roles import streams
from hlsgen.quantization.statistics import Average, Growth, Histogram

FEW_IMAGES = 32
GROWTH_LIMIT = 0.10
LARGEST = 1e30
MEASURED_ELEMENTS, FEWEST_MEASURED = 1 << 27, 4
"""Most elements, over all tensors and images, that errors are measured on; never a limit of fewer images."""


_WITH_HISTOGRAM = (Kind.IMAGE, Kind.NARROW, Kind.INDEX, Kind.LOGITS, Kind.ROUTER)

Data = ArrayLike | Iterable[ArrayLike]


@dataclass(frozen=True)
class Calibration:
    """Extremes and histograms of each tensor, the kept sample of images, and warnings; averages of some."""

    growth: dict[str, Growth]
    histograms: dict[str, Histogram]
    averages: dict[str, Average]
    images: int
    sample: np.ndarray
    warnings: tuple[str, ...]
    depth: float
    """Logits count down to so far below a row's maximum: what the softmax shows of them."""


class Sample:
    """Keeps up to `limit` images, evenly spaced over a stream of unknown length."""

    def __init__(self, limit: int) -> None:
        self._limit, self._stride, self._seen = limit, 1, 0
        self._kept: list[np.ndarray] = []

    def update(self, images: np.ndarray) -> None:
        """Take a batch [N, ...]."""
        for image in images:
            if self._seen % self._stride == 0:
                self._kept.append(image.copy())
            if len(self._kept) > self._limit:
                self._kept, self._stride = self._kept[::2], self._stride * 2
            self._seen += 1

    def images(self) -> np.ndarray:
        """The kept images [M, ...]."""
        return np.stack(self._kept)


def sample_size(graph: Graph, most: int) -> int:
    """Images to measure errors on: a large model needs few, each has millions of elements."""
    return min(most, max(FEWEST_MEASURED, MEASURED_ELEMENTS // elements(graph)))


def batches(calibration: Data, shape: tuple[int, ...], size: int) -> Iterator[np.ndarray]:
    """Checked batches [up to `size`, C, H, W]; raises `CalibrationError`."""
    if hasattr(calibration, "__array__") or not isinstance(calibration, Iterable):
        items: Iterable[object] = [calibration]
        names: Iterator[str] = iter(["calibration"])
    else:
        items, names = calibration, (f"calibration item {number}" for number in count())
    for item, name in zip(items, names, strict=False):
        images = _checked(item, name, shape)
        for first in range(0, len(images), size):
            yield images[first : first + size]


def first_batch(calibration: Data, shape: tuple[int, ...], size: int) -> tuple[np.ndarray | None, Data]:
    """The first `size` checked images, None where there are none, and all of them, still to be read once."""
    if hasattr(calibration, "__array__") or not isinstance(calibration, Iterable):
        return next(batches(calibration, shape, size), None), calibration
    items, head, seen = iter(calibration), [], 0
    while seen < size and (item := list(islice(items, 1))):
        head += item
        shape_of = getattr(item[0], "shape", ())
        seen += shape_of[0] if shape_of else size  # what is no batch is refused below
    found = list(batches(head, shape, size))
    return np.concatenate(found)[:size] if found else None, chain(head, items)


def walk_parts(graph: Graph, images: np.ndarray, most: int, what: str) -> Iterator[tuple[str, np.ndarray]]:
    """Each tensor of all tasks, by name, for as many of the images [N, ...] at once as memory allows."""
    with step(what, len(images) * graph.tasks) as told:
        for task in range(graph.tasks):
            for part in told.parts(images, batch_size(graph, most)):
                yield from walk(graph, part, task)


def _checked(item: object, name: str, shape: tuple[int, ...]) -> np.ndarray:
    wanted = f"[N, {', '.join(map(str, shape))}]"
    fix = "pass images prepared as for the model: the same layout and normalisation"
    if not hasattr(item, "__array__"):
        raise CalibrationError(
            Problem(f"{name} must be an array {wanted}, not {type(item).__name__}", fix=fix)
        )
    images = np.asarray(item)
    if images.dtype.kind not in "fiub":
        raise CalibrationError(Problem(f"{name} must hold real numbers, not {images.dtype}", fix=fix))
    if images.shape[1:] != shape:
        raise CalibrationError(Problem(f"{name} must have shape {wanted}, not {list(images.shape)}", fix=fix))
    finite = np.isfinite(images)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise CalibrationError(
            Problem(
                f"{name} must be finite, not {images[index]} at {list(index)}",
                fix="remove or repair the image",
            )
        )
    return images


def observe(
    graph: Graph,
    kinds: dict[str, Kind],
    calibration: Data,
    most: int,
    measured: int,
    counted: Container[str],
    averaged: Iterable[str] = (),
    depth: float = math.inf,
) -> Calibration:
    """Stream `calibration` through the folded float `graph`, at most `most` images at a time.

    Tensors not in `counted` need no more of a histogram than the largest magnitude; those in `averaged` are
    averaged, too. depth: of logits below a row's maximum, as far as they count.
    """
    growth = {n: Growth() for n, k in kinds.items() if k not in (Kind.NUMERATOR, Kind.ROUTING)}
    histograms = {n: Histogram(n in counted) for n in growth if kinds[n] in _WITH_HISTOGRAM}
    averages = {name: Average() for name in averaged}
    sample, moments = Sample(measured), np.zeros(3)
    with step("observe", len(calibration) if isinstance(calibration, np.ndarray) else 0) as told:
        for images in batches(calibration, graph.input_type.shape, batch_size(graph, most)):
            sample.update(images)
            pixels = images.astype(np.float64)
            moments += images.size, pixels.sum(), (pixels**2).sum()
            _take(graph, images, kinds, growth, histograms, averages, depth)
            told.advance(len(images))
    images_seen = growth[graph.input].images
    if not images_seen:
        raise CalibrationError(
            Problem(
                "calibration must hold at least one image",
                fix="pass 32 images or more, some hundreds if possible",
            )
        )
    warnings = (
        *_input_warnings(growth[graph.input], moments),
        *_range_warnings(growth, streams(graph, kinds)),
    )
    return Calibration(growth, histograms, averages, images_seen, sample.images(), warnings, depth)


def _take(
    graph: Graph,
    images: np.ndarray,
    kinds: dict[str, Kind],
    growth: dict[str, Growth],
    histograms: dict[str, Histogram],
    averages: dict[str, Average],
    depth: float,
) -> None:
    """Take all tensors of a batch; depth: of logits that count."""
    seen: set[str] = set()
    for task in range(graph.tasks):
        with np.errstate(all="ignore"):  # reported by name below
            for name, value in walk(graph, images, task):
                if name in growth:
                    value = seen_logits(value, depth) if kinds[name] is Kind.LOGITS else value
                    _observe(name, value, growth[name], histograms.get(name), name in seen)
                    seen.add(name)
                if name in averages:
                    averages[name].update(value)


def _observe(name: str, value: np.ndarray, growth: Growth, histogram: Histogram | None, again: bool) -> None:
    """Take one tensor of a batch; `again`: for another task."""
    largest = growth.update(value, again)
    if not largest < LARGEST:
        raise CalibrationError(
            Problem(
                f"%{name} must stay below {LARGEST:.0e} on calibration images, not reach {largest:.3g}",
                fix="check the model's weights and the images' normalisation",
            )
        )
    if histogram is not None:
        histogram.update(value, largest)


def seen_logits(value: np.ndarray, depth: float) -> np.ndarray:
    """Logits [..., S] as their range counts: none below what exp shows of a row, 0 for hidden keys."""
    shown = np.maximum(value, value.max(-1, keepdims=True) - depth)
    hidden = np.isneginf(value)
    return np.where(hidden, 0.0, shown) if hidden.any() else shown


def _input_warnings(seen: Growth, moments: np.ndarray) -> list[str]:
    pixels, total, squares = moments
    mean = total / pixels
    deviation = math.sqrt(max(squares / pixels - mean * mean, 0.0))
    found = []
    if seen.images < FEW_IMAGES:
        found.append(f"too few samples: {seen.images} calibration images, {FEW_IMAGES} or more are advised")
    if seen.largest > 50.0:
        found.append(f"inputs look un-normalised: values up to {seen.largest:.4g}, not within -50..50")
    elif deviation == 0.0:
        found.append(f"inputs look un-normalised: every value is {mean:.4g}")
    elif abs(mean) > 20.0 * deviation:
        found.append(
            f"inputs look un-normalised: mean {mean:.4g} beside a standard deviation of {deviation:.4g}"
        )
    return found


def _range_warnings(growth: dict[str, Growth], streams: list[tuple[str, ...]]) -> list[str]:
    """A stream counts as one tensor: its members share one scale."""
    images = next(iter(growth.values())).images
    shared = {name for members in streams for name in members}
    late = {}
    for members in [*streams, *((name,) for name in growth if name not in shared)]:
        widest = max(members, key=lambda name: growth[name].largest)
        early = max(growth[name].early for name in members)
        if growth[widest].largest > early * (1 + GROWTH_LIMIT):
            late[widest] = growth[widest].largest / early - 1 if early else math.inf
    if not late or images < 2:
        return []
    names = sorted(late, key=lambda name: -late[name])
    named = ", ".join(f"%{name} by {100 * late[name]:.0f} %" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [f"ranges still grew in the last quarter of the {images} images: {named}{more}; use more images"]
