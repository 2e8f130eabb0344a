# SPDX-License-Identifier: Apache-2.0
"""Names of tensors and functions that are free."""

from __future__ import annotations

from collections.abc import Container


def free_name(name: str, taken: Container[str]) -> str:
    """The name, or the first of name_2, name_3 and so on that is not taken."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
