# SPDX-License-Identifier: Apache-2.0
"""The demo's server: Python's own, on this machine's loopback address alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hlsgen.demo.answer import answer
from hlsgen.demo.machine import Machine
from hlsgen.demo.strokes import DIGITS
from hlsgen.emit.page import data_page
from hlsgen.errors import HlsgenError, Problem, UsageError

HOST = "127.0.0.1"
MOST_BYTES = 1 << 20
"""Of a request."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
"""The page may talk to its own server, and to nobody else."""
TITLES = {"digits": "One digit", "digits-moe": "Mixture of experts"}


class Demo(ThreadingHTTPServer):
    """Serves a page for each machine: the first at `/`, each at `/MODEL`."""

    daemon_threads = True

    def __init__(self, machines: Mapping[str, Machine], port: int = 0) -> None:
        """`machines` by model; `port` 0: one that is free. Raises `UsageError` for a port that is not."""
        self.machines = dict(machines)
        self.turn = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(
                Problem(f"port {port} can't be used: {error.strerror}", fix="--port 0 takes a free one")
            ) from None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.server_port}/"

    def page(self, model: str) -> str:
        """The page of a machine."""
        machine = self.machines[model]
        program = machine.design.program
        p = program.parameters
        patches = program.commands[0]
        return data_page(
            "page",
            {
                "model": model,
                "pages": [[name, TITLES[name]] for name in self.machines],
                "tasks": machine.design.graph.tasks,
                "array": f"{p.rows}x{p.columns}x{p.depth}",
                "board": machine.design.board,
                "clock_mhz": machine.clock_mhz,
                "weight_bytes": machine.weight_bytes,
                "stored": DIGITS,
                "patches": {"columns": patches.patch_columns, "prefix": patches.patch_prefix},
            },
            folder="demo",
        )


class _Handler(BaseHTTPRequestHandler):
    server: Demo  # pyright: ignore[reportIncompatibleVariableOverride] it has no other

    def do_GET(self) -> None:
        model = self.path.strip("/") or next(iter(self.server.machines))
        if not self._mine():
            return
        if model not in self.server.machines:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"no such page")
            return
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page(model).encode())

    def do_POST(self) -> None:
        model = self.path.removeprefix("/run/")
        if not self._mine():
            return
        if model not in self.server.machines:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"no such machine")
            return
        try:
            request = self._request()
            with self.server.turn:
                found: dict[str, Any] = answer(self.server.machines[model], request)
            status = HTTPStatus.OK
        except HlsgenError as error:
            found = {"error": str(error)}
            status = HTTPStatus.BAD_REQUEST if isinstance(error, UsageError) else HTTPStatus.BAD_GATEWAY
        self._send(status, "application/json", json.dumps(found, allow_nan=False).encode())

    def _request(self) -> dict[str, Any]:
        """The request's object; raises `UsageError` for anything else."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BYTES:
            self.close_connection = True
            raise UsageError(f"a request must have a length of at most {MOST_BYTES} bytes")
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UsageError("a request must be an object in JSON")
        return found

    def _mine(self) -> bool:
        """Whether the request comes from a page of ours: other pages of the browser reach this port, too."""
        port = self.server.server_port
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        mine = self.headers.get("Host") in hosts and (
            origin is None or origin in {f"http://{host}" for host in hosts}
        )
        if not mine:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this server is for its own page alone")
        return mine

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # the browser went away, or asks for a newer drawing
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base's name
        """Nothing: the page shows what happened."""
