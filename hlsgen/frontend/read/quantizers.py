# SPDX-License-Identifier: Apache-2.0
"""An export with quantizers -> the float export without them, and the quantizers.

Those of torch.export are calls of `quantized_decomposed`, as PT2E writes them, or of the fake quantizers that
models are trained with. Those of ONNX files are `QUANTIZER` calls already.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from hlsgen.errors import Problem
from hlsgen.errors.codes import Code
from hlsgen.frontend.read.export import Call, Constant, Export, Ref, uses
from hlsgen.frontend.read.places import clean
from hlsgen.frontend.read.scheme import QUANTIZER, Codes, Scheme

_DECOMPOSED = "quantized_decomposed"
_FAKE = ("aten.fake_quantize_per_tensor_affine", "aten.fake_quantize_per_channel_affine")
_MALFORMED = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What arguments of a file raise that are no quantizer's."""
_FIX = (
    "quantize again: static scales, symmetric int8, one scale for each tensor or output channel of a weight"
)


@dataclass(frozen=True)
class Found:
    """A quantizer of the value `of` of the float export; `name` is what its result was called."""

    of: str
    name: str
    where: str
    scheme: Scheme


@dataclass(frozen=True)
class Stripped:
    """The float export, the quantizers of what is computed from the image, and what can't be held."""

    export: Export
    found: tuple[Found, ...] = ()
    problems: tuple[Problem, ...] = ()
    weights: int = 0
    """Constants that were stored as integers, or quantized."""

    @property
    def quantized(self) -> bool:
        """Whether the model had quantizers."""
        return bool(self.found or self.problems or self.weights)


def stripped(export: Export) -> Stripped:
    """Take the quantizers out; an export without any is the same object."""
    if not any(_is_quantizer(call.target) for call in export.calls):
        return Stripped(export)
    return _Stripper(export).run()


def _is_quantizer(target: str) -> bool:
    return target == QUANTIZER or target.startswith((f"{_DECOMPOSED}.", *_FAKE))


class _Stripper:
    """Goes through the calls once."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.constants = dict(export.constants)
        self.names: dict[str, str] = {}
        """A quantizer's result -> the value that it had."""
        self.codes: dict[str, Codes] = {}
        self.calls: list[Call] = []
        self.found: list[Found] = []
        self.problems: list[Problem] = []
        self.weights: set[str] = set()

    def run(self) -> Stripped:
        for call in self.export.calls:
            if _is_quantizer(call.target):
                try:
                    self._quantizer(call)
                except _MALFORMED as error:
                    self._refuse(call, clean(f"its arguments can't be read: {error}".partition("\n")[0]))
                continue
            integers = [name for name in uses(call) if name in self.codes]
            if integers:
                self._refuse(call, f"{clean(call.target)} reads a quantizer's integers, not its reals")
            self.calls.append(
                dataclasses.replace(call, args=self._own(call.args), kwargs=self._own(call.kwargs))
            )
        read = {name for call in self.calls for name in uses(call)}
        outputs = tuple(self._own(item) for item in self.export.outputs)
        read |= {item.name for item in outputs if isinstance(item, Ref)}
        constants = {name: item for name, item in self.constants.items() if name in read}
        export = dataclasses.replace(
            self.export, calls=tuple(self.calls), constants=constants, outputs=outputs, reference=None
        )
        return Stripped(export, tuple(self.found), tuple(self.problems), len(self.weights & read))

    def _own(self, argument: Any) -> Any:
        """An argument without references to quantizers."""
        if isinstance(argument, Ref):
            name = argument.name
            if name in self.codes and isinstance(self.codes[name].value, Ref):
                return self.codes[name].value
            return Ref(self.names.get(name, name))
        if isinstance(argument, list | tuple):
            return type(argument)(self._own(item) for item in argument)
        if isinstance(argument, dict):
            return {key: self._own(item) for key, item in argument.items()}
        return argument

    def _quantizer(self, call: Call) -> None:
        kind = call.target.split(".")[1]
        if call.target == QUANTIZER:
            self._both(call, self._own(call.args[0]), call.args[1])
        elif call.target.startswith(_FAKE):
            self._both(call, self._own(call.args[0]), self._fake(call))
        elif kind in ("quantize_per_tensor", "quantize_per_channel"):
            self.codes[call.name] = Codes(self._own(call.args[0]), self._scheme(call))
        elif kind in ("dequantize_per_tensor", "dequantize_per_channel"):
            self._second(call)
        else:
            self._refuse(call, f"{clean(call.target)} has no fixed scales")

    def _second(self, call: Call) -> None:
        """The second half: of a quantizer, or of integers that are stored."""
        name, scheme = call.args[0].name, self._scheme(call)
        if name in self.codes:
            mine = self.codes[name]
            if (mine.scheme.low, mine.scheme.high) != (scheme.low, scheme.high) or not torch.equal(
                mine.scheme.scale, scheme.scale
            ):
                scheme = dataclasses.replace(scheme, unfit="its two halves differ")
            self._both(call, mine.value, scheme)
        elif name in self.constants:
            item = self.constants[name]
            self._constant(call, Constant(scheme.reals(item.tensor), item.path))
        else:
            self._refuse(call, "it reads integers that no quantizer makes")

    def _both(self, call: Call, value: Any, scheme: Scheme) -> None:
        """A quantizer of a value."""
        item = self.constants.get(value.name) if isinstance(value, Ref) else None
        if item is not None:
            self._constant(call, Constant(scheme.reals(scheme.integers(item.tensor)), item.path))
            return
        self.names[call.name] = value.name
        unfit = scheme.whole()
        if unfit:
            self._refuse(call, unfit)
        else:
            place = str(call.source) or clean(call.name)
            self.found.append(Found(value.name, call.name, place, scheme))

    def _constant(self, call: Call, made: Constant) -> None:
        self.constants[call.name] = made
        self.weights.add(call.name)

    def _scheme(self, call: Call) -> Scheme:
        """Of `quantized_decomposed`: scale, zero point, (axis,) lowest and highest integer, type."""
        channels = "per_channel" in call.target
        scale, zero, *rest = (self._number(item) for item in call.args[1:])
        axis = int(rest.pop(0)) if channels else None
        low, high = (int(item) for item in rest[:2])
        return Scheme(scale, zero, low, high, axis)

    def _fake(self, call: Call) -> Scheme:
        channels = "per_channel" in call.target
        scale, zero, *rest = (self._number(item) for item in call.args[1:])
        axis = int(rest.pop(0)) if channels else None
        return Scheme(scale, zero, int(rest[0]), int(rest[1]), axis)

    def _number(self, argument: Any) -> Any:
        """A scale or zero point as a tensor; other numbers as they are."""
        if isinstance(argument, Ref):
            item = self.constants.get(argument.name)
            return UNKNOWN if item is None else item.tensor.reshape(-1)
        plain = isinstance(argument, int | float)
        return torch.tensor([argument], dtype=torch.float64) if plain else argument

    def _refuse(self, call: Call, why: str) -> None:
        name = clean(call.name)
        what = f"the quantizer {name} can't be held"
        self.problems.append(
            Problem(what, where=str(call.source), why=why, fix=_FIX, code=Code.IMPORTED, name="quantizer")
        )


UNKNOWN = torch.tensor([float("nan")])
"""A scale that is computed from the image."""
