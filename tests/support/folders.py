# SPDX-License-Identifier: Apache-2.0
"""Small build folders, made in milliseconds: their Verilog is a stand-in."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import hlsgen
from hlsgen import Design
from hlsgen.emit.contents import contents
from hlsgen.store.files import sha256
from hlsgen.store.samples import Samples
from support.graphs import TINY, Vit, integer_vit


def design(seed: int = 2, *, array: str = "2x2x2", board: str = "kv260", samples: int = 3) -> Design:
    """A tiny design; another seed gives other weights, another array another machine."""
    made = hlsgen.compile(integer_vit(Vit(**{**vars(TINY), "seed": seed})), board=board, array=array)
    first = made.samples.first(samples)
    logits = made.logits(first.images)
    samples_ = Samples(first.images, logits.argmax(-1), logits.astype(float))
    return dataclasses.replace(made, samples=samples_, quantization={"tensors": {}})


def verilog(*_: object) -> str:
    """In the place of generated Verilog."""
    return "module top(input clk);\nendmodule\n"


def build_files(made: Design) -> dict[str, bytes]:
    """What its build folder holds."""
    return contents(made, verilog)


def held(directory: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def sign(directory: Path, index: str = "manifest.json") -> None:
    """Let the index list the files as they are."""
    document = json.loads((directory / index).read_text())
    for path in document["files"]:
        document["files"][path] = sha256((directory / path).read_bytes())
    (directory / index).write_text(json.dumps(document))
