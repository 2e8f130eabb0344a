# SPDX-License-Identifier: Apache-2.0
"""An example's accuracy and commands; every tensor of the interpreter is compared with golden."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hlsgen.errors import QuantizationWarning
from hlsgen.examples import attention
from hlsgen.examples.attention.host import SHAPE
from hlsgen.ir import Graph, evaluate, quantize_images, results
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.pipeline import capture, quantize

ARRAY = ArrayShape(rows=4, columns=8, depth=4)
CALIBRATION, HELD_OUT = 64, 64


@dataclass(frozen=True)
class System:
    """An example. noise: signal to quantization noise in dB, and without what images share."""

    name: str
    title: str
    nodes: int
    commands: int
    products: int
    """Commands that multiply by keys or values without a softmax."""
    noise: float
    centred: float


def names() -> list[str]:
    """The examples with a model."""
    found = (info.name for info in pkgutil.iter_modules(attention.__path__))
    return sorted(name for name in found if hasattr(_module(name), "model"))


def _module(name: str) -> Any:
    return importlib.import_module(f"hlsgen.examples.attention.{name}")


def quantized(name: str) -> tuple[Graph, np.ndarray, np.ndarray]:
    """An example's integer Graph, its held-out images in integers, and the model's results for them."""
    model, random = _module(name).model(), np.random.default_rng(7)
    images = random.normal(size=(CALIBRATION + HELD_OUT, *SHAPE)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        graph = quantize(capture(model, torch.from_numpy(images[:1])), images[:CALIBRATION]).graph
    held = images[CALIBRATION:]
    with torch.no_grad():
        wanted = model.double()(torch.from_numpy(held).double()).numpy()
    return graph, quantize_images(held, graph.input_type), wanted


def measure(name: str) -> System:
    """Quantize an example and run it; raises `AssertionError` where a tensor differs."""
    graph, integers, wanted = quantized(name)
    found = next(iter(results(graph, integers).values())) * (graph.type_of(graph.output).scale or 1.0)
    found = found.reshape(wanted.shape)
    program = _run(graph, integers[0])
    return System(
        name=name,
        title=(_module(name).__doc__ or name).splitlines()[0].partition(":")[0].rstrip("."),
        nodes=len(graph.nodes),
        commands=len(program.commands),
        products=sum(command.product.name in ("KEYS", "VALUES") for command in program.commands),
        noise=_decibel(wanted, found),
        centred=_decibel(wanted - wanted.mean(0), found - wanted.mean(0)),
    )


def _run(graph: Graph, image: np.ndarray) -> Any:
    lowered = lower(graph, ARRAY)
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    run = machine.run(program.input.pack(image, ARRAY.columns))
    difference = trace.compare(program, run.records, evaluate(graph, image))
    assert difference is None, str(difference)
    return program


def _decibel(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()))
