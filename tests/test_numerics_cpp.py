# SPDX-License-Identifier: Apache-2.0
"""templates/hls/numerics.hpp = hlsgen/numerics.py: exhaustively at 8 bits, at random in full width."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.emit.hls import folder

WIDE = 1_000_000

SOURCE = """
#include <cstdint>
#include "numerics.hpp"
using namespace hlsgen;
using I = std::int64_t;
#define EACH(NAME, ARGUMENTS, BODY) \\
    extern "C" void NAME(I n, I* r, I* s, ARGUMENTS) { for (I i = 0; i < n; ++i) { BODY } }
#define A(x) const I* x
#define AND ,
#define C(x) static_cast<int>(x)

EACH(round_shift_8, A(x) AND A(k), r[i] = round_shift<8>(Int<8>(x[i]), C(k[i])); (void)s;)
EACH(round_shift_48, A(x) AND A(k), r[i] = round_shift<48>(Int<48>(x[i]), C(k[i])); (void)s;)
EACH(saturate_8, A(x) AND A(l) AND A(h), r[i] = (saturate<8, 8>(Int<8>(x[i]), C(l[i]), C(h[i]))); (void)s;)
EACH(requantize_, A(a) AND A(m) AND A(k) AND A(l) AND A(h),
     r[i] = requantize(a[i], m[i], C(k[i]), C(l[i]), C(h[i])); (void)s;)
EACH(add_score_8, A(x) AND A(y), r[i] = add_score<8>(Int<16>(x[i]), Int<16>(y[i])); (void)s;)
EACH(add_score_12, A(x) AND A(y), r[i] = add_score<12>(Int<16>(x[i]), Int<16>(y[i])); (void)s;)
EACH(bit_length_, A(x), r[i] = bit_length(x[i]); (void)s;)
EACH(reciprocal_, A(x), const Mantissa m = reciprocal(x[i]); r[i] = m.value; s[i] = m.exponent;)
EACH(rsqrt_, A(x), const Mantissa m = rsqrt(x[i]); r[i] = m.value; s[i] = m.exponent;)
EACH(combine_, A(m) AND A(k), r[i] = combine(m[i], k[i]); (void)s;)
EACH(context_scale_, A(d) AND A(m) AND A(k),
     const RowScale v = context_scale(d[i], m[i], C(k[i])); r[i] = v.multiplier; s[i] = v.shift;)
EACH(normalise_, A(x) AND A(m) AND A(k) AND A(l) AND A(h),
     r[i] = normalise(x[i], m[i], C(k[i]), C(l[i]), C(h[i])); (void)s;)

extern "C" void layer_norm_(I n, I* r, I width, const I* rows, I epsilon, I gain, I gain_shift) {
    for (I i = 0; i < n; ++i, rows += width, r += width) {
        Int<30> total = 0;
        UInt<44> squares = 0;
        for (I k = 0; k < width; ++k) {
            total = total + rows[k];
            squares = squares + rows[k] * rows[k];
        }
        const RowScale scale = row_scale(total, squares, width, epsilon, gain, C(gain_shift));
        for (I k = 0; k < width; ++k) {
            r[k] = normalise(width * rows[k] - total, scale.multiplier, scale.shift, -128, 127);
        }
    }
}
extern "C" void tables(I* reciprocals, I* reciprocal_drops, I* roots, I* root_drops) {
    for (int i = 0; i < 128; ++i) {
        reciprocals[i] = reciprocal_table.base[i];
        reciprocal_drops[i] = reciprocal_table.drop[i];
    }
    for (int i = 0; i < 192; ++i) {
        roots[i] = rsqrt_table.base[i];
        root_drops[i] = rsqrt_table.drop[i];
    }
}
"""


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Cpp:
    """The compiled functions on int64 arrays."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def call(self, name: str, *arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two results of an elementwise function; the second is zero when it has only one."""
        arrays = [np.ascontiguousarray(x, np.int64) for x in np.broadcast_arrays(*arguments)]
        shape, size = arrays[0].shape, arrays[0].size
        first, second = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        getattr(self.library, name)(ctypes.c_int64(size), *map(_pointer, (first, second, *arrays)))
        return first, second


def compile_cpp(source: str, target: Path, *flags: str) -> None:
    """Compile a C++ text against the headers, warnings being errors."""
    command = [
        "g++",
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-x",
        "c++",
        "-",
    ]
    command += [f"-I{folder()}", *flags, "-o", str(target)]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Cpp:
    """The functions, with every stored value checked: one that does not fit ends the tests."""
    target = tmp_path_factory.mktemp("numerics") / "numerics.so"
    compile_cpp(SOURCE, target, "-shared", "-fPIC", "-DHLSGEN_CHECK")
    return Cpp(ctypes.CDLL(str(target)))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def spread(random: np.random.Generator, bits: int, count: int = WIDE) -> np.ndarray:
    """Non-negative numbers below 2**bits, every magnitude equally likely, the ends among them."""
    values = random.integers(0, 1 << bits, count) >> random.integers(0, bits, count)
    values[:2] = 0, (1 << bits) - 1
    return values


def signed(random: np.random.Generator, bits: int, count: int = WIDE) -> np.ndarray:
    """The same for signed numbers of `bits` bits."""
    values = spread(random, bits - 1, count)
    return np.where(random.integers(0, 2, count) == 1, ~values, values)


def test_tables_are_the_same(cpp: Cpp) -> None:
    expected = [
        numerics.RECIPROCAL_BASE,
        numerics.RECIPROCAL_DROP,
        numerics.RSQRT_BASE,
        numerics.RSQRT_DROP,
    ]
    got = [np.zeros_like(table) for table in expected]
    cpp.library.tables(*map(_pointer, got))
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_constants_are_the_same() -> None:
    text = (folder() / "numerics.hpp").read_text()
    found = {name: int(value) for name, value in re.findall(r"constexpr int (\w+) = (\d+);", text)}
    assert found == {
        "multiplier_bits": numerics.MULTIPLIER_BITS,
        "row_shift": numerics.ROW_SHIFT,
        "centred_bits": numerics.CENTRED_BITS,
        "gate_one": numerics.GATE_ONE,
    }


def test_round_shift(cpp: Cpp, random: np.random.Generator) -> None:
    x, shift = np.arange(-128, 128)[:, None], np.arange(0, 40)[None, :]
    np.testing.assert_array_equal(cpp.call("round_shift_8", x, shift)[0], numerics.round_shift(x, shift))
    x, shift = signed(random, 48), random.integers(0, 62, WIDE)
    np.testing.assert_array_equal(cpp.call("round_shift_48", x, shift)[0], numerics.round_shift(x, shift))


def test_saturate_every_8_bit_value(cpp: Cpp) -> None:
    x, low, high = np.meshgrid(
        np.arange(-128, 128), np.arange(-128, 128, 3), np.arange(-128, 128, 3), indexing="ij"
    )
    keep = low <= high
    x, low, high = x[keep], low[keep], high[keep]
    np.testing.assert_array_equal(cpp.call("saturate_8", x, low, high)[0], np.clip(x, low, high))


@pytest.mark.parametrize("width", [8, 12])
def test_add_scores(cpp: Cpp, random: np.random.Generator, width: int) -> None:
    special = [numerics.HIDDEN, numerics.HIDDEN + 1, -1, 0, 1, 127, 128, 129, 2047, 2048, 32767]
    special += [-value for value in special[2:]]
    x, addend = (values.ravel() for values in np.meshgrid(special, special))
    wide = random.integers(-(1 << 15), 1 << 15, (2, 5000))
    x, addend = np.concatenate([x, wide[0]]), np.concatenate([addend, wide[1]])
    got = cpp.call(f"add_score_{width}", x, addend)[0]
    np.testing.assert_array_equal(got, numerics.add_scores(x, addend, width))


def test_requantize_every_8_bit_value(cpp: Cpp) -> None:
    acc, multiplier, shift = np.meshgrid(np.arange(-128, 128), np.arange(256), np.arange(20), indexing="ij")
    got = cpp.call("requantize_", acc, multiplier, shift, np.array(-128), np.array(127))[0]
    np.testing.assert_array_equal(got, numerics.requantize(acc, multiplier, shift, -128, 127))


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-32768, 32767), (-512, 511), (0, 100)])
def test_requantize_wide(cpp: Cpp, random: np.random.Generator, low: int, high: int) -> None:
    acc, multiplier, shift = signed(random, 32), spread(random, 16), random.integers(0, 62, WIDE)
    got = cpp.call("requantize_", acc, multiplier, shift, np.array(low), np.array(high))[0]
    np.testing.assert_array_equal(got, numerics.requantize(acc, multiplier, shift, low, high))


def test_bit_length(cpp: Cpp, random: np.random.Generator) -> None:
    x = np.concatenate([np.arange(1 << 16), spread(random, 62)])
    expected = np.array([int(value).bit_length() for value in x[:: len(x) // 50_000]])
    np.testing.assert_array_equal(cpp.call("bit_length_", x[:: len(x) // 50_000])[0], expected)


@pytest.mark.parametrize(
    ("name", "function", "bits"), [("reciprocal_", numerics.reciprocal, 32), ("rsqrt_", numerics.rsqrt, 62)]
)
def test_mantissas(
    cpp: Cpp,
    random: np.random.Generator,
    name: str,
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    bits: int,
) -> None:
    x = np.concatenate([np.arange(1 << 16), spread(random, bits)])
    for got, expected in zip(cpp.call(name, x), function(x), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_combine(cpp: Cpp, random: np.random.Generator) -> None:
    mantissa, multiplier = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    np.testing.assert_array_equal(
        cpp.call("combine_", mantissa, multiplier)[0], numerics.combine(mantissa, multiplier)
    )
    mantissa, multiplier = spread(random, 16), spread(random, 15)
    np.testing.assert_array_equal(
        cpp.call("combine_", mantissa, multiplier)[0], numerics.combine(mantissa, multiplier)
    )


def test_context_scale(cpp: Cpp, random: np.random.Generator) -> None:
    multiplier, shift = int(random.integers(1 << 14, 1 << 15)), int(random.integers(0, 40))
    denominator = np.concatenate([np.arange(1 << 16), spread(random, 24)])
    expected = numerics.context_scale(denominator, multiplier, shift)
    got = cpp.call("context_scale_", denominator, np.array(multiplier), np.array(shift))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_normalise(cpp: Cpp, random: np.random.Generator) -> None:
    low, high = np.array(-128), np.array(127)
    centred, multiplier, shift = np.meshgrid(
        np.arange(-128, 128), np.arange(256) * 257, np.arange(-23, 12), indexing="ij"
    )
    got = cpp.call("normalise_", centred, multiplier, shift, low, high)[0]
    np.testing.assert_array_equal(got, numerics.normalise(centred, multiplier, shift, -128, 127))
    centred, multiplier, shift = signed(random, 30), spread(random, 16), random.integers(-23, 50, WIDE)
    got = cpp.call("normalise_", centred, multiplier, shift, low, high)[0]
    np.testing.assert_array_equal(got, numerics.normalise(centred, multiplier, shift, -128, 127))


@pytest.mark.parametrize(
    ("width", "amplitude"),
    [(1, 32767), (2, 1), (15, 300), (32, 32767), (192, 5000), (1024, 9), (4096, 32767)],
)
def test_layer_norm_rows(cpp: Cpp, random: np.random.Generator, width: int, amplitude: int) -> None:
    count = max(4, 200_000 // width)
    rows = random.integers(-amplitude - 1, amplitude + 1, (count, width))
    rows[0] = rows[0, 0]  # no variance
    rows[1] = np.where(np.arange(width) % 2, -32768, 32767)
    for epsilon, gain, gain_shift in ((0, 16384, 9), (12345, 32767, 10), ((1 << 48) - 1, 20000, 0)):
        got = np.zeros_like(rows)
        scalars = [ctypes.c_int64(value) for value in (width, epsilon, gain, gain_shift)]
        cpp.library.layer_norm_(
            ctypes.c_int64(count), _pointer(got), scalars[0], _pointer(rows), *scalars[1:]
        )
        np.testing.assert_array_equal(got, numerics.layer_norm(rows, epsilon, gain, gain_shift))


TRAPS = {
    "Int<8>(value)": (128, "hlsgen: 128 does not fit Int<8>"),
    "Int<8>(-value)": (129, "hlsgen: -129 does not fit Int<8>"),
    "UInt<4>(value)": (16, "hlsgen: 16 does not fit UInt<4>"),
    "UInt<63>(-value)": (1, "hlsgen: -1 does not fit UInt<63>"),
    "Int<17>(Int<32>(value) + 1)": (65535, "hlsgen: 65536 does not fit Int<17>"),
}


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = "".join(
        f"if (which == {i}) return static_cast<int>({text}) == 77;\n" for i, text in enumerate(TRAPS)
    )
    source = f"""
        #include <cstdlib>
        #include "integers.hpp"
        using namespace hlsgen;
        int main(int, char** arguments) {{
            const int which = std::atoi(arguments[1]), value = std::atoi(arguments[2]);
            {cases}
            return 9;
        }}"""
    target = tmp_path_factory.mktemp("traps") / "traps"
    compile_cpp(source, target, "-DHLSGEN_CHECK")
    return target


@pytest.mark.parametrize("case", range(len(TRAPS)))
def test_values_that_do_not_fit_are_trapped(traps: Path, case: int) -> None:
    value, message = list(TRAPS.values())[case]
    done = subprocess.run([traps, str(case), str(value)], capture_output=True, text=True, check=False)
    assert done.returncode < 0
    assert done.stderr.strip() == message
    fits = subprocess.run([traps, str(case), "0"], capture_output=True, text=True, check=False)
    assert (fits.returncode, fits.stderr) == (0, "")
