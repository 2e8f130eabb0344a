# SPDX-License-Identifier: Apache-2.0
"""A model quantized for several logit widths, each once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hlsgen.errors import QuantizationWarning
from hlsgen.executors.executor import Executor, ordered
from hlsgen.explore.search import Progress
from hlsgen.explore.subject import Setting
from hlsgen.ir import Graph
from hlsgen.quantization import QuantizeConfig, quantize
from hlsgen.store import graph_file

_Shared = tuple[Graph, np.ndarray, QuantizeConfig]


def settings(
    graph: Graph,
    calibration: np.ndarray,
    config: QuantizeConfig,
    widths: Sequence[int],
    executor: Executor,
    progress: Progress = lambda _done, _total: None,
) -> tuple[Mapping[int, Setting], tuple[str, ...]]:
    """A float Graph's settings by logit width, and the quantizer's warnings.

    Of widths that give the same integer Graph, as in a model without attention, the first one stays. Raises
    what `quantize` raises.
    """
    wanted = list(dict.fromkeys(widths))
    configs = {width: replace(config, logit_width=width) for width in wanted}  # refuses wrong ones at once
    runs = executor.run(_quantize, (graph, calibration, config), wanted)
    made = ordered(runs, len(configs), lambda done: progress(done, len(configs)))
    found: dict[str, tuple[int, Setting]] = {}
    for width, (setting, _) in zip(wanted, made, strict=True):
        found.setdefault(graph_file.digest(setting.graph), (width, setting))
    return dict(found.values()), tuple(dict.fromkeys(text for _, texts in made for text in texts))


def _quantize(shared: _Shared, width: int) -> tuple[Setting, tuple[str, ...]]:
    graph, calibration, config = shared
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)  # the report carries them
        quantized = quantize(graph, calibration, replace(config, logit_width=width))
    return Setting.of(quantized), quantized.report.warnings
