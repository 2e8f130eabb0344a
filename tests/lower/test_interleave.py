# SPDX-License-Identifier: Apache-2.0
"""Tables and rows of a routing's commands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hlsgen.errors import UnsupportedModel
from hlsgen.lower.interleave import ExpertTables


def _step(expert: int, combine: object = None) -> Any:
    return SimpleNamespace(expert=expert, combine=combine, route=SimpleNamespace(name="route"))


def test_rows_of_router_and_experts_lie_equally_far_apart() -> None:
    """The router's queues say where a token's row begins; the RTL takes the router's own distance."""
    tables = ExpertTables()
    tables.check_rows(_step(0), 1)
    tables.check_rows(_step(1, object()), 2)  # the second layer reads what the first has packed
    tables.check_rows(_step(1), 1)
    with pytest.raises(
        UnsupportedModel, match="rows of its router must have 2 words, as its experts', not 1"
    ):
        tables.check_rows(_step(2), 2)
