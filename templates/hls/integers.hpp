// SPDX-License-Identifier: Apache-2.0
// Integers of a stated width: ap_int under Vitis HLS, native integers elsewhere.
//
// Int<W> is signed, UInt<W> unsigned. Under g++ both hold their value in the smallest native type and
// compute in int32_t (signed up to 16 bits, unsigned up to 15) or int64_t, so every product of two
// operands of at most 31 bits is exact. With HLSGEN_CHECK every value stored in one is checked: a value
// that does not fit its width is reported and ends the program. Nothing relies on wrapping.
#pragma once

#if defined(__SYNTHESIS__) || defined(__VITIS_HLS__) || defined(HLSGEN_AP_INT)

#include <ap_int.h>

namespace hlsgen {

template <int W>
using Int = ap_int<W>;
template <int W>
using UInt = ap_uint<W>;

/// The two's complement value of W bits.
template <int W>
Int<W> as_signed(UInt<W> bits) {
    return Int<W>(bits);
}

/// x * 2**amount, which must fit W bits.
template <int W>
Int<W> shift_left(Int<W> x, int amount) {
    return x << amount;
}

}  // namespace hlsgen

#else

#include <cstdint>
#include <type_traits>

#ifdef HLSGEN_CHECK
#include <cstdio>
#include <cstdlib>
#endif

namespace hlsgen {

template <int W, bool Signed>
class Integer {
    static_assert(W >= 1 && W + (Signed ? 0 : 1) <= 64, "at most 64 signed or 63 unsigned bits");

    template <class Narrow, class Wide>
    using Pick = std::conditional_t<Signed, Narrow, Wide>;
    using Storage = std::conditional_t<
        W <= 8, Pick<std::int8_t, std::uint8_t>,
        std::conditional_t<W <= 16, Pick<std::int16_t, std::uint16_t>,
                           std::conditional_t<W <= 32, Pick<std::int32_t, std::uint32_t>,
                                              Pick<std::int64_t, std::uint64_t>>>>;

public:
    using Value = std::conditional_t<(W + (Signed ? 0 : 1) <= 16), std::int32_t, std::int64_t>;

    constexpr Integer() : value_(0) {}

    template <class T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
    constexpr Integer(T value) : value_(static_cast<Storage>(checked(static_cast<std::int64_t>(value)))) {}

    template <int W2, bool Signed2>
    constexpr Integer(Integer<W2, Signed2> other)
        : value_(static_cast<Storage>(checked(static_cast<typename Integer<W2, Signed2>::Value>(other)))) {}

    constexpr operator Value() const { return static_cast<Value>(value_); }

private:
    static constexpr std::int64_t checked(std::int64_t value) {
#ifdef HLSGEN_CHECK
        constexpr std::int64_t high = static_cast<std::int64_t>((~std::uint64_t{0} >> 1) >> (Signed ? 64 - W : 63 - W));
        constexpr std::int64_t low = Signed ? -high - 1 : 0;
        if (value < low || value > high) {
            std::fprintf(stderr, "hlsgen: %lld does not fit %sInt<%d>\n", static_cast<long long>(value),
                         Signed ? "" : "U", W);
            std::abort();
        }
#endif
        return value;
    }

    Storage value_;
};

template <int W>
using Int = Integer<W, true>;
template <int W>
using UInt = Integer<W, false>;

/// The two's complement value of W bits.
template <int W>
constexpr Int<W> as_signed(UInt<W> bits) {
    static_assert(W <= 62, "the weight of the sign bit must fit");
    const std::int64_t value = bits;
    return value >= (std::int64_t{1} << (W - 1)) ? value - (std::int64_t{1} << W) : value;
}

/// x * 2**amount, which must fit W bits.
template <int W>
constexpr Int<W> shift_left(Int<W> x, int amount) {
    return static_cast<std::int64_t>(x) * (std::int64_t{1} << amount);
}

}  // namespace hlsgen

#endif
