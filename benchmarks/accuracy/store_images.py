# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.accuracy.store_images`: write the few images that are stored beside the weights."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.pairs_data import calibration, judged
from hlsgen.examples.pairs.data import DEVIATION, FILE, MEAN


def main() -> None:
    """The first 32 images to calibrate with, and the first 64 that are judged, as bytes."""
    parts = {"calibration": calibration(32), "heldout": judged(64)}
    arrays = {f"{name}_pixels": _bytes(images) for name, (images, _) in parts.items()}
    arrays |= {f"{name}_classes": classes.astype(np.uint8) for name, (_, classes) in parts.items()}
    np.savez_compressed(FILE, allow_pickle=False, **arrays)


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.rint((images * DEVIATION + MEAN) * 255.0).astype(np.uint8)


if __name__ == "__main__":
    main()
