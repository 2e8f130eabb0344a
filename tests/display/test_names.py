# SPDX-License-Identifier: Apache-2.0
"""Free names."""

from __future__ import annotations

from hlsgen.display.names import free_name


def test_the_first_that_is_free() -> None:
    assert free_name("rows", ()) == "rows"
    assert free_name("rows", {"rows": 1}) == "rows_2"
    assert free_name("rows", ["rows", "rows_2", "rows_4"]) == "rows_3"
