# SPDX-License-Identifier: Apache-2.0
"""What `python -m benchmarks` makes of a mixture of experts; what switching tasks costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.experts import Shape, make

from benchmarks import table
from benchmarks.case import Case, Result, run
from benchmarks.cases import CASES, Bar
from hlsgen.lower import lower
from hlsgen.machine.format.commands import Target
from hlsgen.machine.format.interface import COUNTERS
from hlsgen.sim import cosim

CASE = Case(model="experts", array=(4, 4, 8), memory=16)


@pytest.fixture(scope="module")
def harnesses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("harness")


@pytest.fixture(scope="module")
def result(harnesses: Path) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.case.HARNESSES", harnesses)
        made = make(Shape())
        return run(CASE, (made.graph, made.images[0]))


def test_every_used_expert_is_read_once_per_layer(result: Result) -> None:
    assert result.read_bytes == result.least_bytes
    assert result.used == (4,)
    assert 0 < result.roofline < 1
    assert 0 < result.bandwidth < 1


def test_the_page_sets_them_beside_others(result: Result) -> None:
    page = table.page([(result, Bar(roofline=0.95, read_bytes=18_500_000))])
    assert "| hlsgen | 4x4x8 @16 | 0 | 4 |" in page
    for peer in ("Edge-MoE", "UbiMoE", "CoQMoE"):
        assert page.count(f"| {peer} | ZCU102 |") == 1
    assert "≥ 95% of the roofline, ≤ 18.5 MB" in page
    assert "experts used 4" in table.line(result)


def test_bars_of_bytes_and_roofline(result: Result) -> None:
    assert not Bar(read_bytes=result.read_bytes - 1).met(result)
    assert not Bar(roofline=result.roofline + 0.001).met(result)


def test_m3vit_has_its_cases() -> None:
    found = {
        (case.array, case.memory, case.task)
        for case, bar in CASES
        if case.model == "m3vit-tiny" and bar != Bar()
    }
    shapes = (((8, 16, 8), 64), ((4, 8, 8), 16), ((8, 16, 8), 16))
    assert found == {(*shape, task) for shape in shapes for task in (0, 1)}
    assert any(case.model == "m3vit-tiny-even" and bar.read_bytes for case, bar in CASES)


def test_switching_tasks_costs_nothing(harnesses: Path) -> None:
    """Images of alternating tasks take the cycles and bytes that they take alone: nothing is loaded anew.

    With routers that treat every token alike both tasks have the same queues: then all that differs is the
    router's own weights, which are as many.
    """
    made = make(Shape(), [9.0, -9.0, -9.0, 8.0], gain=0.0)
    found = lower(made.graph, CASE.shape)
    program, image = found.program, found.image.pack()
    pixels = [program.input.pack(made.images[0], program.parameters.columns)] * 4
    harness = cosim.build(program.parameters, harnesses, trace=True, quick=True)
    alone = {task: harness.run(image, pixels[:2], task=task) for task in (0, 1)}
    switched = harness.run(image, pixels, task=0, task_step=1)
    for index, run_ in enumerate(switched):
        same = alone[index % 2][1 if index else 0]
        for name in ("read_beats", *(counter.title for counter in COUNTERS)):
            assert run_.counters[name] == same.counters[name], name
    routers = [command for command in program.commands if command.target is Target.QUEUES]
    assert [command.weight_units for command in routers] == [routers[0].weight_units] * 2
    heads = [command for command in program.commands if command.target is Target.OUTPUT]
    units = [command.weight_units + command.constant_units for command in heads]
    difference = 64 // CASE.memory * (units[1] - units[0])
    assert switched[1].counters["read_beats"] - switched[0].counters["read_beats"] == difference
