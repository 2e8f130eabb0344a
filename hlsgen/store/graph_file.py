# SPDX-License-Identifier: Apache-2.0
"""Graphs on disk: `graph.json` with the nodes, `graph.safetensors` with the arrays; no pickle anywhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen import ops
from hlsgen.errors import HlsgenError, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import REGISTRY, Graph, Node, Op, Source, TensorType, View
from hlsgen.store.read import DAMAGE, damaged, parse_document, read_bytes

FORMAT = "hlsgen graph 2"
FILES = ("graph.json", "graph.safetensors")
_WIDTHS = (np.int8, np.int16, np.int32)


def save(graph: Graph) -> dict[str, bytes]:
    """The two files by name; equal graphs give equal bytes."""
    from safetensors.numpy import save as save_arrays

    arrays: dict[str, np.ndarray] = {}
    document = {
        "format": FORMAT,
        "input": {"name": graph.input, "type": _type(graph.input_type)},
        "outputs": graph.outputs,
        **({"names": graph.names} if graph.names else {}),
        **({"views": [view and dataclasses.asdict(view) for view in graph.views]} if graph.views else {}),
        "nodes": [_node(node, arrays) for node in graph],
    }
    text = json.dumps(document, indent=1, ensure_ascii=True) + "\n"
    return dict(zip(FILES, (text.encode(), save_arrays(arrays)), strict=True))


def load(directory: Path) -> Graph:
    """The graph that `save` wrote into `directory`; raises `UsageError` when a file is missing or damaged."""
    return parse(directory, {name: read_bytes(directory / name) for name in FILES})


def parse(directory: Path, files: Mapping[str, bytes]) -> Graph:
    """The graph of the two files, which lie in `directory`; raises `UsageError` when one is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays

    path = directory / FILES[0]
    document = parse_document(path, files[FILES[0]], FORMAT, {"input": dict, "nodes": list, "outputs": list})
    try:
        arrays = load_arrays(files[FILES[1]])
    except (*DAMAGE, SafetensorError) as error:
        raise damaged(directory / FILES[1], "a safetensors file", error) from None
    try:
        nodes = tuple(_read_node(item, arrays) for item in document["nodes"])
        source = document["input"]
        return Graph(
            source["name"],
            TensorType(**_tuples(source["type"])),
            nodes,
            tuple(document["outputs"]),
            _names(document.get("names", [])),
            _views(document.get("views", [])),
        ).verify()
    except (*DAMAGE, HlsgenError) as error:
        raise damaged(path, "an integer graph", error) from None


def digest(graph: Graph) -> str:
    """SHA-256 of what `save` writes, in hexadecimal."""
    return digest_of(save(graph))


def digest_of(files: Mapping[str, bytes]) -> str:
    """The same, of the two files."""
    total = hashlib.sha256()
    for name in FILES:
        total.update(files[name])
    return total.hexdigest()


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UsageError("names must be a list of texts", code=Code.DAMAGED)
    return tuple(value)


def _views(value: Any) -> tuple[View | None, ...]:
    if not isinstance(value, list):
        raise UsageError("views must be a list", code=Code.DAMAGED)
    return tuple(None if item is None else View(**_tuples(item)) for item in value)


def _type(value: TensorType) -> dict[str, Any]:
    return dataclasses.asdict(value)


def _node(node: Node, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    fields = {}
    for item in dataclasses.fields(node.op):  # type: ignore[arg-type]
        value = getattr(node.op, item.name)
        if isinstance(value, np.ndarray):
            key = f"{node.name}.{item.name}"
            arrays[key] = np.ascontiguousarray(_narrow(value))
            # An op may hold integers in fewer bits; their meaning is int64's.
            value = {"array": key, "dtype": "int64" if value.dtype.kind == "i" else str(value.dtype)}
        elif isinstance(value, np.generic):
            value = value.item()
        if value is not None:  # an option that is not used, which older graphs do not know
            fields[item.name] = value
    return {
        "name": node.name,
        "op": type(node.op).__name__,
        "fields": fields,
        "inputs": node.inputs,
        "type": _type(node.type),
        "source": dataclasses.asdict(node.source),
    }


def _narrow(array: np.ndarray) -> np.ndarray:
    """Integers in the narrowest signed type that holds them; everything else unchanged."""
    if array.dtype.kind != "i" or not array.size:
        return array
    low, high = array.min(), array.max()
    for width in _WIDTHS:
        limits = np.iinfo(width)
        if limits.min <= low and high <= limits.max:
            return array.astype(width)
    return array


def _read_node(item: dict[str, Any], arrays: dict[str, np.ndarray]) -> Node:
    if item["op"] not in ops.__all__ or item["op"] not in REGISTRY:
        raise UsageError(f"node {item['name']}: unknown op {item['op']!r}", code=Code.DAMAGED)
    kind = REGISTRY[item["op"]]
    fields = {}
    for name, value in item["fields"].items():
        if isinstance(value, dict):
            value = arrays[value["array"]].astype(np.dtype(value["dtype"]))
        elif isinstance(value, list):
            value = tuple(value)
        fields[name] = value
    operation: Op = kind(**fields)
    return Node(
        item["name"],
        operation,
        tuple(item["inputs"]),
        TensorType(**_tuples(item["type"])),
        Source(**item["source"]),
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
