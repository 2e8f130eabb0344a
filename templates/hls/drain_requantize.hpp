// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode requantize: bias, multiplier and shift per column, saturated to the command's range.
#pragma once

#include "command.hpp"
#include "memory.hpp"

namespace hlsgen {

template <class P>
void drain_requantize(const Memory<P>& memory, const Command& command, int block,
                      const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const Constant constant = memory.constants[block][c];
        const Int<P::accumulator_bits> biased = sums[c] + constant.bias;
        result[c] = requantize(biased, constant.multiplier, constant.shift, command.low, command.high);
    }
}

}  // namespace hlsgen
