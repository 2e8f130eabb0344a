# SPDX-License-Identifier: Apache-2.0
"""`torch.export.ExportedProgram` to `Export`."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.fx import Node, proxy

from hlsgen.frontend.read.export import GETITEM, Call, Constant, Export, Input, Opaque, Ref
from hlsgen.frontend.read.leaves import NONE, Tree, leaf_names, tree
from hlsgen.frontend.read.places import is_library, source


class _UserFrames(set[tuple[str, str]]):
    """Contains every function that is not torch's own."""

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, tuple) and not is_library(frame[0])


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Settings for `torch.export.export` that show a model as it is written.

    No gradients (`torch.no_grad()` in forward would wrap its body), no fused fast path of
    `nn.MultiheadAttention`, stack traces with helper functions and not only frames called `forward`, no
    warnings, logs or messages (failures become problems).
    """
    fastpath = torch.backends.mha.get_fastpath_enabled()
    disabled = logging.root.manager.disable
    anchors = getattr(proxy, "_STACK_TRACE_ANCHORS", None)
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        if anchors is not None:
            setattr(proxy, "_STACK_TRACE_ANCHORS", _UserFrames())  # noqa: B010 - private to torch
        logging.disable(logging.CRITICAL)
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if anchors is not None:
            setattr(proxy, "_STACK_TRACE_ANCHORS", anchors)  # noqa: B010 - private to torch
        torch.backends.mha.set_fastpath_enabled(fastpath)


_PLAIN = (bool, int, float, str, torch.dtype, torch.device, torch.layout, torch.memory_format)


def argument(value: Any) -> Any:
    """One fx argument as plain data."""
    if isinstance(value, Node):
        return Opaque("a part of the program") if value.op == "get_attr" else Ref(value.name)
    if isinstance(value, list | tuple):
        return type(value)(argument(item) for item in value)
    if value is None or isinstance(value, _PLAIN):
        return value
    return Opaque(type(value).__name__)


def _target(node: Node) -> str:
    name = getattr(node.target, "__name__", "")
    return GETITEM if name == "getitem" else str(node.target)


def _shape(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, torch.Tensor) or any(isinstance(size, torch.SymInt) for size in value.shape):
        return None
    return tuple(int(size) for size in value.shape)


def _call(node: Node) -> Call:
    modules = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    return Call(
        node.name,
        _target(node),
        tuple(argument(item) for item in node.args),
        {key: argument(item) for key, item in node.kwargs.items()},
        source(modules[-1] if modules else "", node.meta.get("stack_trace")),
        _shape(node.meta.get("val")),
    )


_WRAPPERS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def _calls(node: Node) -> list[Call]:
    """The call of a node; of a part of the program under a setting without effect, its own calls."""
    if node.op != "call_function":
        return []
    part = next((item for item in node.args if isinstance(item, Node) and item.op == "get_attr"), None)
    module = getattr(node.graph.owning_module, str(part.target), None) if part is not None else None
    if module is None or getattr(node.target, "__name__", "") not in _WRAPPERS or not _idle(node):
        return [_call(node)]
    given = node.args[node.args.index(part) + 1 :]
    inner = [item for item in module.graph.nodes if item.op == "placeholder"]
    names = {item.name: argument(value) for item, value in zip(inner, given, strict=True)}
    calls = []
    for item in module.graph.nodes:
        for call in _calls(item):
            names[call.name] = Ref(f"{node.name}.{call.name}")
            args, kwargs = _renamed(call.args, names), _renamed(call.kwargs, names)
            calls.append(dataclasses.replace(call, name=names[call.name].name, args=args, kwargs=kwargs))
    (output,) = (item for item in module.graph.nodes if item.op == "output")
    results = _renamed(argument(output.args[0]), names)
    return [*calls, Call(node.name, GETITEM, ((results,), 0), {}, _call(node).source, None)]


def _idle(node: Node) -> bool:
    """Whether the setting changes nothing: gradients, or autocast that is off."""
    return str(node.args[0]) in ("True", "False") or False in node.args[:4]


def _renamed(value: Any, names: dict[str, Any]) -> Any:
    if isinstance(value, Ref):
        return names.get(value.name, value)
    if isinstance(value, list | tuple):
        return type(value)(_renamed(item, names) for item in value)
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    return value


def _input(node: Node | None, name: str) -> Input | Opaque:
    value = node.meta.get("val") if node is not None else None
    if not isinstance(value, torch.Tensor):
        return Opaque(f"{name}: {type(value).__name__}")
    shape = tuple(int(size) if isinstance(size, int) else str(size) for size in value.shape)
    return Input(name, shape, value.dtype)


def from_exported(exported: ExportedProgram) -> Export:
    """Read an export; nothing is run."""
    nodes = {node.name: node for node in exported.graph.nodes}
    tensors: dict[str, Any] = {**exported.state_dict, **exported.constants}
    inputs: list[Input | Opaque] = []
    constants: dict[str, Constant] = {}
    for spec in exported.graph_signature.input_specs:
        name = spec.arg.name
        if spec.kind is InputKind.USER_INPUT:
            inputs.append(_input(nodes.get(name), name))
        elif spec.target is not None and isinstance(tensors.get(spec.target), torch.Tensor):
            constants[name] = Constant(tensors[spec.target].detach(), spec.target)
    outputs: list[Ref | Opaque] = []
    mutations: list[str] = []
    for spec in exported.graph_signature.output_specs:
        if spec.kind is not OutputKind.USER_OUTPUT:
            mutations.append(spec.target or spec.arg.name)
        elif isinstance(spec.arg, TensorArgument):
            outputs.append(Ref(spec.arg.name))
        elif isinstance(spec.arg, ConstantArgument):
            outputs.append(NONE)  # a number or a text is the same for every image
        else:
            outputs.append(Opaque(type(spec.arg).__name__))
    calls = tuple(call for node in exported.graph.nodes for call in _calls(node))
    names = leaf_names(tree_of(exported.call_spec.out_spec))
    return Export(tuple(inputs), constants, calls, tuple(outputs), tuple(mutations), names)


def tree_of(spec: Any) -> Tree | None:
    """What the model returns, from PyTorch's description; None for a tensor alone."""
    if spec is None or spec.is_leaf():
        return None
    return tree(spec.context, [tree_of(child) for child in spec.children()])
