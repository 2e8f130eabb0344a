# SPDX-License-Identifier: Apache-2.0
"""The PYNQ driver of a project, unmodified, on the RTL: self test, caches, every error code, time-outs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hlsgen.boards import load_board
from hlsgen.emit.device import Vectors
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.emit.vivado.project import vivado_project
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.sim.runner import simulate
from tests.support.experts import Shape, make

BOARD = load_board("kv260")
IMAGES = 2


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Vivado project of a small mixture of experts with two tasks."""
    made, place = make(Shape()), tmp_path_factory.mktemp("pynq") / "project"
    lowered = lower(made.graph, ArrayShape(rows=2, columns=4, depth=4, bus_bytes=8))
    text = rtl_text(lowered.program.parameters, BOARD.family.project_target)
    images = made.images[:IMAGES]
    first, second = (evaluate(made.graph, images, task)[name] for task, name in enumerate(made.graph.outputs))
    assert np.any(first)
    vectors = Vectors(images=images, outputs=first, others=(second,))
    files = vivado_project(BOARD, text, made.graph, lowered.program, lowered.image, vectors=vectors)
    for path, data in files.items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
    (place / "vivado/driver/hlsgen.bit").touch()
    return place / "vivado"


def test_the_driver_drives_the_rtl(project: Path) -> None:
    text = (project / "top.v").read_text()
    environ = {"HLSGEN_DRIVER": str(project / "driver")}
    passed = simulate(text, "support.bench_driver", project / "build", environ=environ)
    assert sorted(passed) == ["every_error", "forgetful_drivers", "self_test", "time_out"]
