# SPDX-License-Identifier: Apache-2.0
"""From a float Graph and calibration images to an integer Graph and a report of its errors."""

from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.quantized import Quantized, quantize
from hlsgen.quantization.report import Report, TensorReport

__all__ = ["QuantizeConfig", "Quantized", "Report", "TensorReport", "quantize"]
