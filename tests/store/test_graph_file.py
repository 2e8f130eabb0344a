# SPDX-License-Identifier: Apache-2.0
"""Graphs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, Vit, images, integer_vit

from hlsgen.errors import UsageError
from hlsgen.ir import evaluate
from hlsgen.ops import IntegerLinear
from hlsgen.store import graph_file


def _write(directory: Path, shape: Vit) -> None:
    for name, data in graph_file.save(integer_vit(shape)).items():
        (directory / name).write_bytes(data)


@pytest.mark.parametrize("shape", [DIGITS, AWKWARD], ids=["digits", "awkward"])
def test_a_loaded_graph_is_the_same_graph(tmp_path: Path, shape: Vit) -> None:
    graph = integer_vit(shape)
    _write(tmp_path, shape)
    loaded = graph_file.load(tmp_path)
    assert str(loaded) == str(graph)
    assert graph_file.save(loaded) == graph_file.save(graph)
    assert graph_file.digest(loaded) == graph_file.digest(graph)
    value = images(shape, 3)
    expected, got = evaluate(graph, value), evaluate(loaded, value)
    assert list(got) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name])


def test_another_weight_gives_another_digest() -> None:
    graph = integer_vit(DIGITS)
    before = graph_file.digest(graph)
    graph.node("head").op.bias[3] += 1  # type: ignore[attr-defined]
    assert graph_file.digest(graph) != before


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"graph\.json can't be read\n  why: No such file"):
        graph_file.load(tmp_path)
    _write(tmp_path, DIGITS)
    path = tmp_path / "graph.json"
    text = path.read_text()
    path.write_text(text.replace("hlsgen graph 2", "hlsgen graph 9"))
    with pytest.raises(UsageError, match=r"graph\.json must be of format 'hlsgen graph 2', not"):
        graph_file.load(tmp_path)
    path.write_text(text.replace('"op": "IntegerAdd"', '"op": "Popen"'))
    with pytest.raises(UsageError, match="node b0_add1: unknown op 'Popen'"):
        graph_file.load(tmp_path)
    path.write_text(text.replace('"prefix": 1', '"prefix": 2'))
    with pytest.raises(
        UsageError, match=r"graph\.json must be an integer graph\n  why: %patches: type must be"
    ):
        graph_file.load(tmp_path)
    path.write_text(text)
    arrays = tmp_path / "graph.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"graph\.safetensors must be a safetensors file\n  why: "):
        graph_file.load(tmp_path)


def test_weights_in_fewer_bits_are_written_as_the_integers_they_mean() -> None:
    """A graph's bytes, so its digest, do not tell in how many bits an op keeps its weights."""
    graph = integer_vit(DIGITS)
    assert graph.node("head").op.weight.dtype == np.int8  # type: ignore[attr-defined]
    before = graph_file.digest(graph)
    for node in graph:
        if isinstance(node.op, IntegerLinear):
            object.__setattr__(node.op, "weight", node.op.weight.astype(np.int64))
    assert graph_file.digest(graph) == before
