# SPDX-License-Identifier: Apache-2.0
"""Shows steps on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from hlsgen.progress.lines import Lines
from hlsgen.progress.steps import Listener, listening
from hlsgen.progress.words import NORMAL, QUIET


def is_live(stream: TextIO) -> bool:
    """Whether a live line may be drawn: on a terminal that can, unless `NO_COLOR` asks for plain lines."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


@contextmanager
def shown(stream: TextIO, verb: str, verbosity: int = NORMAL) -> Iterator[None]:
    """Within it the steps are shown on `stream`."""
    if verbosity == QUIET:
        with listening(Listener()):
            yield
        return
    if is_live(stream):
        from hlsgen.progress.live import Live

        listener = Live(stream, verb, verbosity)
    else:
        listener = Lines(stream, verb, verbosity)
    listener.start()
    try:
        with listening(listener):
            yield
    finally:
        listener.stop()
