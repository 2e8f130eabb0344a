# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.all_digits`: all 1,797 digits of scikit-learn in RTL, each tensor against golden.

The 397 held-out ones say how right the design is; the others were trained on, and show equality alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import hlsgen
from hlsgen.errors import HlsgenError
from hlsgen.examples.digits import data
from hlsgen.executors.choose import cores, executor


def main() -> int:
    """Build the design, run the images, print the figures of both parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all_digits", description=__doc__)
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("build/all_digits"), help="the build folder"
    )
    options = parser.parse_args()
    design = hlsgen.build("digits", options.output)
    runner = executor(options.jobs)
    for name, (images, labels) in (("held out", data.heldout()), ("trained on", data.training())):
        begun = time.monotonic()
        found = design.evaluate(images, np.asarray(labels), level="rtl", executor=runner)
        seconds = time.monotonic() - begun
        print(f"-- {name}: {len(images)} images, {seconds:.0f} s in {options.jobs} processes", flush=True)
        print(found, flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
