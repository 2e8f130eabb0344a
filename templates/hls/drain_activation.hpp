// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode activation: requantize to int8, then the activation table.
#pragma once

#include "command.hpp"
#include "drain_requantize.hpp"
#include "memory.hpp"

namespace hlsgen {

template <class P>
void drain_activation(const Memory<P>& memory, const Command& command, int block,
                      const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    drain_requantize<P>(memory, command, block, sums, result);
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const int index = result[c] + 128;
        result[c] = memory.activation[c][command.activation_bank * 256 + index];
    }
}

}  // namespace hlsgen
