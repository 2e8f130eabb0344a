# SPDX-License-Identifier: Apache-2.0
"""The shipped examples by name; nothing is imported until it is asked for."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hlsgen.errors import Problem, ToolMissing, UsageError
from hlsgen.errors.codes import Code
from hlsgen.frontend.read.bounds import printable

WIDTH = 100
"""Columns of a help text."""
EXTRAS = {
    "torch": ("PyTorch", "torch"),
    "sklearn": ("scikit-learn", "examples"),
    "transformers": ("transformers", "transformers"),
    "onnx": ("onnx", "onnx"),
    "PIL": ("Pillow", "pictures"),
}


@dataclass(frozen=True)
class Shipped:
    """Where an example's parts are, each as `module:function`, and its input shape [C, H, W].

    `factory` makes the model in eval mode; `calibration` and `heldout` return images and, where there are
    any, labels.
    """

    factory: str
    calibration: str
    heldout: str
    shape: tuple[int, int, int]
    tasks: int = 1
    trained: bool = True
    """False: the weights are random."""
    quantizer: Mapping[str, Any] = field(default_factory=dict)
    """Entries of `QuantizeConfig` that differ from the defaults."""


_MODEL, _DATA = "hlsgen.examples.digits.model", "hlsgen.examples.digits.data"


def _vit(factory: str, calibration: str = "calibration") -> Shipped:
    """A model of `hlsgen.examples.vit`; all have the same images, a large one fewer to calibrate with."""
    place = "hlsgen.examples.vit"
    images = f"{place}.data:{calibration}", f"{place}.data:heldout"
    # Random weights have nothing to gain by it, and cycles can be compared with those of earlier versions.
    kept = {"outliers_apart": False}
    return Shipped(f"{place}.model:{factory}", *images, (3, 224, 224), trained=False, quantizer=kept)


def _m3vit(factory: str) -> Shipped:
    """A mixture-of-experts model of `hlsgen.examples.vit.moe`."""
    place = "hlsgen.examples.vit"
    images = f"{place}.data:street_calibration", f"{place}.data:street_heldout"
    # Random routers: with other integers tokens go to other experts, and cycles could not be compared.
    kept = {
        "activations": "mse",
        "centred": False,
        "norm_factors": "off",
        "outliers_apart": False,
        "numerator_rounding": "nearest",
    }
    factory = f"{place}.moe:{factory}"
    return Shipped(factory, *images, (3, 128, 256), tasks=2, trained=False, quantizer=kept)


SHIPPED = {
    "digits": Shipped(f"{_MODEL}:digits", f"{_DATA}:calibration", f"{_DATA}:heldout", (1, 8, 8)),
    "digits-moe": Shipped(
        "hlsgen.examples.digits.moe:digits_moe",
        f"{_DATA}:calibration",
        f"{_DATA}:heldout",
        (1, 8, 8),
        tasks=2,
    ),
    "awkward": Shipped(
        f"{_MODEL}:awkward", f"{_DATA}:awkward_calibration", f"{_DATA}:awkward_data", (2, 9, 6)
    ),
    "deit-tiny": _vit("deit_tiny"),
    "deit-tiny-distilled": _vit("deit_tiny_distilled"),
    "deit-small": _vit("deit_small"),
    "vit-base": _vit("vit_base", "few"),
    "m3vit-tiny": _m3vit("m3vit_tiny"),
    "m3vit-tiny-even": _m3vit("m3vit_tiny_even"),
}


def about_models() -> str:
    """What MODEL may be on the command line, in lines for a help text."""
    names = ", ".join(name for name, example in SHIPPED.items() if example.trained)
    others = ", ".join(name for name, example in SHIPPED.items() if not example.trained)
    text = "MODEL is a shipped example, module:factory, a .pt2 file of torch.export, an .onnx file of "
    text += "torch.onnx.export, or a folder of Hugging Face with config.json and safetensors. "
    text += f"Examples: {names}, and with random weights {others}."
    return textwrap.fill(text, WIDTH, break_on_hyphens=False) + "\n"


def shipped(name: str) -> Shipped:
    """The example called `name`."""
    if name not in SHIPPED:
        raise UsageError(f"example must be one of {', '.join(SHIPPED)}, not {name!r}", code=Code.MODEL)
    return SHIPPED[name]


def resolve(path: str) -> Callable[..., Any]:
    """The function at `module:name`; a missing optional package becomes `ToolMissing`."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise missing(error) from error


def missing(error: ImportError) -> ToolMissing:
    """What to tell of a package that can't be imported; one of an extra is installed with it."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not package:
        return ToolMissing(
            Problem("a package can't be imported", why=printable(str(error))), code=Code.PACKAGE
        )
    if package not in EXTRAS:
        return ToolMissing(
            Problem(f"the module {package} is not installed", fix="install what the model needs"),
            code=Code.PACKAGE,
        )
    title, extra = EXTRAS[package]
    return ToolMissing(
        Problem(f"{title} is not installed", fix=f'pip install "hlsgen[{extra}]"'), code=Code.PACKAGE
    )
