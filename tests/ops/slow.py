# SPDX-License-Identifier: Apache-2.0
"""Slow meanings of the integer ops in plain Python integers and lists, written from their docstrings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Row = Sequence[int]
Matrix = Sequence[Row]


def clamp(x: int, low: int, high: int) -> int:
    """x within low..high."""
    return low if x < low else high if x > high else x


def scaled(x: int, multiplier: int, shift: int) -> int:
    """x * multiplier / 2**shift to the nearest integer, halves up."""
    return math.floor(Fraction(x * multiplier, 1 << shift) + Fraction(1, 2))


def linear(
    rows: Matrix,
    weight: Matrix,
    bias: Row,
    multiplier: Row,
    shift: Row,
    low: int,
    high: int,
) -> list[list[int]]:
    """One dot product after the other."""
    result = []
    for row in rows:
        line = []
        for n, column in enumerate(weight):
            acc = bias[n]
            for x, w in zip(row, column, strict=True):
                acc += x * w
                assert -(1 << 31) <= acc < 1 << 31
            line.append(clamp(scaled(acc, multiplier[n], shift[n]), low, high))
        result.append(line)
    return result


def interpolated(mantissa: int, first: int, curve: Sequence[int]) -> int:
    """The value at `mantissa` / 256 of a curve given at the integers from `first` on."""
    index, part = divmod(mantissa, 256)
    here, there = curve[index - first], curve[index - first + 1]
    return here - scaled((here - there) * part, 1, 8)


RECIPROCAL = [round(65535 * 128 / i) for i in range(128, 257)]
RSQRT = [round(65535 * math.sqrt(64 / i)) for i in range(64, 257)]


def layer_norm(row: Row, epsilon: int, gain: int, gain_shift: int) -> list[int]:
    """The row's root from the table, then one multiplication per element."""
    return _norm(row, sum(row), epsilon, gain, gain_shift)


def shifted_norm(row: Row, total: int, epsilon: int, gain: int, gain_shift: int, shifts: Row) -> list[int]:
    """Each element that of a norm whose gain is 2**shift times as large."""
    return [_norm(row, total, epsilon, gain, gain_shift - shift)[index] for index, shift in enumerate(shifts)]


def rms_norm(row: Row, epsilon: int, gain: int, gain_shift: int) -> list[int]:
    """The same where the row's mean stays."""
    return _norm(row, 0, epsilon, gain, gain_shift)


def _norm(row: Row, total: int, epsilon: int, gain: int, gain_shift: int) -> list[int]:
    width = len(row)
    variance = width * sum(x * x for x in row) - total * total + epsilon
    if variance == 0:
        return [0] * width
    half = (variance.bit_length() - 1) // 2
    normal = Fraction(variance, 4**half) * (1 << 14)  # in [2**14, 2**16)
    root = interpolated(math.floor(normal), 64, RSQRT)
    multiplier = scaled(root, gain, 15)
    shift = half + gain_shift + 1 - 24
    result = []
    for x in row:
        centred = width * x - total
        operand = scaled(centred, 1, shift) if shift >= 0 else centred * 2**-shift
        operand = clamp(operand, -(1 << 17) + 1, (1 << 17) - 1)
        result.append(clamp(scaled(operand, multiplier, 24), -128, 127))
    return result


def scores(
    q: Matrix, k: Matrix, heads: int, multiplier: int, shift: int, width: int
) -> list[list[list[int]]]:
    """[heads][queries][keys]."""
    size, half = len(q[0]) // heads, 1 << (width - 1)
    result = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        dots = [[sum(a * b for a, b in zip(x[part], y[part], strict=True)) for y in k] for x in q]
        result.append(
            [[clamp(scaled(dot, multiplier, shift), -half, half - 1) for dot in line] for line in dots]
        )
    return result


def exp(logits: Row, table: Row) -> list[int]:
    """One row."""
    return [table[max(logits) - logit] for logit in logits]


def context(e: Sequence[Matrix], v: Matrix, multiplier: int, shift: int) -> list[list[int]]:
    """[queries][heads * size]: the softmax's division is one multiplication by a reciprocal per row."""
    heads, size = len(e), len(v[0]) // len(e)
    result = [[0] * (heads * size) for _ in e[0]]
    for head, rows in enumerate(e):
        for t, weights in enumerate(rows):
            denominator = sum(weights)
            exponent = max(denominator.bit_length() - 1, 0)
            normal = math.floor(Fraction(denominator, 1 << exponent) * (1 << 15))
            mantissa = interpolated(normal, 128, RECIPROCAL) if denominator else 0
            row_multiplier = scaled(mantissa, multiplier, 15)
            for i in range(size):
                acc = sum(w * v[s][head * size + i] for s, w in enumerate(weights))
                value = scaled(acc, row_multiplier, exponent + shift + 1)
                result[t][head * size + i] = clamp(value, -128, 127)
    return result


def mean(rows: Matrix, shift: int, low: int, high: int) -> list[list[int]]:
    """[1][D]."""
    return [[clamp(scaled(sum(column), 1, shift), low, high) for column in zip(*rows, strict=True)]]


def patches(image: Sequence[Matrix], patch: tuple[int, int], prefix: int) -> list[list[int]]:
    """Raster order; each row lists channel, then y, then x."""
    height, width = len(image[0]), len(image[0][0])
    rows = [[0] * (len(image) * patch[0] * patch[1]) for _ in range(prefix)]
    for top in range(0, height, patch[0]):
        for left in range(0, width, patch[1]):
            rows.append(
                [
                    channel[top + y][left + x]
                    for channel in image
                    for y in range(patch[0])
                    for x in range(patch[1])
                ]
            )
    return rows
