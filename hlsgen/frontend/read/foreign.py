# SPDX-License-Identifier: Apache-2.0
"""Files that hold no PyTorch program: what they are, and how their model is given."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code

_FACTORY = "write a function without arguments that returns the model in eval mode, give module:function"
_WEIGHTS_FIX = (
    "give the model's module:factory with --weights FILE, or the folder with config.json beside the weights"
)
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
_KINDS = {
    ".safetensors": ("a file of weights", "weights are no program", _WEIGHTS_FIX),
    ".h5": ("a Keras file", "hlsgen reads PyTorch models", _FACTORY),
    ".keras": ("a Keras file", "hlsgen reads PyTorch models", _FACTORY),
    ".tflite": ("a TensorFlow Lite file", "hlsgen reads PyTorch models", _FACTORY),
    ".pb": ("a TensorFlow file", "hlsgen reads PyTorch models", _FACTORY),
    ".gguf": ("a file of weights", "weights are no program", f"{_FACTORY}; load them there"),
    ".npz": ("a file of arrays", "arrays are no program", f"{_FACTORY}; load them there"),
    ".npy": ("a file of arrays", "arrays are no program", f"{_FACTORY}; load them there"),
}
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")


def refuse_foreign(path: Path, *, present: bool) -> None:
    """Raise `UsageError` for a path that is known to be no saved export; `present`: whether it is there."""
    if path.suffix in PICKLES:
        refuse_pickle(path)
    if present and path.is_dir():
        raise UsageError(_folder(path), code=Code.MODEL_FILE)
    if present and path.suffix == ".py":
        fix = f"give {path.stem}:FUNCTION, in the folder of {path.name}"
        raise UsageError(
            Problem(f"model must be a function of a module, not the file {path}", fix=fix),
            code=Code.MODEL_FILE,
        )
    if present and path.suffix in _KINDS:
        kind, why, fix = _KINDS[path.suffix]
        raise UsageError(
            Problem(f"model must be a saved export (.pt2), not {kind}: {path}", why=why, fix=fix),
            code=Code.MODEL_FILE,
        )


def refuse_pickle(path: Path) -> NoReturn:
    """Raise the `UsageError` for a file that would have to be unpickled."""
    raise UsageError(
        Problem(
            f"model must not be a pickle: {path}",
            why="unpickling a model runs code from the file",
            fix="save it with torch.export.save as .pt2, or load its weights in a factory (safetensors)",
        ),
        code=Code.MODEL_FILE,
    )


def _folder(path: Path) -> Problem:
    """What a folder is."""
    try:
        weights = any(next(path.glob(pattern), None) for pattern in _WEIGHTS)
        config, manifest = (path / "config.json").is_file(), (path / "manifest.json").is_file()
    except OSError:
        weights = config = manifest = False
    if config and weights:
        return Problem(
            f"the weights in {path} must be safetensors, not pickles",
            why="unpickling a model runs code from the file",
            fix="save them again: model.save_pretrained(FOLDER)",
        )
    if manifest:
        return Problem(
            f"model must be a saved export (.pt2), not a build folder: {path}",
            fix=f"it is compiled already: hlsgen simulate {path}",
        )
    return Problem(f"model must be a saved export (.pt2), not a folder: {path}", fix=_FACTORY)
