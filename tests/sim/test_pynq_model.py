# SPDX-License-Identifier: Apache-2.0
"""The PYNQ driver of a project, unmodified, on the RTL: self test, caches, every error code, time-outs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsgen.bitstream.vivado.write import write
from hlsgen.boards import load_board
from hlsgen.sim.runner import simulate
from tests.support.tasks_design import tasks_design

IMAGES = 2


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Vivado project of a small mixture of experts with two tasks, as it is exported."""
    place = tmp_path_factory.mktemp("pynq") / "project"
    for path, data in write(tasks_design(IMAGES), load_board("zcu102")).items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
    (place / "driver/hlsgen.bit").touch()
    return place


def test_the_driver_drives_the_rtl(project: Path) -> None:
    text = (project / "top.v").read_text()
    environ = {"HLSGEN_DRIVER": str(project / "driver")}
    passed = simulate(text, "support.bench_driver", project / "build", environ=environ)
    assert sorted(passed) == ["every_error", "forgetful_drivers", "self_test", "time_out"]
