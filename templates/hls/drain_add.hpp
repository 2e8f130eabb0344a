// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode add: requantize, then add a residual row or the addend stream, saturated to 16 bits.
#pragma once

#include "command.hpp"
#include "drain_requantize.hpp"
#include "memory.hpp"
#include "streams.hpp"

namespace hlsgen {

template <class P>
void drain_add(const Memory<P>& memory, Progress& progress, const Beat<P>* image, const Command& command, int t,
               int block, const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    Int<16> addend[P::columns];
#pragma HLS ARRAY_PARTITION variable=addend complete
    if (command.stream_addend != 0) {
        read_addend<P>(progress, image, addend);
    } else {
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            addend[c] = memory.residual[command.addend_base + t * command.target_stride + block][c];
        }
    }
    drain_requantize<P>(memory, command, block, sums, result);
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = saturate<16, 17>(Int<17>(result[c] + addend[c]), -32768, 32767);
    }
}

}  // namespace hlsgen
