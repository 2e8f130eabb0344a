# SPDX-License-Identifier: Apache-2.0
"""A folder of Hugging Face, config.json and safetensors, read by `transformers` without the network."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import Problem, UsageError
from hlsgen.frontend.inputs.weights import names_of
from hlsgen.frontend.read.bounds import printable, reason

_AUTO = "AutoModelForImageClassification"
_FACTORY = "write a function that returns the model in eval mode, and give module:function"


def is_checkpoint(path: Path) -> bool:
    """Whether a folder holds a configuration and weights that are no pickles."""
    try:
        return (path / "config.json").is_file() and next(path.glob("*.safetensors"), None) is not None
    except OSError:
        return False


def load_checkpoint(path: Path, shape: Sequence[int] | None = None) -> tuple[Any, dict[str, np.ndarray]]:
    """The model in eval mode and an example, by the argument's name.

    Parameters
    ----------
    path
        The folder.
    shape
        [C, H, W] of an image; without it that of the configuration.

    Nothing is fetched, no code of the folder is run, nothing is unpickled. Raises `UsageError` for a folder
    that `transformers` can't read, and for weights that are missing or of another shape; `ImportError`
    without `transformers`.
    """
    with _offline():
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
            model, found = _class(transformers, config).from_pretrained(
                path,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # `_complete` names them
            )
        except MemoryError:
            raise
        except Exception as error:
            what = f"transformers can't read the model in {path}"
            why = f"{type(error).__name__}: {reason(error)}"
            raise UsageError(Problem(what, why=printable(why), fix=_fix(path))) from error
    _complete(path, found)
    return model.eval(), _example(path, model, config, shape)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """No network, no progress, no talk."""
    from transformers.utils import logging as talk

    before, said = os.environ.get("HF_HUB_OFFLINE"), talk.get_verbosity()
    os.environ["HF_HUB_OFFLINE"] = "1"
    talk.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        talk.set_verbosity(said)
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


def _class(transformers: Any, config: Any) -> Any:
    """The class that the configuration names, as long as it is one of the library's models."""
    for name in getattr(config, "architectures", None) or ():
        kind = getattr(transformers, str(name), None)
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
            return kind
    return getattr(transformers, _AUTO)


def _complete(path: Path, found: Any) -> None:
    """Refuse a model of which a part has random weights, and weights that are of another model."""
    random = "transformers would fill them with random numbers"
    problems = []
    for key, what, why in (
        ("missing_keys", "lack {} of the model's tensors", random),
        ("mismatched_keys", "hold {} of the model's tensors in another shape", random),
        ("unexpected_keys", "hold {} tensors that the model has not", "they may be of another class or size"),
    ):
        names = sorted(_shapes(item) for item in found.get(key) or ())
        if names:
            text = f"the weights in {path} {what.format(len(names))}"
            problems.append(Problem(text, where=names_of(names), why=why, fix=_FACTORY))
    if problems:
        raise UsageError(problems)


def _shapes(item: Any) -> str:
    """A tensor's name, with both shapes where they differ."""
    if not isinstance(item, tuple):
        return str(item)
    name, stored, wanted = item
    return f"{name} {list(stored)}, not {list(wanted)}"


def _example(path: Path, model: Any, config: Any, shape: Sequence[int] | None) -> dict[str, np.ndarray]:
    name = getattr(model, "main_input_name", "pixel_values")
    if shape is None:
        parts = (config, getattr(config, "vision_config", None))
        sizes = [_sizes(part) for part in parts if part is not None]
        shape = next((found for found in sizes if found), None)
    if shape is None:
        what = f"the size of an image is needed: the configuration in {path} has no image_size"
        raise UsageError(Problem(what, fix="--shape CxHxW, for example --shape 3x224x224"))
    return {str(name): np.zeros((1, *shape), np.float32)}


def _sizes(config: Any) -> tuple[int, int, int] | None:
    size: Any = getattr(config, "image_size", None)
    channels: Any = getattr(config, "num_channels", 3)
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    sizes: list[Any] = [channels, height, width]
    plain = all(isinstance(item, int) and 0 < item < 1 << 13 for item in sizes)
    return (sizes[0], sizes[1], sizes[2]) if plain else None


def _fix(path: Path) -> str:
    """What to do, by what the configuration says of itself."""
    try:
        given = json.loads((path / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return "mend config.json, or save the model again: model.save_pretrained(FOLDER)"
    if isinstance(given, dict) and "auto_map" in given:
        return f"its classes are code in the folder, which hlsgen doesn't run; {_FACTORY}"
    return f"save the model again: model.save_pretrained(FOLDER), or {_FACTORY}"
