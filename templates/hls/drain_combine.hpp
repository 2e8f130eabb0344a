// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode combine: requantize, weight by the gate, add to the token's residual row.
#pragma once

#include "row_store.hpp"

namespace hlsgen {

/// The queue entry of row `t`.
inline int combine_entry(const Command& command, int t) { return command.queue_base + t; }

/// The address that a token's result is added to. The first expert of a token adds to the row as it was before
/// the experts, the others to what is there.
inline int combine_address(const Command& command, int token, bool first, int block) {
#pragma HLS INLINE
    const int base = first ? command.addend_base : command.target_base;
    return base + token * command.target_stride + block;
}

template <class P>
void drain_combine(const Command& command, UInt<15> weight, const Int<16> (&total)[P::columns],
                   Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = gated_add(total[c], result[c], weight, command.gate_shift);
    }
}

}  // namespace hlsgen
