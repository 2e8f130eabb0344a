# SPDX-License-Identifier: Apache-2.0
"""A folder's lock: held by the system for a process, so that none is left when the process is killed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder are not kept apart there
    fcntl = None

WAIT_SECONDS = 60.0
"""How long one waits for another. Nobody holds a lock for longer than writing or reading takes."""
_POLL_SECONDS = 0.05


@contextmanager
def locked(directory: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a folder: alone, or together with other readers.

    The folder itself is locked: there is no lock file. File systems without locks are used without. Raises
    `UsageError` when another process holds it for `WAIT_SECONDS`.
    """
    if fcntl is None:
        yield
        return
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            handle = os.open(directory, os.O_RDONLY)
        except OSError as error:
            raise UsageError(f"{directory} can't be opened: {error.strerror}", code=Code.READ) from None
        try:
            _wait(handle, directory, shared=shared, end=end)
            if _still(handle, directory):
                yield
                return
        finally:
            os.close(handle)


def _wait(handle: int, directory: Path, *, shared: bool, end: float) -> None:
    assert fcntl is not None
    while True:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # network file systems may have no locks for folders
        if time.monotonic() > end:
            what = f"{directory} must not be in use by another hlsgen for longer than {WAIT_SECONDS:g} s"
            raise UsageError(
                Problem(what, fix="wait until it has ended, or choose another folder"), code=Code.BUSY
            )
        time.sleep(_POLL_SECONDS)


def _still(handle: int, directory: Path) -> bool:
    """Whether the path still names the folder that was locked: who held it may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), directory.stat())
    except OSError:
        return False
