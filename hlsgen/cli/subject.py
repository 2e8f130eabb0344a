# SPDX-License-Identifier: Apache-2.0
"""What `hlsgen explore` looks at, from a configuration: the way of `build` as far as the quantizer."""

from __future__ import annotations

from collections.abc import Sequence

from hlsgen.configuration.schema import Configuration
from hlsgen.executors.executor import Executor
from hlsgen.explore.settings import settings
from hlsgen.explore.subject import Subject, board_texts
from hlsgen.host.collector import collector_paused
from hlsgen.pipeline import read_model
from hlsgen.progress.steps import step


def make_subject(
    asked: Configuration,
    boards: Sequence[str],
    logit_widths: Sequence[int],
    executor: Executor,
) -> tuple[Subject, tuple[str, ...]]:
    """A configuration's model, quantized for each width; and warnings. Raises what `build` raises."""
    texts = board_texts(tuple(boards))
    with collector_paused():
        read = read_model(asked)
        with step("quantize"):
            images = read.calibration.images
            found, told = settings(read.graph, images, asked.quantizer, logit_widths, executor)
    return Subject(read.name, found, texts), (*read.notes, *told)
