# SPDX-License-Identifier: Apache-2.0
"""Names of what a model returns, and the choice among them; what is left to the host."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from frontend.refused import IMAGE, Tiny
from torch import Tensor

from hlsgen.errors import CaptureWarning, UsageError
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inspect import inspect
from hlsgen.frontend.read.archive import load_archive
from hlsgen.frontend.read.leaves import Tree, leaf_names, tree
from hlsgen.ir import Graph

Pair = namedtuple("Pair", "first second")


@dataclass
class Record:
    """A dataclass with a tensor that may be missing."""

    last: Tensor
    missing: Tensor | None = None
    inner: Any = None


torch.export.register_dataclass(Record)


class Returns(Tiny):
    """Returns what `make` makes of the normed tokens and the logits."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, image: Tensor) -> Any:
        x = self.embed(image)
        x = x + self.attend(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.make(self.norm(x), self.head(self.norm(x.mean(1))))


SHAPES = {
    "tensor": (lambda _, y: y, ()),
    "tuple": (lambda x, y: (x, None, y), ("0", "2")),
    "list": (lambda x, y: [y, [x, x]], ("0", "1.0", "1.1")),
    "dictionary": (lambda x, y: {"a b": x, "c/": None, "a_b": y}, ("a_b", "a_b_2")),
    "ordered": (lambda x, y: OrderedDict(z=x, a=y), ("z", "a")),
    "dataclass": (
        lambda x, y: Record(last=x, inner=Record(last=y, inner=(x,))),
        ("last", "inner.last", "inner.inner.0"),
    ),
    "named tuple": (lambda x, y: Pair(first=x, second={"deep": y}), ("first", "second.deep")),
    "logits": (lambda x, y: {"hidden": x, "logits": y}, ()),
    "one of a dictionary": (lambda _, y: {"only": y, "not": None}, ()),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_leaf_has_the_name_of_its_path(name: str) -> None:
    make, names = SHAPES[name]
    graph = capture(Returns(make).eval(), IMAGE)
    assert graph.names == names
    assert len(graph.outputs) == max(1, len(names))


def test_an_export_and_its_file_name_them_alike(tmp_path: Path) -> None:
    for name in ("list", "ordered", "dictionary"):
        model = Returns(SHAPES[name][0]).eval()
        exported = torch.export.export(model, (IMAGE,))
        torch.export.save(exported, tmp_path / "model.pt2")
        archive = load_archive(tmp_path / "model.pt2")
        wanted = str(capture(model, IMAGE))
        assert [str(capture(one)) for one in (exported, archive)] == [wanted] * 2
        assert str(capture(archive, outputs=SHAPES[name][1])) == wanted


def test_keys_of_a_container() -> None:
    assert tree(None, [None, None]) == Tree(("0", "1"), (None, None))
    assert tree(["a", "b"], [None, None]) == Tree(("a", "b"), (None, None))
    assert tree([["a", "b"], []], [None, None]) == Tree(("a", "b"), (None, None))
    assert tree(["a"], [None, None]) == Tree(("0", "1"), (None, None))
    assert tree("ab", [None, None]) == Tree(("0", "1"), (None, None))
    assert leaf_names(None) == ("",)
    assert leaf_names(Tree(("a.b", "é"), (None, None))) == ("a.b", "é")


def chosen(*names: str) -> Graph:
    make = SHAPES["dataclass"][0]
    return capture(Returns(make).eval(), IMAGE, names)


def test_outputs_are_chosen_by_name_and_keep_their_order() -> None:
    assert chosen("inner.last", "last").names == ("last", "inner.last")
    assert chosen("inner").names == ("inner.last", "inner.inner.0")
    assert chosen("last").names == ()
    assert chosen("last", "last").names == ()
    make = SHAPES["logits"][0]
    assert capture(Returns(make).eval(), IMAGE, ["hidden", "logits"]).names == ("hidden", "logits")


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("las", "last", "inner.in")
    (problem,) = caught.value.problems
    assert problem.what == "outputs must be names of what the model returns, not 'las', 'inner.in'"
    assert problem.why == "the names are last, inner.last, inner.inner.0"
    with pytest.raises(UsageError, match="the names are 0"):
        capture(Tiny().eval(), IMAGE, ["x"])
    assert capture(Tiny().eval(), IMAGE, ["0"]).names == ()


def test_nothing_but_none_is_refused() -> None:
    report = inspect(Returns(lambda *_: {"a": None}).eval(), IMAGE)
    assert "the model must return a tensor, not None" in [problem.what for problem in report.problems]


@pytest.mark.parametrize(
    ("words", "make"),
    [
        ("softmax", lambda y: y.softmax(-1)),
        ("log_softmax", lambda y: torch.log_softmax(y, 1)),
        ("argmax", lambda y: y.argmax(-1)),
        ("argmax of softmax", lambda y: y.softmax(dim=-1).argmax(dim=1)),
    ],
)
def test_what_follows_from_the_logits_is_left_to_the_host(words: str, make: Any) -> None:
    model = Returns(lambda _, y: make(y)).eval()
    note = f"{words} is left to the host; the accelerator gives what it is made of"
    with pytest.warns(CaptureWarning, match=f"^output: {note}$"):
        graph = capture(model, IMAGE)
    assert str(graph) == str(capture(Returns(lambda _, y: y).eval(), IMAGE))
    report = inspect(model, IMAGE)
    assert report.notes == (f"output: {note}",)
    assert f"note: output: {note}" in str(report)
    assert report.as_dict()["notes"] == [f"output: {note}"]


def test_a_softmax_over_tokens_stays_refused() -> None:
    report = inspect(Returns(lambda x, _: x.softmax(1)).eval(), IMAGE)
    assert not report.supported
    assert not report.notes
