# SPDX-License-Identifier: Apache-2.0
"""Select: a range of tokens."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    Select,
)

INT16 = TensorType((3, 4), -32768, 32767, 0.5)


def test_select() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    op = Select(start=1, stop=3)
    assert op.golden(x).tolist() == [image[1:3] for image in x.tolist()]
    assert op.infer(INT16) == TensorType((2, 4), -32768, 32767, 0.5)
    for start, stop in ((0, 4), (2, 2), (-1, 1)):
        with pytest.raises(TypeMismatch, match="select: tokens"):
            Select(start=start, stop=stop).infer(INT16)
