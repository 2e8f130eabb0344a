# SPDX-License-Identifier: Apache-2.0
"""The demo's server without a browser: its answers, and what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hlsgen.cli import main
from hlsgen.demo.drawing import image_of
from hlsgen.demo.machine import Flip, Machine
from hlsgen.demo.server import HOST, MOST_BYTES, Demo
from hlsgen.demo.strokes import DIGITS
from hlsgen.errors import UsageError


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine("digits")


@pytest.fixture(scope="module")
def server(machine: Machine) -> Iterator[Demo]:
    with Demo({"digits": machine}) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server: Demo, body: Any, path: str = "/run/digits", **headers: str) -> tuple[int, str]:
    """Status and text of an answer; `body` None: a GET."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=60)
    try:
        text = None if body is None else body if isinstance(body, str) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text, headers)
        found = connection.getresponse()
        return found.status, found.read().decode()
    finally:
        connection.close()


def test_every_stored_digit_is_recognised(machine: Machine) -> None:
    for digit, strokes in enumerate(DIGITS):
        decision = machine.run(image_of(strokes))
        assert decision.equal
        assert int(decision.output.argmax()) == digit


def test_the_spans_are_the_whole_run(machine: Machine) -> None:
    decision = machine.run(image_of(DIGITS[0]))
    spans = decision.spans
    assert [span.begin for span in spans] == [0, *(span.end for span in spans[:-1])]
    assert len(spans) == len(machine.design.program.commands)
    assert 0 < decision.cycles - spans[-1].end < 200  # the output's way to memory
    assert list(dict.fromkeys(span.block for span in spans)) == [
        "patch_embed", "blocks.0", "blocks.1", "blocks.2", "head",
    ]  # fmt: skip


def test_a_flip_beyond_the_weights_is_refused(machine: Machine) -> None:
    last = machine.weight_bytes - 1
    for flip in (Flip(-1, 0), Flip(last + 1, 0), Flip(0, 8)):
        with pytest.raises(UsageError, match=rf"a flip must be in bytes 0..{last} and bits 0..7, not Flip"):
            machine.run(image_of(DIGITS[0]), flip=flip)


def test_only_the_models_of_the_demo() -> None:
    with pytest.raises(UsageError, match="model must be one of digits, digits-moe, not 'awkward'"):
        Machine("awkward")


def test_the_answer_is_the_decision(server: Demo, machine: Machine) -> None:
    status, text = ask(server, {"strokes": DIGITS[6], "task": 0, "flip": None})
    found, decision = json.loads(text), machine.run(image_of(DIGITS[6]))
    assert status == 200
    assert (found["classes"], found["equal"], found["cycles"]) == ([6], True, decision.cycles)
    assert [item["name"] for item in found["tensors"]] == list(decision.tensors)
    assert found["experts"] is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "a request must be an object in JSON"),
        ("[1]", "a request must be an object in JSON"),
        ("[" * 100_000, "a request must be an object in JSON"),
        ({}, "strokes must be a list of lists of points"),
        ({"strokes": [1]}, "strokes must be a list of lists of points"),
        ({"strokes": []}, "at least one stroke is needed"),
        ({"strokes": DIGITS[1], "task": "x"}, "task must be a number, not 'x'"),
        ({"strokes": DIGITS[1], "task": 3}, "task must be in 0..0, not 3"),
        ({"strokes": DIGITS[1], "flip": 7}, "flip must have the numbers byte and bit"),
        ({"strokes": DIGITS[1], "flip": {"byte": 1}}, "flip must have the numbers byte and bit"),
    ],
)
def test_a_wrong_request_is_one_sentence(server: Demo, body: Any, message: str) -> None:
    status, text = ask(server, body)
    assert (status, json.loads(text)) == (400, {"error": message})


@pytest.mark.parametrize("length", [str(MOST_BYTES + 1), "-1", "many", ""])
def test_a_request_of_another_length_is_not_read(server: Demo, length: str) -> None:
    status, text = ask(server, "{}", **{"Content-Length": length})
    message = f"a request must have a length of at most {MOST_BYTES} bytes"
    assert (status, json.loads(text)) == (400, {"error": message})


def test_other_paths_are_not_there(server: Demo) -> None:
    assert ask(server, None, "/digits")[0] == 200
    assert ask(server, None, "/../pyproject.toml")[0] == 404
    assert ask(server, {}, "/run/awkward")[0] == 404


def test_other_pages_of_the_browser_are_refused(server: Demo) -> None:
    body = {"strokes": DIGITS[1]}
    assert ask(server, body, Origin="http://elsewhere.example")[0] == 403
    assert ask(server, None, "/", Host="elsewhere.example")[0] == 403
    assert ask(server, body, Origin=server.address.rstrip("/"))[0] == 200


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert main(["demo", "--port", str(number)]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"hlsgen: error: port {number} can't be used: Address already in use\n"
        "  fix: --port 0 takes a free one\n"
        "  more: hlsgen explain HG001\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["awkward"], "MODEL must be one of digits, digits-moe, not 'awkward'"),
        (["--port", "70000"], "argument --port: must be a port in 0..65535, not '70000'"),
    ],
)
def test_a_wrong_call(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_verb_serves_until_ctrl_c() -> None:
    command = [sys.executable, "-m", "hlsgen", "demo", "digits", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        assert first.startswith("hlsgen: digits: capture")
        opened = next(line for line in child.stderr if line.startswith("hlsgen: open "))  # behind the steps
        address = opened.split()[2]
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection((HOST, port), timeout=10):
            pass
        os.kill(child.pid, signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, "ended\n")
