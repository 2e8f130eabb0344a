# SPDX-License-Identifier: Apache-2.0
"""`Design.evaluate` beside PyTorch's own logits, and what it warns of and refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support.folders import held, verilog

import hlsgen
from hlsgen.display.share import Share
from hlsgen.emit.contents import save
from hlsgen.errors import CalibrationError, Mismatch, UsageError
from hlsgen.examples.digits.data import calibration, heldout
from hlsgen.examples.digits.model import digits
from hlsgen.examples.digits.moe import digits_moe
from hlsgen.executors.processes import Processes
from hlsgen.ir import Graph
from hlsgen.store import evaluated
from hlsgen.store.evaluated import Shares
from hlsgen.store.paths import EVALUATED


@cache
def _made(several: bool = False) -> tuple[hlsgen.Design, Graph]:
    """The digits model, or its mixture of two tasks, and its float Graph."""
    example = np.zeros((1, 1, 8, 8), np.float32)
    graph = hlsgen.capture(digits_moe(), (example, 0)) if several else hlsgen.capture(digits(), example)
    return hlsgen.compile(hlsgen.quantize(graph, calibration()[0]), board="kv260", array="4x4x8"), graph


def _heldout() -> tuple[np.ndarray, np.ndarray]:
    images, labels = heldout()
    return images, labels


def test_figures_are_those_of_the_models_own_logits() -> None:
    design, graph = _made()
    images, labels = _heldout()
    found = design.evaluate(images, labels, reference=graph)
    with torch.no_grad():
        wanted = digits()(torch.from_numpy(images)).numpy().astype(np.float64)
    logits = np.asarray(design.predict(images))
    classes = found.classes
    assert classes is not None
    assert classes.first is not None
    assert classes.float_first == Share(int((wanted.argmax(1) == labels).sum()), len(labels))
    assert classes.first == Share(int((logits.argmax(1) == labels).sum()), len(labels))
    assert classes.same == Share(int((logits.argmax(1) == wanted.argmax(1)).sum()), len(labels))
    fifth = np.argsort(-logits, 1, kind="stable")[:, :5]
    assert classes.five == Share(int((fifth == labels[:, None]).any(1).sum()), len(labels))
    assert classes.confusion is not None
    table = np.array(classes.confusion)
    assert table.sum() == len(labels)
    assert np.trace(table) == classes.first.count
    assert [item[0] for item in classes.wrong] == np.flatnonzero(logits.argmax(1) != labels).tolist()
    (output,) = found.outputs
    assert output.shape == (1, 10)
    each = 10 * np.log10((wanted**2).sum(1) / ((logits - wanted) ** 2).sum(1))
    assert output.db == pytest.approx(
        10 * np.log10((wanted**2).sum() / ((logits - wanted) ** 2).sum()), abs=1e-3
    )
    assert [index for index, _ in output.worst] == np.argsort(each)[:16].tolist()
    assert [value for _, value in output.worst] == pytest.approx(np.sort(each)[:16], abs=1e-3)
    shared, error = wanted - wanted.mean(0), (logits - wanted) - (logits - wanted).mean(0)
    assert output.centred_db == pytest.approx(10 * np.log10((shared**2).sum() / (error**2).sum()), abs=1e-3)
    assert found.warnings == ()
    assert (found.clipped, found.level, found.reference) == (0, None, True)


def test_without_labels_or_a_float_model_the_rest_is_left_out() -> None:
    design, graph = _made()
    images = _heldout()[0][:8]
    plain = design.evaluate(images)
    assert plain.classes is not None
    assert (plain.classes.first, plain.classes.same, plain.classes.confusion) == (None, None, None)
    assert (plain.outputs[0].db, plain.outputs[0].worst, plain.reference) == (None, (), False)
    assert "integer" not in str(plain)
    same = design.evaluate(images, reference=graph).classes
    assert same is not None
    assert (same.float_first, same.first, same.same) == (None, None, Share(8, 8))
    alone = design.evaluate(images[:1], reference=graph)
    assert alone.outputs[0].centred_db is None


def test_a_level_has_to_give_golden_s_integers() -> None:
    design, _ = _made()
    images, labels = _heldout()
    found = design.evaluate(images[:3], labels[:3], level="program")
    assert found.level is not None
    assert (found.level.level, found.level.simulator, found.level.cycles) == ("program", "", None)
    tensors = design.simulate("program", samples=images[:3])
    assert found.level.elements == tensors.elements
    assert "level      program: " in str(found)
    weights = bytearray(design.image.weights)
    weights[100] ^= 0x55
    broken = replace(design, image=replace(design.image, weights=bytes(weights)))
    with pytest.raises(Mismatch):
        broken.evaluate(images[:3], level="program")


def test_experts_and_tasks() -> None:
    design, graph = _made(several=True)
    images, labels = _heldout()
    for task in range(2):
        found = design.evaluate(images[:20], labels[:20], reference=graph, task=task)
        assert found.task == task
        assert found.experts
        for item in found.experts:
            assert sum(item.load) % item.tokens == 0
            assert 0.9 * item.tokens < item.agreeing <= item.tokens
        unknown = design.evaluate(images[:20], task=task)
        assert [item.load for item in unknown.experts] == [item.load for item in found.experts]
        assert [item["agreeing"] for item in unknown.data()["experts"]] == [None] * len(found.experts)
        # Labels are the first task's; the second one has a result for each token.
        assert (found.classes is not None) == (task == 0)


def test_warnings_say_how_many() -> None:
    design, graph = _made()
    images, labels = _heldout()
    mixed = np.concatenate([images[:5] * 10, images[5:8]])
    found = design.evaluate(mixed, labels[:8], reference=graph)
    assert found.clipped == 5
    assert found.warnings[-1].startswith("5 of 8 images have more than 1% of their pixels outside the range")
    same = design.evaluate(np.repeat(images[:1], 4, 0), reference=graph)
    assert same.outputs[0].constant
    assert same.warnings[0].startswith(
        "head is the same for all 4 images; try calibration images that differ"
    )
    noisy = design.evaluate(images * 40, reference=graph)
    assert any("the float model's class of only" in text for text in noisy.warnings)


def test_what_can_t_be_evaluated_is_refused() -> None:
    design, graph = _made()
    images, labels = _heldout()
    with pytest.raises(UsageError, match=r"images must have shape \[N, 1, 8, 8\] with N of 1 or more"):
        design.evaluate(images[:0])
    with pytest.raises(CalibrationError, match=r"labels must be \[4\] of 0 and more, not \[3\]"):
        design.evaluate(images[:4], labels[:3])
    with pytest.raises(CalibrationError, match="labels must be"):
        design.evaluate(images[:4], labels[:4] - 100)
    with pytest.raises(UsageError, match="the float model must have the design's input and outputs, image"):
        design.evaluate(images[:4], reference=_made(several=True)[1])
    with pytest.raises(UsageError, match="level must be one of"):
        design.evaluate(images[:4], level="float", reference=graph)


def test_processes_find_the_same_figures() -> None:
    """Images are split over them; classes, noise, experts and the level are those of one process."""
    design, graph = _made(several=True)
    images, labels = _heldout()
    processes = Processes(2)
    alone = design.evaluate(images[:40], labels[:40], reference=graph)
    assert design.evaluate(images[:40], labels[:40], reference=graph, executor=processes) == alone
    alone = design.evaluate(images[:3], level="program", task=1)
    assert design.evaluate(images[:3], level="program", task=1, executor=processes) == alone
    processes.close()


def test_the_build_folder_keeps_the_figures(tmp_path: Path) -> None:
    made, graph = _made(several=True)
    images, labels = _heldout()
    design = save(made, tmp_path / "build", verilog)
    first = design.evaluate(images[:20], labels[:20], reference=graph)
    second = design.evaluate(images[:3], level="program", reference=graph, task=1)
    kept = evaluated.load(design)
    assert list(kept) == [0, 1]
    assert first.classes is not None
    assert kept[0].shares == Shares(**{name: getattr(first.classes, name) for name in vars(Shares())})
    assert kept[0].shares.first == first.classes.first is not None
    assert (kept[0].images, kept[0].level, kept[0].simulator) == (20, "golden", "")
    assert (kept[1].images, kept[1].level, kept[1].simulator) == (3, "program", "")
    assert kept[1].shares == Shares()
    for task, found in enumerate((first, second)):
        wanted = [(item.name, item.db, item.centred_db) for item in found.outputs]
        assert [(item.name, item.db, item.centred_db) for item in kept[task].outputs] == wanted
    design.evaluate(images[:4])  # without labels and float model: nothing to keep
    assert evaluated.load(design) == kept
    design.evaluate(images[:4], labels[:4])
    assert evaluated.load(design)[0].images == 4
    assert evaluated.load(design)[0].outputs == ()


def test_a_folder_that_can_t_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = _made()
    images, labels = _heldout()
    design = save(made, tmp_path / "build", verilog)
    plain = made.evaluate(images[:4], labels[:4])
    before = held(tmp_path)
    with monkeypatch.context() as patched:  # an administrator may write anywhere
        patched.setattr("os.access", lambda *_: False)
        assert design.evaluate(images[:4], labels[:4]) == plain
    assert held(tmp_path) == before
    (tmp_path / "build" / EVALUATED).mkdir()
    found = design.evaluate(images[:4], labels[:4])
    assert found.classes == plain.classes
    (text,) = found.warnings
    assert text.startswith("the report will not show these figures: ")
    assert f"{tmp_path / 'build' / EVALUATED} can't be written" in text


def test_the_own_runtime_of_a_quantized_model() -> None:
    """Its output stands beside the integers; a design of a float model has no such line."""
    design, graph = _made()
    images = _heldout()[0][:20]
    with torch.no_grad():
        own = digits()(torch.from_numpy(images)).numpy()
    found = design.evaluate(images, reference=graph, own=own)
    assert found.own is not None
    assert found.own.same == found.classes.same  # type: ignore[union-attr]
    assert found.own.db == pytest.approx(found.outputs[0].db, rel=1e-3)
    assert found.data()["own"]["same"] == found.own.same.data()  # type: ignore[union-attr]
    assert "own        integer as the model's own runtime: same class" in str(found)
    assert "own" not in design.evaluate(images).data()
    with pytest.raises(UsageError, match="own must have"):
        design.evaluate(images, own=own[:, :9])
