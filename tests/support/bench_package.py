# SPDX-License-Identifier: Apache-2.0
"""The Python modules of a build folder's bench, as they lie there."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import ModuleType

_NUMBER = count()


def module_of(texts: Mapping[str, str], folder: Path, name: str) -> ModuleType:
    """Module `name` of the bench's package, whose files are written into `folder`."""
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    package, place = f"bench_package_{next(_NUMBER)}", folder / "sim/hlsgen_bench"
    spec = importlib.util.spec_from_file_location(
        package, place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[package] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[package])
    return importlib.import_module(f"{package}.{name}")
