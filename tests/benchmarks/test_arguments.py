# SPDX-License-Identifier: Apache-2.0
"""What `python -m benchmarks` refuses before it quantizes anything; the ring that no array may have."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import arguments
from hlsgen.errors import UsageError
from hlsgen.lower.size import ArrayShape


@pytest.mark.parametrize("value", ["-5", "0", "x", "1.5"])
@pytest.mark.parametrize("option", ["--ring", "--memory", "--row-width"])
def test_a_number_that_must_be_positive(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        arguments().parse_args(["digits", option, value])
    assert left.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"error: argument {option}: must be a positive integer, not {value!r}")


@pytest.mark.parametrize("option", ["--task", "--span", "--latency"])
def test_a_number_that_may_be_zero(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert getattr(arguments().parse_args(["digits", option, "0"]), option[2:]) == 0
    with pytest.raises(SystemExit) as left:
        arguments().parse_args(["digits", option, "-1"])
    assert left.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"error: argument {option}: must be 0 or a positive integer, not '-1'")


@pytest.mark.parametrize("ring", [0, -5])
def test_a_ring_without_bytes_is_refused_in_python_too(ring: int) -> None:
    with pytest.raises(UsageError, match=f"ring_bytes must be positive, not {ring}"):
        ArrayShape(rows=4, columns=4, depth=8, ring_bytes=ring)
