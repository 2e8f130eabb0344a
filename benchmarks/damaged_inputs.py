# SPDX-License-Identifier: Apache-2.0
"""Damaged files and odd calls, each from a seed: what `benchmarks.damage` runs."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import string
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MODULE = """
import torch, numpy
from hlsgen.examples.digits.model import digits
IMAGE = numpy.zeros((1, 1, 8, 8), numpy.float32)
class Tanh(torch.nn.Module):
    def forward(self, x): return torch.tanh(x)
class Wide(torch.nn.Module):
    def __init__(self, width): super().__init__()
    def forward(self, x): return x
class Broken(torch.nn.Module):
    def forward(self, x): return x[:, 7, 9, 11] @ x
class Grows(torch.nn.Module):
    def forward(self, x): return x.expand(1 << 20, 1 << 20, 8, 8).reshape(-1) * torch.ones(1 << 46)
def unsupported(): return Tanh().eval()
def plain(): return digits()
def pair(): return digits(), IMAGE
def triple(): return digits(), IMAGE, IMAGE
def empty(): return digits(), IMAGE[:0]
def flat(): return digits(), IMAGE[0]
def integers(): return digits(), IMAGE.astype(int)
def words(): return digits(), "image"
def nothing(): return None
def number(): return 3
def broken(): return Broken().eval()
def grows(): return Grows().eval()
def training(): return digits().train()
def needs(width, depth=3): return Wide(width)
def keywords(*, width): return Wide(width)
def raises(): raise RuntimeError("first line\\nsecond \\x1b[31m line")
def leaves(): raise SystemExit(0)
def recurses(): return recurses()
def divides(): return 1 / 0
def absent(): import nowhere_to_be_found
def partly(): from json import nothing_there
def memory(): return numpy.ones(1 << 48)
def nan():
    model = digits(); torch.nn.init.constant_(model.head.weight, float("nan")); return model
def huge():
    model = digits(); torch.nn.init.constant_(model.head.weight, 1e38); return model
value = 3
"""
FACTORIES = re.findall(r"^def (\w+)|^class (\w+)|^(value)", MODULE, re.MULTILINE)
ODD_TEXTS = (
    "", " ", "0", "-1", "+1", "1.5", "1e9", "nan", "inf", "-inf", "0x10", "1_0", "4 ", " 4", "4\n", "\0", "a\0b", "\u0663",
    "9" * 20, "9" * 5000, "-" * 3, "--", "-", "--json", "a" * 300, "a/" * 3000, "\x1b[31m", "\udc80", "\U0001f4a5", "[", "{}",
    "$(id)", "`id`", "a;b", "a b", "'", '"', "../..", "/", "/dev/null", "/proc/self/mem", "~", ".", "..", "*", "%s%n", "C:\\x",
    "None", "true",
)  # fmt: skip
ODD_ARRAYS = (
    "0x0x0", "1x1x1", "3x3x3", "64x64x64", "65x1x1", "4x4", "4x4x8x2", "4X4X8", "-4x4x8", "4x4x8 ", "x4x8", "0x4x8",
    "999999999x1x1", f"{'9' * 5000}x4x8", "1x64x1", "4.0x4x8", "\u0664x4x8", "4x4x8\n",
)  # fmt: skip
ODD_SHAPES = (
    "0x8x8", "1x8", "1x8x8x8", "1x0x8", "-1x8x8", "1x7x9", "3x8x8", "99999x99999x99999", f"{'9' * 5000}x1x1", "1x1x1",
    "1x8x8 ", "1x99999999x1", "1\n8x8",
)  # fmt: skip
ODD_VALUES = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, -(2**70), 1.5, 1e300, "", "x", "x" * 5000, "\0", "\x1b[31m", "\udc80", [], {},
    [None], {"a": 1}, [[]], "../../../etc/passwd", "1" * 5000,
)  # fmt: skip
RAW_VALUES = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 3000, '{"a":' * 3000, "", "nul", "\\", '"\\ud800"')


def bytes_damaged(rng: random.Random, data: bytes) -> bytes:
    """The bytes with one to three random faults."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        size = max(1, len(damaged))
        place, length = rng.randrange(size), rng.choice((1, 4, 64, size // 3 + 1))
        kind = rng.randrange(9)
        if kind <= 2:
            for _ in range(rng.choice((1, 1, 8))):
                place = rng.randrange(size)
                if place < len(damaged):
                    damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            del damaged[place:]
        elif kind == 4:
            damaged[place : place + length] = bytes(min(length, len(damaged) - place))
        elif kind == 5:
            del damaged[place : place + length]
        elif kind == 6:
            damaged[place:place] = rng.randbytes(length)
        elif kind == 7:
            damaged[place:place] = damaged[place : place + length]
        else:
            damaged = bytearray(rng.choice((b"", b"\xff" * 64, b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}", b"\0" * 4096)))
    return bytes(damaged)


def _places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        found += _places(value, (*at, key))
    return found


def json_damaged(rng: random.Random, data: bytes) -> bytes:
    """JSON with one or two values replaced, removed, renamed or doubled."""
    document, raw = json.loads(data), ""
    for _ in range(rng.choice((1, 1, 2))):
        places = _places(document)
        if not places:
            break
        *path, key = rng.choice(places)
        parent = document
        for step in path:
            parent = parent[step]
        kind = rng.randrange(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(string.ascii_letters)] = parent.pop(key)
        elif kind == 2:
            raw, parent[key] = rng.choice(RAW_VALUES), "@raw@"
        elif kind == 3 and isinstance(parent, list):
            parent.insert(key, parent[key])
        else:
            parent[key] = rng.choice(ODD_VALUES)
    return json.dumps(document).replace('"@raw@"', raw).encode()


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_damaged(rng: random.Random, data: bytes) -> bytes:
    """A zip archive whose directory lies: encrypted, packed by another method, other sizes, a bomb."""
    kind = rng.randrange(6)
    if kind == 0:
        members = _members(data)
        name = rng.choice(list(members))
        if rng.random() < 0.5:
            del members[name]
        else:
            members[rng.choice(("x", "../x", "a" * 300, "\u00e9.npy", f"x{name}"))] = members.pop(name)
        return _packed(members)
    if kind == 1:
        members = _members(data)
        members[rng.choice(list(members))] = bytes(rng.choice((1 << 20, 96 << 20)))
        return _packed(members, zipfile.ZIP_DEFLATED)
    if kind == 2:
        return _packed(_members(data), rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    damaged = bytearray(data)
    entries = [match.start() for match in re.finditer(rb"PK\x01\x02", data)]
    for entry in rng.sample(entries, rng.randint(1, len(entries))):
        offset, width, value = rng.choice(
            ((8, 2, 1), (10, 2, 99), (10, 2, 8), (20, 4, 0xFFFFFFFE), (24, 4, 0xFFFFFFFE), (24, 4, 3), (42, 4, 0), (16, 4, 0))
        )
        damaged[entry + offset : entry + offset + width] = value.to_bytes(width, "little")
    return bytes(damaged)


def npy(header: bytes | str, body: bytes = b"\0" * 256, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with a header of one's own."""
    text = header.encode() if isinstance(header, str) else header
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text) if len(text) < 65536 else 65535)
    return b"\x93NUMPY" + bytes(version) + length + text + body


def npy_damaged(rng: random.Random) -> bytes:
    """Headers that say too much, nothing, or something else; values that no image has."""
    descr = rng.choice(("<f4", "<f8", "<f2", "|O", "<U9", "V0", "<c8", "|b1", "<i4", ">f4", "<M8[s]", "<f16", "S0", "xyz", "<f4,<f4"))
    shape = rng.choice(
        ("(1, 1, 8, 8)", "(99999999999, 1, 8, 8)", "(-1, 1, 8, 8)", "(1, 1, 8, 8", "1", "(1.5, 1, 8, 8)", "(True, 1, 8, 8)",
         "('a', 1)", "()", "(0, 1, 8, 8)", f"({'9' * 4000}, 1)", "(2, " * 30 + ")" * 30, "(" * 3000, "[1, 1, 8, 8]", "None",
         "(1,) * 2", "__import__('os').abort()")
    )  # fmt: skip
    kind = rng.randrange(6)
    if kind == 0:
        images = np.zeros((3, 1, 8, 8), rng.choice((np.float32, np.float64)))
        images[rng.randrange(3), 0, 2, 3] = rng.choice((np.nan, np.inf, -np.inf, 3e38, -1e-45))
        stream = io.BytesIO()
        np.save(stream, images * (1e270 if images.dtype == np.float64 else 1))
        return stream.getvalue()
    if kind == 1:
        return npy(b"\xff" * 200, version=rng.choice(((1, 0), (2, 0), (3, 0), (9, 9))))
    fortran = rng.choice(("False", "True", "None", "1", "'x'"))
    text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    if kind == 2:
        text = text[: rng.randrange(len(text))]
    if kind == 3:
        text = rng.choice((text.replace("shape", "form"), "[" * 5000, "{" * 200, f"{text}{text}", "1", "'", '"""', "\\", "\0", text * 300))
    return npy(text + "\n", version=rng.choice(((1, 0), (1, 0), (2, 0), (3, 0))))


def toml_damaged(rng: random.Random, text: str) -> bytes:
    """A board with values replaced, lines lost or bytes damaged."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 3))):
        index = rng.randrange(len(lines))
        key, sign, _ = lines[index].partition("=")
        values = ('""', '"a b"', '"-x"', '"$(id)"', "0", "-1", "nan", "inf", "1e999", "[]", "{}", "true", "1979-05-27", "9" * 5000,
                  "[" * 3000, '"' + "a" * 5000 + '"', '"\\u0000"', '"\\n"', '"0x0x0"', "'''a\nb'''", "[[1]]", "0x7fffffffffffffffff")  # fmt: skip
        lines[index] = f"{key}{sign} {rng.choice(values)}" if sign and rng.random() < 0.8 else rng.choice(("", lines[index] * 2, "[" + key))
    data = "\n".join(lines).encode()
    return bytes_damaged(rng, data) if rng.random() < 0.3 else data


class Inputs:
    """Whole files to damage, below `base`, and the calls on what came of them, below `work`."""

    def __init__(self, base: Path, work: Path) -> None:
        """Take folders; `base` holds model.pt2, images.npz, build/ and project/."""
        self.base, self.work = base, work
        self.archive = (base / "model.pt2").read_bytes()
        self.images = (base / "images.npz").read_bytes()
        self.board = (base / "board.toml").read_text()
        self.files = sorted(path for path in (base / "build").rglob("*") if path.is_file())

    def call(self, seed: int, index: int) -> tuple[str, list[str]]:
        """Class and arguments of one case; its files are written."""
        rng = random.Random(f"{seed}/{index}")
        kinds: Sequence[tuple[int, Callable[[random.Random], list[str]]]] = (
            (11, self.npy), (9, self.npz), (12, self.toml), (10, self.archive_bytes), (8, self.archive_zip), (14, self.archive_json),
            (8, self.model), (14, self.options), (12, self.folder), (3, self.project), (2, self.odd_compile),
        )  # fmt: skip
        (kind,) = rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        arguments = kind(rng)
        return kind.__name__, arguments + (["--json"] if rng.random() < 0.1 else [])

    def _write(self, name: str, data: bytes) -> str:
        (self.work / name).write_bytes(data)
        return str(self.work / name)

    def _data(self, rng: random.Random, place: str) -> list[str]:
        """A compilation that reads images and, most often, ends soon after."""
        if rng.random() < 0.2:
            place = str(self.work)
        which = rng.choice((["--calibration", place], ["--calibration", str(self.base / "images.npz"), "--samples", place]))
        model = "damaged_models:plain" if rng.random() < 0.1 else "damaged_models:unsupported"
        return ["compile", model, *which, "--array", "2x2x4", "-o", str(self.work / "out")]

    def npy(self, rng: random.Random) -> list[str]:
        """Arrays."""
        data = npy_damaged(rng) if rng.random() < 0.7 else bytes_damaged(rng, _members(self.images)["images.npy"])
        return self._data(rng, self._write("a.npy", data))

    def npz(self, rng: random.Random) -> list[str]:
        """Archives of arrays."""
        kind, members = rng.randrange(5), _members(self.images)
        if kind == 0:
            data = bytes_damaged(rng, self.images)
        elif kind == 1:
            data = zip_damaged(rng, self.images)
        else:
            name = rng.choice(list(members))
            other = rng.choice((npy_damaged(rng), bytes_damaged(rng, members[name]), b"text"))
            members[name if kind == 2 else rng.choice(("x.npy", "images", "y.npy", "labels.npy"))] = other
            data = _packed(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        return self._data(rng, self._write("a.npz", data))

    def toml(self, rng: random.Random) -> list[str]:
        """Board files."""
        place = self._write("a.toml", toml_damaged(rng, self.board))
        if rng.random() < 0.3:
            return ["export", str(self.base / "build"), "--board", place, "-o", str(self.work / "out")]
        return ["compile", "damaged_models:unsupported", "--calibration", str(self.base / "images.npz"), "--board", place,
                "-o", str(self.work / "out")] if rng.random() < 0.2 else ["compile", "digits", "--board", place, "--array", "64x64x64",
                "-o", str(self.work / "out")]  # fmt: skip

    def archive_bytes(self, rng: random.Random) -> list[str]:
        """Saved exports with random faults."""
        return ["inspect", self._write("a.pt2", bytes_damaged(rng, self.archive))]

    def archive_zip(self, rng: random.Random) -> list[str]:
        """Saved exports whose directory lies."""
        return ["inspect", self._write("a.pt2", zip_damaged(rng, self.archive))]

    def archive_json(self, rng: random.Random) -> list[str]:
        """Saved exports whose description lies."""
        members = _members(self.archive)
        name = rng.choice([name for name in members if name.endswith(".json") and len(members[name]) > 20])
        members[name] = json_damaged(rng, members[name]) if rng.random() < 0.8 else bytes_damaged(rng, members[name])
        return ["inspect", self._write("a.pt2", _packed(members))]

    def model(self, rng: random.Random) -> list[str]:
        """Factories, and files of other kinds."""
        if rng.random() < 0.7:
            name = rng.choice(["".join(names) for names in FACTORIES])
            call = ["inspect", f"damaged_models:{name}"]
            return call + (["--shape", rng.choice((*ODD_SHAPES, "1x8x8", "1x8x8"))] if rng.random() < 0.6 else [])
        name = rng.choice(("a.onnx", "a.safetensors", "a.pt", "a.bin", "a.py", "a.txt", "a", "a.npz", "a.h5", "folder", "a.PT2"))
        if name == "folder":
            for inner in rng.sample(("config.json", "model.safetensors", "manifest.json", "x"), 2):
                (self.work / inner).write_text("{}")
            return ["inspect", str(self.work)]
        return ["inspect", self._write(name, rng.choice((b"", b"text", self.images, self.archive, rng.randbytes(99))))]

    def options(self, rng: random.Random) -> list[str]:
        """Odd values of every option."""
        out, build = str(self.work / "out"), str(self.base / "build")
        start, names = rng.choice((
            (["compile", "damaged_models:unsupported", "--calibration", str(self.base / "images.npz"), "-o", out],
             ["--array", "--row-width", "--ring", "--span", "--attention", "--shape", "--board", "--calibration", "--samples", "-o", ""]),
            (["inspect", "damaged_models:unsupported", "--shape", "1x8x8"], ["--shape", ""]),
            (["simulate", build, "--samples", "1"], ["--samples", "--task", "--level", "--simulator", ""]),
            (["export", build, "-o", out], ["--clock", "--board", "-o", ""]),
            (["bitstream", str(self.base / "project")], ["--seeds", "--jobs", ""]),
            (["report", build, "-o", str(self.work / "out.html")], ["-o", ""]),
            (["simulate"], [""]), (["inspect"], [""]), (["export"], [""]), (["bitstream"], [""]), (["report"], [""]), ([], [""]),
            (["ops"], ["--markdown", ""]),
        ))  # fmt: skip
        call = list(start)
        for name in rng.sample(names, 1 if rng.random() < 0.7 or len(names) < 2 else 2):
            special = {"--array": ODD_ARRAYS, "--shape": ODD_SHAPES}.get(name, ())
            call += [*([name] if name else []), rng.choice((*special, *ODD_TEXTS) if rng.random() < 0.5 else special or ODD_TEXTS)]
        return call

    def folder(self, rng: random.Random) -> list[str]:
        """Build folders with one or two files damaged, lost, or replaced."""
        place = self.work / "build"
        shutil.copytree(self.base / "build", place)
        weights = [8 if path.suffix in (".json", ".npy", ".npz", ".txt", ".bin", ".safetensors") else 1 for path in self.files]
        for path in rng.choices(self.files, weights, k=rng.choice((1, 1, 2))):
            inner = path.relative_to(self.base / "build")
            target, kind = place / inner, rng.randrange(10)
            if not target.exists():
                continue
            if kind == 0:
                target.unlink()
            elif kind == 1:
                target.unlink()
                target.mkdir()
            elif kind <= 4 and path.suffix == ".json":
                target.write_bytes(json_damaged(rng, path.read_bytes()))
            elif kind == 5:
                target.write_bytes(rng.choice(self.files).read_bytes())
            elif kind == 6 and path.suffix == ".npy":
                target.write_bytes(npy_damaged(rng))
            else:
                target.write_bytes(bytes_damaged(rng, path.read_bytes()))
            if rng.random() < 0.5 and inner.name != "manifest.json":
                self._believe(place, str(inner))
        verbs = (["simulate", str(place), "--samples", "1"], ["simulate", str(place), "--samples", "1"],
                 ["report", str(place), "-o", str(self.work / "r.html")], ["export", str(place), "-o", str(self.work / "out")],
                 ["bitstream", str(place)], ["compile", "damaged_models:unsupported", "--calibration", "digits", "-o", str(place)])  # fmt: skip
        return list(rng.choice(verbs))

    def _believe(self, place: Path, inner: str) -> None:
        """Put a damaged file's own digest into the manifest, so that its reader sees it."""
        import hashlib

        try:
            document = json.loads((place / "manifest.json").read_text())
            document["files"][inner] = hashlib.sha256((place / inner).read_bytes()).hexdigest()
            (place / "manifest.json").write_text(json.dumps(document))
        except (OSError, ValueError, TypeError, KeyError):
            pass

    def project(self, rng: random.Random) -> list[str]:
        """Exported projects with a damaged list of files."""
        place = self.work / "project"
        shutil.copytree(self.base / "project", place)
        path = place / "project.json"
        data = path.read_bytes()
        path.write_bytes(json_damaged(rng, data) if rng.random() < 0.7 else bytes_damaged(rng, data))
        if rng.random() < 0.3:
            return ["export", str(self.base / "build"), "-o", str(place)]
        return ["bitstream", str(place)]

    def odd_compile(self, rng: random.Random) -> list[str]:
        """Whole compilations with values that are legal one by one."""
        call = ["compile", "digits", "-o", str(self.work / "out"), "--board", rng.choice(("zcu102", "ulx3s-85f", "kv260", "lfe5u-85f"))]
        for name, values in (
            ("--array", ("1x1x1", "3x2x4", "64x64x64", "5x8x2", "2x16x16", "64x1x1")), ("--row-width", ("1", "2", "3", "64", "999999999")),
            ("--ring", ("1", "64", "999999999")), ("--span", ("1", "7", "999999999")), ("--attention", ("streamed", "resident")),
            ("--shape", ("3x8x8", "1x9x9")),
        ):  # fmt: skip
            if rng.random() < 0.5:
                call += [name, rng.choice(values)]
        return call

