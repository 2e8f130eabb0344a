# SPDX-License-Identifier: Apache-2.0
"""The page of the documentation that says what host and machine say to each other."""

from __future__ import annotations

from hlsgen.emit.render import render
from hlsgen.machine.format.image import MAGIC, VERSION
from hlsgen.machine.format.limits import LIMIT_FACTOR
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.time.depths import images_held


def registers_page() -> str:
    """Text of docs/registers.md."""
    facts = {"magic": MAGIC, "version": VERSION, "limit_factor": LIMIT_FACTOR, "align": SECTION_ALIGN}
    facts["images"] = images_held()
    return render("docs/registers.md", facts)
