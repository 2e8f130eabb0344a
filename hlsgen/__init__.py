# SPDX-License-Identifier: Apache-2.0
"""A compiler from PyTorch vision transformers to FPGA accelerators, HLS C++ and Amaranth RTL, bit for bit.

Usage::

    import hlsgen
    graph = hlsgen.capture(model, example_inputs)
    design = hlsgen.compile(hlsgen.quantize(graph, images), board="ulx3s-85f", array="4x4x8")
    design.simulate("rtl")

Names are imported when they are first used, so that `import hlsgen` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hlsgen.design import Design
    from hlsgen.errors import HlsgenError
    from hlsgen.ir import Graph
    from hlsgen.pipeline import build, capture, compile, inspect, quantize  # noqa: A004
    from hlsgen.quantization import QuantizeConfig
    from hlsgen.store.samples import Samples

__all__ = [
    "Design",
    "Graph",
    "HlsgenError",
    "QuantizeConfig",
    "Samples",
    "build",
    "capture",
    "compile",
    "inspect",
    "quantize",
]

_HOME = {
    "Design": "hlsgen.design",
    "Graph": "hlsgen.ir",
    "HlsgenError": "hlsgen.errors",
    "Samples": "hlsgen.store.samples",
    "build": "hlsgen.pipeline",
    "capture": "hlsgen.pipeline",
    "compile": "hlsgen.pipeline",
    "inspect": "hlsgen.pipeline",
    "quantize": "hlsgen.pipeline",
    "QuantizeConfig": "hlsgen.quantization",
    "__version__": "hlsgen.version",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hlsgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
