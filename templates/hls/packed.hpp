// SPDX-License-Identifier: Apache-2.0
// Two products a multiplier: two rows of the array that share a weight, packed into one operand of 27 bits.
//
// A DSP48E2 multiplies 27 x 18 bits: (x * 2**18 + y) * w = (x * w) * 2**18 + y * w. Operands are in -128..255
// and weights in -128..127, so four such products add up to a low field below 2**17 in magnitude: it is the
// signed number in bits 17..0, and what it borrows from the high field is its sign (rtl/array/packed.py).
#pragma once

#include "integers.hpp"

// 0: a multiplier block for each product, for devices whose blocks are narrower.
#ifndef HLSGEN_PACK_ROWS
#define HLSGEN_PACK_ROWS 1
#endif

namespace hlsgen {

constexpr bool pack_rows = HLSGEN_PACK_ROWS != 0;
/// Bits of the low field, and packed products that are added before they are taken apart.
constexpr int packed_field = 18;
constexpr int packed_sum = 4;

/// Adds the dot products of two rows of `D` operands with the same factors to two sums.
template <int D, int A>
void packed_dots(const Int<9> (&high)[D], const Int<9> (&low)[D], const Int<8> (&factors)[D], Int<A>& high_sum,
                 Int<A>& low_sum) {
#pragma HLS INLINE
    constexpr int most = D < packed_sum ? D : packed_sum;
    for (int first = 0; first < D; first += most) {
#pragma HLS UNROLL
        Int<48> total = 0;
        for (int i = 0; i < most; ++i) {
#pragma HLS UNROLL
            const Int<27> operand = Int<27>(high[first + i] * (1 << packed_field)) + low[first + i];
            const Int<35> product = Int<48>(operand) * factors[first + i];
#pragma HLS BIND_OP variable=product op=mul impl=dsp
            total = total + product;
        }
        const Int<packed_field> below = as_signed<packed_field>(UInt<packed_field>(total & ((1 << packed_field) - 1)));
        high_sum = high_sum + Int<packed_field>((total - below) >> packed_field);
        low_sum = low_sum + below;
    }
}

/// Adds the dot product of one row.
template <int D, int A>
void plain_dot(const Int<9> (&operand)[D], const Int<8> (&factors)[D], Int<A>& sum) {
#pragma HLS INLINE
    for (int d = 0; d < D; ++d) {
#pragma HLS UNROLL
        sum = sum + operand[d] * factors[d];
    }
}

}  // namespace hlsgen
