# SPDX-License-Identifier: Apache-2.0
"""The executor that a user asks for."""

from __future__ import annotations

import os

from hlsgen.executors.executor import Executor, Serial
from hlsgen.executors.processes import Processes


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def executor(jobs: int | None = None, dask: str | None = None) -> Executor:
    """So many processes here, or Dask; one process, this one, where nothing is said.

    jobs: with a queueing system the number of its jobs. Raises what `Dask` raises.
    """
    if dask is not None:
        from hlsgen.executors.cluster import Dask

        return Dask(dask, jobs)
    return Serial() if jobs in (None, 1) else Processes(jobs)


def asked_executor(jobs: int | None, dask: str | None) -> Executor | None:
    """The same, but None where nothing is asked for."""
    return None if jobs is None and dask is None else executor(jobs, dask)
