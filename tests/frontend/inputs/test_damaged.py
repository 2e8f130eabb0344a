# SPDX-License-Identifier: Apache-2.0
"""Damaged files of images and saved exports: one clear line each, and no more memory than they are worth."""

from __future__ import annotations

import ctypes
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hlsgen.errors import CalibrationError, UnsupportedModel, UsageError
from hlsgen.examples.digits.model import digits
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.read.archive import load_archive
from hlsgen.frontend.read.bounds import allowance

IMAGES = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
MEGABYTES = 200
"""More than that no damaged file may take."""


def npy(header: bytes, body: bytes = bytes(256), version: int = 1, length: int | None = None) -> bytes:
    width = 2 if version == 1 else 4
    size = (len(header) if length is None else length).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + size + header + body


def header(shape: str = "(1, 1, 8, 8)", descr: str = "<f4", fortran: str = "False") -> bytes:
    return f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def patched(data: bytes, offset: int, value: int, width: int = 2) -> bytes:
    """Every entry of a zip archive's directory changed at an offset."""
    parts = data.split(b"PK\x01\x02")
    entries = [
        part[: offset - 4] + value.to_bytes(width, "little") + part[offset - 4 + width :]
        for part in parts[1:]
    ]
    return b"PK\x01\x02".join([parts[0], *entries])


def why(place: Path, data: bytes) -> str:
    """Why images are refused; what is said of them is the same for all."""
    place.write_bytes(data)
    with pytest.raises(CalibrationError) as caught:
        load_data(str(place))
    (problem,) = caught.value.problems
    assert problem.what == f"{place} can't be read as plain arrays"
    assert problem.fix.startswith("DATA is a .npy file with images")
    assert "\n" not in problem.why
    return problem.why


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it begins neither as a .npy nor as a .npz file"),
        (b"text", "it begins neither as a .npy nor as a .npz file"),
        (npy(header()[:40]), "its .npy header is damaged: EOF in multi-line statement"),
        (npy(b"(" * 9000), "its .npy header is damaged: "),
        (npy(b"\xff" * 60), "its .npy header is damaged: "),
        (npy(header() + b" " * 40_000), "its .npy header is damaged: EOF: reading array header"),
        (npy(header(), version=2, length=2**32 - 1), "its .npy header is damaged: "),
        (npy(header(), version=3), "its .npy header must be of version 1.0 or 2.0"),
        (npy(header(descr="xyz")), "its .npy header is damaged: descr is not a valid dtype"),
        (npy(header(fortran="7")), "its .npy header is damaged: fortran_order is not a valid bool: 7"),
        (npy(header(descr="|O")), "it holds Python objects, which would have to be unpickled"),
        (
            npy(header("(2, 1, 8, 8)")),
            "its header says [2, 1, 8, 8] of float32, more than its 332 bytes hold",
        ),
        (npy(header("(9999999999, 1, 8, 8)")), "its header says [9999999999, 1, 8, 8] of float32, more"),
        (npy(header("(-1, 1, 8, 8)")), "its header says [-1, 1, 8, 8] of float32, more than its "),
        (npy(header(f"({'9' * 4000},)")), "its header says [999999"),
        (npy(header(f"({'9' * 5000},)")), "its .npy header is damaged: "),
    ],
)
def test_headers(tmp_path: Path, data: bytes, text: str) -> None:
    assert why(tmp_path / "a.npy", data).startswith(text)
    inside = why(tmp_path / "a.npz", packed({"images.npy": data}))
    assert inside.startswith(
        text.replace("it begins neither as a .npy nor as a .npz file", "its .npy header is ")
    )


ARRAYS = packed({"images.npy": saved(IMAGES), "labels.npy": saved(np.arange(3))})
METHOD = "its member images.npy must be stored or deflated, not packed by method "
UNFOLDS = "it is {} bytes and must unfold to at most {} bytes"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (ARRAYS[:500], "File is not a zip file"),
        (patched(ARRAYS, 8, 1), "its member images.npy is encrypted"),
        (patched(ARRAYS, 10, 99), METHOD + "99"),
        (patched(ARRAYS, 10, 8), "its member images.npy is damaged: "),
        (patched(ARRAYS, 16, 7, 4), "its member images.npy is damaged: Bad CRC-32 for file 'images.npy'"),
        (patched(ARRAYS, 24, 9, 4), "its member images.npy is damaged: Bad CRC-32 for file 'images.npy'"),
        (patched(ARRAYS, 24, 2000, 4), "its member images.npy is damaged: "),
        (patched(ARRAYS, 24, 2**32 - 2, 4), UNFOLDS.format(len(ARRAYS), allowance(len(ARRAYS)))),
        (packed({"images.npy": saved(IMAGES)}, zipfile.ZIP_LZMA), METHOD + "14"),
        (packed({"images": saved(IMAGES), "a.txt": b""}), "it holds no arrays"),
    ],
)
def test_archives_of_arrays(tmp_path: Path, data: bytes, text: str) -> None:
    assert why(tmp_path / "a.npz", data).startswith(text)


def peak(call: Callable[[], Any]) -> float:
    """Megabytes that a call takes at its peak beyond what the process had."""

    def status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))

    ctypes.CDLL(None).malloc_trim(0)  # a free piece of the heap would be taken without a trace
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    call()
    return (status("VmHWM") - before) / 1024


def test_the_peak_is_measured() -> None:
    assert peak(lambda: np.ones(50_000_000)) > 350


def test_the_peak_is_measured_where_the_heap_has_room() -> None:
    """An earlier test may leave a large free piece below one that is still in use."""
    np.ones(3_500_000)  # from now on, pieces of up to 28 MB come from the heap
    pieces = [np.ones(3_000_000) for _ in range(20)]
    del pieces[:-1]
    assert peak(lambda: np.ones(50_000_000)) > 350
    assert len(pieces) == 1


def bombs() -> dict[str, bytes]:
    zeros, large = bytes(1 << 28), saved(np.zeros((1, 1, 2700, 2700), np.float32))
    bomb = packed({"images.npy": zeros}, zipfile.ZIP_DEFLATED)
    return {
        "deflated": bomb,
        "of a lying size": patched(bomb, 24, 1000, 4),
        "of many members": packed({"images.npy": large, "labels.npy": zeros}, 8),
    }


def test_archives_that_unfold_to_more_than_they_are_worth(tmp_path: Path) -> None:
    for name, data in bombs().items():
        (tmp_path / "a.npz").write_bytes(data)

        def load() -> None:
            with pytest.raises(CalibrationError):
                load_data(str(tmp_path / "a.npz"))

        assert peak(load) < MEGABYTES, name
    blank = np.zeros((50, 3, 224, 224), np.float32)
    np.savez_compressed(tmp_path / "blank.npz", images=blank)
    assert len(load_data(str(tmp_path / "blank.npz")).images) == 50


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (np.nan, "finite, not NaN or infinite"),
        (-np.inf, "finite, not NaN or infinite"),
        (1e300, "within the range of float32"),
        (-3.5e38, "within the range of float32"),
    ],
)
def test_values_that_float32_has_not(tmp_path: Path, value: float, rule: str) -> None:
    images = IMAGES.astype(np.float64)
    images[2, 0, 3, 4] = value
    np.save(tmp_path / "a.npy", images)
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path / "a.npy"))
    assert str(caught.value) == f"{tmp_path / 'a.npy'}: images must be {rule}: look at image 2"


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.array(["a", "b", "c"]), "integers, not <U1"),
        (np.array([0, 1.5, 2]), "whole numbers of at most 31 bits, not 1.5 of image 1"),
        (np.array([0, 1, np.nan]), "whole numbers of at most 31 bits, not nan of image 2"),
        (np.array([2**40, 1, 2]), "whole numbers of at most 31 bits, not 1099511627776 of image 0"),
    ],
)
def test_labels_that_count_nothing(tmp_path: Path, labels: np.ndarray, rule: str) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=labels)
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path / "a.npz"))
    assert str(caught.value) == f"{tmp_path / 'a.npz'}: labels must be {rule}"


def test_fortran_order_and_whole_float_labels_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.asfortranarray(IMAGES), labels=np.array([2.0, 0.0, 1.0]))
    data = load_data(str(tmp_path / "a.npz"))
    assert np.array_equal(data.images, IMAGES)
    assert data.labels is not None
    assert data.labels.tolist() == [2, 0, 1]
    np.save(tmp_path / "b.npy", np.asfortranarray(IMAGES))
    assert np.array_equal(load_data(str(tmp_path / "b.npy")).images, IMAGES)


def test_more_than_the_machine_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    np.save(tmp_path / "a.npy", IMAGES)
    monkeypatch.setattr(np, "fromfile", full)
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path / "a.npy"))
    assert str(caught.value) == f"{tmp_path / 'a.npy'}: images must fit into this machine's memory"


def test_names_that_no_file_has() -> None:
    for name, text in (
        ("a" * 300, "data '" + "a" * 76 + "... can't be read\n  why: File name too long\n"),
        ("a\0b.npy", "there is no data 'a\\x00b.npy'\n"),
    ):
        with pytest.raises(CalibrationError) as caught:
            load_data(name)
        assert str(caught.value).startswith(text)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Members of a saved export."""
    path = tmp_path_factory.mktemp("export") / "model.pt2"
    torch.export.save(torch.export.export(digits(), (torch.zeros(1, 1, 8, 8),)), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


MODEL, CONFIG = "model/models/model.json", "model/data/weights/model_weights_config.json"


def refused(place: Path, data: bytes) -> str:
    place.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load_archive(place)
    (problem,) = caught.value.problems
    assert problem.what in (
        f"{place} must be a torch.export archive",
        f"{place} is not a complete torch.export archive",
    )
    assert problem.fix.startswith("export the model again")
    assert "\n" not in problem.why
    return problem.why


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b'"as_int": 1}', b'"as_int": Infinity}', "its JSON must hold finite numbers, not Infinity"),
        (b'"as_int": 1}', b'"as_int": NaN}', "its JSON must hold finite numbers, not NaN"),
        (b'"as_int": 1}', b'"as_int": 1e999}', "its JSON must hold finite numbers, not 1e999"),
        (b'"as_int": 1}', b'"as_int": ' + b"9" * 5000 + b"}", "its JSON is damaged: Exceeds the limit"),
        (b'"as_int": 1}', b'"as_int": ' + b"[" * 99_999 + b"}", "its JSON is nested too deeply"),
        (b'"as_int": 1}', b'"as_int": "\xff"}', "its JSON is damaged: 'utf-8' codec can't decode"),
        (b'"as_int": 1}', b'"as_int": []}', "TypeError: "),
        (b'"as_int": 1}', b'"as_int": 9999999999}', "a tensor must have 0..67108864 elements, not ["),
        (b'"as_int": 1}', b'"as_int": -1}', "a tensor must have 0..67108864 elements, not [-1"),
        (b'"graph_module"', b'"x"', "KeyError: 'graph_module'"),
    ],
)
def test_descriptions(tmp_path: Path, export: dict[str, bytes], old: bytes, new: bytes, text: str) -> None:
    assert old in export[MODEL]
    members = export | {MODEL: export[MODEL].replace(old, new)}
    assert refused(tmp_path / "a.pt2", packed(members)).startswith(text)


def test_saved_exports_that_are_no_archive(tmp_path: Path, export: dict[str, bytes]) -> None:
    place, data = tmp_path / "a.pt2", packed(export)
    assert refused(place, data[: len(data) // 2]) == "File is not a zip file"
    assert refused(place, data[len(data) // 2 :]) != ""
    assert refused(place, patched(data, 8, 1)) == f"its member {MODEL} is encrypted"
    assert refused(place, patched(data, 10, 99)) == "the archive is compressed"
    assert refused(place, patched(data, 24, 2**32 - 2, 4)).startswith(
        f"it is {len(data)} bytes and must unfold "
    )
    assert refused(place, packed(export | {CONFIG: b""})).startswith("its JSON is damaged: Expecting value")
    assert refused(place, packed(export, zipfile.ZIP_DEFLATED)) == "the archive is compressed"


FAR = "head.bias: 10 elements stored, element {} needed"


def stride_zero(document: Any, rows: int) -> None:
    for item in document["config"].values():
        item["tensor_meta"]["sizes"] = [{"as_int": rows}, {"as_int": 1000}]
        item["tensor_meta"]["strides"] = [{"as_int": 0}, {"as_int": 0}]


@pytest.mark.parametrize("rows", [2_000_000, 200, 10_000])
def test_strides_of_zero_make_no_memory(tmp_path: Path, export: dict[str, bytes], rows: int) -> None:
    document = json.loads(export[CONFIG])
    stride_zero(document, rows)
    data = packed(export | {CONFIG: json.dumps(document).encode()})
    most = allowance(len(data))
    text = f"its tensors must take at most {most} bytes together, "

    def load() -> None:
        (tmp_path / "a.pt2").write_bytes(data)
        if rows == 200:  # 44 tensors of 800 kB are in proportion
            load_archive(tmp_path / "a.pt2")
        else:
            assert refused(tmp_path / "a.pt2", data).startswith(text)

    assert peak(load) < MEGABYTES


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("sizes", [{"as_int": 0}, {"as_int": 2**62}], "head.bias: sizes out of proportion"),
        ("storage_offset", {"as_int": 2**62}, FAR.format(2**62 + 9)),
        ("strides", [{"as_int": 2**62}], FAR.format(9 * 2**62)),
        ("dtype", [], "TypeError: unhashable type: 'list'"),
        ("sizes", None, "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_tensors(tmp_path: Path, export: dict[str, bytes], key: str, value: Any, text: str) -> None:
    document = json.loads(export[CONFIG])
    document["config"]["head.bias"]["tensor_meta"][key] = value
    assert refused(tmp_path / "a.pt2", packed(export | {CONFIG: json.dumps(document).encode()})) == text


@pytest.mark.parametrize(
    ("target", "arguments", "size"),
    [
        ("torch.ops.aten.arange.default", [{"as_int": 1 << 40}], 1 << 40),
        ("torch.ops.aten.ones.default", [{"as_ints": [1 << 20, 1 << 20]}], 1 << 40),
        ("torch.ops.aten.full.default", [{"as_ints": [1 << 30]}, {"as_int": 1}], 1 << 30),
    ],
)
def test_constants_of_a_program_are_bounded(
    tmp_path: Path, export: dict[str, bytes], target: str, arguments: list[Any], size: int
) -> None:
    """The description says little, the operator makes much."""
    document = json.loads(export[MODEL])
    (linear,) = [node for node in document["graph_module"]["graph"]["nodes"] if node["name"] == "linear"]
    linear["target"] = target
    linear["inputs"] = [{"name": "x", "arg": item, "kind": 1} for item in arguments]
    (tmp_path / "a.pt2").write_bytes(packed(export | {MODEL: json.dumps(document).encode()}))

    def load() -> None:
        with pytest.raises(UnsupportedModel) as caught:
            capture(load_archive(tmp_path / "a.pt2"))
        wanted = (
            f"{target.removeprefix('torch.ops.')} must make tensors of at most 67108864 elements, not {size}"
        )
        assert wanted in [problem.what for problem in caught.value.problems]

    assert peak(load) < MEGABYTES
