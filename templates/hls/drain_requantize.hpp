// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode requantize: bias, multiplier and shift per column, saturated to the command's range.
#pragma once

#include "memory.hpp"

namespace hlsgen {

template <class P>
void drain_requantize(const Command& command, const Constant (&constants)[P::columns],
                      const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const Int<P::accumulator_bits> biased = sums[c] + constants[c].bias;
        result[c] = requantize(biased, constants[c].multiplier, constants[c].shift, command.low, command.high);
    }
}

}  // namespace hlsgen
