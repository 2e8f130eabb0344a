# SPDX-License-Identifier: Apache-2.0
"""docs/numerics.md states figures: they are computed again and compared."""

from __future__ import annotations

import re

import pytest
from quantization.figures import DOCUMENT, section, stated

NUMBER = r"(?<![\w.])\d[\d.]*(?:e[-+]\d+)?(?![\w.])"


def test_the_stated_figures_are_the_measured_ones() -> None:
    pytest.importorskip("sklearn")
    measured, document = section(), stated()
    assert re.sub(NUMBER, "#", document) == re.sub(NUMBER, "#", measured)
    numbers = [[float(n) for n in re.findall(NUMBER, text)] for text in (document, measured)]
    assert len(numbers[0]) > 50
    # Three digits are stated; another libm may flip the last one.
    assert numbers[0] == pytest.approx(numbers[1], rel=0.011)


def test_the_text_repeats_the_bounds_of_the_table() -> None:
    text = DOCUMENT.read_text()
    for claim in ("below 4.3e-5", "below 4.5e-5", "within 0.5097 units", "half a unit"):
        assert claim in text
