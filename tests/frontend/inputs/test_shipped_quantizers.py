# SPDX-License-Identifier: Apache-2.0
"""Examples with random weights keep their commands, so that their cycles can be compared."""

from __future__ import annotations

import pytest

from hlsgen.frontend.inputs.shipped import SHIPPED
from hlsgen.pipeline import usual_quantizer


@pytest.mark.parametrize("name", [name for name, example in SHIPPED.items() if not example.trained])
def test_random_weights_have_no_channels_apart(name: str) -> None:
    """Which channels stand apart would depend on the seed, and each costs commands."""
    assert not usual_quantizer(name).outliers_apart


def test_trained_weights_have_the_defaults() -> None:
    assert usual_quantizer("digits").outliers_apart
