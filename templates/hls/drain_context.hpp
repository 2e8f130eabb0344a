// SPDX-License-Identifier: Apache-2.0
// DRAIN, attention contexts: times the row's scale, saturated to int8.
#pragma once

#include "memory.hpp"

namespace hlsgen {

template <class P>
void drain_context(const RowScale& scale, const Int<P::accumulator_bits> (&sums)[P::columns],
                   Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = requantize(sums[c], scale.multiplier, scale.shift, -128, 127);
    }
}

}  // namespace hlsgen
