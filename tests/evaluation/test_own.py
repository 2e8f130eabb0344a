# SPDX-License-Identifier: Apache-2.0
"""Agreement with a quantized model's own runtime."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import UsageError
from hlsgen.evaluation.own import own_figures


def test_classes_and_noise() -> None:
    own = np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [3.0, 0.0, 0.0]])
    golden = np.round(own / 0.01)[:, None]
    golden[3, 0] = [0, 301, 0]
    found = own_figures(golden, 0.01, own)
    assert str(found.same).startswith("75.00% (3 of 4")
    assert found.db == pytest.approx(10 * np.log10(16 / (9 + 3.01**2)))
    assert "integer as the model's own runtime: same class: 75.00%" in str(found)
    assert found.data()["db"] == found.db


def test_equal_rows() -> None:
    found = own_figures(np.ones((1, 2, 3), np.int64), 0.5, np.full((1, 6), 0.5))
    assert (found.same, found.db, found.centred_db) == (None, None, None)
    assert "equal" in str(found)


def test_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"own must have the output's shape \[2, 3\], not \[2, 4\]"):
        own_figures(np.ones((2, 1, 3)), 1.0, np.ones((2, 4)))
