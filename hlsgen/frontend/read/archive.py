# SPDX-License-Identifier: Apache-2.0
"""A saved `torch.export` archive (.pt2) to `Export`, reading JSON and raw tensors only.

`torch.export.load` unpickles parts of the archive without restriction and evaluates its symbolic expressions;
neither happens here. What needs a pickle (custom objects, tensor subclasses) is refused by name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from hlsgen.errors import HlsgenError, Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.frontend.read.bounds import MOST_ELEMENTS, Damaged, Members, allowance, reason, strict_json
from hlsgen.frontend.read.export import GETITEM, Call, Constant, Export, Input, Opaque, Ref
from hlsgen.frontend.read.foreign import refuse_pickle
from hlsgen.frontend.read.leaves import NONE, Tree, leaf_names, tree
from hlsgen.frontend.read.places import clean, source

SCHEMA = 8
_AGAIN = "export the model again with this version of torch: torch.export.save(exported, path)"
_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_PLAIN = ("as_int", "as_ints", "as_string", "as_strings", "as_bool", "as_bools", "as_int_lists")


def load_archive(path: Path) -> Export:
    """Read an archive; raise `UsageError` when it is not one, or holds pickles.

    What is allocated is bounded by the file's size.
    """
    try:
        members = Members(path)
    except (Damaged, OSError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise UsageError(
            Problem(f"{path} must be a torch.export archive", why=why, fix=_AGAIN), code=Code.MODEL_FILE
        ) from error
    try:
        with members:
            if any(name.endswith("/data.pkl") for name in members.names):
                refuse_pickle(path)
            return _read(members)
    except HlsgenError:
        raise
    except Exception as error:
        why = reason(error) if isinstance(error, Damaged) else clean(f"{type(error).__name__}: {error}")
        problem = Problem(f"{path} is not a complete torch.export archive", why=why, fix=_AGAIN)
        raise UsageError(problem, code=Code.MODEL_FILE) from error


def _read(members: Members) -> Export:
    if members.compressed():
        raise Damaged("the archive is compressed")
    names = members.names
    models = [name for name in names if "/models/" in name and name.endswith(".json")]
    if len(models) != 1:
        raise Damaged(f"the archive must hold one model, not {len(models)}")
    root, _, model = models[0].partition("models/")
    model = model.removesuffix(".json")
    document = strict_json(members.read(models[0]))
    version = document["schema_version"]["major"]
    if version != SCHEMA:
        what = f"the archive's schema must be version {SCHEMA}, not {shown(version)}"
        raise UsageError(Problem(what, fix=_AGAIN), code=Code.MODEL_FILE)
    stored = _Stored(members)
    tensors: dict[str, torch.Tensor] = {}
    for kind in ("weights", "constants"):
        config = f"{root}data/{kind}/{model}_{kind}_config.json"
        if config not in names:
            raise UsageError(
                Problem(f"the archive holds its {kind} in an old format", fix=_AGAIN), code=Code.MODEL_FILE
            )
        for name, item in strict_json(members.read(config))["config"].items():
            tensors[name] = stored.tensor(f"{root}data/{kind}/", name, item)
    return _from_module(document["graph_module"], tensors)


class _Stored:
    """Tensors of an archive. Those that share bytes there share them here."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._data: dict[str, bytearray] = {}
        self._left = self._most = allowance(members.size)

    def tensor(self, folder: str, name: str, item: dict[str, Any]) -> torch.Tensor:
        """What one entry of a config describes."""
        meta = item["tensor_meta"]
        if item["use_pickle"] or meta is None:
            raise UsageError(
                Problem(
                    f"{clean(name)} must be stored as a plain tensor, not as a pickle",
                    why="unpickling runs code from the file",
                    fix="export a model whose weights and constants are plain tensors",
                ),
                code=Code.MODEL_FILE,
            )
        place = folder + item["path_name"]
        if place not in self._data:
            self._data[place] = bytearray(self._members.read(place))
        data, dtype = self._data[place], _dtype(meta["dtype"])
        sizes, strides = ([int(size["as_int"]) for size in meta[key]] for key in ("sizes", "strides"))
        offset = int(meta["storage_offset"]["as_int"])
        elements = len(data) // dtype.itemsize
        if min([*sizes, *strides, offset, 0]) < 0:
            raise Damaged(f"{name}: negative sizes")
        if math.prod(sizes) == 0:
            if math.prod(size or 1 for size in sizes) > MOST_ELEMENTS:
                raise Damaged(f"{name}: sizes out of proportion")
            return torch.zeros(sizes, dtype=dtype)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if last >= elements:
            raise Damaged(f"{name}: {elements} elements stored, element {last} needed")
        # Strides of zero make much of little: what all tensors are when they are copied is bounded.
        self._left -= math.prod(sizes) * dtype.itemsize
        if self._left < 0:
            raise Damaged(f"its tensors must take at most {self._most} bytes together, {name} is too large")
        return torch.as_strided(torch.frombuffer(data, dtype=dtype, count=elements), sizes, strides, offset)


def _dtype(number: int) -> torch.dtype:
    if number not in _DTYPES:
        raise Damaged(f"type {shown(number)} is not supported")
    return _DTYPES[number]


def _from_module(module: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Export:
    graph, signature = module["graph"], module["signature"]
    inputs: list[Input | Opaque] = []
    constants: dict[str, Constant] = {}
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            inputs.append(_input(graph, content["arg"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            path = content[f"{kind}_name"]
            constants[content["arg"]["name"]] = Constant(tensors[path], path)
        else:
            inputs.append(Opaque(kind))
    outputs: list[Ref | Opaque] = []
    mutations: list[str] = []
    for spec in signature["output_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_output":
            result = _argument(content["arg"])
            fixed = result is None or isinstance(result, bool | int | float | str)
            other = NONE if fixed else Opaque(type(result).__name__)
            outputs.append(result if isinstance(result, Ref) else other)
        else:
            mutations.append(clean(str(content["arg"]["name"])))
    shapes = {name: _shape(meta["sizes"]) for name, meta in graph["tensor_values"].items()}
    calls = tuple(call for node in graph["nodes"] for call in _calls(node, shapes))
    return Export(tuple(inputs), constants, calls, tuple(outputs), tuple(mutations), _names(module))


def _names(module: dict[str, Any]) -> tuple[str, ...]:
    """The outputs' names; what the forward pass returned is described as JSON within the JSON."""
    (whole,) = (entry for entry in module["module_call_graph"] if entry["fqn"] == "")
    _, spec = strict_json(whole["signature"]["out_spec"].encode())
    return leaf_names(_tree(spec))


def _tree(spec: dict[str, Any]) -> Tree | None:
    if not spec["type"]:
        return None
    context = None if spec["context"] is None else strict_json(spec["context"].encode())
    return tree(context, [_tree(child) for child in spec["children_spec"]])


def _input(graph: dict[str, Any], argument: dict[str, Any]) -> Input | Opaque:
    if "as_tensor" not in argument:
        return Opaque(next(iter(argument)))
    name = argument["as_tensor"]["name"]
    meta = graph["tensor_values"][name]
    _shape(meta["sizes"])
    return Input(name, tuple(_size(size) for size in meta["sizes"]), _dtype(meta["dtype"]))


def _size(size: dict[str, Any]) -> int | str:
    return int(size["as_int"]) if "as_int" in size else clean(size["as_expr"]["expr_str"])


def _shape(sizes: list[dict[str, Any]]) -> tuple[int, ...] | None:
    """A static shape; `Damaged` for one that is no tensor's, or larger than any that is read."""
    if not all("as_int" in size for size in sizes):
        return None
    shape = tuple(int(size["as_int"]) for size in sizes)
    if min(shape, default=0) < 0 or math.prod(size or 1 for size in shape) > MOST_ELEMENTS:
        raise Damaged(f"a tensor must have 0..{MOST_ELEMENTS} elements, not {shown(list(shape))}")
    return shape


def _calls(node: dict[str, Any], shapes: dict[str, tuple[int, ...] | None]) -> list[Call]:
    """The call of a node and one `getitem` for each of several results."""
    target = clean(node["target"]).removeprefix("torch.ops.").removeprefix("higher_order.")
    args = tuple(_argument(item["arg"]) for item in node["inputs"] if item.get("kind") != 2)
    kwargs = {item["name"]: _argument(item["arg"]) for item in node["inputs"] if item.get("kind") == 2}
    metadata = node["metadata"]
    module = metadata.get("nn_module_stack", "").rpartition(";")[2].split(",")
    place = source(module[1] if len(module) > 1 else "", metadata.get("stack_trace"))
    results = [_argument(item) for item in node["outputs"]]
    if len(results) == 1 and isinstance(results[0], Ref):
        return [Call(results[0].name, target, args, kwargs, place, shapes.get(results[0].name))]
    parts = results[0] if len(results) == 1 and isinstance(results[0], list) else results
    name = f"{clean(str(node.get('name')))}*"
    calls = [Call(name, target, args, kwargs, place, None)]
    for index, part in enumerate(parts):
        if isinstance(part, Ref):
            calls.append(Call(part.name, GETITEM, (Ref(name), index), {}, place, shapes.get(part.name)))
    return calls


def _argument(argument: dict[str, Any]) -> Any:
    """One serialized argument as plain data; what is not plain becomes `Opaque`."""
    ((kind, value),) = argument.items()
    if kind in _PLAIN:
        return value
    simple = {
        "as_none": lambda: None,
        "as_tensor": lambda: Ref(_name(value)),
        "as_tensors": lambda: [Ref(_name(item)) for item in value],
        "as_optional_tensor": lambda: _argument(value),
        "as_optional_tensors": lambda: [_argument(item) for item in value],
        "as_float": lambda: float(value),
        "as_floats": lambda: [float(item) for item in value],
        "as_sym_int": lambda: _symbol(value),
        "as_sym_ints": lambda: [_symbol(item) for item in value],
        "as_scalar_type": lambda: _dtype(value),
        "as_memory_format": lambda: _FORMATS[value],
        "as_layout": lambda: torch.strided,
        "as_device": lambda: torch.device("cpu"),
    }
    return simple[kind]() if kind in simple else Opaque(clean(kind))


def _name(value: dict[str, Any], key: str = "name") -> str:
    """The name of a value of the program."""
    if not isinstance(value[key], str):
        raise Damaged(f"a name must be text, not {shown(value[key])}")
    return value[key]


def _symbol(value: dict[str, Any]) -> Any:
    return value["as_int"] if "as_int" in value else Ref(_name(value, "as_name"))
