# SPDX-License-Identifier: Apache-2.0
"""Every file of a build folder, damaged in many ways: one clear line and exit code 2, or nothing wrong."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.folders import design, held, sign, verilog
from support.said import without_steps

from hlsgen import Design
from hlsgen.cli import main
from hlsgen.display.share import Share
from hlsgen.emit.contents import save
from hlsgen.errors import UsageError
from hlsgen.machine.format.interface import COUNTERS
from hlsgen.store.evaluated import Evaluated, Shares, store
from hlsgen.store.folder import FIELDS
from hlsgen.store.measured import load
from hlsgen.store.paths import EVALUATED, MANIFEST, MEASURED
from hlsgen.store.read import parse_array, parse_document
from hlsgen.version import __version__

UNREAD = ("README.md", "Makefile", "graph.txt", "hls/", "sim/")
VERBS = (["simulate", "--samples", "1"], ["export"], ["report"])
PORTS = """module top(clk, rst, irq, {names});
  input clk; input rst; output irq;
{ports}
endmodule
"""


def _header(shape: str, kind: str = "<f8", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda data: data[: len(data) // 2],
    "last": lambda data: data[:-1],
    "flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]
    ),
    "first": lambda data: bytes([data[0] ^ 0x80]) + data[1:],
    "zeros": lambda data: bytes(len(data)),
    "longer": lambda data: data + b"\0more",
    "not UTF-8": lambda data: b"\xff\xfe" + data,
    "NaN": lambda _: b'{"format": NaN}',
    "infinite": lambda data: data.replace(b": 1", b": 1e999", 1) + b" ",
    "nested": lambda _: b"[" * 100_000,
    "nested objects": lambda _: b'{"a":' * 100_000,
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "huge number": lambda _: b"9" * 10_000,
    "huge array": lambda _: _header("(1 << 40,)".replace("1 << 40", str(1 << 50))),
    "negative array": lambda _: _header("(-1, -8)") + bytes(64),
    "wrong shape": lambda _: _header("'ab'") + bytes(64),
    "open header": lambda _: _header("((((")[:-3],
    "long header": lambda _: _header("(1,)" + " " * 60_000) + bytes(8),
    "object array": lambda _: _header("(1,)", "|O") + bytes(8),
    "version 9": lambda _: _header("(1,)", version=b"\x09\x00") + bytes(8),
}
"""Name to what becomes of a file's bytes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with what `simulate` and `export` add."""
    place = tmp_path_factory.mktemp("damage") / "a"
    save(design(), place, _with_ports)
    tasks = {"0": {"simulator": "verilator", "images": 1, "counters": _counters(), "ends": {"0": 5}}}
    build_id = json.loads((place / MANIFEST).read_text())["build_id"]
    document = {"format": "hlsgen measured 1", "build_id": build_id, "tasks": tasks}
    (place / MEASURED).write_text(json.dumps(document))
    made = Design.load(place)
    shares = Shares(first=Share(2, 3))
    store(made, 0, Evaluated(images=3, level="golden", simulator="", shares=shares, outputs=()))
    made.export()
    return place


def _counters() -> dict[str, int]:
    return dict.fromkeys((counter.title for counter in COUNTERS), 7)


def _with_ports(*_: object) -> str:
    """A stand-in for the generated Verilog with the ports that a project needs."""
    widths = {
        "s_axil_awaddr": ("input", 7), "s_axil_araddr": ("input", 7), "s_axil_wdata": ("input", 32),
        "m_axi_araddr": ("output", 64), "m_axi_awaddr": ("output", 64), "m_axi_wdata": ("output", 128),
    }  # fmt: skip
    ports = "\n".join(f"  {way} [{width - 1}:0] {name};" for name, (way, width) in widths.items())
    return PORTS.format(names=", ".join(widths), ports=ports)


def _damaged(data: bytes) -> dict[str, bytes]:
    """By name what the file may hold; what leaves it as it was is no damage."""
    made = {name: damage(data) for name, damage in DAMAGES.items() if data}
    return {name: other for name, other in made.items() if other != data}


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    return code, without_steps(capsys.readouterr().err)


def test_each_file_damaged_in_each_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where crash files would be
    monkeypatch.setenv("PATH", str(tmp_path))  # no tool runs
    monkeypatch.setattr("hlsgen.bitstream.machine.rtl_text", _with_ports)
    place, tried = tmp_path / "b", 0
    shutil.copytree(folder, place)
    for path, data in held(folder).items():
        ways = {**_damaged(data), "missing": None}
        if path.startswith(UNREAD):  # any will do: nobody looks
            ways = {name: ways[name] for name in ("empty", "not UTF-8", "missing")}
        for name, other in ways.items():
            (place / path).unlink() if other is None else (place / path).write_bytes(other)
            case = f"{path}: {name}"
            if path.startswith("boards/"):
                code, error = _run(capsys, "bitstream", str(place / "boards/kv260"))
                assert code in (2, 6), case  # 6: what it holds is right in form
            elif path in (MANIFEST, MEASURED, EVALUATED):
                for verb in VERBS:
                    code, error = _run(capsys, *verb, str(place))
                    form = path == MANIFEST and name not in ("last", "infinite", "flipped")
                    assert code in ((2,) if form else (0, 2)), case
            else:
                code, error = _run(capsys, *VERBS[0], str(place))
                assert code == (0 if path.startswith(UNREAD) else 2), case
                assert path.startswith(UNREAD) or f"{place / path} must be as it was compiled" in error, case
            assert not list(tmp_path.glob("hlsgen-crash-*")), case
            (place / path).write_bytes(data)
            tried += 1
    assert tried > 600


def test_damage_that_the_manifest_lists_so(folder: Path, tmp_path: Path) -> None:
    """The readers alone: digests are made to fit. What they accept is the same design."""
    digest, refused, place = Design.load(folder).digest, 0, tmp_path / "b"
    shutil.copytree(folder, place)
    for path, data in held(folder).items():
        if path.startswith((*UNREAD, "boards/")) or path in (MANIFEST, MEASURED, EVALUATED):
            continue
        for other in _damaged(data).values():
            (place / path).write_bytes(other)
            sign(place)
            try:
                assert Design.load(place).digest == digest
            except UsageError:
                refused += 1
            (place / path).write_bytes(data)
    assert refused > 150


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize("value", [None, 1, [], {"a": 1}, "x", True])
def test_the_manifest_without_a_field_or_wrongly_nested(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: Any
) -> None:
    place = tmp_path / "b"
    shutil.copytree(folder, place)
    document = json.loads((place / MANIFEST).read_text())
    wrong = type(value) is not FIELDS[field] or field in ("files", "board", "design")
    document[field] = value
    if value is None:
        del document[field]
    (place / MANIFEST).write_text(json.dumps(document))
    codes, errors = zip(*(_run(capsys, *verb, str(place)) for verb in VERBS), strict=True)
    assert set(codes) <= {0, 2}
    assert 2 in codes or not wrong
    if type(value) is not FIELDS[field]:
        assert set(codes) == {2}
        assert len(set(errors)) == 1
        assert errors[0] == (
            f"hlsgen: error: {place / MANIFEST} must be a JSON document of format 'hlsgen build folder 3'\n"
            f"  why: {field} must be of type {FIELDS[field].__name__}\n  fix: hlsgen compile again\n"
            "  more: hlsgen explain HG004\n"
        )


def test_a_folder_of_another_version_is_named_and_may_be_compiled_again(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "b"
    shutil.copytree(folder, place)
    text = (place / MANIFEST).read_text().replace("hlsgen build folder 3", "hlsgen build folder 2")
    text = text.replace(f'"hlsgen": "{__version__}"', '"hlsgen": "0.0.9"')
    (place / MANIFEST).write_text(text)
    with pytest.raises(UsageError) as caught:
        Design.load(place)
    assert str(caught.value) == (
        f"{place / MANIFEST} must be of format 'hlsgen build folder 3', not 'hlsgen build folder 2'\n"
        f"  why: hlsgen 0.0.9 wrote it; this is {__version__}\n  fix: hlsgen compile again"
    )
    assert caught.value.problems[0].code == "HG006"
    assert Design.load(save(design(), place, verilog).directory or place).digest == design().digest


def test_a_half_written_measurement_is_named_and_measured_again(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "b"
    shutil.copytree(folder, place)
    whole = (place / MEASURED).read_text()
    (place / MEASURED).write_text(whole[: len(whole) // 2])
    build_id = json.loads(whole)["build_id"]
    with pytest.raises(UsageError) as caught:
        load(place, build_id)
    assert str(caught.value).startswith(
        f"{place / MEASURED} must be a JSON document of format 'hlsgen measured 1'"
    )
    assert "fix: remove it, or simulate again" in str(caught.value)
    (place / MEASURED).write_text(whole)
    found = load(place, build_id)
    assert found is not None
    assert found.counters["cycles"] == 7
    assert load(place, build_id + 1) is None


def test_readers_take_what_is_whole(tmp_path: Path) -> None:
    for array in (np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 2)), np.asfortranarray(np.eye(3))):
        stream = io.BytesIO()
        np.save(stream, array)
        np.testing.assert_array_equal(parse_array(tmp_path, stream.getvalue()), array)
    assert parse_document(tmp_path, b'{"a": 1.5}', fields={"a": float}) == {"a": 1.5}
