# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.narrow`: M3ViT-Tiny with experts of 8 and of 4 bits a weight, memory-bound.

Bytes of the experts that run, bytes in all, and cycles as predicted; with `--rtl` as the RTL takes them.
Every tensor of the RTL is compared with golden. One held-out image, task 0, 16 bytes per cycle.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import replace

import numpy as np

from benchmarks.case import Case, run
from hlsgen.errors import QuantizationWarning
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.shipped import shipped
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing, make_plan
from hlsgen.ops import ExpertLinear
from hlsgen.pipeline import capture, quantize, usual_quantizer
from hlsgen.report.routing import loads

CASE = Case(model="m3vit-tiny", array=(8, 16, 8))


def quantized(bits: int) -> tuple[Graph, np.ndarray]:
    """The integer Graph with such experts, and its first held-out image in integers."""
    data, loaded = load_data(CASE.model), load_model(CASE.model, shipped(CASE.model).shape)
    graph = capture(loaded.model, loaded.example)
    experts = {node.name: bits for node in graph if isinstance(node.op, ExpertLinear)}
    made = quantize(graph, data.images, replace(usual_quantizer(CASE.model), weight_bits=experts)).graph
    return made, quantize_images(load_data(CASE.model, heldout=True).images[:1], made.input_type)[0]


def line(bits: int, rtl: bool) -> str:
    """One line of figures."""
    graph, image = quantized(bits)
    lowered = lower(graph, CASE.shape)
    routing = Routing(task=CASE.task, loads=loads(graph, evaluate(graph, image, CASE.task)))
    plan = make_plan(lowered.program, lowered.image, routing)
    memory = ExternalMemory(latency=CASE.latency)
    found = cycles.predict(lowered.program, lowered.image, memory, routing)
    units = sum(command.weight_units for _, command in plan.commands if command.expert)
    text = f"experts of {bits} bits: {units * SECTION_ALIGN:,} bytes of experts' weights, "
    text += f"{found.bytes_read:,} bytes read, {found.cycles:,} cycles predicted"
    return f"{text}, {run(CASE, (graph, image)).cycles:,} in RTL" if rtl else text


def main() -> int:
    """Print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rtl", action="store_true", help="run the RTL too, some minutes for each line")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4], help="widths of a weight")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        for bits in options.bits:
            print(line(bits, options.rtl), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
