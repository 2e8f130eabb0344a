# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.systems`: the systems of examples/attention, measured; `--write`: the page."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from benchmarks.case import Case, run
from benchmarks.systems import blocks, memory, record
from benchmarks.systems.measure import System, measure, names
from benchmarks.systems.papers import PAPERS
from benchmarks.systems.published import MODELS, prepared
from benchmarks.systems.rtl import HARNESS, SIMULATORS, compiled
from benchmarks.systems.rtl import cycles as rtl_cycles
from hlsgen.errors import HlsgenError
from hlsgen.ir import Graph
from hlsgen.lower import lower
from hlsgen.lower.macs import useful_macs
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import ExternalMemory

PAGE = Path("docs/systems.md")
ARRAY = (8, 16, 8)
TEXT = """# Attention systems

`python -m benchmarks.systems --write` makes this page.

## Examples

Each is a module in `examples/attention`, written as its authors would, small, with random weights. The
command compares every tensor of the interpreter with golden; `tests/frontend/test_systems.py` does, too. With
`--rtl` it builds one machine for all of them and runs an image of each in RTL, with and without stalls, or
with `--simulator icarus` in a second simulator; with `--cpp` in the generated C++. dB: signal to quantization
noise of the output on images that did not calibrate, with the quantizer's defaults; for the second number the
signal is without what images share, and the noise is whole.

| example | system | tensors | commands | products of two tensors | dB | dB, centred |
|---|---|---|---|---|---|---|
{examples}

## Published models at their own size

timm's classes with random weights, 224 x 224 pixels, on 8x16x8. `gna-deit` are DeiT-Tiny's blocks with
Generalized Neighborhood Attention: 7 x 7 tokens that share their window, of 14 x 14 and of 28 x 28. W: row
width. Useful: the products that PyTorch counts, without those that a mask hides, over those
that the array could start. A read takes 64 cycles to its first beat. `python -m benchmarks.systems NAME
--rtl` runs an image in RTL, compares every tensor, and keeps the cycles in `benchmarks/systems/runs.json`.
Where there is no such run, cycles are predicted.

| model | GMAC | as folded | W | bytes a cycle | cycles | useful | |
|---|---|---|---|---|---|---|---|
{models}

"As folded" are the products that the integer Graph has: each of CaiT's mixed heads meets the values of all.
ResMLP's and MLP-Mixer's transposes are products with an identity, which count as none.

## Memory of Swin-T

`python -m benchmarks.systems swin-t --memory` prints what the machine above takes, by the depths of its
memories, in RAM blocks of 18 kbit or in UltraRAM of 288 kbit, and which Zynq UltraScale+ device has so much
(blocks by AMD's data sheets DS891 and DS889).

| memory | words and bits | RAM blocks | or UltraRAM |
|---|---|---|---|
{memory}

| device | RAM blocks | UltraRAM | fits |
|---|---|---|---|
{devices}

The first stage sets the largest ones: 3,136 tokens. The residual memory has the stream in 16 bits, and beside
it what the norm of the patches reads; DRAIN and LOAD read it at once, so there are two copies. The features
are the 384 elements between the layers of an MLP, of all tokens. Keys and values are those of all 64 windows.
Commands for a part of the tokens would need a part of the features, keys and values; the compiler makes none.
The smallest device that holds all is the ZU15, with the residual memory and some others in UltraRAM. None of
the boards that hlsgen knows does.

## A block of each system at its published shape

Each is written again in `benchmarks/systems/blocks.py`, with random weights, patches of 4 x 4 pixels in front
and a mean behind. Blocks of language models are their attention: they have no rotary positions, and a gated
MLP is not read. The array is 8x16x8, with 16 bytes a cycle and a row width of 2. Useful: the products of the
integer Graph, without those of hidden keys, over those that the array could start. Runs in RTL are kept as
above.

| block | shape | GMAC | cycles | useful | |
|---|---|---|---|---|---|
{blocks}

## The systems on the list

Embeddings by number and inputs besides the image are rows of the one input
([models.md](models.md#tokens-instead-of-pixels)); the examples have constants or patches in their place.

| system | what it computes | runs | waits for |
|---|---|---|---|
{papers}
"""


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.systems", description=__doc__)
    parser.add_argument("only", nargs="*", help="examples, published models, blocks: these alone")
    parser.add_argument("--rtl", action="store_true", help="an image in RTL, too")
    parser.add_argument("--memory", action="store_true", help="of published models: RAM, and who has it")
    parser.add_argument("--cpp", action="store_true", help="an image of each example in C++, too")
    parser.add_argument(
        "--simulator", choices=SIMULATORS, default=SIMULATORS[0], help="of the examples, default: %(default)s"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}, without RTL")
    return parser


def timed(
    name: str, graph: Graph, image: np.ndarray, *, width: int, rtl: bool, memory: int = 16
) -> tuple[int, str]:
    """Cycles on 8x16x8 with so many bytes a cycle, and where they come from."""
    case = Case(model=name, array=ARRAY, row_width=width, memory=memory)
    if rtl:
        result = run(case, (graph, image))
        record.keep(name, record.Run(result.cycles, result.predicted, result.tensors))
        return result.cycles, str(record.kept(name, result.predicted))
    lowered = lower(graph, case.shape)
    predicted = predict(lowered.program, lowered.image, ExternalMemory(latency=case.latency)).cycles
    known = record.kept(name, predicted)
    return (known.cycles, str(known)) if known else (predicted, "predicted")


def published(name: str, *, rtl: bool) -> str:
    """A published model: a row of the page."""
    graph, image, macs = prepared(name)
    width, memory = MODELS[name].row_width, MODELS[name].memory
    cycles, how = timed(name, graph, image, width=width, memory=memory, rtl=rtl)
    folded = useful_macs(graph)
    macs = min(macs, folded)  # PyTorch counts hidden keys, too
    share = macs / cycles / math.prod(ARRAY)
    sizes = f"{macs / 1e9:.2f} | {folded / 1e9:.2f} | {width} | {memory}"
    return f"| {name} | {sizes} | {cycles:,} | {share:.1%} | {how} |"


def block(name: str, *, rtl: bool) -> str:
    """A block at its published shape: a row of the page."""
    graph, image = blocks.prepared(name)
    cycles, how = timed(name, graph, image, width=blocks.ROW_WIDTH, rtl=rtl)
    macs, (shape, _) = useful_macs(graph), blocks.SHAPES[name]
    share = macs / cycles / math.prod(ARRAY)
    return f"| {name} | {shape} | {macs / 1e9:.3f} | {cycles:,} | {share:.1%} | {how} |"


def ram(name: str) -> tuple[list[str], list[str]]:
    """The memories of a published model's machine, and the devices."""
    graph, _, _ = prepared(name)
    model = MODELS[name]
    case = Case(model=name, array=ARRAY, row_width=model.row_width, memory=model.memory)
    found = memory.of(lower(graph, case.shape).program.parameters)
    return list(memory.rows(found)), list(memory.devices(found))


def example(found: System) -> str:
    """An example's row."""
    numbers = f"{found.nodes} | {found.commands} | {found.products} | {found.noise:.1f} | {found.centred:.1f}"
    return f"| `{found.name}` | {found.title} | {numbers} |"


def page(
    examples: list[str], models: list[str], shapes: list[str], memories: list[str], devices: list[str]
) -> str:
    """docs/systems.md."""
    papers = [
        f"| {paper.name} | {paper.equations} | {paper.example or '-'} | {', '.join(paper.waits) or '-'} |"
        for paper in PAPERS
    ]
    parts = {"examples": examples, "models": models, "blocks": shapes, "papers": papers}
    parts |= {"memory": memories, "devices": devices}
    return TEXT.format(**{name: "\n".join(lines) for name, lines in parts.items()})


def main() -> int:
    """Print rows, or write the page."""
    options = arguments().parse_args()
    chosen = options.only or [*names(), *MODELS, *blocks.SHAPES]
    examples = [example(measure(name)) for name in chosen if name in names()]
    models = [published(name, rtl=options.rtl) for name in chosen if name in MODELS]
    shapes = [block(name, rtl=options.rtl) for name in chosen if name in blocks.SHAPES]
    if options.write:
        PAGE.write_text(page(examples, models, shapes, *ram("swin-t")))
    print("\n".join([*examples, *models, *shapes]))
    for name in (name for name in chosen if name in MODELS and options.memory):
        print("\n".join(line for lines in ram(name) for line in lines))
    here = [name for name in chosen if name in names()]
    if options.cpp and here:
        for line in compiled(here, HARNESS / "systems"):
            print(line, flush=True)
    if options.rtl and here:
        for line in rtl_cycles(here, options.simulator):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
