// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode combine: requantize, weight by the gate, add to the token's residual row.
#pragma once

#include "command.hpp"
#include "drain_requantize.hpp"
#include "memory.hpp"

namespace hlsgen {

/// The first expert of a token adds to the row as it was before the experts, the others to what is there.
template <class P>
void drain_combine(const Memory<P>& memory, const Command& command, const QueueEntry& entry, int block,
                   const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    const int base = entry.first ? command.addend_base : command.target_base;
    drain_requantize<P>(memory, command, block, sums, result);
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const Int<16> total = memory.residual[base + entry.token * command.target_stride + block][c];
        result[c] = gated_add(total, result[c], entry.gate, command.gate_shift);
    }
}

}  // namespace hlsgen
