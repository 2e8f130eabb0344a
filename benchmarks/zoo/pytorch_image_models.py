# SPDX-License-Identifier: Apache-2.0
"""Every class of timm's registry, with small arguments.

timm imports torchvision and Pillow for its image transforms. No model needs them, so stand-ins take their
places where they are not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import torch

from benchmarks.zoo.entry import PATIENCE, Entry, Made, NotHere, seeded
from benchmarks.zoo.shrink import shrunk

SIZES = (32, 64, 224)
_STAND_INS = (
    "PIL",
    "torchvision",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.datasets",
)


class _Names(type):
    """A class that has every name, each again such a class; models make none of them."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {"__init__": lambda *_, **__: None})

    def __or__(cls, _: Any) -> Any:
        return cls

    __ror__ = __or__


class _StandIn(ModuleType):
    """A module that has every name."""

    __version__ = "0.0.0"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        return getattr(_Names("StandIn", (), {}), name)


def library() -> Any:
    """timm, or None where it is not installed."""
    if importlib.util.find_spec("timm") is None:
        return None
    missing = {name for name in ("PIL", "torchvision") if importlib.util.find_spec(name) is None}
    stand_ins = {name: _StandIn(name) for name in _STAND_INS if name.partition(".")[0] in missing}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("timm")
    finally:
        for name in stand_ins:
            del sys.modules[name]  # nobody else shall take them for the real ones


class _Seen(Exception):
    """A function of the registry got as far as its class and arguments."""

    def __init__(self, made: Any, arguments: dict[str, Any]) -> None:
        super().__init__(made)
        self.made, self.arguments = made, arguments


def _stop(made: Any, _: Any, __: Any, **arguments: Any) -> None:
    raise _Seen(made, arguments)


def entries() -> Iterator[Entry]:
    """One entry for each class, and for each set of arguments that no other name of the class has."""
    timm = library()
    if timm is None:
        return
    registry = importlib.import_module("timm.models._registry")
    known: set[tuple[str, tuple[str, ...]]] = set()
    for name in sorted(registry._model_entrypoints):
        function: Callable[..., Any] = registry._model_entrypoints[name]
        seen = _seen(function)
        if seen is None:
            continue
        key = (seen.made.__name__, tuple(sorted(set(seen.arguments) - _SILENT)))
        if key not in known:
            known.add(key)
            yield Entry("timm", f"{seen.made.__name__}:{name}", partial(_make, seen))


_SILENT = {
    "pretrained_filter_fn", "pretrained_strict", "feature_cfg", "kwargs_filter", "pretrained_cfg",
    "pretrained_cfg_overlay", "img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio",
    "embed_dims", "depths", "num_classes", "drop_path_rate", "window_size", "in_chans", "norm_layer",
}  # fmt: skip
"""Arguments that say nothing of the architecture."""


def _seen(function: Callable[..., Any]) -> _Seen | None:
    """The class and the arguments that a function of the registry would build."""
    home = sys.modules[function.__module__]
    before = getattr(home, "build_model_with_cfg", None)
    if before is None:
        return None
    setattr(home, "build_model_with_cfg", _stop)  # noqa: B010 - a name of another library
    try:
        function(pretrained=False)
    except _Seen as seen:
        return seen
    except Exception:  # noqa: BLE001 - some functions need what is not installed
        return None
    finally:
        setattr(home, "build_model_with_cfg", before)  # noqa: B010
    return None


def _make(seen: _Seen) -> Made:
    """The first small form of the class that runs."""
    reasons: list[str] = []
    start = time.monotonic()
    for size in SIZES:
        try:
            model = seeded(seen.made(**_arguments(seen, size)))
            example = torch.zeros(1, 3, size, size)
            with torch.no_grad():
                model(example)
            return model, example
        except Exception as error:  # noqa: BLE001 - any class may refuse its arguments in its own way
            reasons.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        if time.monotonic() - start > PATIENCE:
            break
    raise NotHere(reasons[0])


def _arguments(seen: _Seen, size: int) -> dict[str, Any]:
    """The class's own defaults and the registry's arguments, small."""
    accepted = _parameters(seen.made)
    given = {name: value for name, value in seen.arguments.items() if name in accepted}
    defaults = {
        name: item.default
        for name, item in accepted.items()
        if item.default is not item.empty and name not in given
    }
    fixed = {"img_size": size, "patch_size": 8 if size < 224 else 16, "window_size": 4, "img_dim": size}
    small = shrunk({**defaults, **given}, **{name: v for name, v in fixed.items() if name in accepted})
    if is_dataclass(config := small.get("cfg")):
        small["cfg"] = replace(config, **shrunk(vars(config), **fixed))  # type: ignore[arg-type]
    return {name: value for name, value in small.items() if name in given or value != defaults[name]}


def _parameters(made: Any) -> dict[str, inspect.Parameter]:
    """What a class takes, and what its bases take where it hands all on to them."""
    found: dict[str, inspect.Parameter] = {}
    for base in made.__mro__:
        if "__init__" in vars(base):
            items = inspect.signature(base.__init__).parameters
            found = {**items, **found}
            if all(item.kind is not item.VAR_POSITIONAL for item in items.values()):
                break
    return found
