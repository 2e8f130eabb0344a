# SPDX-License-Identifier: Apache-2.0
"""What the tests of executors let workers do."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path


def fail(error: Exception, _item: int) -> None:
    """Raise what is shared."""
    raise error


def die_once(folder: str, item: int) -> int:
    """Ends its process the first time that item 2 comes."""
    mark = Path(folder) / "killed"
    if item == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * item


def die(_shared: None, item: int) -> int:
    """Ends its process whenever item 1 comes."""
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def talk(_shared: None, item: int) -> int:
    """Prints."""
    print("a line that is no message")
    return item


def wait(shared: Path, _item: int) -> None:
    """Starts a child of ten minutes and waits for it; writes its number."""
    done = subprocess.Popen(["sleep", "600"])
    shared.write_text(str(done.pid))
    done.wait()


def count(shared: list[int], _item: int) -> int:
    """How often the worker was called with the object that it was sent, and one more."""
    shared[0] += 1
    return shared[0]
