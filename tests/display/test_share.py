# SPDX-License-Identifier: Apache-2.0
"""A share's interval against published ones."""

from __future__ import annotations

import pytest

from hlsgen.display.share import Share


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (0, 0, 0, 1),
    ],
)
def test_the_interval_is_wilson_s(count: int, of: int, low: float, high: float) -> None:
    found = Share(count, of)
    assert found.interval == pytest.approx((low, high), abs=5e-5)
    assert found.value == (count / of if of else 0.0)
    assert found.data() == {"count": count, "of": of, "share": found.value, "interval": list(found.interval)}
