# SPDX-License-Identifier: Apache-2.0
"""The quantizer leaves its caller's threads as they were and uses one."""

from __future__ import annotations

import pytest
from quantization.graphs import Vit, images, random_vit
from threadpoolctl import threadpool_info, threadpool_limits

from hlsgen.quantization import quantize, quantized


def _threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_products_run_on_one_thread_and_the_caller_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[set[int]] = []

    def measure(*arguments: object) -> object:
        seen.append(_threads())
        return original(*arguments)  # type: ignore[arg-type]

    original = quantized.measure
    monkeypatch.setattr(quantized, "measure", measure)
    with threadpool_limits(limits=2, user_api="blas"):
        before = _threads()
        quantize(random_vit(Vit(blocks=0)), images(Vit(), 4))
        assert _threads() == before
    assert seen == [{1}]
