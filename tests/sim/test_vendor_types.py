# SPDX-License-Identifier: Apache-2.0
"""The C++ with Xilinx's own `ap_int.h` and `hls_stream.h`, which the package hls4ml carries (Apache-2.0)."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from support.graphs import DIGITS, integer_vit

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import hlsgen
from hlsgen.emit.hls import hls
from hlsgen.examples.digits import data, model
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.sim.csim import CSim


def vendor_flags() -> list[str]:
    """Options that put Xilinx's types in place of the native ones."""
    try:
        package = distribution("hls4ml")
    except PackageNotFoundError:
        pytest.skip("hls4ml is not installed")
    folder = Path(str(package.locate_file("hls4ml/templates/vivado/ap_types")))
    assert (folder / "hls_stream.h").is_file()
    return ["-DHLSGEN_AP_INT", "-isystem", str(folder), "-w"]  # its headers warn


def test_all_held_out_digits_equal_golden_with_xilinx_types(cpp_folder: Path) -> None:
    calibration, _ = data.calibration()
    graph = hlsgen.quantize(hlsgen.capture(model.digits().eval(), calibration[:1]), calibration).graph
    result = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    files = hls(result.program, result.image)
    inputs = quantize_images(data.heldout()[0], graph.input_type)
    assert len(inputs) == 397
    machine = CSim(result.program, result.image.pack(), files, cpp_folder, flags=vendor_flags())
    got = machine.run(inputs, seconds=120)
    np.testing.assert_array_equal(got.outputs, evaluate(graph, inputs)[graph.output])


def test_the_region_for_synthesis_compiles(tmp_path: Path) -> None:
    """The DATAFLOW region is text that only a synthesis tool runs; here it must be C++."""
    result = lower(integer_vit(DIGITS), ArrayShape(rows=2, columns=4, depth=4, streamed=True))
    for path, text in hls(result.program, result.image).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    command = [
        "g++",
        "-std=c++17",
        "-fsyntax-only",
        "-Wno-unknown-pragmas",
        "-DHLSGEN_REGION",
        *vendor_flags(),
    ]
    done = subprocess.run(
        [*command, "top.cpp"], cwd=tmp_path / "hls", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
