# SPDX-License-Identifier: Apache-2.0
"""The zoo: small sizes, children that crash or hang, counts."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pytest
import torch
from support.variants import HEADS, WIDTH, Tiny
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.zoo import children, judge, read, removal, table
from benchmarks.zoo.entry import Entry, NotHere, seeded
from benchmarks.zoo.pytorch_image_models import _parameters
from benchmarks.zoo.shrink import shrunk
from benchmarks.zoo.spellings import entries
from hlsgen.frontend import capture
from hlsgen.frontend.rules.interpret import Reader


def test_sizes_become_small_and_the_rest_stays() -> None:
    big = {
        "hidden_size": 768,
        "depths": (2, 2, 6, 2),
        "embed_dims": [64, 128],
        "qkv_bias": True,
        "patch_size": 16,
    }
    assert shrunk(big, patch_size=8, other=1) == {
        "hidden_size": 32,
        "depths": (1, 1, 1, 1),
        "embed_dims": [16, 32],
        "qkv_bias": True,
        "patch_size": 8,
    }
    perceiver = {"d_latents": 1280, "num_latents": 256, "num_self_attends_per_block": 26}
    assert shrunk(perceiver) == {"d_latents": 32, "num_latents": 8, "num_self_attends_per_block": 2}


class Base:
    def __init__(self, width: int = 768, *, act: str = "gelu") -> None: ...


class Handing(Base):
    def __init__(self, *args: Any, tokens: int = 2, **kwargs: Any) -> None: ...


class Closed(Base):
    def __init__(self, tokens: int = 2, **kwargs: Any) -> None: ...


def test_arguments_that_a_class_hands_on_become_small_too() -> None:
    assert {"width", "act", "tokens"} <= set(_parameters(Handing))
    assert "width" not in _parameters(Closed)


def test_each_end_of_a_child_has_a_name() -> None:
    def work(entry: Entry) -> dict[str, Any]:
        if entry.name == "hang":
            time.sleep(60)
        if entry.name == "crash":
            os._exit(7)
        return {"kind": judge.ACCEPTED, "ratio": 1 / len(entry.name)}

    names = ["hang", "crash", "", "fine"]
    found = {
        entry.name: result
        for entry, result in children.run([Entry("none", name, lambda: ()) for name in names], work, 4, 1)  # type: ignore[arg-type]
    }
    assert {name: result["kind"] for name, result in found.items()} == {
        "hang": "hang",
        "crash": "crash",
        "": "traceback",
        "fine": "accepted",
    }
    assert found["crash"]["reason"] == "exit code 7"
    assert found[""]["reason"] == "ZeroDivisionError: division by zero"
    assert sorted(line.partition(":")[0] for line in table.bad(found)) == ["crash", "hang", "traceback"]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    entry = next(entry for entry in entries() if entry.name == "sdpa")
    return read.exported(entry)


def test_an_accepted_model_is_compared(found: dict[str, Any]) -> None:
    result = judge.judged(found)
    assert result["kind"] == "accepted"
    assert 0 < result["error"] < 1e-5


def test_a_wrong_acceptance_is_found(found: dict[str, Any]) -> None:
    results = [[leaf + 1e-3 * np.abs(leaf).max() for leaf in leaves] for leaves in found["results"]]
    assert judge.judged(found | {"results": results})["kind"] == "wrong"


def test_an_export_of_another_model_is_refused() -> None:
    """Not wrong: the Graph is right, and the front end's comparison tells that the export is not."""

    class Lost(Tiny):
        def mlp(self, x: Tensor) -> Tensor:
            return super().mlp(x) if torch.compiler.is_exporting() else 2 * super().mlp(x)

    made = read.exported(Entry("spellings", "lost", lambda: (seeded(Lost()), torch.zeros(1, 2, 4, 6))))
    result = judge.judged(made)
    assert result["kind"] == "refused"
    assert [one["name"] for one in result["problems"]] == ["export of another model"]
    assert judge.judged({key: made[key] for key in made if key != "told"})["kind"] == "wrong"


class Turned(Tiny):
    """A product over the tokens before each one, which is multiplied by a factor of each token."""

    def attend(self, x: Tensor) -> Tensor:
        before = super().attend(x).cumprod(1)
        return before * x.mean(-1, keepdim=True)  # a line of its own: problems are told apart by lines


def test_a_list_of_problems_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is listed is replaced by what the machine could give, and nothing new appears."""
    export = capture.examine(seeded(Turned()), torch.zeros(1, 2, 4, 6)).export
    assert export is not None
    assert len(capture.examine(export).problems) == 2
    assert removal.missed(export) == []
    # A reader that says nothing of what lies behind a refused call leaves problems out.
    monkeypatch.setattr(Reader, "_verdict", lambda *_: None)
    assert removal.missed(export)


class Pooled(Tiny):
    """Attention in one window, [1, heads, windows, tokens, channels], of pooled queries, as in Hiera."""

    def pool(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm(x)[:, 1:]).reshape(1, 6, 1, 3, HEADS, -1).permute(3, 0, 4, 2, 1, 5)
        query, key, value = parts.unbind(0)
        query = query.reshape(1, HEADS, 1, 2, 3, -1).amax(3)
        y = scaled_dot_product_attention(query, key, value)
        return self.head(self.proj(y.transpose(1, 3).reshape(1, 3, WIDTH)).mean(1))


def test_what_is_pooled_by_head_is_mended_by_head() -> None:
    export = capture.examine(seeded(Pooled()), torch.zeros(1, 2, 4, 6)).export
    assert export is not None
    problems = capture.examine(export).problems
    assert "amax" in problems[0].what
    assert removal.missed(export) == []


class TurnedEarly(Tiny):
    """Rotary positions on [1, tokens, heads, channels], before the heads come first, as in MLCD."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).reshape(1, x.shape[1], HEADS, -1) for layer in self.layers)
        angle = torch.arange(x.shape[1], dtype=x.dtype).reshape(1, -1, 1, 1)
        q, k = (y * angle.cos() + y.flip(-1) * angle.sin() for y in (q, k))
        y = scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.proj(y.transpose(1, 2).reshape(1, x.shape[1], WIDTH))


class Convolved(Tiny):
    """A convolution of tokens between an activation and a batch norm, as in EfficientFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.after = torch.nn.BatchNorm2d(WIDTH)

    def mlp(self, x: Tensor) -> Tensor:
        grid = torch.nn.functional.gelu(self.proj(x)[:, 1:]).transpose(1, 2).reshape(1, WIDTH, 2, 3)
        grid = self.conv(grid)
        grid = torch.nn.functional.relu(self.after(grid))  # a line of its own
        return x + grid.flatten(2).mean(2)[:, None]


@pytest.mark.parametrize("model", [TurnedEarly, Convolved])
def test_what_is_mended_lies_as_the_call_s_result_does(model: type[Tiny]) -> None:
    export = capture.examine(seeded(model()), torch.zeros(1, 2, 4, 6)).export
    assert export is not None
    assert capture.examine(export).problems
    assert removal.missed(export) == []


def test_the_lines_of_a_problem() -> None:
    assert removal._lines("a.b, c at d/e.py:3, 5, f.py:7 and 2 more") == {"d/e.py:3", "d/e.py:5", "f.py:7"}
    assert removal._lines("") == set()


def test_what_is_no_attention_model_does_not_count() -> None:
    def absent() -> Any:
        raise NotHere("needs a text")

    convolution = torch.nn.Conv2d(1, 1, 1).eval()
    results = {
        "a": judge.judged(read.exported(Entry("none", "a", absent))),
        "b": judge.judged(read.exported(Entry("none", "b", lambda: (convolution, torch.zeros(1, 1, 2, 2))))),
        "c": {"kind": "refused", "problems": [{"what": "w", "where": "m at f.py:3", "why": "", "fix": ""}]},
    }
    assert [result["kind"] for result in results.values()] == ["absent", "without attention", "refused"]
    assert results["a"]["reason"] == "needs a text"
    text = table.summary(results)
    assert text.startswith("attention models: 1\nnot counted: 1 without attention, 1 ")
    assert "with a fix: 0 of 1 (0.0%)" in text
    assert "with a place: 1 of 1 (100.0%)" in text
    assert table.causes(results) == [("w", 1)]
