# SPDX-License-Identifier: Apache-2.0
"""Read an `Export` call by call: every value becomes ids into terms, every problem is kept."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from hlsgen.errors import Problem, TypeMismatch
from hlsgen.frontend import rules
from hlsgen.frontend.read.export import GETITEM, Call, Export, Input, Opaque, Ref, uses
from hlsgen.frontend.read.places import clean
from hlsgen.frontend.rules.architecture import named
from hlsgen.frontend.rules.constants import fold, foldable, functional, is_check
from hlsgen.frontend.rules.decompose import decomposable, parts
from hlsgen.frontend.rules.dense_experts import OPERATOR
from hlsgen.frontend.rules.dispatch import Picked
from hlsgen.frontend.rules.inplace import constant_writes, overwritten
from hlsgen.frontend.rules.results import POISON, Reading, Results
from hlsgen.frontend.rules.routing import THREE_WAYS
from hlsgen.frontend.rules.rule import REWRITES, RULES, CallSite
from hlsgen.frontend.rules.site import Neighbours, Site
from hlsgen.frontend.rules.terms import Refusal, Task, Terms, Value
from hlsgen.frontend.rules.unknowns import choices, is_unknown
from hlsgen.frontend.rules.unknowns import result as unknown
from hlsgen.frontend.rules.views import SAME, VIEWS
from hlsgen.ir import Source, TensorType

for _module in pkgutil.iter_modules(rules.__path__):
    importlib.import_module(f"{rules.__name__}.{_module.name}")  # each registers its rules

MAPPED, FOLDED, UNUSED, REFUSED, BLOCKED = "mapped", "folded", "unused", "refused", "blocked"
"""What became of a call: a node of the graph, folded away, unused, a problem, or behind a problem."""

_MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
_SPARSE = tuple(
    f"aten.{name}.default"
    for name in ("nonzero", "nonzero_numpy", "index_add", "index_add_", "index_put", "index_put_", "topk")
)
_FIXES = {
    **dict.fromkeys(_SPARSE, THREE_WAYS),
    "aten.item.default": "compute it outside the model: hardware runs one fixed program",
    "wrap_with_set_grad_enabled": "remove torch.no_grad() from the model's forward",
    "wrap_with_autocast": "remove autocast from the model's forward",
    "cond": "use torch.where, or decide outside the model: hardware runs one fixed program",
}
_NUMBERS = ("aten.item.default", "aten._local_scalar_dense.default")
_CHOICES = ("aten.topk.default", "aten.max.dim", "aten.argmax.default", "aten.sort.default")


def unsupported(target: str) -> Refusal:
    """The refusal of an operator without a rule."""
    why = "hlsgen has no rule that turns it into a step of the machine"
    return Refusal(f"{target} is not supported", why=why, fix=_FIXES.get(target, ""), intrinsic=True)


def known(target: str) -> bool:
    """Whether there is a rule for an operator, or for what torch defines it by."""
    if target in RULES or functional(target) in RULES or is_check(target) or target == GETITEM:
        return True
    return decomposable(functional(target))


def live(export: Export) -> set[str]:
    """Names of the values that the outputs may depend on.

    A number taken out of a tensor counts: what a model made of it in Python is no call.
    """
    needed = {item.name for item in export.outputs if isinstance(item, Ref)} | constant_writes(export)
    needed |= {call.name for call in export.calls if call.target in _NUMBERS}
    for call in reversed(export.calls):
        if call.name in needed:
            needed.update(uses(call))
    return needed


class Reader:
    """Runs over one export; the input has been checked to be one static [1, C, H, W] float tensor."""

    def __init__(self, export: Export, image: Input) -> None:
        """Set up the environment with the image and all constants."""
        self.reading, self.terms = Reading(), Terms()
        for rewrite in REWRITES:
            export = rewrite(export)
        self.export, self.neighbours = export, Neighbours(export)
        shape = tuple(int(size) for size in image.shape)
        self.image = self.terms.new(None, (), "image", Source(), TensorType(shape[1:]))
        self.routed = any(call.target in _CHOICES for call in export.calls)
        self.values: dict[str, Any] = {name: item.tensor for name, item in export.constants.items()}
        self.values[image.name] = self.terms.value(self.image, shape)
        for item in export.inputs[1:]:
            if isinstance(item, Input):
                self.values[item.name] = Task()

    def run(self) -> Reading:
        """Read all calls that matter, then the output."""
        needed, written = live(self.export), overwritten(self.export)
        for call in self.export.calls:
            if call.name in written:
                self._refuse(call, written[call.name])
            elif call.name not in needed:
                self.reading.status[call.name] = UNUSED
            else:
                self._read(call)
        Results(self.export, self.terms, self.values, self.neighbours).finish(self.reading)
        return self.reading

    def _refuse(self, call: Call, refusal: Refusal) -> None:
        self.reading.problems.append(
            named(Site(call, refusal.what, self.neighbours, dict(self.values)), refusal)
        )
        self._block(call)
        if refusal.instead is not None:
            self.values[call.name] = refusal.instead
        self.reading.status[call.name] = REFUSED

    def _block(self, call: Call) -> None:
        """Go on with an unknown value where the shape is known, so that later problems show too."""
        arguments = [self.values.get(name) for name in uses(call)]
        known = call.shape is not None
        self.values[call.name] = unknown(self.terms, call.shape or (), arguments) if known else POISON
        self.reading.status[call.name] = BLOCKED

    def _verdict(self, call: Call) -> Refusal | None:
        """Why a call can't be read whatever stands in for the results of refused calls; None if it can."""
        unknowns = {name: self.values[name] for name in uses(call) if is_unknown(self.values.get(name))}
        found: Refusal | None = None
        before = len(self.terms.made)
        for chosen in choices(self.terms, self.image, unknowns):
            mark = before, self.terms.mark()[1]  # stand-ins serve the next trial too
            self.values.update(chosen)
            try:
                self._apply(call)
            except Refusal as refusal:
                found = found or refusal
            except (TypeMismatch, *_MALFORMED) as error:
                found = found or Refusal(f"{call.target} can't be read here", why=clean(str(error)))
            else:
                return None
            finally:
                self.values.update(unknowns)
                self.terms.forget(mark)  # nothing of it is the model's
        return found

    def _read(self, call: Call) -> None:
        given = [self.values.get(name) for name in uses(call)]
        fixed = not any(item is POISON for item in given) and not _has_value(given)
        if not known(call.target) and not (fixed and foldable(call.target)):
            self._refuse(call, unsupported(call.target))
        elif any(self.values.get(name) is POISON for name in uses(call)):
            self._block(call)
        else:
            self._try(call)

    def _try(self, call: Call) -> None:
        made = len(self.terms.made)
        behind = any(is_unknown(self.values.get(name)) for name in uses(call))
        try:
            self.values[call.name] = self._apply(call)
        except Refusal as refusal:
            self._judge(call, refusal, behind=behind)
        except TypeMismatch as error:
            self._judge(call, Refusal(f"{call.target}: {error}"), behind=behind)
        except _MALFORMED as error:
            why = clean(f"{type(error).__name__}: {error}")
            refusal = Refusal(f"{call.target} can't be read with these arguments", why=why)
            self._judge(call, refusal, behind=behind)
        else:
            moves = call.target in VIEWS or call.target in SAME or call.target == GETITEM
            verdict = self._verdict(call) if behind and not moves else None
            if verdict is not None:
                self._refuse(call, verdict)
                return
            grew = len(self.terms.made) > made and call.target not in VIEWS and call.target not in SAME
            self.reading.status[call.name] = MAPPED if grew else FOLDED

    def _judge(self, call: Call, refusal: Refusal, *, behind: bool) -> None:
        """A problem, unless it may only follow from another."""
        verdict = self._verdict(call) if behind and not refusal.intrinsic else refusal
        if verdict is None:
            self._block(call)
        else:
            self._refuse(call, verdict)

    def _apply(self, call: Call) -> Any:
        args = tuple(self._resolve(item) for item in call.args)
        kwargs = {key: self._resolve(item) for key, item in call.kwargs.items()}
        if call.target == GETITEM:
            return args[0][args[1]]
        if is_check(call.target):
            return None
        if call.target != OPERATOR and any(isinstance(x, Task) for x in (*args, *kwargs.values())):
            raise Refusal(
                "the task is used outside a mixture of experts",
                why="the machine chooses routers and outputs by the task, nothing else",
                fix="pass it to hlsgen.nn.MoE as it is, and return the outputs of all tasks, in order",
                intrinsic=True,
            )
        args, kwargs = known_values(args), known_values(kwargs)
        if not _has_value((*args, *kwargs.values())):
            if not foldable(call.target):
                raise unsupported(call.target)
            return fold(call.target, args, kwargs)
        target = call.target if call.target in RULES else functional(call.target)
        if target not in RULES:
            return self._parts(dataclasses.replace(call, target=target), args, kwargs)
        function = RULES[target]
        site = dataclasses.replace(call, target=target)
        at = CallSite(site, self.terms, self.image, self.export.constants, self.routed)
        try:
            bound = inspect.signature(function).bind(at, *args, **kwargs)
        except TypeError as error:
            what = f"{call.target} has an argument that hlsgen doesn't know"
            raise Refusal(what, why=str(error)) from error
        return function(*bound.args, **bound.kwargs)

    def _parts(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the smaller operators give that torch defines an operator by."""
        calls, values = parts(call, args, kwargs)
        if not calls or not all(known(part.target) for part in calls):
            raise unsupported(call.target)
        self.values.update(values)
        for part in calls:
            self.values[part.name] = self._apply(part)
        return self.values[call.name]

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, Ref):
            if argument.name not in self.values:
                raise Refusal(f"{clean(argument.name)} has no value", intrinsic=True)
            return self.values[argument.name]
        if isinstance(argument, Opaque):
            raise Refusal(f"an argument must be a tensor or a number, not {argument.text}", intrinsic=True)
        if isinstance(argument, list | tuple):
            return type(argument)(self._resolve(item) for item in argument)
        return argument


def known_values(arguments: Any) -> Any:
    """Arguments with every value of which no element is computed as a constant.

    Such constants are float64, and so is every other one beside them.
    """
    leaves, spec = tree_flatten(arguments)
    found = [_constant(x) if isinstance(x, Value) and _is_fixed(x) else x for x in leaves]
    if any(isinstance(x, torch.Tensor) and x.dtype is torch.float64 for x in found):
        found = [x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in found]
    return tree_unflatten(found, spec)


def _is_fixed(value: Value) -> bool:
    return bool(value.ids.numel()) and int(value.ids.max()) < 0


def _constant(value: Value) -> torch.Tensor:
    """The elements of a value that are constants alone."""
    zeros = torch.zeros(value.shape, dtype=torch.float64)
    return zeros if value.offset is None else value.offset.clone()


def _has_value(arguments: Sequence[Any]) -> bool:
    for item in arguments:
        if isinstance(item, Value | Picked) or (isinstance(item, list | tuple) and _has_value(item)):
            return True
    return False


def merged(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """One problem for equal findings at one line, and for those of the same modules at several lines.

    `where` then lists modules and lines. Equal findings of one architecture are one wherever they are.
    """
    by_line: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for problem in problems:
        module, _, line = problem.where.rpartition(" at ")
        same = problem.name or problem.what
        key = (same, line, problem.why, problem.fix, problem.name, problem.code)
        by_line.setdefault(key, []).append((problem.what, module))
    alike: dict[tuple[Any, ...], list[tuple[list[str], str]]] = {}
    for (_, line, why, fix, name, code), found in by_line.items():
        modules = [module for _, module in found if module]
        apart = () if name else (listed(modules), "" if modules else line)
        whats = listed([what for what, _ in found], most=2, between="; ")
        alike.setdefault((whats, why, fix, name, code, *apart), []).append((modules, line))
    return tuple(
        Problem(
            key[0],
            _places([m for modules, _ in found for m in modules], [line for _, line in found]),
            why=key[1],
            fix=key[2],
            name=key[3],
            code=key[4],
        )
        for key, found in alike.items()
    )


def _places(modules: Sequence[str], lines: Sequence[str]) -> str:
    """Modules and lines; of several lines of one file, the file once."""
    lines = list(dict.fromkeys(lines))
    file = lines[0].rpartition(":")[0]
    same = [line.rpartition(":")[2] for line in lines[1:] if line.rpartition(":")[0] == file]
    text = listed([lines[0], *same] if len(same) == len(lines) - 1 else lines)
    return f"{listed(modules)} at {text}" if modules else text


def listed(names: Sequence[str], most: int = 4, between: str = ", ") -> str:
    """The first names and how many more there are."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return between.join(unique[:most]) + (f" and {rest} more" if rest > 0 else "")


_WEIGHTS = "load weights of a model that gives numbers; half precision overflows beyond 65504"


def weight_problems(tensors: Mapping[str, torch.Tensor]) -> tuple[Problem, ...]:
    """Problems of weights: complex numbers, NaN, infinity.

    Zeros and minus infinity are a mask. An infinite number alone fills a mask, or bounds nothing.
    """
    found: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.is_complex():
            kind = str(tensor.dtype).removeprefix("torch.")
            found.setdefault(f"weights must be real, not {kind}", []).append(name)
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        # A sum is finite only where all items are, and quick; that of huge items may overflow all the same.
        if bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all()):
            continue
        hides = bool(((tensor == 0) | tensor.isneginf()).all()) and bool((tensor == 0).any())
        if hides or (tensor.dim() == 0 and bool(tensor.isinf())):
            continue
        if bool(torch.isnan(tensor).any()):
            found.setdefault("weights must be finite, not NaN", []).append(name)
        if bool(torch.isinf(tensor).any()):
            found.setdefault("weights must be finite, not infinite", []).append(name)
    return tuple(Problem(what, where=listed(names), fix=_WEIGHTS) for what, names in found.items())


def converted_weights(types: Mapping[str, torch.dtype]) -> str:
    """A note on weights of other types than float32, which are converted; empty: there are none."""
    other = [name for name, kind in types.items() if kind.is_floating_point and kind is not torch.float32]
    kinds = {str(types[name]).removeprefix("torch.") for name in other}
    return (
        f"weights are converted to float32 from {', '.join(sorted(kinds))}: {listed(other)}" if other else ""
    )
