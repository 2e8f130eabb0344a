# SPDX-License-Identifier: Apache-2.0
"""A short fuzz on every level; and that the fuzz finds what is wrong, says where, and can repeat it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz import __main__ as command
from benchmarks.fuzz import batch as module
from benchmarks.fuzz import levels
from benchmarks.fuzz.batch import SIZE, Batch, Case
from benchmarks.fuzz.levels import CRASH, EQUAL, FAILURES, HANG, MISMATCH, REFUSED, Outcome, reason, run_batch
from hlsgen.errors import DoesNotFit, TypeMismatch, UsageError
from hlsgen.machine.format.image import Image
from hlsgen.sim import cosim

SEED = 3


def all_of(_index: int) -> bool:
    return True


def run(
    batch: Batch, names: list[str], folder: Path, wanted: Callable[[int], bool] = all_of
) -> list[Outcome]:
    found = list(run_batch(batch, names, wanted, folder))
    assert [o for o in found if o.kind in FAILURES] == []
    return found


@pytest.mark.parametrize(
    "batch", [Batch(SEED, 2), Batch(4, 6)], ids=["no experts", "routers cut into groups"]
)
def test_the_generated_cpp_of_random_models(batch: Batch, tmp_path: Path) -> None:
    found = run(batch, ["program", "csim"], tmp_path)
    assert sorted(outcome.index for outcome in found) == list(batch.indices)
    assert sum(outcome.kind == EQUAL for outcome in found) > SIZE // 2


def test_the_rtl_of_random_models(tmp_path: Path) -> None:
    """Some have routers that are cut into groups."""
    found = run(Batch(2, 0), ["program", "rtl"], tmp_path)
    assert sum((o.kind, o.level) == (EQUAL, "rtl") for o in found) > SIZE // 2


def test_ops_in_any_order_are_equal_and_none_is_refused(tmp_path: Path) -> None:
    """2,016 Graphs; `make fuzz-ops` draws more."""
    batches = 63
    for number in range(batches):
        found = run(Batch(SEED, number, True), ["program"], tmp_path)
        assert [outcome for outcome in found if outcome.kind != EQUAL] == []
        assert len(found) == SIZE


@pytest.mark.slow
@pytest.mark.parametrize("level", ["csim", "rtl"])
def test_products_of_tasks_with_experts(level: str, tmp_path: Path) -> None:
    batch = Batch(11, 0, True)
    programs = [case.lowered.program for case in batch.cases() if case.lowered]
    machine = programs[0].parameters
    assert (machine.tasks, machine.products) > (1, 0)
    assert machine.experts
    found = run(batch, ["program", level], tmp_path)
    assert {(outcome.kind, outcome.level) for outcome in found} == {(EQUAL, level)}


def test_a_refusal_of_ops_in_any_order_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Batch, "cases", lambda _: [Case(0, failure=DoesNotFit("no"))])
    for options, code in ((["--composed"], 1), ([], 0)):
        monkeypatch.setattr("sys.argv", ["fuzz", "--cases", "1", "--levels", "program", *options])
        assert command.main() == code
    assert "refused     1: no" in capsys.readouterr().out


def test_models_that_come_from_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 4)
    batch = Batch(SEED, 7)
    assert batch.torch
    found = run(batch, ["program"], tmp_path, lambda index: index > 28)
    assert {outcome.index: outcome.kind for outcome in found} == dict.fromkeys((29, 30, 31), EQUAL)


def test_a_case_is_a_function_of_seed_and_index() -> None:
    first, second, other = (Batch(seed, 1).cases() for seed in (SEED, SEED, SEED + 1))
    packs = [
        [case.lowered.image.pack() for case in cases if case.lowered] for cases in (first, second, other)
    ]
    assert packs[0] == packs[1]
    assert packs[0] != packs[2]
    assert len(set(packs[0])) == len(packs[0])
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.images, two.images)  # type: ignore[arg-type]


def test_the_cases_of_a_batch_share_one_machine() -> None:
    for number in (0, 1):
        machines = {case.lowered.program.parameters for case in Batch(SEED, number).cases() if case.lowered}
        assert len(machines) == 1


def broken(case: Case) -> Case:
    """The case with every weight of its Image changed."""
    assert case.lowered is not None
    image = case.lowered.image
    weights = bytes(byte ^ 1 for byte in image.weights)
    return dataclasses.replace(
        case, lowered=dataclasses.replace(case.lowered, image=dataclasses.replace(image, weights=weights))
    )


@pytest.mark.parametrize("level", ["program", "csim"])
def test_a_wrong_result_is_a_mismatch_and_is_named(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [case for case in Batch(SEED, 1).cases() if case.lowered][:3]
    changed = [cases[0], broken(cases[1]), cases[2]]
    monkeypatch.setattr(Batch, "cases", lambda _: changed)
    found = list(run_batch(Batch(SEED, 1), [level], all_of, tmp_path))
    assert {o.index: o.kind for o in found} == {
        cases[0].index: EQUAL, cases[1].index: MISMATCH, cases[2].index: EQUAL,
    }  # fmt: skip
    monkeypatch.setattr(
        "sys.argv", ["fuzz", "--levels", level, "--seed", str(SEED), "--only", str(cases[1].index)]
    )
    assert command.main() == 1
    assert f"  mismatch at {level}: --seed {SEED} --only {cases[1].index}" in capsys.readouterr().out


def test_a_crash_and_a_hang_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in Batch(SEED, 1).cases() if case.lowered)
    assert case.lowered is not None
    monkeypatch.setattr(Batch, "cases", lambda _: [case])
    monkeypatch.setattr(levels, "SECONDS", 0.001)
    (hung,) = run_batch(Batch(SEED, 1), ["program"], all_of, tmp_path)
    assert (hung.kind, hung.level) == (HANG, "program")
    assert hung.text == "it took more than 0.001 s"
    monkeypatch.undo()
    image = dataclasses.replace(case.lowered.image, program=b"")
    empty = dataclasses.replace(case, lowered=dataclasses.replace(case.lowered, image=image))
    assert isinstance(image, Image)
    monkeypatch.setattr(Batch, "cases", lambda _: [empty])
    (crashed,) = run_batch(Batch(SEED, 1), ["program"], all_of, tmp_path)
    assert (crashed.kind, crashed.text) == (CRASH, "Image must hold a program with a last command")


def test_a_model_that_golden_can_not_compute_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in Batch(SEED, 1).cases() if case.lowered)
    assert case.images is not None
    small = dataclasses.replace(case, images=case.images[:, :, :0])
    monkeypatch.setattr(Batch, "cases", lambda _: [small])
    (found,) = run_batch(Batch(SEED, 1), ["program"], all_of, tmp_path)
    assert (found.kind, found.level) == (CRASH, "golden")


def test_a_machine_that_stands_still_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Still:
        def run(self, *_: object, **__: object) -> list[cosim.Run]:
            return [cosim.Run(b"", {"error": 10}, None)]

    case = next(case for case in Batch(SEED, 0).cases() if case.lowered)
    monkeypatch.setattr(Batch, "cases", lambda _: [case])
    monkeypatch.setattr(cosim, "build", lambda *_, **__: Still())
    (found,) = run_batch(Batch(SEED, 0), ["rtl"], all_of, tmp_path)
    assert (found.kind, found.text) == (HANG, "task 0, image 0: the machine made no progress")


@pytest.mark.parametrize(
    ("error", "kind"),
    [(DoesNotFit("no"), REFUSED), (TypeMismatch("ours"), CRASH), (IndexError("ours"), CRASH)],
)
def test_only_errors_for_users_are_refusals(
    error: Exception, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batch, "cases", lambda _: [Case(40, failure=error)])
    (found,) = run_batch(Batch(SEED, 1), ["program"], all_of, tmp_path)
    assert (found.index, found.kind) == (40, kind)


def test_the_report() -> None:
    found = [
        Outcome(0, EQUAL, "rtl"),
        Outcome(2, HANG, "csim", "late"),
        Outcome(1, REFUSED, "lower", "t0_head: its first row, 3, must be a multiple of the row width, 2\n"),
    ]
    assert command.report(found, 5, 7.4).splitlines() == [
        "seed 5: 3 cases in 7 s",
        "  equal           1",
        "  refused         1",
        "  mismatch        0",
        "  crash           0",
        "  hang            1",
        "  equal up to rtl             1",
        "  refused     1: its first row, N, must be a multiple of the row width, N",
        "  hang at csim: --seed 5 --only 2",
    ]
    assert reason("") == ""


def test_a_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--levels", "csim,verilog"])
    with pytest.raises(UsageError, match="levels must be of program, csim, rtl, not 'csim,verilog'"):
        command.main()


def test_batches_run_in_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same table as in one process, but for the seconds."""
    found = []
    for more in ([], ["--jobs", "2"]):
        call = ["fuzz", "--cases", "34", "--seed", "7", "--levels", "program", *more]
        monkeypatch.setattr("sys.argv", call)
        assert command.main() == 0
        found.append(capsys.readouterr().out.partition(" s\n")[2])
    assert found[0] == found[1]
    assert "equal up to program" in found[0]
