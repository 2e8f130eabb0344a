# SPDX-License-Identifier: Apache-2.0
"""The systems of `examples/attention` on one machine: C++, RTL with random stalls, a second simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.systems.measure import names
from benchmarks.systems.rtl import compiled, cycles

STEP_ONE = (
    "efficient_probing", "conv_share_vit", "vhr", "soft_injection", "head_gains", "cait", "mlp_mixer",
    "registers", "clip", "qk_norm", "parallel_blocks", "post_norm",
)  # fmt: skip
"""Those that need no masks but a causal one."""
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")]


def test_every_system_is_equal_in_cpp(tmp_path: Path) -> None:
    lines = list(compiled(names(), tmp_path))
    assert [line.partition(":")[0] for line in lines] == names()


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_systems_are_equal_in_rtl(simulator: str, tmp_path: Path) -> None:
    """Verilator: once as fast as can be, once with random stalls. Icarus: once."""
    lines = list(cycles(STEP_ONE, simulator, tmp_path))
    assert len(lines) == len(STEP_ONE)
    assert all(("stalled" in line) == (simulator == "verilator") for line in lines)
