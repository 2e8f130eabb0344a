# SPDX-License-Identifier: Apache-2.0
"""From a float Graph and calibration images to an integer Graph and a report of its errors."""

import sys
from types import ModuleType
from typing import Any

from hlsgen.quantize.config import QuantizeConfig
from hlsgen.quantize.quantized import Quantized, quantize
from hlsgen.quantize.report import Report, TensorReport

__all__ = ["QuantizeConfig", "Quantized", "Report", "TensorReport", "quantize"]


class _CallableModule(ModuleType):
    """Lets `hlsgen.quantize(graph, images)` work although `hlsgen.quantize` is this package."""

    def __call__(self, *arguments: Any, **options: Any) -> Quantized:
        return quantize(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
