# SPDX-License-Identifier: Apache-2.0
"""Damaged files and odd calls, each from a seed: what `benchmarks.damage` runs."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path

from benchmarks.damaged_bytes import (
    bytes_damaged,
    header_damaged,
    json_damaged,
    members_of,
    npy_damaged,
    packed,
    toml_damaged,
    zip_damaged,
)
from benchmarks.damaged_onnx import onnx_damaged
from benchmarks.odd_values import FACTORIES, ODD_ARRAYS, ODD_SHAPES, ODD_TEXTS

KINDS = {
    "npy": 11,
    "npz": 9,
    "toml": 12,
    "archive_bytes": 10,
    "archive_zip": 8,
    "archive_json": 14,
    "onnx_bytes": 8,
    "onnx_fields": 8,
    "weights": 6,
    "checkpoint": 3,
    "model": 8,
    "options": 14,
    "folder": 12,
    "project": 3,
    "odd_compile": 2,
}
"""Classes of cases, methods of `Inputs`, and their shares."""


def kind(seed: int, index: int) -> str:
    """The class of a case."""
    (name,) = random.Random(f"{seed}/{index}").choices(list(KINDS), list(KINDS.values()))
    return name


class Inputs:
    """Whole files to damage, below `base`, and the calls on what came of them, below `work`."""

    def __init__(self, base: Path, work: Path) -> None:
        """Take folders; `base` holds what `benchmarks.damage` makes before its first case."""
        self.base, self.work = base, work
        self.archive = (base / "model.pt2").read_bytes()
        self.onnx = (base / "model.onnx").read_bytes()
        self.weights_file = (base / "model.safetensors").read_bytes()
        self.images = (base / "images.npz").read_bytes()
        self.board = (base / "board.toml").read_text()
        self.files = sorted(path for path in (base / "build").rglob("*") if path.is_file())

    def call(self, seed: int, index: int) -> tuple[str, list[str]]:
        """Class and arguments of one case; its files are written."""
        name = kind(seed, index)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        rng = random.Random(f"{seed}/{index}/{name}")
        arguments: list[str] = getattr(self, name)(rng)
        return name, arguments + (["--json"] if rng.random() < 0.1 else [])

    def _write(self, name: str, data: bytes) -> str:
        (self.work / name).write_bytes(data)
        return str(self.work / name)

    def _data(self, rng: random.Random, place: str) -> list[str]:
        """A compilation that reads images and, most often, ends soon after."""
        if rng.random() < 0.2:
            place = str(self.work)
        which = rng.choice(
            (["--calibration", place], ["--calibration", str(self.base / "images.npz"), "--samples", place])
        )
        model = "damaged_models:plain" if rng.random() < 0.1 else "damaged_models:unsupported"
        return ["compile", model, *which, "--array", "2x2x4", "-o", str(self.work / "out")]

    def npy(self, rng: random.Random) -> list[str]:
        """Arrays."""
        data = (
            npy_damaged(rng)
            if rng.random() < 0.7
            else bytes_damaged(rng, members_of(self.images)["images.npy"])
        )
        return self._data(rng, self._write("a.npy", data))

    def npz(self, rng: random.Random) -> list[str]:
        """Archives of arrays."""
        kind, members = rng.randrange(5), members_of(self.images)
        if kind == 0:
            data = bytes_damaged(rng, self.images)
        elif kind == 1:
            data = zip_damaged(rng, self.images)
        else:
            name = rng.choice(list(members))
            other = rng.choice((npy_damaged(rng), bytes_damaged(rng, members[name]), b"text"))
            members[name if kind == 2 else rng.choice(("x.npy", "images", "y.npy", "labels.npy"))] = other
            data = packed(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        return self._data(rng, self._write("a.npz", data))

    def toml(self, rng: random.Random) -> list[str]:
        """Board files."""
        place = self._write("a.toml", toml_damaged(rng, self.board))
        out = ["--board", place, "-o", str(self.work / "out")]
        if rng.random() < 0.8:
            return ["export", str(self.base / "build"), *out]
        return ["compile", "damaged_models:plain", "--calibration", str(self.base / "images.npz"), *out]

    def archive_bytes(self, rng: random.Random) -> list[str]:
        """Saved exports with random faults."""
        return ["inspect", self._write("a.pt2", bytes_damaged(rng, self.archive))]

    def archive_zip(self, rng: random.Random) -> list[str]:
        """Saved exports whose directory lies."""
        return ["inspect", self._write("a.pt2", zip_damaged(rng, self.archive))]

    def archive_json(self, rng: random.Random) -> list[str]:
        """Saved exports whose description lies."""
        members = members_of(self.archive)
        name = rng.choice([name for name in members if name.endswith(".json") and len(members[name]) > 20])
        members[name] = (
            json_damaged(rng, members[name]) if rng.random() < 0.8 else bytes_damaged(rng, members[name])
        )
        return ["inspect", self._write("a.pt2", packed(members))]

    def onnx_bytes(self, rng: random.Random) -> list[str]:
        """ONNX files with random faults."""
        return ["inspect", self._write("a.onnx", bytes_damaged(rng, self.onnx))]

    def onnx_fields(self, rng: random.Random) -> list[str]:
        """ONNX files that are whole and say something else."""
        call = ["inspect", self._write("a.onnx", onnx_damaged(rng, self.onnx))]
        return call + (["--shape", rng.choice((*ODD_SHAPES, "1x8x8"))] if rng.random() < 0.1 else [])

    def _weights(self, rng: random.Random, whole: bytes) -> bytes:
        return header_damaged(rng, whole) if rng.random() < 0.7 else bytes_damaged(rng, whole)

    def weights(self, rng: random.Random) -> list[str]:
        """Weights that are not the model's."""
        place = self._write("a.safetensors", self._weights(rng, self.weights_file))
        return ["inspect", "damaged_models:plain", "--shape", "1x8x8", "--weights", place]

    def checkpoint(self, rng: random.Random) -> list[str]:
        """Folders of Hugging Face with a damaged file."""
        place = self.work / "checkpoint"
        shutil.copytree(self.base / "checkpoint", place)
        path = rng.choice((place / "config.json", place / "model.safetensors"))
        data = path.read_bytes()
        path.write_bytes(json_damaged(rng, data) if path.suffix == ".json" else self._weights(rng, data))
        return ["inspect", str(place)]

    def model(self, rng: random.Random) -> list[str]:
        """Factories, and files of other kinds."""
        if rng.random() < 0.7:
            name = rng.choice(["".join(names) for names in FACTORIES])
            call = ["inspect", f"damaged_models:{name}"]
            return call + (
                ["--shape", rng.choice((*ODD_SHAPES, "1x8x8", "1x8x8"))] if rng.random() < 0.6 else []
            )
        name = rng.choice(
            (
                "a.onnx",
                "a.safetensors",
                "a.pt",
                "a.bin",
                "a.py",
                "a.txt",
                "a",
                "a.npz",
                "a.h5",
                "folder",
                "a.PT2",
            )
        )
        if name == "folder":
            for inner in rng.sample(("config.json", "model.safetensors", "manifest.json", "x"), 2):
                (self.work / inner).write_text("{}")
            return ["inspect", str(self.work)]
        return [
            "inspect",
            self._write(name, rng.choice((b"", b"text", self.images, self.archive, rng.randbytes(99)))),
        ]

    def options(self, rng: random.Random) -> list[str]:
        """Odd values of every option."""
        start, names = rng.choice(self._calls())
        call = list(start)
        for name in rng.sample(names, 1 if rng.random() < 0.7 or len(names) < 2 else 2):
            special = {"--array": ODD_ARRAYS, "--shape": ODD_SHAPES}.get(name, ())
            call += [
                *([name] if name else []),
                rng.choice((*special, *ODD_TEXTS) if rng.random() < 0.5 else special or ODD_TEXTS),
            ]
        return call

    def _calls(self) -> tuple[tuple[list[str], list[str]], ...]:
        """Calls that are right, each with the options that may follow; an empty name is an argument's."""
        out, build, images = str(self.work / "out"), str(self.base / "build"), str(self.base / "images.npz")
        model = "damaged_models:unsupported"
        machine = ["--array", "--row-width", "--ring", "--span", "--attention", "--shape", "--board"]
        verbs = ("simulate", "inspect", "export", "bitstream", "report")
        return (
            (
                ["compile", model, "--calibration", images, "-o", out],
                [*machine, "--calibration", "--samples", "-o", ""],
            ),
            (["inspect", model, "--shape", "1x8x8"], ["--shape", ""]),
            (["simulate", build, "--samples", "1"], ["--samples", "--task", "--level", "--simulator", ""]),
            (["export", build, "-o", out], ["--clock", "--board", "-o", ""]),
            (["bitstream", str(self.base / "project")], ["--seeds", "--jobs", ""]),
            (["report", build, "-o", str(self.work / "out.html")], ["-o", ""]),
            *(([verb], [""]) for verb in verbs),
            ([], [""]),
            (["ops"], ["--markdown", ""]),
        )

    def folder(self, rng: random.Random) -> list[str]:
        """Build folders with one or two files damaged, lost, or replaced."""
        place = self.work / "build"
        shutil.copytree(self.base / "build", place)
        weights = [
            8 if path.suffix in (".json", ".npy", ".npz", ".txt", ".bin", ".safetensors") else 1
            for path in self.files
        ]
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
        verbs = (
            ["simulate", str(place), "--samples", "1"],
            ["simulate", str(place), "--samples", "1"],
            ["report", str(place), "-o", str(self.work / "r.html")],
            ["export", str(place), "-o", str(self.work / "out")],
            ["bitstream", str(place)],
            ["compile", "damaged_models:unsupported", "--calibration", "digits", "-o", str(place)],
        )
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
        call = [
            "compile",
            "digits",
            "-o",
            str(self.work / "out"),
            "--board",
            rng.choice(("zcu102", "ulx3s-85f", "kv260", "lfe5u-85f")),
        ]
        for name, values in (
            ("--array", ("1x1x1", "3x2x4", "64x64x64", "5x8x2", "2x16x16", "64x1x1")),
            ("--row-width", ("1", "2", "3", "64", "999999999")),
            ("--ring", ("1", "64", "999999999")),
            ("--span", ("1", "7", "999999999")),
            ("--attention", ("streamed", "resident")),
            ("--shape", ("3x8x8", "1x9x9")),
        ):
            if rng.random() < 0.5:
                call += [name, rng.choice(values)]
        return call
