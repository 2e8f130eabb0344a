# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures: the same pixels as `transformers`' processors, classes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hlsgen.errors import CalibrationError
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.preprocessing import read_preprocessing

VIT: dict[str, Any] = {
    "do_resize": True, "size": {"height": 16, "width": 12}, "resample": 2,
    "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip
CLIP = VIT | {"size": {"shortest_edge": 14}, "do_center_crop": True, "crop_size": 12, "resample": 3}
LARGER = CLIP | {"crop_size": {"height": 19, "width": 24}}
PLAIN = {"do_resize": False, "do_normalize": False, "do_rescale": False}
SIZES = [(20, 31), (31, 20), (16, 16), (9, 40)]


def _picture(path: Path, size: tuple[int, int], seed: int, mode: str = "RGB") -> None:
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8)
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels.squeeze(), mode).save(path)


def _settings(folder: Path, data: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(data))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings", [VIT, CLIP, LARGER], ids=["exact", "shorter edge", "larger crop"])
def test_pixels_are_those_of_transformers(
    tmp_path: Path, settings: dict[str, Any], size: tuple[int, int]
) -> None:
    from transformers import CLIPImageProcessorPil

    _picture(tmp_path / "a.png", size, seed=3)
    _settings(tmp_path, settings)
    processor = (
        CLIPImageProcessorPil(do_center_crop=False, **settings)
        if settings is VIT
        else CLIPImageProcessorPil(**settings)
    )
    wanted = processor(Image.open(tmp_path / "a.png"), return_tensors="np")["pixel_values"]
    found = load_data(str(tmp_path)).images
    assert found.dtype == np.float32
    assert np.array_equal(found, wanted)


def test_a_table_says_the_same_as_a_file(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", (20, 31), seed=3)
    _settings(tmp_path, VIT)
    wanted = load_data(str(tmp_path)).images
    (tmp_path / "preprocessor_config.json").unlink()
    assert np.array_equal(load_data(str(tmp_path), preprocessing=VIT).images, wanted)
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path), preprocessing={"size": 0})
    (problem,) = caught.value.problems
    assert problem.what.startswith("[data.preprocessing]: size must give height and width")
    assert problem.code == "HG031"


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("L", 3), ("RGB", 1), ("L", 1)])
def test_a_picture_gets_the_channels_of_the_model(tmp_path: Path, mode: str, channels: int) -> None:
    _picture(tmp_path / "a.png", (5, 4), seed=1, mode=mode)
    _settings(tmp_path, PLAIN)
    wanted = np.asarray(Image.open(tmp_path / "a.png").convert("L" if channels == 1 else "RGB"))
    found = load_data(str(tmp_path), shape=(channels, 5, 4)).images
    assert np.array_equal(found[0], wanted.reshape(5, 4, channels).transpose(2, 0, 1))


def test_classes_are_the_sub_folders(tmp_path: Path) -> None:
    _settings(tmp_path, PLAIN)
    for index, name in enumerate(("dog/1.png", "cat/0.png", "cat/2.png", "dog/10.jpg")):
        _picture(tmp_path / name, (4, 4), seed=index)
    data = load_data(str(tmp_path))
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]
    (tmp_path / "cat").rename(tmp_path / "7")
    (tmp_path / "dog").rename(tmp_path / "10")
    data = load_data(str(tmp_path))
    assert data.labels is not None
    assert data.labels.tolist() == [10, 10, 7, 7]
    _picture(tmp_path / "loose.png", (4, 4), seed=9)
    assert load_data(str(tmp_path)).labels is None


def test_classes_are_those_of_the_list(tmp_path: Path) -> None:
    _settings(tmp_path, PLAIN)
    for name in ("b.png", "a.png", "x/c.png"):
        _picture(tmp_path / name, (4, 4), seed=0)
    (tmp_path / "labels.csv").write_text("file,label\nb.png, 3\n\nx/c.png,12\na.png,0\n")
    data = load_data(str(tmp_path))
    assert data.labels is not None
    assert data.labels.tolist() == [0, 3, 12]
    (tmp_path / "labels.csv").write_text("b.png,cat\na.png,1,2\n")
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path))
    assert [problem.what.removeprefix(f"{tmp_path}/labels.csv: ") for problem in caught.value.problems] == [
        "line 1 must be a picture's path, a comma and a class, not 'b.png,cat'",
        "line 2 must be a picture's path, a comma and a class, not 'a.png,1,2'",
        "there must be a class for 'a.png', 'b.png', 'x/c.png'",
    ]


def test_settings_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    _picture(tmp_path / "data/a.png", (5, 4), seed=1)
    with pytest.raises(CalibrationError, match=r"data must hold a preprocessor_config\.json, or --preproc"):
        load_data(str(tmp_path / "data"))
    _settings(tmp_path / "model", PLAIN)
    file = str(tmp_path / "model/preprocessor_config.json")
    assert load_data(str(tmp_path / "data"), preprocessing=file).images.shape == (1, 3, 5, 4)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"do_pad": True}, "'do_pad' is not a step that hlsgen does"),
        ({"crop_pct": 0.9}, "'crop_pct' is not a step that hlsgen does"),
        ({"size": {"longest_edge": 9}}, "shortest_edge, of 1..16384 pixels, not {'longest_edge': 9}"),
        ({"size": {"shortest_edge": 9, "longest_edge": 20}}, "size must give height and width"),
        ({"size": {"height": True, "width": 0}}, "size must give height and width"),
        ({"do_center_crop": True}, "crop_size is missing, though its step is on"),
        ({"resample": "bicubic"}, "resample must be one of Pillow's filters 0..5, not 'bicubic'"),
        ({"rescale_factor": None}, "rescale_factor must be a number, not None"),
        ({"image_mean": ["a"]}, "image_mean must be numbers, one for each channel"),
        ({"image_std": float("nan")}, "image_std must be numbers, one for each channel"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    _settings(tmp_path, VIT | entry)
    with pytest.raises(CalibrationError) as caught:
        read_preprocessing(tmp_path / "preprocessor_config.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_settings_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CalibrationError, match=r"a\.json (is not JSON|must hold an object)"):
        read_preprocessing(tmp_path / "a.json")


def test_entries_that_say_nothing_about_pixels_are_passed_over(tmp_path: Path) -> None:
    about = {"image_processor_type": "X", "_auto_class": "Y", "do_pad": False, "do_reduce_labels": None}
    _settings(tmp_path, VIT | about)
    assert read_preprocessing(tmp_path / "preprocessor_config.json").size == (16, 12)


def test_numbers_must_suit_the_channels(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", (5, 4), seed=1)
    _settings(tmp_path, VIT | {"image_std": [0.5, 0.0]})
    with pytest.raises(CalibrationError) as caught:
        load_data(str(tmp_path), shape=(1, 16, 12))
    assert [problem.what.partition(": ")[2] for problem in caught.value.problems] == [
        "image_mean must have 1 or 1 numbers, not 3, for a model of 1 channels",
        "image_std must have 1 or 1 numbers, not 2, for a model of 1 channels",
        "image_std must not be 0, for a model of 1 channels",
    ]
    with pytest.raises(CalibrationError, match="pictures have 1 or 3 channels, for a model of 2 channels"):
        load_data(str(tmp_path), shape=(2, 16, 12))


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    _settings(tmp_path, PLAIN)
    _picture(tmp_path / "a.png", (5, 4), seed=1)
    with pytest.raises(CalibrationError, match=r"a\.png: preprocessed it must be 3x6x4, not 3x5x4"):
        load_data(str(tmp_path), shape=(3, 6, 4))
    _picture(tmp_path / "b.png", (5, 3), seed=1)
    with pytest.raises(CalibrationError, match=r"b\.png: preprocessed it must be 3x5x4, not 3x5x3"):
        load_data(str(tmp_path))


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    _settings(tmp_path, PLAIN)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(CalibrationError, match="it is neither PNG nor JPEG"):
        load_data(str(tmp_path))
    _picture(tmp_path / "b.png", (40, 40), seed=1)
    (tmp_path / "a.png").write_bytes((tmp_path / "b.png").read_bytes()[:900])
    with pytest.raises(CalibrationError, match=r"a\.png can't be read as a picture"):
        load_data(str(tmp_path))


def test_a_folder_holds_arrays_or_pictures(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", (5, 4), seed=1)
    np.save(tmp_path / "b.npy", np.zeros((1, 3, 5, 4), np.float32))
    with pytest.raises(CalibrationError, match=r"must hold arrays or pictures, not both: b\.npy, a\.png"):
        load_data(str(tmp_path))
