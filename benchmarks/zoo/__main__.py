# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.zoo`: what the front end says of published attention models."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

PAGE = Path("docs/zoo.md")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo",
        description="Every attention model of one image in the installed libraries, small, as published.",
        epilog="Exit code 1 for a traceback, a hang, a crash or a wrong acceptance. Results are kept in the "
        "cache of hlsgen, by the content of all that they depend on.",
    )
    parser.add_argument("only", nargs="*", help="parts of names: run these models alone")
    parser.add_argument("--level", choices=("inspect", "program"), default="inspect")
    parser.add_argument("--removal", type=int, metavar="N", help="of N refused models: is the list whole?")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once")
    parser.add_argument("--seconds", type=float, default=120, metavar="S", help="time limit of a model")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="show each problem in full")
    return parser


def main() -> int:
    """Run the zoo; exit code 1 with something that must never happen."""
    options = arguments().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    from benchmarks.zoo import table
    from benchmarks.zoo.collect import collect
    from benchmarks.zoo.store import Store

    store = Store()
    results = collect(store, options)
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        _show(results, options)
    if options.write:
        PAGE.write_text(table.page(results), "utf-8")
    bad = table.bad(results)
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def _show(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    from benchmarks.zoo import table

    print("\n".join(table.lines(results)))
    if options.verbose:
        for title, problem in table.problems(results):
            print(f"\n{title}: {problem['what']}")
            for part in ("name", "where", "why", "fix"):
                if problem.get(part):
                    print(f"  {part}: {problem[part]}")
    print("\nwhat stands in the way of how many models:")
    print("\n".join(f"  {count:4} {name}" for name, count in table.causes(results)))
    print(f"\n{table.summary(results)}")


if __name__ == "__main__":
    sys.exit(main())
