// SPDX-License-Identifier: Apache-2.0
// DRAIN, attention scores: requantize to logits, keep each row's maximum over the keys that exist.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// `maximum` becomes the block's, over the keys that exist.
template <class P>
void drain_scores(const Command& command, int block, const Int<P::accumulator_bits> (&sums)[P::columns],
                  Int<16> (&result)[P::columns], Int<16>& maximum) {
#pragma HLS INLINE
    maximum = Derived<P>::lowest_logit;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = requantize(sums[c], UInt<16>(command.logit_multiplier), command.logit_shift,
                               Derived<P>::lowest_logit, Derived<P>::highest_logit);
        if (block * P::columns + c < command.keys && result[c] > maximum) {
            maximum = result[c];
        }
    }
}

}  // namespace hlsgen
