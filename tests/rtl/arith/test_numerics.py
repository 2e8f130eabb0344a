# SPDX-License-Identifier: Apache-2.0
"""The RTL's arithmetic equals hlsgen/numerics.py: exhaustively where it is small, else on a million cases."""

from __future__ import annotations

import numpy as np
import pytest
from support.leaf_bench import FLUSH, LeafBench
from support.leaves import CONSTANT_SHIFTS, DENOMINATOR_LATER, LANES, LOGIT_BITS, STIMULUS

from hlsgen import numerics
from hlsgen.rtl.arith.multiplier import STYLES
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.normalise import NormaliseLanes
from hlsgen.rtl.load.row_unit import PRODUCTS, RowUnit

BYTES = 1 << 16
"""Vectors in front: all pairs of two bytes."""
COUNT = BYTES + (1 << 18)
Run = tuple[np.ndarray, np.ndarray]


def _magnitudes(random: np.random.Generator, bits: int, size: tuple[int, ...] | int) -> np.ndarray:
    """Signed values of up to `bits` bits, every magnitude alike."""
    values = random.integers(-(1 << (bits - 1)), 1 << (bits - 1), size)
    return values >> random.integers(0, bits, size)


@pytest.fixture(scope="module")
def lanes(leaves: LeafBench) -> Run:
    """One run for everything that takes any vector in any cycle."""
    random, v = np.random.default_rng(2), np.zeros(COUNT, STIMULUS)
    low, high = np.arange(COUNT) & 255, np.arange(COUNT) >> 8 & 255
    v["a"], v["b"] = low - 128, high
    v["a"][BYTES:] = _magnitudes(random, 20, COUNT - BYTES)
    room = (1 << 31) - (1 << numerics.BIAS_BITS - 1)  # with the bias they fit 32 bits
    v["accumulator"] = np.clip(_magnitudes(random, 32, (COUNT, LANES)), -room, room)
    v["bias"] = _magnitudes(random, numerics.BIAS_BITS, (COUNT, LANES))
    v["multiplier"] = random.integers(0, 1 << 16, (COUNT, LANES))
    v["shift"] = random.integers(0, 64, (COUNT, LANES))
    limits = np.sort(_magnitudes(random, 16, (COUNT, 2)), axis=1)
    v["low"], v["high"] = limits.T
    v["accumulator"][:BYTES], v["bias"][:BYTES] = (low - 128)[:BYTES, None], 0
    v["multiplier"][:BYTES], v["shift"][:BYTES] = high[:BYTES, None], [0, 1, 7, 8]
    v["low"][:BYTES], v["high"][:BYTES] = -128, 127
    v["value"] = _magnitudes(random, 32, (COUNT, LANES))
    v["lane_shift"] = random.integers(1 - numerics.ROW_SHIFT, 55, COUNT)
    v["factor"] = random.integers(0, 1 << 16, COUNT)
    v["x"], v["addend"] = (_magnitudes(random, 16, (COUNT, LANES)) for _ in range(2))
    v["x"][:4], v["addend"][:4] = [[-32768], [32767], [-32768], [32767]], [[-1], [1], [-32768], [32767]]
    return v, leaves.run(v)


def _after(response: np.ndarray, latency: int, count: int = COUNT) -> np.ndarray:
    return response[latency - 1 : latency - 1 + count]


def test_shifts_and_saturations_of_bytes(lanes: Run) -> None:
    v, response = lanes
    now = response[:COUNT]
    byte = v["a"].astype(np.int8).astype(np.int64)
    assert np.array_equal(now["round_shift"], numerics.round_shift(byte, v["b"] & 63))
    assert np.array_equal(now["saturate_bits"], numerics.saturate(v["a"].astype(np.int16), -128, 127))
    assert np.array_equal(now["saturate"], np.clip(v["a"], v["low"], v["high"]))
    for lane, shift in enumerate(CONSTANT_SHIFTS):
        assert np.array_equal(now["round_constant_signed"][:, lane], numerics.round_shift(byte, shift))
        assert np.array_equal(
            now["round_constant_unsigned"][:, lane], numerics.round_shift(byte & 255, shift)
        )


@pytest.mark.parametrize("style", STYLES)
def test_requantize(lanes: Run, style: str) -> None:
    v, response = lanes
    got = _after(response[f"requantize_{style}"], Requantize.latency)
    accumulator = v["accumulator"].astype(np.int64) + v["bias"]
    low, high = (v[name][:, None].astype(np.int64) for name in ("low", "high"))
    expected = numerics.requantize(accumulator, v["multiplier"], v["shift"], low, high)  # type: ignore[arg-type]
    assert np.array_equal(got, expected)
    assert (got == low).any()
    assert (got == high).any()
    assert ((got > low) & (got < high)).sum() > COUNT


@pytest.mark.parametrize("style", STYLES)
def test_layer_norm_lanes(lanes: Run, style: str) -> None:
    v, response = lanes
    got = _after(response[f"normalise_{style}"], NormaliseLanes.latency)
    shift, factor = (v[name][:, None].astype(np.int64) for name in ("lane_shift", "factor"))
    assert np.array_equal(got, numerics.normalise(v["value"], factor, shift, -128, 127))
    assert ((got > -128) & (got < 127) & (got != 0)).sum() > COUNT // 2


def test_layer_norm_lanes_show_the_shifted_value(lanes: Run) -> None:
    v, response = lanes
    got = _after(response["shifted"], NormaliseLanes.shifted_latency)
    shift, value = v["lane_shift"][:, None].astype(np.int64), v["value"].astype(np.int64)
    whole = numerics.round_shift(value << np.maximum(-shift, 0), np.maximum(shift, 0))
    assert np.array_equal(got, numerics.saturate(whole, 1 - (1 << 17), (1 << 17) - 1))


def test_addition(lanes: Run) -> None:
    v, response = lanes
    expected = numerics.saturate(v["x"].astype(np.int64) + v["addend"], -(1 << 15), (1 << 15) - 1)
    assert np.array_equal(_after(response["add"], AddRows.latency), expected)


# -- rows ----------------------------------------------------------------------------------------------------

BATCH = 1 << 14


def _batches(configs: list[dict[str, int]], rows: np.ndarray) -> np.ndarray:
    """Rows of one configuration after another, with vectors of nothing between them."""
    idle = np.zeros(FLUSH, STIMULUS)
    parts = []
    for config, part in zip(configs, np.split(rows, len(configs)), strict=True):
        blank = idle.copy()
        for name, value in config.items():
            part[name], blank[name] = value, value
        parts += [part, blank]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def norm_rows(leaves: LeafBench) -> Run:
    """Every 16-bit sum of squares alone, then random rows of random widths."""
    random, batches = np.random.default_rng(3), 24
    v = np.zeros(BATCH * batches, STIMULUS)
    v["norm_start"] = 1
    v["squares"][: 4 * BATCH] = np.arange(4 * BATCH)
    configs = [{"norm_width": 1, "norm_gain": (1 << 15) - 1, "norm_gain_shift": 0} for _ in range(4)]
    for index in range(4, batches):
        width = (1, 4096, int(random.integers(1, 4096)))[index % 3]
        part = slice(index * BATCH, (index + 1) * BATCH)
        total = np.clip(_magnitudes(random, 28, BATCH), -32768 * width, 32767 * width)
        least = -(-total * total // width)
        v["sum"][part] = total
        v["squares"][part] = np.minimum(
            least + (random.integers(0, 1 << 42, BATCH) >> random.integers(0, 43, BATCH)), width << 30
        )
        configs.append(
            {
                "norm_width": width,
                "norm_epsilon": int(random.integers(0, 1 << 48) >> random.integers(0, 49)),
                "norm_gain": int(random.integers(1 << 14, 1 << 15)),
                "norm_gain_shift": int(random.integers(0, 47)),
            }
        )
    v = _batches(configs, v)
    return v, leaves.run(v, hold=PRODUCTS, phase=(RowUnit.norm_latency - 1) % PRODUCTS)


def _row(response: np.ndarray, style: str, count: int, start: int) -> dict[str, np.ndarray]:
    names = ("valid", "multiplier", "shift")
    return {name: response[f"row_{style}_{name}"][start : start + count].astype(np.int64) for name in names}


@pytest.mark.parametrize("style", STYLES)
def test_rows_of_layer_norm(norm_rows: Run, style: str) -> None:
    v, response = norm_rows
    got = _row(response, style, len(v), (RowUnit.norm_latency - 1) // PRODUCTS)
    names = ("norm_width", "sum", "squares", "norm_epsilon", "norm_gain", "norm_gain_shift")
    width, total, squares, epsilon, gain, gain_shift = (v[name].astype(np.int64) for name in names)
    mantissa, half = numerics.rsqrt(width * squares - total * total + epsilon)
    real = v["norm_start"] == 1
    assert np.array_equal(got["valid"], real)
    assert np.array_equal(got["multiplier"][real], numerics.combine(mantissa, gain)[real])
    assert np.array_equal(got["shift"][real], (half + gain_shift + 1 - numerics.ROW_SHIFT)[real])


@pytest.fixture(scope="module")
def context_rows(leaves: LeafBench) -> Run:
    """Every 16-bit denominator, then random ones of 24 bits; a row every cycle."""
    random, batches = np.random.default_rng(4), 20
    v = np.zeros(BATCH * batches, STIMULUS)
    v["context_start"] = 1
    v["denominator"] = random.integers(0, 1 << 24, len(v)) >> random.integers(0, 24, len(v))
    v["denominator"][: 4 * BATCH] = np.arange(4 * BATCH)
    configs = [{"context_multiplier": (1 << 15) - 1, "context_shift": 0} for _ in range(4)]
    for _ in range(4, batches):
        multiplier, shift = int(random.integers(1 << 14, 1 << 15)), int(random.integers(0, 40))
        configs.append({"context_multiplier": multiplier, "context_shift": shift})
    v = _batches(configs, v)
    return v, leaves.run(v)


@pytest.mark.parametrize("style", STYLES)
def test_rows_of_contexts(context_rows: Run, style: str) -> None:
    v, response = context_rows
    got = _row(response, style, len(v), RowUnit.context_latency - 1)
    names = ("denominator", "context_multiplier", "context_shift")
    denominator, multiplier, shift = (v[name].astype(np.int64) for name in names)
    mantissa, exponent = numerics.reciprocal(denominator)
    real = v["context_start"] == 1
    assert np.array_equal(got["valid"], 2 * real)
    assert np.array_equal(got["multiplier"][real], numerics.combine(mantissa, multiplier)[real])
    assert np.array_equal(got["shift"][real], (exponent + shift + 1)[real])


# -- tables --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(leaves: LeafBench) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two banks of 256 entries are written, then rows of random words read both tables."""
    random, words = np.random.default_rng(5), 1 << 14
    entries = random.integers(0, 256, (2, 256))
    v = np.zeros(64 + words, STIMULUS)
    v["table_write"][:64], v["table_address"][:64] = 1, np.arange(64)
    v["table_data"][:64] = np.frombuffer(entries.astype(np.uint8).tobytes(), "<u8")
    read = v[64:]
    read["index"] = random.integers(-128, 128, (words, LANES))
    read["index"][:256] = np.arange(-128, 128)[:, None]
    read["bank"], read["mask"] = random.integers(0, 2, words), random.integers(1, 1 << LANES, words)
    first = random.random(words) < 0.2
    first[0] = True
    last = np.roll(first, -1)
    row = np.cumsum(first) - 1
    largest = np.maximum.reduceat(read["index"].max(1), np.flatnonzero(first))
    read["maximum"] = largest[row]
    read["row"] = 1 + 2 * first + 4 * last
    return v, leaves.run(v), entries


def test_activation_table(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    v, response, entries = tables
    read = v[64:]
    got = _after(response["activation"], 64 + Activation.latency, len(read))
    assert len(np.unique(read["index"] + 256 * read["bank"][:, None].astype(int))) == 512
    expected = entries[read["bank"][:, None], read["index"].astype(int) + 128]
    assert np.array_equal(got, expected.astype(np.int8))


def test_exp_table_and_denominators(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    v, response, entries = tables
    read = v[64:]
    difference = read["maximum"][:, None].astype(int) - read["index"]
    assert len(np.unique(difference)) == 1 << LOGIT_BITS
    mask = read["mask"][:, None] >> np.arange(LANES) & 1
    expected = np.where(mask, entries[read["bank"][:, None], difference], 0)
    assert np.array_equal(_after(response["exp"], 64 + ExpLoad.latency, len(read)), expected)
    latency = ExpLoad.latency + DENOMINATOR_LATER
    ends = (read["row"] & 4) != 0
    valid = _after(response["denominator_valid"], 64 + latency, len(read))
    assert np.array_equal(valid, ends)
    first = np.flatnonzero(read["row"] & 2)
    sums = np.add.reduceat(expected.sum(1), first)
    assert np.array_equal(_after(response["denominator"], 64 + latency, len(read))[ends], sums)
