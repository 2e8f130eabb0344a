# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.fuzz --cases N --seed S`: random models, golden = interpreter = C++ = RTL."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator

from benchmarks.fuzz.batch import SIZE, Batch, batches
from benchmarks.fuzz.levels import EQUAL, FAILURES, LEVELS, REFUSED, Outcome, Wanted, outcomes_of, reason
from hlsgen.cli.values import jobs_options, natural, positive
from hlsgen.errors import HlsgenError, UsageError
from hlsgen.executors.choose import executor
from hlsgen.executors.executor import Executor

SHOWN = 12
"""Lines of a failure that are printed."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description="Random models on random machines: every level must equal golden in every tensor.",
        epilog=f"A case is a function of seed and index. {SIZE} cases share a machine; every eighth machine "
        "runs in RTL as well, with random stalls. Exit code 1 with a mismatch, a crash or a hang, and "
        "with --composed or --integers for a refusal.",
    )
    parser.add_argument("--cases", type=positive, default=256, metavar="N")
    parser.add_argument("--seed", type=natural, default=0, metavar="S")
    parser.add_argument("--levels", default=",".join(LEVELS), help="default: %(default)s")
    parser.add_argument("--only", type=natural, metavar="I", help="run case I alone")
    parser.add_argument(
        "--composed", action="store_true", help="ops in any order in every case, on small machines"
    )
    parser.add_argument(
        "--integers", action="store_true", help="integer Graphs that no quantizer has made, on small machines"
    )
    jobs_options(parser)
    return parser


def outcomes(options: argparse.Namespace, levels: list[str], runner: Executor) -> Iterator[Outcome]:
    """What comes of the first cases, or of one alone, as the batches are done."""
    cases, only = options.cases, options.only
    chosen = batches(options.seed, cases, composed=options.composed, integers=options.integers)
    if only is not None:
        chosen = iter([Batch(options.seed, only // SIZE, options.composed, options.integers)])
    for _, found in runner.run(outcomes_of, Wanted(levels, cases, only), list(chosen)):
        yield from found


def report(found: list[Outcome], seed: int, seconds: float, call: str = "") -> str:
    """The table of counts, refusals by text, and every case that failed, with the options that repeat it."""
    kinds = Counter(outcome.kind for outcome in found)
    ends = Counter(outcome.level for outcome in found if outcome.kind == EQUAL)
    lines = [f"seed {seed}: {len(found)} cases in {seconds:.0f} s"]
    lines += [f"  {kind:<10}{kinds[kind]:>7}" for kind in (EQUAL, REFUSED, *FAILURES)]
    lines += [f"  equal up to {level:<10}{count:>7}" for level, count in sorted(ends.items())]
    refusals = Counter(reason(outcome.text) for outcome in found if outcome.kind == REFUSED)
    lines += [f"  refused {count:>5}: {text}" for text, count in refusals.most_common()]
    failed = sorted((o for o in found if o.kind in FAILURES), key=lambda o: o.index)
    lines += [f"  {o.kind} at {o.level}: {call}--seed {seed} --only {o.index}" for o in failed]
    return "\n".join(lines)


def main() -> int:
    """Run the cases; exit code 1 when any of them fails."""
    options = arguments().parse_args()
    levels = [level for level in LEVELS if level in options.levels.split(",")]
    unknown = sorted(set(options.levels.split(",")) - set(LEVELS))
    if unknown or not levels:
        raise UsageError(f"levels must be of {', '.join(LEVELS)}, not {options.levels!r}")
    found: list[Outcome] = []
    start = time.monotonic()
    for outcome in outcomes(options, levels, executor(options.jobs, options.dask)):
        found.append(outcome)
        if outcome.kind in FAILURES:
            text = "\n".join(outcome.text.strip().splitlines()[-SHOWN:])
            print(f"case {outcome.index}: {outcome.kind} at {outcome.level}\n{text}", flush=True)
        if len(found) % SIZE == 0:
            print(f"{len(found)} cases, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    call = "--composed " if options.composed else "--integers " if options.integers else ""
    print(report(found, options.seed, time.monotonic() - start, call))
    # No composition of supported ops is refused.
    failures = (*FAILURES, REFUSED) if call else FAILURES
    return int(any(outcome.kind in failures for outcome in found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
