# SPDX-License-Identifier: Apache-2.0
"""Every public class of `transformers` whose main input is an image, with a small configuration."""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.zoo.entry import PATIENCE, Entry, Made, NotHere, seeded
from benchmarks.zoo.shrink import BLOCKS, shrunk

SIZES = ((32, 8), (64, 16), (64, 4), (224, 16))
"""Image and patch sizes, in the order in which they are tried."""
_NOT_IMAGES = ("Video", "Audio", "Document")
_TEXT = {"input_ids", "inputs_embeds", "decoder_input_ids"}


def entries() -> Iterator[Entry]:
    """Classes in the order of their names. Modules are imported only where their text names the input."""
    import transformers
    from transformers import PreTrainedModel

    home = Path(transformers.__file__).parent / "models"
    for file in sorted(home.glob("*/modeling_*.py")):
        text = file.read_text("utf-8")
        if "pixel_values" not in text:
            continue
        module = importlib.import_module(f"transformers.models.{file.parent.name}.{file.stem}")
        for name, made in sorted(vars(module).items()):
            mine = inspect.isclass(made) and made.__module__ == module.__name__
            if mine and issubclass(made, PreTrainedModel) and _reads_an_image(made):
                yield Entry("transformers", name, partial(_make, made))


def _reads_an_image(made: Any) -> bool:
    """Whether `forward` needs `pixel_values` and nothing else."""
    name = made.__name__
    if getattr(made, "config_class", None) is None or name.endswith("PreTrainedModel"):
        return False
    if any(word in name for word in _NOT_IMAGES) or name.startswith("_"):
        return False
    parameters = list(inspect.signature(made.forward).parameters.values())[1:]
    names = {item.name for item in parameters}
    if "pixel_values" not in names or names & _TEXT:
        return False
    return all(
        item.name == "pixel_values" or item.default is not item.empty or item.kind in (2, 4)
        for item in parameters
    )


def _make(made: Any) -> Made:
    """The first small configuration with which the class runs."""
    reasons: list[str] = []
    start = time.monotonic()
    for image, patch in SIZES:
        try:
            config = _config(made.config_class, image, patch)
            model = seeded(made(config))
            example = {"pixel_values": torch.zeros(1, _channels(config), *_size(config, image))}
            with torch.no_grad():
                model(**example)
            return model, example
        except Exception as error:  # noqa: BLE001 - any class may refuse a configuration in its own way
            reasons.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        if time.monotonic() - start > PATIENCE:
            break
    raise NotHere(reasons[0])


def _config(kind: Any, image: int, patch: int) -> Any:
    """A configuration of the class, and of the parts that it holds."""
    plain = kind()
    fixed: dict[str, Any] = {"image_size": image, "patch_size": patch, "window_size": 4}
    arguments = {}
    for name, value in vars(plain).items():
        if hasattr(value, "to_dict") and type(value).__name__.endswith("Config"):
            arguments[name] = _config(type(value), image, patch)
        elif not name.startswith("_"):
            arguments[name] = value
    default = {name: fixed[name] for name in fixed if isinstance(arguments.get(name), int)}
    for name in ("image_size", "patch_size"):
        if isinstance(arguments.get(name), list | tuple) and len(arguments[name]) == 2:
            default[name] = [fixed[name]] * 2
    wanted = set(inspect.signature(kind.__init__).parameters) | _fields(kind)
    small = {name: value for name, value in shrunk(arguments, **default).items() if name in wanted}
    small = {name: value for name, value in small.items() if name not in _STAGES}
    if isinstance(arguments.get("out_indices"), list) and "reshape_hidden_states" not in arguments:
        small["out_indices"] = [BLOCKS]
    return kind(**small)


_STAGES = ("stage_names", "out_features", "out_indices", "_out_indices", "transformers_version", "dtype")


def _fields(kind: Any) -> set[str]:
    """Names of a dataclass-like configuration's fields."""
    found: set[str] = set()
    for base in kind.__mro__:
        found |= set(getattr(base, "__annotations__", {}))
    return found


def _channels(config: Any) -> int:
    for part in (config, getattr(config, "vision_config", None), getattr(config, "backbone_config", None)):
        value = getattr(part, "num_channels", None)
        if isinstance(value, int):
            return value
    return 3


def _size(config: Any, image: int) -> tuple[int, int]:
    """Height and width that the configuration names."""
    parts = (config, getattr(config, "vision_config", None))
    value = next((v for part in parts if (v := getattr(part, "image_size", None))), image)
    if isinstance(value, list | tuple):
        return int(value[0]), int(value[-1])
    return (value, value) if isinstance(value, int) else (image, image)
