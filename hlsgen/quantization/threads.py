# SPDX-License-Identifier: Apache-2.0
"""One thread for matrix products."""

from __future__ import annotations

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def one_thread() -> AbstractContextManager[object]:
    """While it lasts, BLAS uses one thread.

    The quantizer's products are many and small: two threads wait for each other and take several times as
    long, on a machine with other work up to ten times. It also makes results independent of their number.
    """
    return threadpool_limits(limits=1, user_api="blas")
