# SPDX-License-Identifier: Apache-2.0
"""What a model may return its tensors in; dataclasses that PyTorch does not know become dictionaries."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils._pytree import SUPPORTED_NODES

from hlsgen.errors import Problem

_FOREIGN = re.compile(r"^Found <class '([\w.<>]+)'> in output, which is not a known type")


def known(result: Any) -> Any:
    """The same result with a dictionary in place of each dataclass that is not registered with PyTorch."""
    kind = type(result)
    if dataclasses.is_dataclass(kind) and kind not in SUPPORTED_NODES:
        return {item.name: known(getattr(result, item.name)) for item in dataclasses.fields(kind)}
    if kind in (list, tuple):
        return kind(known(item) for item in result)
    if kind is dict:
        return {key: known(item) for key, item in result.items()}
    return result


@contextlib.contextmanager
def returning_known(model: nn.Module) -> Iterator[None]:
    """The model returns only what an export can take apart."""
    hook = model.register_forward_hook(lambda _, __, result: known(result))
    try:
        yield
    finally:
        hook.remove()


def foreign(error: Exception) -> Problem | None:
    """The problem of a model that returns something else; None for another error."""
    found = _FOREIGN.match(str(error))
    if found is None:
        return None
    return Problem(
        "the model must return tensors, or tuples, lists, dictionaries or dataclasses of them",
        why=f"it returns {found[1].removeprefix('__main__.')}, which PyTorch can't take apart",
        fix="return a dictionary, or register the class: torch.utils._pytree.register_pytree_node",
        name="output of another kind",
    )
