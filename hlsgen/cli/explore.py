# SPDX-License-Identifier: Apache-2.0
"""`hlsgen explore`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hlsgen.cli.answer import Answer
from hlsgen.cli.compile import asked, source
from hlsgen.cli.values import array, jobs_options, natural, number, path, positive, several
from hlsgen.errors import EXIT_DOES_NOT_FIT, EXIT_OK, shown
from hlsgen.progress import plans
from hlsgen.progress.steps import plan

if TYPE_CHECKING:
    from hlsgen.executors.executor import Executor
    from hlsgen.explore.records import Records
    from hlsgen.explore.space import Space
    from hlsgen.explore.subject import Subject

HELP = "search for the machine: array, row width, ring, attention, logit width, board"
EPILOG = """Points come from the cycle model and the estimate of blocks, thousands in minutes. DIR keeps each
result as it comes; a second call with the same DIR goes on from there, and needs no MODEL.

examples:
  hlsgen explore digits -o build/explored
  hlsgen explore deit-tiny --board zcu102 --points 2000 --fps 300 --confirm 3 -o build/explored
  hlsgen explore -o build/explored --point '{"board": "zcu102", "array": "8x16x8"}'
"""
POINTS = 500


def schedule(text: str) -> str:
    """Where keys and values lie."""
    if text not in ("resident", "streamed"):
        raise argparse.ArgumentTypeError(f"must be resident or streamed, not {shown(text)}")
    return text


LOGIT_WIDTHS = (8, 10, 12)
_SPACE = {
    "boards": ("--board", "NAME", path, "board's name or TOML file"),
    "arrays": ("--array", "RxCxD", array, "an array (default: all that fit the board)"),
    "widths": ("--row-width", "ROWS", positive, "rows that load and drain handle in a cycle"),
    "rings": ("--ring", "BYTES", positive, "the weight ring's budget"),
    "attention": ("--attention", "KIND", schedule, "resident, streamed"),
    "spans": ("--span", "TILES", natural, "streamed: tiles of queries that share a reading"),
    "logit_widths": (
        "--logit-width",
        "BITS",
        positive,
        "bits of a logit, 8..12 (default: 8,10,12)",
    ),
}
_LIMITS = {
    "fps": ("--fps", number, "images per second, at least"),
    "latency_ms": ("--latency-ms", number, "milliseconds for an image, at most"),
    "max_dsp": ("--max-dsp", positive, "DSP blocks, at most"),
    "max_ram": ("--max-ram", positive, "RAM blocks, at most"),
    "max_megabytes": ("--max-mb-per-second", number, "million bytes per second over the bus, at most"),
    "min_db": ("--min-db", number, "signal to noise of the output in dB, at least"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, the space, what is demanded, and where the work is done."""
    source(parser)
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=path, required=True, help="folder of the results"
    )
    space = parser.add_argument_group("the choices, one value or more: A,B (default: all)")
    for name, (flag, metavar, kind, text) in _SPACE.items():
        space.add_argument(flag, metavar=metavar, dest=name, type=several(kind), default=(), help=text)
    limits = parser.add_argument_group("what a point must meet")
    for name, (flag, kind, text) in _LIMITS.items():
        limits.add_argument(flag, metavar="X", dest=name, type=kind, help=text)
    work = parser.add_argument_group("the work")
    work.add_argument(
        "--points", metavar="N", type=natural, default=POINTS, help="points to look at (default: %(default)s)"
    )
    work.add_argument(
        "--confirm", metavar="K", type=positive, default=0, help="simulate the best K in RTL, one image each"
    )
    jobs_options(parser, "one for each processor")
    alone = work.add_mutually_exclusive_group()
    alone.add_argument("--point", metavar="JSON", help="print the result of one point; - reads it from stdin")
    alone.add_argument("--part", metavar="I/N", type=part, help="only the Ith of N parts of all points")
    alone.add_argument(
        "--sbatch", metavar="FILE", type=path, help="write a job array for Slurm, --jobs parts"
    )


def part(text: str) -> tuple[int, int]:
    """I/N."""
    number_of, _, count = text.partition("/")
    found = positive(number_of), positive(count)
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"must be at most {found[1]}/{found[1]}, not {text}")
    return found


def run(options: argparse.Namespace) -> Answer:
    """Do what is asked: one point, a part, the text of a job array, or the search."""
    from hlsgen.executors.choose import cores, executor
    from hlsgen.explore.records import Records

    records = Records(Path(options.output))
    records.check()
    if options.point is not None:
        return _point(options, records)
    _check(options)
    runner = executor(options.jobs or (None if options.dask else cores()), options.dask)
    if options.sbatch:
        runner = executor(cores())
    plan(*plans.explore(known=_known(options, records), confirm=options.confirm > 0))
    subject, space, warned = _prepare(options, records, runner)
    if options.part:
        return _part(options, records, subject, space, runner)
    if options.sbatch:
        return _sbatch(options, space)
    return _search(options, records, subject, space, runner, warned)


def _lists(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("arrays", "widths", "rings", "attention", "spans")}


def _check(options: argparse.Namespace) -> None:
    """Refuse what is wrong with the choices, before anything slow; raises `UsageError`."""
    from hlsgen.boards.read import load_board
    from hlsgen.explore.space import make_space
    from hlsgen.quantization import QuantizeConfig

    for width in options.logit_widths:
        QuantizeConfig(logit_width=width)
    names = options.boards or (asked(options).machine.board,)
    widths = options.logit_widths or LOGIT_WIDTHS
    make_space({name: load_board(name) for name in names}, widths, **_lists(options))


def _known(options: argparse.Namespace, records: Records) -> bool:
    """Whether the model is that of the folder."""
    return asked(options).model.name is None and records.exists()


def _prepare(
    options: argparse.Namespace, records: Records, runner: Executor
) -> tuple[Subject, Space, tuple[str, ...]]:
    """The model, from the folder or quantized now, and the space."""
    from hlsgen.cli.subject import make_subject
    from hlsgen.explore.space import make_space
    from hlsgen.explore.subject import Subject, board_texts

    configuration = asked(options)
    names = options.boards or (configuration.machine.board,)
    widths = options.logit_widths or LOGIT_WIDTHS
    warned: tuple[str, ...] = ()
    if _known(options, records):
        subject, texts = records.subject(), board_texts(tuple(names))
        for width in options.logit_widths:
            subject.setting(width)
        if not texts.items() <= subject.boards.items():
            subject = records.begin(Subject(subject.name, subject.settings, texts))
    else:
        subject, warned = make_subject(configuration, names, widths, runner)
        subject = records.begin(subject)
    known = [width for width in widths if width in subject.settings] or subject.settings
    boards = {name: subject.board(name) for name in names}
    return subject, make_space(boards, tuple(known), **_lists(options)), warned


def _search(
    options: argparse.Namespace,
    records: Records,
    subject: Subject,
    space: Space,
    runner: Executor,
    warned: tuple[str, ...],
) -> Answer:
    from hlsgen.explore.exploration import explore
    from hlsgen.explore.front import Constraints
    from hlsgen.explore.table import table
    from hlsgen.quantization import QuantizeConfig

    found = explore(
        subject,
        space,
        points=options.points,
        executor=runner,
        constraints=Constraints(**{name: getattr(options, name) for name in _LIMITS}),
        confirmed=options.confirm,
        records=records,
    )
    text = f"{table(found)}\n{found.computed} points computed now; all are in {options.output}"
    if found.best:
        best = found.best[0].point
        text += f"\nnext: hlsgen compile MODEL {best.command()} -o DIR"
        if best.logit_width != QuantizeConfig.logit_width:
            text += f"\nwith logit_width = {best.logit_width} in [quantizer] of hlsgen.toml, see hlsgen init"
    code = EXIT_OK if found.best else EXIT_DOES_NOT_FIT
    return Answer(found.data() | {"computed": found.computed}, text, code, warnings=warned)


def _point(options: argparse.Namespace, records: Records) -> Answer:
    """One evaluation: JSON in, JSON out."""
    from hlsgen.errors import Problem, UsageError
    from hlsgen.explore.evaluate import evaluate
    from hlsgen.explore.point import Point

    text = sys.stdin.read() if options.point == "-" else options.point
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(Problem("a point must be JSON", why=str(error))) from None
    if not isinstance(data, dict):
        raise UsageError("a point must be an object of JSON, {...}")
    result: dict[str, Any] = evaluate(records.subject(), Point.of(data)).data()
    return Answer(result, json.dumps(result))


def _part(
    options: argparse.Namespace, records: Records, subject: Subject, space: Space, runner: Executor
) -> Answer:
    """A part of all points, into a file of its own."""
    from hlsgen.explore.search import Evaluator

    index, count = options.part
    points = sorted(space.points(), key=lambda point: (point.board, point.logit_width, point.array, point))
    mine, name = points[index - 1 :: count], f"points-{index}-of-{count}.jsonl"
    work = Evaluator(subject, runner, records.known(), lambda results: records.append(results, name))
    work.results(mine, lambda _: None)
    data = {"points": len(mine), "computed": work.computed, "file": name}
    return Answer(data, f"{len(mine)} points, {work.computed} computed now, in {records.folder / name}")


def _sbatch(options: argparse.Namespace, space: Space) -> Answer:
    """The job array's text."""
    from hlsgen.executors.slurm import job_array
    from hlsgen.store.files import put

    parts = options.jobs or 16
    flags = [f"-o {quote(options.output)}"]
    flags += [
        f"{flag} {quote(','.join(map(str, values)))}"
        for name, (flag, *_) in _SPACE.items()
        if (values := getattr(options, name))
    ]
    call = f"python -m hlsgen explore {' '.join(flags)}"
    put(
        Path(options.sbatch),
        job_array(f'{call} --jobs 1 --part "$SLURM_ARRAY_TASK_ID/{parts}"', parts).encode(),
    )
    count = sum(1 for _ in space.points())
    after = f"{call} --points 0"
    text = f"{options.sbatch}: {count} points in {parts} jobs"
    text += f"\nnext: sbatch {quote(options.sbatch)}\nthen: {after}"
    return Answer({"points": count, "jobs": parts, "file": options.sbatch, "then": after}, text)
