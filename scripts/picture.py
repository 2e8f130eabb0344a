# SPDX-License-Identifier: Apache-2.0
"""The picture of README.md: `python -m scripts.picture` draws docs/machine.svg from a compiled model.

Above: what is equal to what. Below: when LOAD, MULTIPLY and DRAIN work on each job of one image of the digits
model, as the cycle model has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.phases import phase_of
from hlsgen.store.compiled import Compiled

PLACE = Path(__file__).resolve().parent.parent / "docs/machine.svg"
WIDTH, HEIGHT, LEFT, RIGHT = 880, 350, 92, 20
LANES = (("LOAD", "load_start", "load_end"), ("MULTIPLY", "multiply_start", "multiply_end"),
         ("DRAIN", "multiply_end", "drain_end"))  # fmt: skip
TOP, LANE = 176, 34
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1")
STATIONS = (("PyTorch model", "float"), ("integer model", "golden"), ("program", "interpreter"))
ENDS = (("HLS C++", "g++"), ("Verilog", "Verilator, Icarus"), ("netlist", "at the board's pins"))


def picture(design: Compiled) -> str:
    """The SVG."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    lines = [
        f'{head} font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_way(),
        *_time(design),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, fill: str = "#222") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{fill}">{escape(text)}</text>'


def _box(x: float, y: float, titles: tuple[str, str]) -> Iterator[str]:
    yield f'<rect x="{x}" y="{y}" width="138" height="42" rx="5" fill="#eef3f8" stroke="#4e79a7"/>'
    yield _text(x + 69, y + 18, titles[0], anchor="middle")
    yield _text(x + 69, y + 34, titles[1], anchor="middle", size=11, fill="#555")


def _arrow(x: float, y: float, to_x: float, to_y: float, label: str) -> Iterator[str]:
    yield f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="#555"/>'
    yield _text((x + to_x) / 2, (y + to_y) / 2 - 5, label, anchor="middle", size=12)


def _way() -> Iterator[str]:
    """The boxes: one after another, then side by side."""
    for index, titles in enumerate(STATIONS):
        yield from _box(20 + 210 * index, 56, titles)
    yield from _arrow(158, 77, 230, 77, "quantize")
    yield from _arrow(368, 77, 440, 77, "= lower")
    for index, titles in enumerate(ENDS):
        yield from _box(700, 8 + 48 * index, titles)
        yield from _arrow(578, 77, 700, 29 + 48 * index, "=")


def _time(design: Compiled) -> Iterator[str]:
    """The lanes, their legend and the axis."""
    program, prediction = design.program, predict(design.program, design.image)
    p, cycles, scale = program.parameters, prediction.cycles, (WIDTH - LEFT - RIGHT) / prediction.cycles
    phases: dict[str, str] = {}
    before, of = None, []
    for command in program.commands:
        of.append(phases.setdefault(phase_of(command, before), COLOURS[len(phases) % len(COLOURS)]))
        before = command
    share = 100 * program.task_macs[0] / (cycles * p.lanes)
    what = f"one image on an array of {p.rows}x{p.columns}x{p.depth}: {cycles:,} cycles, {share:.1f} % useful"
    yield _text(20, TOP - 14, what)
    for lane, (name, start, end) in enumerate(LANES):
        y = TOP + LANE * lane
        yield _text(LEFT - 8, y + 18, name, anchor="end", size=12)
        for job in prediction.jobs:
            x, width = LEFT + getattr(job, start) * scale, (getattr(job, end) - getattr(job, start)) * scale
            size = f'width="{width:.1f}" height="{LANE - 8}"'
            yield f'<rect x="{x:.1f}" y="{y}" {size} fill="{of[job.command]}"/>'
    y = TOP + LANE * len(LANES) + 4
    for share in range(5):
        x = LEFT + (WIDTH - LEFT - RIGHT) * share / 4
        yield f'<line x1="{x}" y1="{y}" x2="{x}" y2="{y + 5}" stroke="#555"/>'
        yield _text(
            x,
            y + 18,
            f"{cycles * share // 4:,}",
            anchor="end" if share == 4 else "middle",
            size=11,
            fill="#555",
        )
    x = LEFT - 60
    for name, colour in phases.items():
        yield f'<rect x="{x}" y="{y + 34}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 17, y + 45, name, size=12)
        x += 50 + 7 * len(name)


def main() -> None:
    """Draw it."""
    from scripts.tutorial import make

    PLACE.write_text(picture(make().design), "utf-8")


if __name__ == "__main__":
    main()
