# SPDX-License-Identifier: Apache-2.0
"""What `hlsgen explore` looks at, from a configuration: the way of `build` as far as the quantizer."""

from __future__ import annotations

from collections.abc import Sequence

from hlsgen.configuration.schema import Configuration
from hlsgen.executors.executor import Executor
from hlsgen.explore.settings import settings
from hlsgen.explore.subject import Subject, board_texts
from hlsgen.frontend.inputs.model import load_model
from hlsgen.host.collector import collector_paused
from hlsgen.pipeline import _captured, _images, source_of
from hlsgen.progress.steps import step


def make_subject(
    asked: Configuration,
    boards: Sequence[str],
    logit_widths: Sequence[int],
    executor: Executor,
) -> tuple[Subject, tuple[str, ...]]:
    """A configuration's model, quantized for each width; and warnings. Raises what `build` raises."""
    texts, model, name = board_texts(tuple(boards)), asked.model, source_of(asked)
    with collector_paused():
        with step("model"):
            data, _ = _images(name, asked)
            loaded = load_model(name, model.shape or tuple(data.images.shape[1:]), model.weights)
        with step("capture"):
            graph, notes = _captured(loaded, model.outputs, data.images[:1], model.compare)
        with step("quantize"):
            found, told = settings(graph, data.images, asked.quantizer, logit_widths, executor)
    return Subject(loaded.name, found, texts), (*notes, *told)
