# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.damage --count N --seed S`: damaged files and odd calls, and how each one ends.

Every case is a call of the command line in a process that many share; the case `--only I` can be repeated
alone. A case fails when it ends with 70 or an undocumented code, with a traceback, without a message, not
within a minute of processor time, or with more than 500 MB of memory above what it began with. Exits with 1
when any case does.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import itertools
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.damaged_inputs import KINDS, Inputs, kind
from benchmarks.odd_values import MODULE
from hlsgen.cli.values import natural, positive

SECONDS, MEGABYTES = 60, 500
"""Most processor time of a case, in seconds, and most memory, in MB."""
PATIENCE = 10
"""A case may take so many times `SECONDS` on a machine with other work."""
PER_PROCESS = 100
ADDRESS_SPACE = 6 << 30
"""Bytes that a process of cases may map beyond what it has at its start."""
DOCUMENTED = (0, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Outcome:
    """How a case ended; `fault` says what is wrong with that, or nothing."""

    index: int
    kind: str
    arguments: list[str]
    code: int
    message: str
    megabytes: float
    seconds: float
    fault: str


class Hang(BaseException):
    """The alarm went off."""


def _prepare(base: Path) -> None:
    """The whole files that the cases damage."""
    import numpy as np
    import torch
    from safetensors.torch import save_file
    from transformers import ViTConfig, ViTForImageClassification

    import hlsgen
    from hlsgen.examples.digits.data import heldout
    from hlsgen.examples.digits.model import digits

    images, labels = heldout()
    np.savez(base / "images.npz", images=images[:16], labels=labels[:16])
    image = torch.zeros(1, 1, 8, 8)
    torch.onnx.export(
        digits(), (image,), base / "model.onnx", dynamo=True, external_data=False, verbose=False
    )
    save_file(digits().state_dict(), base / "model.safetensors")
    sizes: dict[str, Any] = {
        "num_labels": 3,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    small = ViTConfig(**sizes, image_size=8, patch_size=4, num_channels=1)
    ViTForImageClassification(small).save_pretrained(base / "checkpoint")
    torch.export.save(torch.export.export(digits(), (image,)), base / "model.pt2")
    board = Path(next(iter(hlsgen.__path__))) / "boards" / "ulx3s-85f.toml"
    (base / "board.toml").write_text(board.read_text())
    (base / "damaged_models.py").write_text(MODULE)
    kept = ("--samples", str(base / "images.npz"))
    for call in (
        ["compile", "digits", *kept, "--board", "zcu102", "--array", "2x2x4", "-o", str(base / "build")],
        ["export", str(base / "build"), "-o", str(base / "project")],
    ):
        subprocess.run([sys.executable, "-m", "hlsgen", *call], check=True, capture_output=True)


def _status(key: str) -> float:
    """A figure of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def _alarm(*_: object) -> None:
    raise Hang


def _run(inputs: Inputs, seed: int, index: int) -> Outcome:
    """One case, in this process."""
    from hlsgen.cli import main

    kind, arguments = inputs.call(seed, index)
    if index % 16 == 0:
        gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _status("VmRSS"), time.monotonic()
    out, err, fault = io.StringIO(), io.StringIO(), ""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(PATIENCE * SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(arguments)
    except Hang:
        code, fault = -1, f"no end within {SECONDS} s"
    except BaseException as error:  # noqa: BLE001 that is what is looked for
        code, fault = -1, f"{type(error).__name__} got out: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    seconds, used = time.monotonic() - start, _status("VmHWM") - before
    message = (err.getvalue() or out.getvalue()).strip()
    said = out.getvalue() if "--json" in arguments or code in (0, 3) else ""
    if fault:
        pass
    elif code not in DOCUMENTED:
        fault = f"exit code {code}"
    elif "Traceback (most recent" in out.getvalue() + err.getvalue():
        fault = "a traceback"
    elif code and not said and "hlsgen: error: " not in err.getvalue():
        fault = "no message"
    elif used > MEGABYTES:
        fault = f"{used:.0f} MB"
    return Outcome(index, kind, arguments, code, message[-600:], round(used, 1), round(seconds, 2), fault)


def _work(base: Path, seed: int, indices: list[int]) -> None:
    """Run cases; each is announced before, and told of after, as a line of JSON."""
    channel = os.fdopen(os.dup(1), "w")
    os.environ["PATH"] = "/nonexistent"  # of the tools, none is to run
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, str(base))
        inputs = Inputs(base, Path(folder) / "work")
        import hlsgen.pipeline  # noqa: F401  what all cases share counts for none
        from hlsgen.frontend import capture  # noqa: F401
        from hlsgen.frontend.read import archive  # noqa: F401

        signal.signal(signal.SIGALRM, _alarm)
        signal.signal(signal.SIGPROF, _alarm)
        most = int(_status("VmSize") * 2**20) + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for index in indices:
            print(json.dumps({"begin": index}), file=channel, flush=True)
            outcome = _run(inputs, seed, index)
            print(json.dumps(asdict(outcome)), file=channel, flush=True)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes | None]:
    """What a process of cases tells; None when it says nothing for too long."""
    assert process.stdout is not None
    while True:
        ready, _, _ = select.select([process.stdout], [], [], 2 * PATIENCE * SECONDS)
        if not ready:
            yield None
            return
        line = process.stdout.readline()
        if not line:
            return
        yield line


def _outcomes(base: Path, seed: int, indices: list[int]) -> Iterator[Outcome]:
    """All cases, in processes of their own; one that hangs or dies costs its own case only."""
    left = list(indices)
    while left:
        part = left[:PER_PROCESS]
        command = [sys.executable, "-m", "benchmarks.damage", "--base", str(base), "--seed", str(seed)]
        command += ["--cases", *map(str, part)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path])),
        }
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process,
        ):
            current: int | None = None
            for line in _lines(process):
                if line is None:
                    process.kill()
                    break
                told = json.loads(line)
                if "begin" in told:
                    current = told["begin"]
                else:
                    left.remove(told["index"])
                    current = None
                    yield Outcome(**told)
            ended = process.wait()
            if current is not None:
                left.remove(current)
                fault = f"the process died with {ended}"
                errors.seek(0)
                tail = errors.read().decode(errors="replace")[-400:]
                yield Outcome(current, "?", [], ended, tail, 0.0, 0.0, fault)
            elif part == left[:PER_PROCESS]:
                raise SystemExit("the process of the cases can't start")


def main() -> int:
    """Run the cases and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.damage", description=__doc__)
    parser.add_argument("--count", type=positive, default=1000, metavar="N")
    parser.add_argument("--seed", type=natural, default=1, metavar="S")
    parser.add_argument("--only", type=natural, nargs="+", metavar="I", help="these cases, with messages")
    parser.add_argument(
        "--without", nargs="+", default=[], choices=KINDS, metavar="CLASS", help="pass over these classes"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cases", type=int, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cases:
        _work(options.base, options.seed, options.cases)
        return 0
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        base = options.base or Path(folder)
        if not (base / "project").exists():
            _prepare(base)
        # An interrupt ends the cases, not the figures of those that ran.
        with contextlib.suppress(KeyboardInterrupt):
            for outcome in _outcomes(base, options.seed, _chosen(options)):
                found.append(outcome)
                if len(found) % 100 == 0:
                    print(f"{len(found)} cases", file=sys.stderr, flush=True)
                if (outcome.fault or options.only) and not options.json:
                    print(_text(outcome), flush=True)
    failed = [outcome for outcome in found if outcome.fault]
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in found], indent=1))
    else:
        print(_summary(found, failed))
    return 1 if failed else 0


def _chosen(options: argparse.Namespace) -> list[int]:
    """Indices of `count` cases, those of classes to pass over not counted."""
    if options.only:
        return options.only
    kinds = (index for index in itertools.count() if kind(options.seed, index) not in options.without)
    return list(itertools.islice(kinds, options.count))


def _text(outcome: Outcome) -> str:
    call = " ".join(text if len(text) < 80 else f"{text[:77]}..." for text in outcome.arguments)
    head = f"case {outcome.index} {outcome.kind}: {outcome.fault or outcome.code}: {call}"
    return "\n    ".join([ascii(head)[1:-1], *outcome.message.splitlines()[-4:]])


def _summary(found: list[Outcome], failed: list[Outcome]) -> str:
    kinds = sorted({outcome.kind for outcome in found})
    codes = sorted({outcome.code for outcome in found})
    counts = Counter((outcome.kind, outcome.code) for outcome in found)
    lines = [f"{'class':14} cases" + "".join(f"{code:>6}" for code in codes) + "  failed"]
    for name in kinds:
        numbers = [counts[name, code] for code in codes]
        bad = sum(outcome.kind == name for outcome in failed)
        lines.append(f"{name:14} {sum(numbers):5}" + "".join(f"{n or '':>6}" for n in numbers) + f"  {bad:6}")
    lines.append(
        f"{len(found)} cases, {len(failed)} failed; at most "
        f"{max([o.megabytes for o in found], default=0):.0f} MB and "
        f"{max([o.seconds for o in found], default=0):.0f} s"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
