# SPDX-License-Identifier: Apache-2.0
"""`python -m hlsgen.executors.worker`: a process that `processes` starts, and what both say over its pipes.

A message is its length and a pickle. The worker reads (function, what is shared), and (item,), which it
answers.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import IO, Any

from hlsgen.host.processes import Ended, signals_end

_LENGTH = struct.Struct("<Q")


def send(stream: IO[bytes], data: bytes) -> None:
    """Write a message."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message; raises `EOFError` where the other side has ended."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return pickle.loads(_exactly(stream, length))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _answer(function: Any, shared: Any, item: Any) -> bytes:
    """Whether it went well, and the result or the exception."""
    try:
        return pickle.dumps((True, function(shared, item)))
    except Exception as error:  # noqa: BLE001 the caller raises it
        try:
            return pickle.dumps((False, error))
        except Exception:  # noqa: BLE001 some exceptions can't be sent
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


def main() -> None:
    """Answer until the caller closes the pipe."""
    # What the function prints is not a message: it goes where errors go.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    try:
        with signals_end():
            function = shared = None
            while True:
                message = receive(requests)
                if len(message) == 1:
                    send(answers, _answer(function, shared, *message))
                else:
                    function, shared = message
    except (EOFError, BrokenPipeError, KeyboardInterrupt, Ended):
        pass  # nobody waits any more


if __name__ == "__main__":
    main()
