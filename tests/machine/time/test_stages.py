# SPDX-License-Identifier: Apache-2.0
"""The stages' times in the cycle model, against the events of a core that runs every mode of LOAD once."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
from support.core_bench import CoreRun, core_bench
from support.script import DEEP, WIDE, Script

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Depends, Load, Target
from hlsgen.machine.format.interface import CONTEXT, DRAIN, SCORES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.table import LOADS, PRODUCTS
from hlsgen.machine.modes.times import StageTimes
from hlsgen.machine.time.latency import ACCEPT, DECODE, TILE_COUNT
from hlsgen.machine.time.phases import steps_of
from hlsgen.machine.time.stages import stage_times

BROAD = MachineParameters(
    rows=2, columns=8, depth=1, tile_words=8, residual_words=128, feature_words=128, image_words=64,
    key_words=32, value_words=64, score_words=4, ring_words=64, constant_words=16, logit_bits=8,
)  # fmt: skip
PAIRS = dataclasses.replace(DEEP, rows=4, row_width=2)
MACHINES = {"deep": DEEP, "wide": WIDE, "broad": BROAD, "pairs": PAIRS}


def _program(script: Script) -> None:
    """Rows, layer norm of rows longer and shorter than its pace, pools, patches, attention."""
    p = script.parameters
    gain, shift = numerics.dyadic(31.7)
    norm = {"norm_epsilon": 5, "norm_gain": gain, "norm_gain_shift": shift}
    size = 7 * p.columns
    place = {"source": 8, "source_stride": 8}
    script.add_stream(2 * p.rows, 8, 900, target=Target.RESIDUAL, target_base=8, target_stride=8)
    script.linear(2 * p.rows, size, source=8, source_stride=8)
    script.linear(2 * p.rows, size, load=Load.LAYER_NORM, norm_width=size, **place, **norm)
    script.linear(2 * p.rows, p.columns, load=Load.LAYER_NORM, norm_width=p.columns, **place, **norm)
    script.linear(1, size, load=Load.POOL, pool_rows=p.rows, pool_shift=3, **place)
    pooled = {"pool_rows": p.rows, "pool_shift": 3, "norm_width": size, **place, **norm}
    script.linear(1, size, load=Load.POOL_NORM, **pooled)
    patch = {"patch_height": 2, "patch_width": 4, "patch_channels": 1, "patch_columns": 3}
    script.linear(6, 8, load=Load.PATCHES, row_words=script.words(12), **patch)
    script.attention(2 * p.rows, 2 * p.columns, 2, max(p.depth, p.columns), depends=Depends.NONE)


@cache
def _run(name: str) -> tuple[Script, CoreRun]:
    script = Script(MACHINES[name])
    _program(script)
    image, _ = script.finish()
    return script, core_bench(script.parameters).run(image, script.pixels)


def _jobs(script: Script) -> list[tuple[int, Command, Job]]:
    return [
        (index, command, job)
        for index, command in enumerate(script.commands)
        for job in PRODUCTS[command.product].jobs(script.parameters, command)
    ]


def _times(script: Script) -> StageTimes:
    return stage_times(script.parameters)


def _last_steps(script: Script, run: CoreRun) -> list[int]:
    """The last step of each job."""
    found, count = [], 0
    for _, _, job in _jobs(script):
        count += job.blocks * job.steps
        found.append(run.events["step"][count - 1])
    assert count == sum(map(steps_of, script.commands)) == len(run.events["step"])
    return found


def _written(script: Script, run: CoreRun) -> list[int]:
    """When each job's last row was written, as the model has it."""
    p, drain = script.parameters, _times(script).drain
    groups = (p.row_groups(command.tile_rows(job.tile, p.rows)) for _, command, job in _jobs(script))
    return [step + drain + count - 1 for step, count in zip(_last_steps(script, run), groups, strict=True)]


@pytest.mark.parametrize("name", MACHINES)
def test_a_tile_is_there_when_the_model_says(name: str) -> None:
    script, run = _run(name)
    p, t, free = script.parameters, _times(script), 0
    starts, done = run.events["start"], run.events["tile_done"]
    for (index, command, job), start, there in zip(_jobs(script), starts, done, strict=True):
        begin = max(free, start + ACCEPT - 1)
        time = LOADS[command.load].time(p, t, command, job)
        free = begin + time.reads
        assert there + TILE_COUNT == free + time.there, (index, command.load, job)


@pytest.mark.parametrize("name", MACHINES)
def test_a_result_is_written_when_the_model_says(name: str) -> None:
    script, run = _run(name)
    records = run.records[run.records["which"] == DRAIN]
    written = dict(zip(((i, j) for i, _, j in _jobs(script)), _written(script, run), strict=True))
    for index, command in enumerate(script.commands):
        mine = [when for (number, _), when in written.items() if number == index]
        assert records[records["command"] == index]["cycle"].max() == max(mine), (index, command.load)


@pytest.mark.parametrize("name", MACHINES)
def test_who_waits_for_a_write_goes_on_when_the_model_says(name: str) -> None:
    script, run = _run(name)
    t, every, written = _times(script), _jobs(script), _written(script, run)
    assert run.events["start"][0] == run.events["command"][0] + DECODE - (ACCEPT - 1)
    steps, before, scores = iter(run.events["step"]), 0, {}
    for number, (index, command, job) in enumerate(every):
        first, *_ = [next(steps) for _ in range(job.blocks * job.steps)]
        start = run.events["start"][number] + ACCEPT - 1
        if job.kind == SCORES:
            scores[job.slot] = written[number]
        if number == 0 or every[number - 1][0] != index:
            before = written[number - 1]
            if command.depends is Depends.COMMAND and number:
                assert start == before + t.read_drained, (index, command.load)
            if job.kind == SCORES:  # its tile came before the keys and values
                assert first == before + t.operands_drained
        if job.kind == CONTEXT and job.tile == job.head == 0:
            assert start == scores[job.slot] + t.read_scores
