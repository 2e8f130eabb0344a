// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode add: requantize, then add a residual row or the addend stream, saturated to 16 bits.
#pragma once

#include "store.hpp"

namespace hlsgen {

/// Whether the addends come from the Image.
inline bool streams_addend(const Command& command) { return command.stream_addend != 0; }

/// The address of row `t`, block `block` of the addends in the residual memory, which LOAD reads.
template <class P>
int addend_address(const Command& command, const Job& job, int t, int block) {
#pragma HLS INLINE
    return command.addend_base + result_offset<P>(command, job, t, block);
}

template <class P>
void drain_add(const Int<16> (&addend)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = saturate<16, 17>(Int<17>(result[c] + addend[c]), -32768, 32767);
    }
}

}  // namespace hlsgen
