# SPDX-License-Identifier: Apache-2.0
"""The figures that docs/numerics.md states; `PYTHONPATH=tests python -m quantization.figures` writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from quantization.graphs import digits_vit
from test_numerics import _ends, layer_norm_bound, layer_norm_error

from hlsgen import numerics
from hlsgen.ir import evaluate
from hlsgen.ops.pointwise import NAMED
from hlsgen.quantization import quantize
from hlsgen.quantization.rounding import nearest

DOCUMENT = Path(__file__).parents[2] / "docs" / "numerics.md"
BEGIN, END = "<!-- figures: written by tests/quantization/figures.py -->", "<!-- end of figures -->"

Row = tuple[str, ...]


def _text(value: float) -> str:
    """Three significant digits."""
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:#.3g}".rstrip(".")


def _primitives() -> Iterator[Row]:
    reals = np.exp(np.random.default_rng(0).uniform(-20, 9, 5000))
    pairs = [(m * 2.0**-s, real) for real in reals for m, s in [numerics.dyadic(float(real))]]
    yield "dyadic scale, relative", _text(max(abs(value / real - 1) for value, real in pairs))
    x = np.concatenate([_ends(16, 16), _ends(16, 32)])
    mantissa, exponent = numerics.reciprocal(x)
    yield "reciprocal, relative", _text(float(np.abs(mantissa * 2.0 ** -(16 + exponent) * x - 1).max()))
    x = np.concatenate([_ends(15, 15), _ends(16, 16), _ends(15, 61), _ends(16, 62)])
    mantissa, half = numerics.rsqrt(x)
    error = np.abs(mantissa * 2.0 ** -(16 + half) * np.sqrt(x.astype(np.float64)) - 1)
    yield "reciprocal square root, relative", _text(float(error.max()))
    widths = (1, 2, 3, 7, 15, 16, 33, 64, 192, 384, 1024)
    yield "layer norm, units of the int8 result, measured", _text(layer_norm_error(widths, 40))
    # Rounded up: it is a bound.
    yield "layer norm, the same, proved for every row", f"{math.ceil(layer_norm_bound() * 1e4) / 1e4:.4f}"


def _softmax_errors(width: int, keys: int) -> list[float]:
    """Largest error of a softmax weight: of the same logits; of logits before rounding, largest and RMS."""
    random = np.random.default_rng(width * 1000 + keys)
    logits = random.normal(0, 2.0, (1000, keys))
    scale = float(np.abs(logits).max()) / ((1 << (width - 1)) - 1)
    integers = np.floor(logits / scale + 0.5).astype(np.int64)
    e = numerics.exp_lookup(numerics.exp_table(scale, width), integers)
    got = e / e.sum(-1, keepdims=True)
    same, real = (np.exp(x - x.max(-1, keepdims=True)) for x in (integers * scale, logits))
    errors = [got - weights / weights.sum(-1, keepdims=True) for weights in (same, real)]
    return [*(float(np.abs(error).max()) for error in errors), float(np.sqrt((errors[1] ** 2).mean()))]


def _softmax() -> Iterator[Row]:
    for width in range(8, 13):
        for keys in (17, 197):
            yield str(width), str(keys), *(_text(error) for error in _softmax_errors(width, keys))


def _gelu() -> Iterator[Row]:
    gelu = NAMED["gelu"]
    for largest in (1.0, 2.0, 4.0, 8.0):
        source = largest / 127
        scale = float(gelu(np.array(largest))) / 127
        inputs = source * np.arange(-128, 128)
        table = np.clip(nearest(gelu(inputs) / scale), -128, 127)
        same = float(np.abs(table - gelu(inputs) / scale).max())
        x = np.linspace(-largest, largest, 20_001)
        real = float(np.abs(table[nearest(x / source) + 128] * scale - gelu(x)).max())
        yield _text(largest), _text(same), _text(real)


def _digits() -> Iterator[Row]:
    from hlsgen.examples.digits import data

    quantized = quantize(digits_vit(), data.calibration()[0])
    images, labels = data.heldout()
    output = quantized.graph.output
    reference = evaluate(quantized.reference, images)[output][:, 0]
    golden = evaluate(quantized.graph, quantized.quantize_input(images))[output][:, 0]
    value = quantized.dequantize(output, golden)
    yield "held-out images", str(len(labels))
    yield "top-1, float, percent", _text(100 * float((reference.argmax(-1) == labels).mean()))
    yield "top-1, integer, percent", _text(100 * float((value.argmax(-1) == labels).mean()))
    noise = ((value - reference) ** 2).sum()
    yield "logits, signal to quantization noise, dB", _text(10 * math.log10((reference**2).sum() / noise))
    worst = min(row.sqnr_db for row in quantized.report.tensors)
    yield "noisiest tensor on calibration images, dB", _text(worst)


TABLES: tuple[tuple[Row, Callable[[], Iterator[Row]]], ...] = (
    (("arithmetic", "largest error"), _primitives),
    (("logit bits", "keys", "same logits, largest", "real logits, largest", "real logits, RMS"), _softmax),
    (("input range ±", "same input, output units", "real input, absolute"), _gelu),
    (("digits", "value"), _digits),
)


def section() -> str:
    """All tables as Markdown."""
    parts = []
    for header, rows in TABLES:
        lines = [header, tuple("---" for _ in header), *rows()]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def stated() -> str:
    """The tables as the document has them."""
    found = re.search(f"{re.escape(BEGIN)}\n\n(.*?)\n\n{re.escape(END)}", DOCUMENT.read_text(), re.DOTALL)
    return found[1] if found else ""


def main() -> None:
    """Write the tables into the document."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{section()}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
