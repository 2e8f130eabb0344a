# SPDX-License-Identifier: Apache-2.0
"""`hlsgen explore` and `hlsgen compile --fit` on the digits."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from hlsgen.cli import main

CHOICES = ["--array", "4x4x8,4x4x4,8x4x4", "--ring", "16384,262144"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exploration of the digits."""
    place = tmp_path_factory.mktemp("explored") / "a folder"
    call = ["explore", "digits", "-o", str(place), *CHOICES, "--logit-width", "8,10", "--points", "9"]
    assert main([*call, "--jobs", "1"]) == 0
    return place


def answer(capsys: pytest.CaptureFixture[str], *call: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*call, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_second_call_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = len((folder / "points.jsonl").read_text().splitlines())
    assert before == 9
    found = answer(capsys, "explore", "-o", str(folder), *CHOICES, "--points", "100", "--jobs", "1")
    assert found["points"] == 12
    assert found["computed"] == 3
    assert json.loads((folder / "front.json").read_text())["front"] == found["front"]
    again = answer(capsys, "explore", "-o", str(folder), *CHOICES, "--points", "0")
    assert again["computed"] == 0
    assert again["front"] == found["front"]


def test_one_point_is_json_in_and_json_out(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    point = {"board": "ulx3s-85f", "array": "4x4x8", "ring_bytes": 16384}
    found = answer(capsys, "explore", "-o", str(folder), "--point", json.dumps(point))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(point)))
    assert main(["explore", "-o", str(folder), "--point", "-"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read == {name: value for name, value in found.items() if name != "exit_code"}
    (kept,) = [
        line
        for line in map(json.loads, (folder / "points.jsonl").read_text().splitlines())
        if line["point"] == read["point"]
    ]
    assert kept == read
    assert read["figures"]["cycles"] > 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (["--point", "{"], "a point must be JSON"),
        (["--point", "[1]"], "a point must be an object of JSON"),
        (["--point", '{"board": "ulx3s-85f", "array": "4x4x8", "logit_width": 12}'], "quantized for, 8, 10"),
        (["--part", "3/2"], "must be at most 2/2, not 3/2"),
        (["--board", "zcu10"], "did you mean zcu102"),
        (["--array", "4x4"], "array must be ROWSxCOLUMNSxDEPTH"),
        (["--attention", "far"], "must be resident or streamed, not 'far'"),
        (["--row-width", "2", "--array", "3x4x4"], "the choices leave no machine"),
        (["--logit-width", "8,13"], "logit_width must be in 8..12, not 13"),
        (["--dask", "slurm", "--board", "zcu10"], "did you mean zcu102"),
        (["--fps", "-1"], "must be a positive number, not '-1'"),
        (["--point", "{}", "--part", "1/2"], "not allowed with"),
    ],
)
def test_wrong_calls_are_refused(
    call: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", "-o", str(folder), *call]) == 2
    assert text in capsys.readouterr().err


def test_without_a_model_or_with_a_strangers_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", "-o", str(tmp_path / "new")]) == 2
    assert "a model is needed" in capsys.readouterr().err
    (tmp_path / "mine").write_text("")
    assert main(["explore", "digits", "-o", str(tmp_path)]) == 2
    assert "must be empty, new, or an exploration" in capsys.readouterr().err


def test_no_point_that_meets_it_is_a_misfit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "-o", str(folder), *CHOICES, "--points", "0", "--fps", "1000000"]) == 4
    assert "at least 1e+06 images/s, not " in capsys.readouterr().out


def test_a_users_board_joins_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = tmp_path / "mine.toml", files("hlsgen.boards").joinpath("zcu102.toml").read_text()
    path.write_text(text)
    call = ["explore", "-o", str(folder), *CHOICES, "--board", str(path), "--points", "2", "--jobs", "1"]
    assert answer(capsys, *call)["points"] == 2
    path.write_text(text.replace("300.0", "200.0"))
    assert main(call) == 2
    assert "holds results for another board file" in capsys.readouterr().err


def test_a_job_array_computes_all_points(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "job.sh"
    space = ["--array", "2x4x4,2x4x8", "--ring", "16384", "--logit-width", "8"]
    found = answer(capsys, "explore", "-o", str(folder), *space, "--sbatch", str(script), "--jobs", "2")
    assert found["points"] == 2
    text = script.read_text()
    assert "#SBATCH --array=1-2\n" in text
    subprocess.run(["sh", "-n", str(script)], check=True)
    (line,) = [line for line in text.splitlines() if line.startswith("exec ")]
    for task in ("1", "2"):
        words = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", task))
        assert words[:4] == ["exec", "python", "-m", "hlsgen"]
        assert main(words[4:]) == 0
    done = answer(capsys, *shlex.split(str(found["then"]))[3:])
    assert done["computed"] == 0
    assert done["points"] == 2


def test_compile_fits_by_itself_and_writes_down_what_it_chose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlsgen.explore.fit.POINTS", 12)
    place = tmp_path / "fitted"
    call = ["compile", "digits", "--board", "ulx3s-85f", "--ring", "16384", "-o"]
    assert main([*call, str(place), "--fit", "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    (line,) = [line for line in told.splitlines() if line.startswith("fit  ")]
    words = line.split()[1:]
    assert words[:2] == ["--board", "ulx3s-85f"]
    assert "bound by" in told
    manifest = json.loads((place / "manifest.json").read_text())
    assert "x".join(map(str, manifest["array"])) == words[words.index("--array") + 1]
    again = tmp_path / "again"
    assert main(["compile", "--config", str(place / "hlsgen.toml"), "-o", str(again)]) == 0
    assert (again / "manifest.json").read_bytes() == (place / "manifest.json").read_bytes()


def test_nothing_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["compile", "digits", "--board", "zcu102", "--array", "64x64x64", "--fit", "--jobs", "1"]
    assert main([*call, "-o", str(tmp_path / "none")]) == 4
    assert "DSP blocks" in capsys.readouterr().err
