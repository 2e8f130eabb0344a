# SPDX-License-Identifier: Apache-2.0
"""Read an `Export` call by call: every value becomes ids into terms, every problem is kept."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from hlsgen.errors import Problem, TypeMismatch
from hlsgen.frontend import rules
from hlsgen.frontend.read.export import GETITEM, Call, Export, Input, Opaque, Ref, uses
from hlsgen.frontend.read.leaves import by_task
from hlsgen.frontend.read.places import clean, identifier
from hlsgen.frontend.rules.canonical import order
from hlsgen.frontend.rules.dense_experts import OPERATOR
from hlsgen.frontend.rules.drained import Drained, Leaf, inside
from hlsgen.frontend.rules.inplace import constant_writes, overwritten
from hlsgen.frontend.rules.rule import REWRITES, RULES, CallSite
from hlsgen.frontend.rules.terms import Refusal, Task, Term, Terms, Unknown, Value
from hlsgen.frontend.rules.tokens import settle
from hlsgen.frontend.rules.views import FOLDABLE, SAME, VIEWS, fold
from hlsgen.ir import Source, TensorType
from hlsgen.ops import Choose, Route, Scores, Softmax

for _module in pkgutil.iter_modules(rules.__path__):
    importlib.import_module(f"{rules.__name__}.{_module.name}")  # each registers its rules

MAPPED, FOLDED, UNUSED, REFUSED, BLOCKED = "mapped", "folded", "unused", "refused", "blocked"
"""What became of a call: a node of the graph, folded away, unused, a problem, or behind a problem."""

_CHECKS = ("aten._assert_tensor_metadata.default", "aten._assert_async.msg")
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
_THREE_WAYS = (
    "for a loop over experts: use hlsgen.nn.MoE; or register your module with hlsgen.nn.register; "
    "or run every expert on every token, times a gate that is zero where it was not chosen: topk of the "
    "router's softmax, scatter into zeros, einsum with stacked weights"
)
_FIXES = {
    "aten.batch_norm.default": "use LayerNorm, or fold the batch norm into the convolution before it",
    "aten.silu.default": "supported activations: gelu (exact and tanh), relu",
    "aten.tanh.default": "supported activations: gelu (exact and tanh), relu",
    "aten.sigmoid.default": "supported activations: gelu (exact and tanh), relu",
    "aten.einsum.default": "write the product with matmul or scaled_dot_product_attention",
    **dict.fromkeys(_SPARSE, _THREE_WAYS),
    "aten.item.default": "compute it outside the model: hardware runs one fixed program",
    "wrap_with_set_grad_enabled": "remove torch.no_grad() from the model's forward",
    "wrap_with_autocast": "remove autocast from the model's forward",
    "cond": "use torch.where, or decide outside the model: hardware runs one fixed program",
}
_POISON = object()


@dataclass
class Reading:
    """What became of every call, the output's term and all problems."""

    status: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    outputs: tuple[Term, ...] = ()
    """Those of a run, task by task; empty while any of them has a problem."""
    names: tuple[str, ...] = ()
    """Of a run's outputs, where there are several."""
    free: tuple[str, ...] = ()
    """Names of outputs behind which nothing is refused, where others have problems."""
    order: tuple[Term, ...] = ()
    """The outputs by the place of what they show in the model."""


def unsupported(target: str) -> Refusal:
    """The refusal of an operator without a rule."""
    why = "hlsgen has no rule that turns it into a step of the machine"
    return Refusal(f"{target} is not supported", why=why, fix=_FIXES.get(target, ""), intrinsic=True)


def known(target: str) -> bool:
    """Whether there is a rule for an operator, at least on constants."""
    return target in RULES or target in FOLDABLE or target in _CHECKS or target == GETITEM


def live(export: Export) -> set[str]:
    """Names of the values that the outputs may depend on."""
    needed = {item.name for item in export.outputs if isinstance(item, Ref)} | constant_writes(export)
    for call in reversed(export.calls):
        if call.name in needed:
            needed.update(uses(call))
    return needed


class Reader:
    """Runs over one export; the input has been checked to be one static [1, C, H, W] float tensor."""

    def __init__(self, export: Export, image: Input) -> None:
        """Set up the environment with the image and all constants."""
        self.reading, self.terms = Reading(), Terms()
        self._refused_outputs: list[tuple[str, str, Refusal]] = []
        for rewrite in REWRITES:
            export = rewrite(export)
        self.export = export
        shape = tuple(int(size) for size in image.shape)
        self.image = self.terms.new(None, (), "image", Source(), TensorType(shape[1:]))
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
        self._finish()
        return self.reading

    def _refuse(self, call: Call, refusal: Refusal) -> None:
        self._block(call)
        self.reading.status[call.name] = REFUSED
        self.reading.problems.append(
            Problem(refusal.what, where=str(call.source), why=refusal.why, fix=refusal.fix)
        )

    def _block(self, call: Call) -> None:
        """Go on with an unknown value where the shape is known, so that later problems show too."""
        unknown = None if call.shape is None else self.terms.value(self.terms.unknown(call.shape))
        self.values[call.name] = unknown or _POISON
        self.reading.status[call.name] = BLOCKED

    def _read(self, call: Call) -> None:
        if not known(call.target):
            self._refuse(call, unsupported(call.target))
        elif any(self.values.get(name) is _POISON for name in uses(call)):
            self._block(call)
        else:
            self._try(call)

    def _try(self, call: Call) -> None:
        made = len(self.terms.made)
        arguments = [self.values.get(name) for name in uses(call)]
        behind = any(isinstance(x, Value) and isinstance(x.term.op, Unknown) for x in arguments)
        try:
            self.values[call.name] = self._apply(call)
        except Refusal as refusal:
            if behind and not refusal.intrinsic:
                self._block(call)
            else:
                self._refuse(call, refusal)
        except TypeMismatch as error:
            self._refuse(call, Refusal(f"{call.target}: {error}"))
        except _MALFORMED as error:
            why = clean(f"{type(error).__name__}: {error}")
            self._refuse(call, Refusal(f"{call.target} can't be read with these arguments", why=why))
        else:
            grew = len(self.terms.made) > made and call.target not in VIEWS and call.target not in SAME
            self.reading.status[call.name] = MAPPED if grew else FOLDED

    def _apply(self, call: Call) -> Any:
        args = tuple(self._resolve(item) for item in call.args)
        kwargs = {key: self._resolve(item) for key, item in call.kwargs.items()}
        if call.target == GETITEM:
            return args[0][args[1]]
        if call.target in _CHECKS:
            return None
        if call.target != OPERATOR and any(isinstance(x, Task) for x in (*args, *kwargs.values())):
            raise Refusal(
                "the task is used outside a mixture of experts",
                why="the machine chooses routers and outputs by the task, nothing else",
                fix="pass it to hlsgen.nn.MoE as it is, and return the outputs of all tasks, in order",
                intrinsic=True,
            )
        if not _has_value((*args, *kwargs.values())):
            if call.target not in FOLDABLE:
                raise unsupported(call.target)
            return fold(call.target, args, kwargs)
        if call.target not in RULES:
            raise unsupported(call.target)
        function, at = RULES[call.target], CallSite(call, self.terms, self.image, self.export.constants)
        try:
            bound = inspect.signature(function).bind(at, *args, **kwargs)
        except TypeError as error:
            what = f"{call.target} has an argument that hlsgen doesn't know"
            raise Refusal(what, why=str(error)) from error
        return function(*bound.args, **bound.kwargs)

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

    def _finish(self) -> None:
        names, parts = by_task(self.export)
        found = [
            self._output(path, item)
            for path, item in zip(self.export.names, self.export.outputs, strict=True)
        ]
        choices = {len(term.inputs) for term in self.terms.made if isinstance(term.op, Choose)}
        tasks = max(choices, default=parts)
        if parts == 1:
            found, parts = found * tasks, tasks
        if len(choices) > 1 or parts != tasks:
            self.reading.problems.append(
                Problem(
                    f"the model must return an output for each task: {tasks}, not {parts}",
                    why=f"its experts have routers for {', '.join(map(str, sorted(choices)))} tasks",
                    fix="return a tuple with one tensor for each router, or one for all",
                )
            )
        leaves = [leaf for leaf in found if leaf is not None]
        drained = Drained(self.terms, leaves)
        made = [leaf and self._drained(drained, leaf) for leaf in found]
        self._list_refused(names)
        free = {leaf.name for leaf, term in zip(found, made, strict=True) if leaf and term and _is_free(term)}
        if len(free) < len(self.export.names):
            self.reading.free = tuple(name for name in self.export.names if name in free)
        outputs = [term for term in made if term is not None]
        if len(outputs) == len(found):
            early = sorted(zip(leaves, outputs, strict=True), key=lambda pair: pair[0].term.serial)
            self.reading.outputs = tuple(outputs)
            self.reading.names = names if names != ("",) else ()
            self.reading.order = tuple(term for _, term in early) if self.reading.names else ()

    def _drained(self, drained: Drained, leaf: Leaf) -> Term | None:
        """What the machine drains for an output; None: a problem was listed."""
        try:
            return drained.producer(leaf)
        except Refusal as refusal:
            self._refuse_output(leaf.name, str(leaf.term.source), refusal)
            return None

    def _refuse_output(self, path: str, where: str, refusal: Refusal) -> None:
        self._refused_outputs.append((path, where, refusal))

    def _list_refused(self, names: Sequence[str]) -> None:
        """The problems of outputs themselves; where there are others, leaving them out is a way."""
        refused = {path for path, _, _ in self._refused_outputs}
        others = [path for path in self.export.names if path not in refused] if len(names) > 1 else []
        for path, where, refusal in self._refused_outputs:
            fix = refusal.fix or (f"leave it out: --outputs {','.join(others)}" if others else "")
            what = f"output {path}: {refusal.what}" if len(names) > 1 else refusal.what
            self.reading.problems.append(Problem(what, where=where, why=refusal.why, fix=fix))

    def _output(self, path: str, output: Ref | Opaque) -> Leaf | None:
        if isinstance(output, Opaque):
            what = f"an output must be a tensor, not {output.text}"
            self._refuse_output(path, "", Refusal(what))
            return None
        value = self.values.get(output.name, _POISON)
        if value is _POISON:
            return None
        try:
            if not isinstance(value, Value):
                raise Refusal("the output must depend on the input")
            if isinstance(value.term.op, Scores | Softmax | Route):
                raise inside(value.term)
            if not value.shape or not value.ids.numel():
                raise Refusal(f"an output must be a tensor of tokens, not of shape {list(value.shape)}")
            return Leaf(
                path, settle(self.terms, value, identifier(path) if len(self.export.names) > 1 else "output")
            )
        except Refusal as refusal:
            where = next((str(call.source) for call in self.export.calls if Ref(call.name) == output), "")
            self._refuse_output(path, where, refusal)
            return None


def _is_free(term: Term) -> bool:
    """Whether nothing that a term is made of was refused."""
    return not any(isinstance(before.op, Unknown) for before in order(term))


def _has_value(arguments: Sequence[Any]) -> bool:
    for item in arguments:
        if isinstance(item, Value) or (isinstance(item, list | tuple) and _has_value(item)):
            return True
    return False


def merged(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """One problem for equal findings at one source line; `where` then lists the modules."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for problem in problems:
        module, _, line = problem.where.rpartition(" at ")
        key = (problem.what, line if module else problem.where, problem.why, problem.fix)
        groups.setdefault(key, []).append(module)
    return tuple(
        Problem(what, where=_places([module for module in modules if module], line), why=why, fix=fix)
        for (what, line, why, fix), modules in groups.items()
    )


def _places(modules: Sequence[str], line: str) -> str:
    return f"{listed(modules)} at {line}" if modules else line


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names and how many more there are."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return ", ".join(unique[:most]) + (f" and {rest} more" if rest > 0 else "")


def weight_problems(tensors: Mapping[str, torch.Tensor]) -> tuple[Problem, ...]:
    """Problems of weights: types other than float32, NaN, infinity."""
    found: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        if tensor.dtype is not torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            found.setdefault(f"weights must be float32, not {kind}", []).append(name)
        # A sum is finite only where all items are, and quick; that of huge items may overflow all the same.
        if bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all()):
            continue
        if bool(torch.isnan(tensor).any()):
            found.setdefault("weights must be finite, not NaN", []).append(name)
        if bool(torch.isinf(tensor).any()):
            found.setdefault("weights must be finite, not infinite", []).append(name)
    fix = "convert the model first: model.float()"
    return tuple(
        Problem(what, where=listed(names), fix=fix if "float32" in what else "")
        for what, names in found.items()
    )
