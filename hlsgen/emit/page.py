# SPDX-License-Identifier: Apache-2.0
"""Figures as one HTML page: data as JSON, drawn by the page's own script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hlsgen.emit.render import render


def page(figures: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """Text of the report's page: `figures` for its script, `shown` for what stands in the page itself."""
    return data_page("page", figures, shown=shown)


def data_page(
    name: str, figures: Mapping[str, Any], *, folder: str = "report", shown: Mapping[str, Any] | None = None
) -> str:
    """Text of `{folder}/{name}.html`.

    Names reach it as JSON in a data block, never as script; what of `shown` is a text the template escapes.
    """
    data = json.dumps(figures, separators=(",", ":"), allow_nan=False)
    for mark, code in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        data = data.replace(mark, code)
    return render(f"{folder}/{name}.html", {"data": data, **(shown or {})})
