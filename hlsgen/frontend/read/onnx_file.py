# SPDX-License-Identifier: Apache-2.0
"""An ONNX file, as PyTorch exports it, to `Export`: every node becomes ATen calls, which the rules know.

Nothing of the file is run but ATen operators of `OPERATORS` on its constants.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from hlsgen.errors import HlsgenError, Problem, UnsupportedModel, UsageError
from hlsgen.errors.codes import Code
from hlsgen.frontend.read import onnx_layers, onnx_quantizers, onnx_views
from hlsgen.frontend.read.bounds import Damaged, printable, reason
from hlsgen.frontend.read.export import Export, Input, Opaque, Ref
from hlsgen.frontend.read.leaves import Tree, leaf_names, plain
from hlsgen.frontend.read.onnx_node import OPERATORS, Node
from hlsgen.frontend.read.onnx_program import BEHIND, Program, Unreadable
from hlsgen.frontend.read.onnx_quantizers import INTEGER_ONLY, clipped
from hlsgen.frontend.read.onnx_reference import reference
from hlsgen.frontend.read.onnx_tensor import INTEGERS, bring_in, dtype, tensor
from hlsgen.frontend.read.places import clean, source
from hlsgen.frontend.read.scheme import QONNX, Codes
from hlsgen.ir import Source
from hlsgen.nn import ONNX as MIXTURE

OLDEST, NEWEST = 13, 26
"""Versions of ONNX's operators that the tables know."""
_STANDARD = "", "ai.onnx"
"""Names of ONNX's own set of operators."""
_AGAIN = "export the model again: torch.onnx.export(model, (image,), 'model.onnx', dynamo=True)"
_TABLES = onnx_layers, onnx_quantizers, onnx_views
"""They fill `OPERATORS`."""


def parse(path: Path) -> Any:
    """The ModelProto of a file, its own functions written out; raises what `load_onnx` raises."""
    import onnx  # lazily: an extra
    import onnx.inliner

    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
        return onnx.inliner.inline_local_functions(model) if model.functions else model
    except MemoryError:
        raise
    except Exception as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else reason(error)
        raise UsageError(
            Problem(f"{path} must be an ONNX file", why=why, fix=_AGAIN), code=Code.MODEL_FILE
        ) from error


def load_onnx(path: Path, shape: Sequence[int] | None = None) -> Export:
    """Read an ONNX file.

    Parameters
    ----------
    path
        The file; its weights may lie in files of data beside it.
    shape
        [C, H, W] of an image, for a model whose input sizes are names. A batch axis without a size is 1.

    Raises `UsageError` for a file that is damaged or no ONNX file, `UnsupportedModel` for one that computes
    with integers, and `ImportError` without the package `onnx`.
    """
    model = parse(path)
    try:
        _check(model)
        bring_in(model, path.parent)
        return _Reader(model, path, shape).export()
    except (HlsgenError, MemoryError):
        raise
    except Exception as error:
        why = reason(error) if isinstance(error, Damaged) else clean(f"{type(error).__name__}: {error}")
        raise UsageError(
            Problem(f"{path} is not a complete ONNX file", why=why, fix=_AGAIN), code=Code.MODEL_FILE
        ) from error


def _check(model: Any) -> None:
    """Whether it is a float model of a version that the tables know."""
    versions = [item.version for item in model.opset_import if item.domain in _STANDARD]
    if not model.graph.node or len(versions) != 1:
        raise Damaged("it holds no model")
    if not OLDEST <= versions[0] <= NEWEST:
        what = f"the file's opset must be in {OLDEST}..{NEWEST}, not {versions[0]}"
        raise UsageError(Problem(what, fix="torch.onnx.export(..., opset_version=20)"), code=Code.MODEL_FILE)
    counts = Counter(node.op_type for node in model.graph.node)
    found = [f"{counts[kind]} {kind}" for kind in INTEGER_ONLY if counts[kind]]
    if found:
        what = f"the file must have pairs of quantizers, not operators on integers: {', '.join(found)}"
        why = "their scales belong to the operator, and not to a tensor of the float model"
        fix = "quantize with static scales as QDQ: onnxruntime's quantize_static with QuantFormat.QDQ"
        raise UnsupportedModel(Problem(what, why=why, fix=fix), code=Code.IMPORTED)


class _Reader:
    """Goes through the nodes of one graph, in their order."""

    def __init__(self, model: Any, path: Path, shape: Sequence[int] | None) -> None:
        self._model, self._graph = model, model.graph
        self.program = Program(path.stat().st_size)
        self.values: dict[str, Any] = {}
        self._literals: set[int] = set()
        names = [name for node in self._graph.node for name in node.input]
        self._uses = Counter([*names, *(output.name for output in self._graph.output)])
        for proto in self._graph.initializer:
            value = tensor(proto)
            self.values[proto.name] = self.program.parameter(value, _path(proto.name))
            if proto.data_type in INTEGERS:
                self.program.ranges[id(value)] = INTEGERS[proto.data_type]
            if not _path(proto.name):
                self._literals.add(id(value))
        self.inputs = tuple(
            self._input(item, shape) for item in self._graph.input if item.name not in self.values
        )

    def export(self) -> Export:
        """All calls, and what the calls made of the outputs."""
        for proto in self._graph.node:
            self._node(proto)
        outputs = [self.values.get(item.name) for item in self._graph.output]
        named = tuple(item if isinstance(item, Ref) else Opaque("a constant") for item in outputs)
        calls, constants = tuple(self.program.calls), self.program.constants
        names = leaf_names(Tree(tuple(plain(item.name) for item in self._graph.output), (None,) * len(named)))
        names = names if len(names) > 1 else ("",)
        return Export(self.inputs, constants, calls, named, names=names, reference=reference(self._model))

    def _input(self, item: Any, shape: Sequence[int] | None) -> Input | Opaque:
        kind = item.type.tensor_type
        if item.type.WhichOneof("value") != "tensor_type":
            return Opaque(clean(item.name))
        sizes: list[int | str] = [
            size.dim_value if size.HasField("dim_value") else clean(size.dim_param or "?")
            for size in kind.shape.dim
        ]
        if len(sizes) == 4 and isinstance(sizes[0], str):
            sizes[0] = 1
        if shape is not None and len(sizes) == 4:
            pairs = zip(sizes[1:], shape, strict=True)
            sizes[1:] = [given if isinstance(size, str) else size for size, given in pairs]
        plain = [size for size in sizes if isinstance(size, int)]
        if len(plain) < len(sizes):
            what = f"the file's input must have plain sizes, not {list(sizes)}"
            fix = "--shape CxHxW, for example --shape 3x224x224; or export with one image, no dynamic_shapes"
            raise UsageError(Problem(what, why="hardware has one image size", fix=fix), code=Code.MODEL_FILE)
        self.values[item.name] = self.program.input(item.name, plain, dtype(kind.elem_type))
        return Input(item.name, tuple(sizes), dtype(kind.elem_type))

    def _node(self, proto: Any) -> None:
        place = _source(proto)
        missing = [name for name in proto.input if name and name not in self.values]
        if missing:
            raise Damaged(f"a node reads {printable(missing[0])} before it is computed")
        inputs = tuple(self.values[name] if name else None for name in proto.input)
        outputs = tuple(proto.output)
        if any(map(self.program.unknown, inputs)):
            results: Any = tuple(self._foreign(BEHIND, inputs, name, place) for name in outputs)
        else:
            results = self._results(proto, inputs, place)
        results = results if isinstance(results, tuple) else (results,)
        for name, value in zip(outputs, results, strict=False):
            self.values[name] = value
            # A number among constants is a literal of the code, or was computed from such.
            if isinstance(value, torch.Tensor) and not self.program.path(value):
                self._literals.add(id(self.program.parameter(value, "")))

    def _results(self, proto: Any, inputs: tuple[Any, ...], place: Source) -> Any:
        """What the table makes of a node; a call that no rule knows where there is no entry."""
        kind = f"{clean(proto.domain) or 'onnx'}.{clean(proto.op_type)}"
        try:
            given = {item.name: _attribute(item) for item in proto.attribute}
            if f"{proto.domain}::{proto.op_type}" == MIXTURE:
                return self._mixture(inputs, given, proto.output[0], place)
            name = f"qonnx::{proto.op_type}" if proto.domain in QONNX else proto.op_type
            if proto.domain not in (*_STANDARD, *QONNX) or name not in OPERATORS:
                raise Unreadable("")
            node = Node(
                self.program, proto.op_type, inputs, given, tuple(proto.output), place,
                self._literals, self._lonely(proto),
            )  # fmt: skip
            return self._of_codes(node) if any(map(_is_codes, inputs)) else OPERATORS[name](node)
        except Unreadable as error:
            target = f"{kind} with {error}" if str(error) else kind
            return tuple(self._foreign(target, inputs, name, place) for name in proto.output)

    def _of_codes(self, node: Node) -> Any:
        """What a node makes of a quantizer's integers."""
        codes = node.inputs[0]
        if node.kind == "Clip" and isinstance(codes, Codes):
            return clipped(node, codes)
        if node.kind != "DequantizeLinear":
            raise Unreadable("integers, between QuantizeLinear and DequantizeLinear")
        return OPERATORS[node.kind](node)

    def _lonely(self, proto: Any) -> Callable[[Any], bool]:
        named = {id(self.values[name]): name for name in proto.input if name}
        return lambda value: self._uses[named.get(id(value), "")] == 1

    def _mixture(self, inputs: tuple[Any, ...], given: dict[str, Any], name: str, place: Source) -> Any:
        """The operator that `hlsgen.nn.MoE` is exported as, with its own arguments."""
        options = [given[key] for key in ("k", "convention", "activation")]
        arguments = (*inputs, *[None] * (8 - len(inputs)), *options)
        return self.program.call("hlsgen.moe.default", arguments, {}, name, place)

    def _foreign(self, target: str, inputs: Sequence[Any], name: str, place: Source) -> Ref:
        given = [item.value if isinstance(item, Codes) else item for item in inputs if item is not None]
        if target == BEHIND:
            given = [item for item in given if self.program.unknown(item)][:1]
        return self.program.foreign(target, given, self._declared(name), name, place)

    def _declared(self, name: str) -> tuple[int, ...] | None:
        """The shape of a value as the file states it; ours are inferred, this is for unknown operators."""
        for item in (*self._graph.value_info, *self._graph.output):
            if item.name == name:
                sizes = [size.dim_value for size in item.type.tensor_type.shape.dim]
                return tuple(sizes) if sizes and min(sizes) > 0 else None
        return None


def _is_codes(value: Any) -> bool:
    return isinstance(value, Codes)


def _path(name: str) -> str:
    """The module path of a parameter; none for what the exporter itself named."""
    plain = all(part.isidentifier() or part.isdigit() for part in name.split("."))
    made = name.startswith("val_") and name[4:].isdigit()
    return clean(name) if plain and not made else ""


def _attribute(proto: Any) -> Any:
    """An attribute as plain data or a tensor; `Unreadable` for a graph, and for what is none of both."""
    import onnx

    kinds = onnx.AttributeProto
    if proto.type == kinds.TENSOR:
        if proto.t.data_type in INTEGERS:
            raise Unreadable("integers of 4 bits, or of 16 without a sign, that are no initializer")
        return tensor(proto.t)
    if proto.type == kinds.STRING:
        return proto.s.decode("utf-8", "replace")
    plain = {kinds.FLOAT: "f", kinds.INT: "i"}
    many = {kinds.FLOATS: "floats", kinds.INTS: "ints"}
    if proto.type in plain:
        return getattr(proto, plain[proto.type])
    if proto.type in many:
        return list(getattr(proto, many[proto.type]))
    raise Unreadable(f"the attribute {clean(proto.name)}")


def _source(proto: Any) -> Source:
    """Module path and line of a node, as far as the exporter wrote them."""
    notes = {item.key: item.value for item in proto.metadata_props}
    scopes = notes.get("pkg.torch.onnx.name_scopes", "")
    trace = notes.get("pkg.torch.onnx.stack_trace")
    return source(_scope(scopes) if scopes else _named(proto.name), trace)


def _scope(text: str) -> str:
    """The module path among scopes: from the model down to the module, then the operator."""
    try:
        scopes = ast.literal_eval(text[:10_000])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ""
    plain = isinstance(scopes, list) and len(scopes) > 1 and isinstance(scopes[-2], str)
    return scopes[-2] if plain else ""


def _named(name: str) -> str:
    """The module path in a node's name, as the older exporter writes it: /blocks.0/attn/MatMul."""
    path = ""
    for part in name.strip("/").split("/")[:-1] if name.startswith("/") else []:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path
