# SPDX-License-Identifier: Apache-2.0
"""The digits example, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

import hlsgen
from hlsgen import Design


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of the digits example."""
    place = tmp_path_factory.mktemp("pipeline") / "digits"
    hlsgen.build("digits", place, board="ulx3s-85f", array="4x4x8")
    return place


@pytest.fixture(scope="session")
def design(folder: Path) -> Design:
    return Design.load(folder)
