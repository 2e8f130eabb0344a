# SPDX-License-Identifier: Apache-2.0
"""A folder of Hugging Face, config.json and safetensors, read by `transformers` without the network."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.frontend.inputs.weights import names_of, read_types, type_problems
from hlsgen.frontend.read.bounds import printable, reason
from hlsgen.frontend.rules.interpret import converted_weights
from hlsgen.frontend.rules.rule import NOT_FLOATS

_AUTO = "AutoModelForImageClassification"
Types = dict[str, torch.dtype]
_FACTORY = "write a function that returns the model in eval mode, and give module:function"


def is_checkpoint(path: Path) -> bool:
    """Whether a folder holds a configuration and weights that are no pickles."""
    try:
        return (path / "config.json").is_file() and next(path.glob("*.safetensors"), None) is not None
    except OSError:
        return False


def load_checkpoint(path: Path, shape: Sequence[int] | None = None) -> tuple[Any, dict[str, np.ndarray], str]:
    """The model in eval mode, an example by the argument's name, and a note on its weights, or nothing.

    Parameters
    ----------
    path
        The folder.
    shape
        [C, H, W] of an image; without it that of the configuration.

    Nothing is fetched, no code of the folder is run, nothing is unpickled. Raises `UsageError` for a folder
    that `transformers` can't read, and for weights that are missing, quantized, or of another shape;
    `ImportError` without `transformers`.
    """
    _refuse_quantized(path)
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
            raise UsageError(
                Problem(what, why=printable(why), fix=_fix(path)), code=Code.MODEL_FILE
            ) from error
    stored = {file: read_types(file) for file in _files(path)}
    _complete(path, found, _of_another_kind(model, stored, found))
    return model.eval(), _example(path, model, config, shape), _note(model, stored)


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


def _files(path: Path) -> list[Path]:
    """The files that `transformers` reads: one, or those of an index."""
    one = path / "model.safetensors"
    if one.is_file():
        return [one]
    index = json.loads((path / "model.safetensors.index.json").read_text("utf-8"))
    return sorted({path / str(name) for name in index["weight_map"].values()})


def _of_another_kind(model: Any, stored: Mapping[Path, Types], found: Any) -> list[Problem]:
    """Floats that are stored as integers, and integers as floats: `transformers` casts them in silence.

    A file may have other names than the model: a tensor of such a name is of the kind of the model's tensors
    whose names end alike.
    """
    wanted: Types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    ends: dict[str, set[torch.dtype]] = {}
    for name, kind in wanted.items():
        ends.setdefault(_end(name), set()).add(kind)
    others = {_shapes(item) for item in found.get("unexpected_keys") or ()}
    problems = []
    for file, types in stored.items():
        known: Types = {}
        for name in types.keys() - others:
            kinds = {wanted[name]} if name in wanted else ends.get(_end(name), set())
            if len({kind.is_floating_point for kind in kinds}) == 1:
                known[name] = next(iter(kinds))
        problems += type_problems(file, {name: types[name] for name in types if name in known}, known)
    return problems


def _end(name: str) -> str:
    return name.rpartition(".")[2]


def _note(model: Any, stored: Mapping[Path, Types]) -> str:
    """On stored types that a float32 model's weights are converted from; `capture` tells of all others."""
    if any(tensor.dtype is not torch.float32 for tensor in model.parameters()):
        return ""
    return converted_weights({name: kind for types in stored.values() for name, kind in types.items()})


def _refuse_quantized(path: Path) -> None:
    """Raise for a configuration that tells that the weights are no floats, before anything reads them."""
    given = _given(path)
    quantized = given.get("quantization_config") if isinstance(given, dict) else None
    if quantized is None:
        return
    method = quantized.get("quant_method") if isinstance(quantized, dict) else None
    kind = f" by {printable(str(method))}" if method else ""
    what = f"the weights in {path} must be floats, not quantized{kind}"
    why = f"its config.json has quantization_config; {NOT_FLOATS}"
    fix = "take the checkpoint of the float model, or dequantize: model.dequantize(), then save_pretrained"
    raise UsageError(Problem(what, why=why, fix=fix), code=Code.MODEL_FILE)


def _complete(path: Path, found: Any, problems: list[Problem]) -> None:
    """Refuse a model of which a part has random weights, and weights that are of another model.

    `problems`: what is known of them already.
    """
    random = "transformers would fill them with random numbers"
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
        raise UsageError(problems, code=Code.MODEL_FILE)


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
        raise UsageError(
            Problem(what, fix="--shape CxHxW, for example --shape 3x224x224"), code=Code.MODEL_FILE
        )
    return {str(name): np.zeros((1, *shape), np.float32)}


def _sizes(config: Any) -> tuple[int, int, int] | None:
    size: Any = getattr(config, "image_size", None)
    channels: Any = getattr(config, "num_channels", 3)
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    sizes: list[Any] = [channels, height, width]
    plain = all(isinstance(item, int) and 0 < item < 1 << 13 for item in sizes)
    return (sizes[0], sizes[1], sizes[2]) if plain else None


def _given(path: Path) -> Any:
    """What config.json holds; None for a file that is damaged."""
    try:
        return json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _fix(path: Path) -> str:
    """What to do, by what the configuration says of itself."""
    given = _given(path)
    if given is None:
        return "mend config.json, or save the model again: model.save_pretrained(FOLDER)"
    if isinstance(given, dict) and "auto_map" in given:
        return f"its classes are code in the folder, which hlsgen doesn't run; {_FACTORY}"
    return f"save the model again: model.save_pretrained(FOLDER), or {_FACTORY}"
