# SPDX-License-Identifier: Apache-2.0
"""Lines of a report: the machine that the cycle model chose, and the next best ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def choice_lines(choice: Mapping[str, Any]) -> list[str]:
    """What was chosen of what was left open, then the fastest and the smallest other machine."""
    if not choice:
        return []
    chosen, others = choice["chosen"], list(choice["others"])
    lines = [f"chosen     {', '.join(_named(chosen, choice['open']))}: "]
    if not others:
        return [lines[0] + "no other can save a thousandth of the cycles"]
    lines[0] += f"of {1 + len(others)} tried the least that is about as fast as any"
    smallest = min(others, key=lambda item: (item["ram_blocks"], item["dsp"], item["cycles"]))
    shown = {"next best": others[0]} | ({} if smallest is others[0] else {"smallest": smallest})
    for name, other in shown.items():
        lines.append(f"           {name}: {', '.join(_named(other, choice['open']))}: {_cost(other, chosen)}")
    return lines


def _named(item: Mapping[str, Any], names: list[str]) -> list[str]:
    texts = {
        "ring": f"weight ring of {item['ring_bytes'] >> 10} KiB",
        "row width": f"row width {item['row_width']}",
        "attention": f"attention {item['attention']}",
    }
    return [texts[name] for name in names]


def _cost(item: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """Cycles and blocks, against those of what was chosen."""
    more = 100 * (item["cycles"] / chosen["cycles"] - 1)
    blocks = item["ram_blocks"] - chosen["ram_blocks"]
    dsp = item["dsp"] - chosen["dsp"]
    text = f"{more:+.2f} % cycles, {blocks:+d} RAM blocks"
    return text + (f", {dsp:+d} DSP blocks" if dsp else "")
