# SPDX-License-Identifier: Apache-2.0
"""`Evaluation`: the figures of a compiled model on data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hlsgen.display.share import Share
from hlsgen.evaluation.own import OwnFigures
from hlsgen.quantization.routing import RoutingReport


@dataclass(frozen=True, kw_only=True)
class OutputFigures:
    """One output's integers beside the float model; None where the float model is not known."""

    name: str
    """The output's name, or its tensor's if there is only one."""
    shape: tuple[int, ...]
    """Of one image."""
    db: float | None
    """Signal to noise of all images; None without error."""
    centred_db: float | None
    """The same of what differs between images; None for one image."""
    cosine: float | None
    """Mean over the images of the cosine between both outputs."""
    worst: tuple[tuple[int, float], ...]
    """Images of the lowest signal to noise, in dB, the worst first."""
    constant: bool
    """Whether the integers are the same for all images."""

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "db": self.db,
            "centred_db": self.centred_db,
            "cosine": self.cosine,
            "worst": [list(item) for item in self.worst],
            "constant": self.constant,
        }


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """What the first output says of classes, where it is one row of at least two logits."""

    classes: int
    same: Share | None
    """Images for which both models have one class; None without the float model."""
    float_first: Share | None = None
    """Labels that are the float model's class; None without labels or float model."""
    float_five: Share | None = None
    """Labels among the float model's first five classes; None also where there are no more than five."""
    first: Share | None = None
    """Labels that are the integer model's class; None without labels."""
    five: Share | None = None
    """Labels among the integer model's first five classes; as `float_five`."""
    confusion: tuple[tuple[int, ...], ...] | None = None
    """Images by label and by the integer model's class; None without labels."""
    wrong: tuple[tuple[int, int, int], ...] = ()
    """Image, label and integer class of images that are not as labelled."""

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        shares = ("float_first", "float_five", "first", "five", "same")
        table = self.confusion
        return {
            "classes": self.classes,
            **{name: share.data() if (share := getattr(self, name)) else None for name in shares},
            "confusion": None if table is None else [list(row) for row in table],
            "wrong": [list(item) for item in self.wrong],
        }


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """That a level gave golden's integers for every image, and its cycles if it counts them."""

    level: str
    simulator: str
    elements: int
    """Integers that were compared, all equal."""
    cycles: tuple[int, int] | None
    """Fewest and most of an image."""

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "level": self.level,
            "simulator": self.simulator,
            "elements": self.elements,
            "equal": True,
            "cycles": None if self.cycles is None else list(self.cycles),
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures of one task on data; `str` is the table, `data` is for JSON."""

    task: int
    images: int
    outputs: tuple[OutputFigures, ...]
    classes: ClassFigures | None
    experts: tuple[RoutingReport, ...]
    """Tokens by expert for each routing, and agreement with the float model where it is known."""
    clipped: int
    """Images with more clipped pixels than `hlsgen.store.samples.CLIPPED_SHARE`."""
    reference: bool
    """Whether the float model is known."""
    level: LevelFigures | None
    """The level that ran besides golden."""
    warnings: tuple[str, ...]
    own: OwnFigures | None = None
    """Agreement with the own runtime of a model that is quantized already."""

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        experts = [
            {
                "name": item.name,
                "load": list(item.load),
                "tokens": item.tokens,
                "agreeing": item.agreeing if self.reference else None,
                "ties": item.ties,
                "near": item.near if self.reference else None,
                "near_others": item.near_others if self.reference else None,
            }
            for item in self.experts
        ]
        return {
            "task": self.task,
            "images": self.images,
            "outputs": [item.data() for item in self.outputs],
            "classes": self.classes.data() if self.classes else None,
            "experts": experts,
            "clipped": self.clipped,
            "level": self.level.data() if self.level else None,
            "warnings": list(self.warnings),
        } | ({} if self.own is None else {"own": self.own.data()})

    def __str__(self) -> str:
        own = [] if self.own is None else [str(self.own)]
        return "\n".join([*self._level(), *self._classes(), *own, *self._outputs(), *self._experts()])

    def _level(self) -> list[str]:
        lines = [f"images     {self.images}"]
        if self.level is None:
            return lines
        name = self.level.level + (f" ({self.level.simulator})" if self.level.simulator else "")
        lines.append(f"level      {name}: {self.level.elements} elements, all equal to golden")
        if self.level.cycles:
            low, high = self.level.cycles
            lines.append(f"cycles     {high}" + (f" (from {low})" if low < high else ""))
        return lines

    def _classes(self) -> list[str]:
        found = self.classes
        if found is None:
            return []
        rows = (
            ("top-1", "float", found.float_first),
            ("top-1", "integer", found.first),
            ("top-5", "float", found.float_five),
            ("top-5", "integer", found.five),
            ("same class", "integer as float", found.same),
        )
        return [f"{label:10} {model}: {share}" for label, model, share in rows if share is not None]

    def _outputs(self) -> list[str]:
        if not self.reference:
            return []
        lines = []
        for item in self.outputs:
            parts = ["equal to the float model" if item.db is None else f"{item.db:.1f} dB"]
            parts += [] if item.centred_db is None else [f"{item.centred_db:.1f} dB centred"]
            parts += [] if item.cosine is None else [f"cosine {item.cosine:.4f}"]
            parts += [f"worst image {item.worst[0][0]} with {item.worst[0][1]:.1f} dB"] if item.worst else []
            lines.append(f"output     {item.name}: {', '.join(parts)}")
        return lines

    def _experts(self) -> list[str]:
        lines = []
        for item in self.experts:
            load = " ".join(map(str, item.load))
            same = f"; {item.agreement}" if self.reference else f"; {item.ties} ties"
            lines.append(f"experts    {item.name}: {load}{same}")
        return lines
