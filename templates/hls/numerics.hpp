// SPDX-License-Identifier: Apache-2.0
// The integer arithmetic: the same functions, to the bit, as hlsgen/numerics.py and rtl/arith/numerics.py.
// Rounding is half up, saturation is explicit, nothing wraps. docs/numerics.md has the errors.
#pragma once

#include <cstdint>

#include "integers.hpp"

namespace hlsgen {

/// Bits of a dyadic multiplier, fixed last shift of a layer norm lane, width of its operand.
constexpr int multiplier_bits = 15;
constexpr int row_shift = 24;
constexpr int centred_bits = 18;

/// (x + 2**(shift-1)) >> shift, rounding half up; shift 0 returns x.
template <int W>
Int<W> round_shift(Int<W> x, int shift) {
    if (shift == 0) {
        return x;
    }
    if (shift > W) {
        return Int<W>(0);  // |x| < 2**(shift-1)
    }
    const Int<W + 1> halves = Int<W + 1>(x >> (shift - 1)) + 1;
    return Int<W>(halves >> 1);
}

/// Clamp to [low, high], which must fit N bits.
template <int N, int W>
Int<N> saturate(Int<W> x, int low, int high) {
    if (x < low) {
        return Int<N>(low);
    }
    if (x > high) {
        return Int<N>(high);
    }
    return Int<N>(x);
}

/// Saturated round_shift(acc * multiplier, shift).
inline Int<16> requantize(Int<32> acc, UInt<16> multiplier, int shift, int low, int high) {
    const Int<48> product = acc * multiplier;
    return saturate<16, 48>(round_shift<48>(product, shift), low, high);
}

/// The addend of a score whose key is hidden.
constexpr int hidden = -32768;

/// A score with its addend as a logit of so many bits, of which the lowest is that of a hidden key.
template <int Bits>
Int<16> add_score(Int<16> x, Int<16> addend) {
    constexpr int half = 1 << (Bits - 1);
    const Int<17> total = Int<17>(x + addend);
    return addend == hidden ? Int<16>(-half) : saturate<16, 17>(total, 1 - half, half - 1);
}

/// Bits needed to write x; 0 for 0.
inline int bit_length(UInt<62> x) {
    int length = 0;
    for (int step = 32; step > 0; step >>= 1) {
#pragma HLS UNROLL
        if ((x >> step) != 0) {
            length += step;
            x = x >> step;
        }
    }
    return x != 0 ? length + 1 : length;
}

/// floor(sqrt(x)), for the tables below.
constexpr std::uint64_t root(std::uint64_t x) {
    std::uint64_t result = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit > 0; bit >>= 1) {
        if ((result + bit) * (result + bit) <= x) {
            result += bit;
        }
    }
    return result;
}

/// Entries first..255 of a function of i and, for each, the drop to the next entry.
template <int First>
struct Table {
    static constexpr int first = First;
    std::uint16_t base[256 - First];
    std::uint16_t drop[256 - First];
};

/// round(65535 * 128 / i)
constexpr std::uint64_t reciprocal_entry(std::uint64_t i) { return (2 * 65535 * 128 + i) / (2 * i); }

/// round(65535 * sqrt(64 / i)): half of the root of four times the square, rounded half up
constexpr std::uint64_t rsqrt_entry(std::uint64_t i) {
    return (root(4 * 64 * std::uint64_t{65535} * 65535 / i) + 1) / 2;
}

constexpr Table<128> make_reciprocal_table() {
    Table<128> table{};
    for (int i = 128; i < 256; ++i) {
        table.base[i - 128] = static_cast<std::uint16_t>(reciprocal_entry(i));
        table.drop[i - 128] = static_cast<std::uint16_t>(reciprocal_entry(i) - reciprocal_entry(i + 1));
    }
    return table;
}

constexpr Table<64> make_rsqrt_table() {
    Table<64> table{};
    for (int i = 64; i < 256; ++i) {
        table.base[i - 64] = static_cast<std::uint16_t>(rsqrt_entry(i));
        table.drop[i - 64] = static_cast<std::uint16_t>(rsqrt_entry(i) - rsqrt_entry(i + 1));
    }
    return table;
}

constexpr Table<128> reciprocal_table = make_reciprocal_table();
constexpr Table<64> rsqrt_table = make_rsqrt_table();

/// Linear interpolation: index in bits 15..8 of `normal`, fraction in bits 7..0.
template <int First>
UInt<16> interpolate(const Table<First>& table, UInt<16> normal) {
    const int index = static_cast<int>(normal >> 8) - First;
    const int fraction = static_cast<int>(normal) & 255;
    const Int<26> below = table.drop[index] * fraction;
    return UInt<16>(table.base[index] - round_shift<26>(below, 8));
}

/// value * 2**-(16 + exponent)
struct Mantissa {
    UInt<16> value;
    UInt<6> exponent;
};

/// 1/x; (0, 0) for 0.
inline Mantissa reciprocal(UInt<32> x) {
    if (x == 0) {
        return Mantissa{0, 0};
    }
    const int exponent = bit_length(UInt<62>(x)) - 1;
    UInt<16> normal = 0;
    if (exponent >= 15) {
        normal = x >> (exponent - 15);
    } else {
        normal = x << (15 - exponent);
    }
    return Mantissa{interpolate(reciprocal_table, normal), UInt<6>(exponent)};
}

/// 1/sqrt(x), the exponent being half the even exponent of x; (0, 0) for 0.
inline Mantissa rsqrt(UInt<62> x) {
    if (x == 0) {
        return Mantissa{0, 0};
    }
    const int exponent = (bit_length(x) - 1) & ~1;
    UInt<16> normal = 0;
    if (exponent >= 14) {
        normal = x >> (exponent - 14);
    } else {
        normal = x << (14 - exponent);
    }
    return Mantissa{interpolate(rsqrt_table, normal), UInt<6>(exponent >> 1)};
}

/// A row's mantissa times a 15-bit multiplier, back to 16 bits.
inline UInt<16> combine(UInt<16> mantissa, UInt<15> multiplier) {
    const Int<32> product = mantissa * multiplier;
    return UInt<16>(round_shift<32>(product, multiplier_bits));
}

/// Multiplier and shift of one row.
struct RowScale {
    UInt<16> multiplier;
    Int<8> shift;
};

/// Fractional bits of a gate weight, and the largest one.
constexpr int gate_one = 32767;

/// numerator / denominator in units of 2**-15, at most 32767; 0 for denominator 0.
inline UInt<15> gate(UInt<15> numerator, UInt<32> denominator) {
    const Mantissa inverse = reciprocal(denominator);
    const Int<32> product = numerator * inverse.value;
    return UInt<15>(static_cast<int>(saturate<16, 32>(round_shift<32>(product, inverse.exponent + 1), 0, gate_one)));
}

/// total + round_shift(value * gate, shift), saturated to 16 bits.
inline Int<16> gated_add(Int<16> total, Int<16> value, UInt<15> weight, int shift) {
    const Int<32> product = value * weight;
    const Int<33> sum = total + round_shift<32>(product, shift);
    return saturate<16, 33>(sum, -32768, 32767);
}

/// Scale of a context row: the reciprocal of its denominator times the output scale.
inline RowScale context_scale(UInt<32> denominator, UInt<15> multiplier, int shift) {
    const Mantissa inverse = reciprocal(denominator);
    return RowScale{combine(inverse.value, multiplier), Int<8>(static_cast<int>(inverse.exponent) + shift + 1)};
}

/// Scale of a layer norm row from its sum and its sum of squares.
inline RowScale row_scale(Int<30> total, UInt<44> squares, UInt<13> width, UInt<48> epsilon, UInt<15> gain,
                          int gain_shift) {
    const UInt<62> variance = width * squares - total * total + epsilon;
    const Mantissa inverse = rsqrt(variance);
    const int shift = static_cast<int>(inverse.exponent) + gain_shift + 1 - row_shift;
    return RowScale{combine(inverse.value, gain), Int<8>(shift)};
}

/// One layer norm lane: shift (left when negative), clamp to 18 bits, multiply, shift by 24, saturate.
inline Int<8> normalise(Int<30> centred, UInt<16> multiplier, int shift, int low, int high) {
    constexpr int limit = (1 << (centred_bits - 1)) - 1;
    Int<54> operand = centred;
    if (shift < 0) {
        operand = shift_left<54>(operand, -shift);
    } else {
        operand = round_shift<54>(operand, shift);
    }
    const Int<centred_bits> clamped = saturate<centred_bits, 54>(operand, -limit, limit);
    const Int<34> product = clamped * multiplier;
    return saturate<8, 34>(round_shift<34>(product, row_shift), low, high);
}

}  // namespace hlsgen
