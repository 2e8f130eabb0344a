# SPDX-License-Identifier: Apache-2.0
"""hlsgen.toml: it is read as it is written, every wrong entry is named, files build what flags build."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hlsgen.cli import main
from hlsgen.configuration.read import configuration, read_configuration
from hlsgen.configuration.schema import Configuration, DataSection, ModelSection
from hlsgen.configuration.write import configuration_text
from hlsgen.errors import UsageError
from hlsgen.fit.options import CompileOptions
from hlsgen.quantization.config import QuantizeConfig

FULL = Configuration(
    model=ModelSection(
        name='odd "name" \\ \x7f ü', weights="w", shape=(3, 8, 4), outputs=("a", "b.c"), compare=False
    ),
    data=DataSection(calibration="c", samples="s s", preprocessing="p"),
    quantizer=QuantizeConfig(
        activations="percentile:99.9", overrides={"blocks.*": "mse", "": "min-max"}, logit_width=12, batch=3,
        residual_headroom=2.5, centred=False, activation_overrides={"*fc1": 10},
    ),
    machine=CompileOptions(
        board="kv260", array=(4, 8, 16), row_width=2, ring_bytes=1 << 14, attention="streamed", span=0
    ),
)  # fmt: skip
TABLE = Configuration(
    data=DataSection(
        preprocessing={"size": {"height": 8, "width": 4}, "image_mean": [0.5], "do_center_crop": False}
    )
)
TEXT = dataclasses.replace(FULL, machine=dataclasses.replace(FULL.machine, array="4x8x16"))


@pytest.mark.parametrize("comments", [True, False])
@pytest.mark.parametrize("made", [Configuration(), FULL, TABLE])
def test_what_is_written_is_read_again(made: Configuration, comments: bool) -> None:
    text = configuration_text(made, comments=comments)
    assert configuration(tomllib.loads(text)) == (TEXT if made is FULL else made)
    assert configuration(made.plain()) == (TEXT if made is FULL else made)


def test_every_entry_has_a_comment() -> None:
    text = configuration_text(Configuration())
    for section in dataclasses.fields(Configuration):
        for item in dataclasses.fields(getattr(Configuration(), section.name)):
            before = text[: text.index(f"{item.name}]" if f".{item.name}]" in text else f"{item.name} =")]
            assert before.rstrip("[# ").splitlines()[-1].startswith(("# ", f"[{section.name}")), item.name
    assert "# shape =" in text
    assert "# Bits of an attention logit (8..12).\nlogit_width = 10\n" in text
    assert max(map(len, text.splitlines())) <= 102


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ({"modle": {}}, ["modle is not known"]),
        ({"model": {"nam": "x", "shape": [1, 2], "outputs": ["a", 3], "compare": 1}},
         ["model.shape.2 is missing", "model.outputs.1: the value should be a valid string, not 3",
          "model.compare: the value should be a valid boolean, not 1", "model.nam is not known"]),
        ({"quantizer": {"logit_width": "10"}, "machine": {"array": [4, 4, 8]}},
         ["quantizer.logit_width: the value should be a valid integer, not '10'"]),
        ({"machine": {"array": 5}, "model": 5},
         ["model: the value should be an object, not 5", "machine.array: the value should be a valid"]),
        ({"quantizer": {"logit_width": 20, "image": "foo"}},
         ["quantizer.logit_width must be in 8..12, not 20", "quantizer.image: observer must be min-max"]),
        ({"quantizer": {"overrides": {"a": 1}}},
         ["quantizer.overrides: the value should be a valid string, not 1"]),
    ],
)  # fmt: skip
def test_every_wrong_entry_is_named(data: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        configuration(data)
    found = [problem.what for problem in caught.value.problems]
    assert len(found) == len(messages)
    for what, start in zip(found, messages, strict=True):
        assert what.startswith(start)


def test_unknown_keys_come_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        configuration({"machine": {"arry": "4x4x8", "zzz": 1}})
    assert [problem.fix for problem in caught.value.problems] == [
        "did you mean array?",
        "keys: ring_bytes, row_width, attention, span, board, array",
    ]


def test_a_file_that_can_t_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml can't be read"):
        read_configuration(tmp_path / "none.toml")
    for text in (b"a = ", b"\xff", b"[" * 5000):
        (tmp_path / "bad.toml").write_bytes(text)
        with pytest.raises(UsageError, match=r"bad\.toml must be TOML"):
            read_configuration(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("[machine]\nwhen = 2020-01-01\n")
    with pytest.raises(UsageError, match=r"machine\.when is not known\n  where: .*bad\.toml"):
        read_configuration(tmp_path / "bad.toml")


def test_a_file_and_flags_build_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init`, an entry of the file, a flag over it; and the resolved file in the build folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "digits", "-o", "my.toml"]) == 0
    assert capsys.readouterr().out.endswith("next: hlsgen compile --config my.toml -o build\n")
    assert main(["init", "digits", "-o", "my.toml"]) == 2
    assert "my.toml is there already" in capsys.readouterr().err
    text = Path("my.toml").read_text()
    assert 'array = "4x4x8"' in text  # the flag has precedence
    Path("my.toml").write_text(text.replace("logit_width = 10", "logit_width = 11"))
    assert main(["compile", "--config", "my.toml", "--array", "2x2x4", "--span", "0", "-o", "one"]) == 0
    flags = ["--array", "2x2x4", "--quantizer", "logit_width=11", "--span", "0", "--shape", "1x8x8"]
    assert main(["compile", "digits", *flags, "-o", "two"]) == 0
    assert main(["compile", "--config", "one/hlsgen.toml", "-o", "three"]) == 0
    first = {path.relative_to("one"): path.read_bytes() for path in Path("one").rglob("*") if path.is_file()}
    for name in ("two", "three"):
        other = {
            path.relative_to(name): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()
        }
        assert other == first
    assert 'array = "2x2x4"' in Path("one/hlsgen.toml").read_text()
    assert "logit_width = 11" in Path("one/hlsgen.toml").read_text()


def test_a_wrong_file_is_refused_before_anything_slow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text('[machine]\nboard = "nexys"\narray = "8x8"\n')
    assert main(["compile", "--config", "my.toml", "-o", "x"]) == 2
    assert "a model is needed" in capsys.readouterr().err
    assert main(["compile", "digits", "--config", "my.toml", "-o", "x"]) == 2
    error = capsys.readouterr().err
    assert "board must be one of" in error
    assert "array must be ROWSxCOLUMNSxDEPTH" in error
