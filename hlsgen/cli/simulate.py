# SPDX-License-Identifier: Apache-2.0
"""`hlsgen simulate`."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import jobs_options, natural, path, positive
from hlsgen.progress import plans
from hlsgen.progress.steps import LOGS, logs_in, plan, step

if TYPE_CHECKING:
    from hlsgen.design import Design
    from hlsgen.sim.result import Simulation

HELP = "run a build folder's samples and compare every tensor with golden"
EPILOG = """levels:
  program  the interpreter, command by command
  csim     the generated C++, compiled with g++
  rtl      the generated Verilog, in Verilator or Icarus
  soc      the same Verilog in a system: a RISC-V processor runs the images with the C driver, in Verilator;
           outputs are compared, not the tensors inside

On a difference it names the first tensor, its index, both values, command and cycle, and exits with 5.
"""
SHOWN = 16


def arguments(parser: argparse.ArgumentParser) -> None:
    """The build folder, the level, the simulator and the samples."""
    parser.add_argument("directory", metavar="DIR", type=path, help="build folder")
    parser.add_argument(
        "--level", choices=("program", "csim", "rtl", "soc"), default="program", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--simulator",
        choices=("verilator", "icarus"),
        default="verilator",
        help="of level rtl (default: %(default)s)",
    )
    parser.add_argument(
        "--images",
        metavar="FILE",
        help="images to run instead of the stored ones: .npy, .npz, or a folder of them or of pictures",
    )
    parser.add_argument(
        "--samples", metavar="N", type=positive, help="images to run (default: what takes seconds)"
    )
    parser.add_argument(
        "--task", metavar="T", type=natural, help="of several tasks (default: one after another)"
    )
    jobs_options(parser)


def run(options: argparse.Namespace) -> Answer:
    """Call `Design.simulate`."""
    plan(*plans.simulate(options.level))
    with step("load"):
        from hlsgen.design import Design
        from hlsgen.executors.choose import asked_executor

        design = Design.load(options.directory)
        samples, labels = _images(options, design)
    logs_in(design_logs(options.directory))
    tasks = range(design.graph.tasks) if options.task is None else [options.task]
    runner = asked_executor(options.jobs, options.dask)
    results = [
        design.simulate(options.level, options.simulator, samples, task, labels, runner) for task in tasks
    ]
    if design.graph.tasks == 1:
        return Answer(_data(results[0]), text(results[0]))
    data = [{"task": result.task} | _data(result) for result in results]
    return Answer({"tasks": data}, "\n".join(f"task {result.task}\n{text(result)}" for result in results))


def design_logs(directory: str) -> Path:
    """Where the logs of a build folder's steps lie."""
    return Path(directory) / "build" / LOGS


def preprocessing(design: Design) -> Any:
    """The settings for pictures that the design was compiled with, or nothing."""
    from hlsgen.frontend.inputs.preprocessing import settings_of

    asked: Any = design.notes.get("configuration") or {}
    model = asked.get("model", {}).get("name")
    return asked.get("data", {}).get("preprocessing") or (settings_of(model) if model else None)


def _images(options: argparse.Namespace, design: Design) -> tuple[Any, Any]:
    """How many samples to run, or images, and the images' labels where they are known."""
    if options.images is None:
        return options.samples, None
    from hlsgen.frontend.inputs.images import load_data

    shape = design.graph.input_type.shape
    data = load_data(options.images, shape=shape, preprocessing=preprocessing(design))
    count = options.samples or len(data.images)
    return data.images[:count], None if data.labels is None else data.labels[:count]


def _data(result: Simulation) -> dict[str, Any]:
    data: dict[str, Any] = {
        "level": result.level,
        "simulator": result.simulator,
        "images": result.images,
        "tensors": list(result.tensors),
        "elements": result.elements,
        "classes": list(result.classes),
        "labels": list(result.labels),
        "equal": True,
    }
    if result.counters:
        data |= {
            "counters": [dict(item) for item in result.counters],
            "macs": result.macs,
            "lanes": result.lanes,
        }
        data["utilisation"] = result.utilisation
    if result.processor_cycles:
        data["processor_cycles"] = list(result.processor_cycles)
    if result.verilog:
        data["verilog"] = asdict(result.verilog)
    return data


def text(result: Simulation) -> str:
    """The result for a terminal."""
    name = result.level + (f" ({result.simulator})" if result.simulator else "")
    each = "the output of each" if result.level == "soc" else f"{len(result.tensors)} tensors each"
    amount = f"{result.images} images, {each}, {result.elements} elements"
    lines = [f"{name}: {amount}, all equal to golden"]
    lines += [_classes(result)] if result.classes else []
    lines += [str(result.verilog)] if result.verilog else []
    if result.counters:
        lines += _cycles(result)
    if result.processor_cycles:
        most = max(result.processor_cycles)
        lines.append(
            f"with the driver, from image to integers: {most} cycles of a PicoRV32 at the same clock"
        )
    return "\n".join(lines)


def _classes(result: Simulation) -> str:
    shown = " ".join(map(str, result.classes[:SHOWN])) + (" ..." if result.images > SHOWN else "")
    if not result.labels:
        return f"classes {shown}"
    return f"classes {shown}; {result.correct} of {result.images} as labelled"


def _cycles(result: Simulation) -> list[str]:
    from hlsgen.machine.format.interface import REASONS

    slowest = max(result.counters, key=lambda item: item["cycles"])
    spread = Counter(item["cycles"] for item in result.counters)
    among = "" if len(spread) == 1 else f" (slowest of {min(spread)}..{max(spread)})"
    work = f"{result.macs} useful multiply-accumulates / ({slowest['cycles']} cycles x {result.lanes})"
    lines = [
        f"cycles {slowest['cycles']}{among}",
        f"utilisation {100 * result.utilisation:.1f} % = {work}",
        "where the cycles went:",
    ]
    for reason in REASONS:
        cycles = slowest[reason.title]
        lines.append(f"  {reason.label:35} {cycles:9} {100 * cycles / slowest['cycles']:5.1f} %")
    return lines
