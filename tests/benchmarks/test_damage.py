# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.damage` notices what it looks for, and repeats a case from its seed."""

from __future__ import annotations

import json
import random
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import damage
from benchmarks.damaged_bytes import (
    bytes_damaged,
    json_damaged,
    npy_damaged,
    packed,
    toml_damaged,
    zip_damaged,
)
from benchmarks.damaged_inputs import KINDS, kind
from hlsgen.cli.answer import Answer
from hlsgen.errors import UsageError


class OneCall:
    """In place of `Inputs`."""

    def call(self, seed: int, index: int) -> tuple[str, list[str]]:
        return "options", ["ops"] + ["--json"] * (index + seed)


def crash() -> Any:
    raise ZeroDivisionError


def leave() -> Any:
    raise GeneratorExit


def hang() -> Any:
    while True:
        pass


def swell() -> Any:
    return Answer({}, f"{np.ones(80_000_000).sum()}")


def trace() -> Any:
    return Answer({}, "Traceback (most recent call last):")


def refuse() -> Any:
    raise UsageError("what it is")


@pytest.mark.parametrize(
    ("ends", "code", "fault"),
    [
        (crash, 70, "exit code 70"),
        (leave, -1, "GeneratorExit got out: "),
        (hang, -1, "no end within 1 s"),
        (swell, 0, "6[0-9]{2} MB"),
        (trace, 0, "a traceback"),
        (lambda: Answer({}, "", 9), 9, "exit code 9"),
        (lambda: Answer({}, "", 2), 2, "no message"),
        (lambda: Answer({}, "fine"), 0, ""),
        (refuse, 2, ""),
    ],
)
def test_what_is_looked_for_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: Callable[[], Any], code: int, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hlsgen.cli.ops.run", lambda _: ends())
    monkeypatch.setattr(damage, "SECONDS", 1 if ends is hang else 60)
    before = [signal.signal(number, damage._alarm) for number in (signal.SIGALRM, signal.SIGPROF)]
    inputs: Any = OneCall()
    try:
        outcome = damage._run(inputs, 0, 0)
    finally:
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)
    assert outcome.code == code
    assert re.fullmatch(fault, outcome.fault), outcome.fault


def test_a_case_can_be_repeated() -> None:
    board = "[a]\nb = 3\nc = 'd'\n"
    document = json.dumps({"a": [1, 2, {"b": None}], "c": "d"}).encode()
    archive = packed({"a.npy": bytes(100), "b.json": document})
    for seed in range(40):
        made = [
            [
                bytes_damaged(random.Random(seed), document),
                json_damaged(random.Random(seed), document),
                npy_damaged(random.Random(seed)),
                toml_damaged(random.Random(seed), board),
            ]
            for _ in range(2)
        ]
        assert made[0] == made[1]
        assert isinstance(zip_damaged(random.Random(seed), archive), bytes)
    changed = [bytes_damaged(random.Random(seed), document) != document for seed in range(40)]
    assert sum(changed) > 30


def test_every_class_has_its_share() -> None:
    found = Counter(kind(1, index) for index in range(2000))
    assert found.keys() == KINDS.keys()
    for name, share in KINDS.items():
        assert 0.5 < found[name] / 2000 / (share / sum(KINDS.values())) < 1.6
