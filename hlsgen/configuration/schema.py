# SPDX-License-Identifier: Apache-2.0
"""What a configuration holds. Machine and quantizer are the records of the Python interface."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hlsgen.fit.options import CompileOptions
from hlsgen.quantization.config import QuantizeConfig

NAME = "hlsgen.toml"


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """The model."""

    name: str | None = None
    """A shipped example, `package.module:factory`, a .pt2 or .onnx file, or a folder of Hugging Face."""
    weights: str | None = None
    """A safetensors file with the weights of an example's or a factory's model."""
    shape: tuple[int, int, int] | None = None
    """Channels, height and width of an image, where the model does not tell."""
    outputs: tuple[str, ...] | None = None
    """Names of the outputs to keep; without them `logits`, or all of them."""
    compare: bool = True
    """Whether the float Graph is compared with the model on one image."""


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """The images. Paths count from the folder in which hlsgen is called."""

    calibration: str | None = None
    """Images for the integer ranges: .npy, .npz, a folder of them or of pictures; an example has its own."""
    samples: str | None = None
    """Images to keep for `hlsgen simulate`; without them held-out images of an example, else these."""
    preprocessing: str | Mapping[str, Any] | None = None
    """The preprocessor_config.json for pictures, or a table [data.preprocessing] with its entries, for
    example `size = {height = 224, width = 224}`, `image_mean = [0.5, 0.5, 0.5]`; without it the one beside
    the model or the pictures."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A compilation: each section is a table of `hlsgen.toml`."""

    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    quantizer: QuantizeConfig = field(default_factory=QuantizeConfig)
    machine: CompileOptions = field(default_factory=CompileOptions)

    def plain(self) -> dict[str, dict[str, Any]]:
        """Each section's values by name, ready for TOML or JSON; None is left out."""
        return {section.name: _values(getattr(self, section.name)) for section in dataclasses.fields(self)}

    def over(self, given: Mapping[str, Mapping[str, Any]]) -> Configuration:
        """The same with other values: section to name to value."""
        changed = {
            section: dataclasses.replace(getattr(self, section), **values)
            for section, values in given.items()
        }
        return dataclasses.replace(self, **changed)


def _values(section: Any) -> dict[str, Any]:
    """A section's values by name, without those that are None."""
    named = {item.name: _plain(getattr(section, item.name)) for item in dataclasses.fields(section)}
    if isinstance(section, CompileOptions) and isinstance(section.array, tuple):
        named["array"] = "x".join(map(str, section.array))
    return {name: value for name, value in named.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
