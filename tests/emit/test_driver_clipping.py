# SPDX-License-Identifier: Apache-2.0
"""The C driver counts the pixels that it clips, and tells of them in the words of the hosts in Python."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.c_driver import STRICT, write_files
from support.graphs import DIGITS, images, integer_vit

from hlsgen.emit.device import Vectors
from hlsgen.emit.driver import c_driver
from hlsgen.errors import ClippedInput
from hlsgen.ir import Graph, TensorType, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.store.samples import warn_of_clipped

PROGRAM = """
#include "hlsgen_design.h"
#include "hlsgen_linux.h"

int main(int count, char **arguments)
{
    static float values[HLSGEN_INPUT_ELEMENTS];
    static int8_t pixels[HLSGEN_INPUT_ELEMENTS];
    hlsgen_clipping clipping = {0};

    (void)arguments;
    while (fread(values, sizeof values, 1, stdin) == 1) {
        hlsgen_quantize_image(&hlsgen_model, values, pixels, count > 1 ? NULL : &clipping);
        fwrite(pixels, sizeof pixels, 1, stdout);
    }
    fprintf(stderr, "%lu of %lu, %lu of %lu\\n", (unsigned long)clipping.clipped_pixels,
            (unsigned long)clipping.pixels, (unsigned long)clipping.clipped_images,
            (unsigned long)clipping.images);
    if (hlsgen_clipped(&hlsgen_model, &clipping) != hlsgen_tell_clipped(&hlsgen_model, &clipping, stderr))
        return 1;
    return 0;
}
"""
STRICTER = ("-Wconversion", "-Wshadow", "-Wcast-qual")
PIXELS = int(np.prod(DIGITS.image))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return integer_vit(DIGITS)


@pytest.fixture(scope="module")
def program(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, inputs = tmp_path_factory.mktemp("clipping"), images(DIGITS, 1)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8))
    vectors = Vectors(images=inputs, outputs=evaluate(graph, inputs)[graph.output])
    write_files(c_driver(graph, lowered.program, lowered.image, vectors), folder)
    (folder / "main.c").write_text(PROGRAM)
    sources = ("hlsgen.c", "hlsgen_design.c", "hlsgen_linux.c", "main.c")
    subprocess.run(["gcc", *STRICT, *STRICTER, "-O2", "-o", "main", *sources], cwd=folder, check=True)
    return folder / "main"


def run(program: Path, values: np.ndarray, *arguments: str) -> tuple[np.ndarray, str, str]:
    """Integers, the counts, and what is told."""
    data = values.astype(np.float32).tobytes()
    done = subprocess.run([program, *arguments], input=data, capture_output=True, check=True)
    counts, _, told = done.stderr.decode().partition("\n")
    return np.frombuffer(done.stdout, np.int8).reshape(values.shape), counts, told


def python_tells(values: np.ndarray, kind: TensorType) -> str:
    """The warning of `Design.predict`; nothing without one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ClippedInput)
        warn_of_clipped(values, kind)
    return "".join(f"{item.message}\n" for item in caught)


@pytest.mark.parametrize("factor", [1.0, 2.5, 10.0, 255.0])
def test_the_line_is_that_of_the_hosts_in_python(graph: Graph, program: Path, factor: float) -> None:
    real = np.random.default_rng(3).uniform(0, 1, (3, *DIGITS.image))
    real[1] /= 300  # an image without a clipped pixel
    values = (real * factor).astype(np.float32).astype(np.float64)
    integers, counts, told = run(program, values)
    np.testing.assert_array_equal(integers, quantize_images(values, graph.input_type))
    outside = values >= 127.5 / 64
    images_ = outside.any((1, 2, 3)).sum()
    assert counts == f"{outside.sum()} of {3 * PIXELS}, {images_} of 3"
    assert told == python_tells(values, graph.input_type)
    assert ("in 2 of 3 images: they lie outside -2..1.984" in told) == (factor > 1)


@pytest.mark.parametrize("clipped", [16, 17])
def test_one_percent_is_no_word_worth(graph: Graph, program: Path, clipped: int) -> None:
    """Of 1600 pixels 16 are one percent."""
    values = np.zeros((25, *DIGITS.image))
    values.reshape(-1)[:clipped] = 9.0
    _, counts, told = run(program, values)
    assert counts == f"{clipped} of 1600, 1 of 25"
    assert told == python_tells(values, graph.input_type)
    assert bool(told) == (clipped == 17)


def test_what_is_counted_is_what_saturates(graph: Graph, program: Path) -> None:
    """The range's ends, on both sides; nothing is counted without a counter, or without an image."""
    scale, low, high = graph.input_type.scale or 1.0, -128.5, 127.5
    ends = np.array([low, high, low, high, low, high], np.float32) * np.float32(scale)
    ends[2:] = np.nextafter(ends[2:], np.array([-9, -9, 9, 9], np.float32))
    values = np.zeros((1, *DIGITS.image))
    values.reshape(-1)[:6] = ends
    assert run(program, values)[1] == f"3 of {PIXELS}, 1 of 1"  # high, below low, above high
    values.reshape(-1)[6:9] = [np.nan, np.inf, -np.inf]
    integers, counts, _ = run(program, values)
    assert counts == f"6 of {PIXELS}, 1 of 1"
    assert integers.reshape(-1)[6:9].tolist() == [-128, 127, -128]
    again, counts, told = run(program, values, "uncounted")
    np.testing.assert_array_equal(again, integers)
    assert (counts, told) == ("0 of 0, 0 of 0", "")
    assert run(program, values[:0])[1:] == ("0 of 0, 0 of 0", "")
