# SPDX-License-Identifier: Apache-2.0
"""The simulator of all arithmetic side by side, built once."""

from __future__ import annotations

import pytest
from support.leaf_bench import LeafBench
from support.leaves import leaf_bench


@pytest.fixture(scope="session")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> LeafBench:
    return leaf_bench(tmp_path_factory.mktemp("leaves"))
