# SPDX-License-Identifier: Apache-2.0
"""The driver's `run_many` on a device with a queue of starts."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from support.graphs import DIGITS, images

from hlsgen.ir import evaluate
from hlsgen.lower import Lowered
from hlsgen.machine.format.interface import ControlBit, Error, Register, StatusBit
from hlsgen.machine.time.depths import images_held
from tests.emit.vivado.test_driver import Device, build, build_graph
from tests.support.experts import Shape, make


class Queue(Device):
    """A device whose images run when the host looks for them: one, each time that `completed` is read."""

    def __init__(self, lowered: Lowered) -> None:
        super().__init__(lowered)
        self.waiting: deque[dict[int, int]] = deque()
        self.registers[Register.COMPLETED] = 0xFFFFFFFE  # it will wrap
        self.longest, self.begun, self.faulty, self.stalls = 0, 0, -1, False

    def read(self, offset: int) -> int:
        if offset == Register.ROOM:
            return images_held() - len(self.waiting)
        if offset == Register.STATUS:
            return self.registers.get(offset, 0) | (StatusBit.BUSY.mask if self.waiting else 0)
        found = super().read(offset)
        if offset == Register.COMPLETED and self.waiting and not self.stalls:
            settings, now = self.waiting.popleft(), self.registers
            self.registers = now | settings
            self.registers[Register.INPUT_BASE] += (self.begun == self.faulty) << 20
            self.begun += 1
            super()._start()
            if self.registers.get(Register.ERROR):
                self.waiting.clear()
        return found

    def write(self, offset: int, value: int) -> None:
        super().write(offset, value)
        if offset == Register.CONTROL and value & ControlBit.ABORT.mask and self.waiting:
            self.waiting.clear()
            self.fail(Error.ABORTED)

    def _start(self) -> None:
        if self.registers.get(Register.ERROR):
            return
        bases = (Register.IMAGE_BASE, Register.INPUT_BASE, Register.OUTPUT_BASE)
        kept = {Register.TASK, Register.IMAGE_BYTES, *bases, *(base + 4 for base in bases)}
        self.waiting.append({address: self.registers[address] for address in kept})
        self.longest = max(self.longest, len(self.waiting))


def test_the_queue_stays_filled(tmp_path: Path) -> None:
    graph, lowered, driver = build(DIGITS, tmp_path)
    device = Queue(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    inputs = images(DIGITS, 7, seed=9)
    golden = evaluate(graph, inputs)[graph.output]
    taken = []
    for number, output in enumerate(accelerator.run_many(iter(inputs))):
        taken.append(output)
        assert device.begun <= number + 2  # at most what was sent
    np.testing.assert_array_equal(np.stack(taken), golden.reshape(7, *taken[0].shape))
    assert device.longest == 2
    real = inputs[:3] / 64
    np.testing.assert_array_equal(accelerator.predict(real), golden[:3])
    assert list(accelerator.run_many([])) == []


def test_tasks_of_queued_images(tmp_path: Path) -> None:
    made = make(Shape())
    graph, lowered, driver = build_graph(made.graph, made.images[:3], tmp_path)
    device = Queue(lowered)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    tasks = [1, 0, 0, 1]
    for index, got in enumerate(accelerator.run_many(made.images[:4], task=tasks)):
        name = graph.outputs[tasks[index]]
        golden = dict(evaluate(graph, made.images[index], tasks[index]))[name]
        np.testing.assert_array_equal(got, golden.reshape(got.shape))
    with pytest.raises(ValueError, match="shorter"):
        list(accelerator.run_many(made.images[:4], task=[0, 1]))


def test_errors_within_a_queue_are_told(tmp_path: Path) -> None:
    _, lowered, driver = build(DIGITS, tmp_path)
    device, zeros = Queue(lowered), np.zeros((1, 8, 8), np.int8)
    accelerator = driver.Accelerator(device, device.allocate, tmp_path)
    device.faulty = 2
    outputs = accelerator.run_many([zeros] * 5)
    taken = [next(outputs), next(outputs)]
    with pytest.raises(driver.DeviceError, match=r"^image 2: error 6: an address lies outside the window"):
        next(outputs)
    assert len(list(accelerator.run_many([zeros] * 3))) == 3
    device.stalls = True
    with pytest.raises(TimeoutError, match=r"must be done with image 0 within 0\.01 s"):
        list(accelerator.run_many([zeros] * 3, timeout=0.01))
    assert not device.waiting
    assert device.registers[Register.ERROR] == 0
    device.stalls = False
    for _ in accelerator.run_many([zeros] * 3):
        break  # closes the iterator: what waits is aborted
    assert not device.waiting
    np.testing.assert_array_equal(list(accelerator.run_many([zeros])), taken[:1])
