// SPDX-License-Identifier: Apache-2.0
// DRAIN, attention scores: requantize to logits, keep each row's maximum over the keys that exist.
//
// With addends the lowest logit is that of a hidden key, and no other's.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// `maximum` becomes the block's, over the keys that exist.
template <class P>
void drain_scores(const Command& command, int block, const Int<P::accumulator_bits> (&sums)[P::columns],
                  const Int<16> (&addend)[P::columns], Int<16> (&result)[P::columns], Int<16>& maximum) {
#pragma HLS INLINE
    constexpr int lowest = Derived<P>::lowest_logit, highest = Derived<P>::highest_logit;
    constexpr bool ranges = P::score_addends > 0;
    const bool adds = adds_to_scores<P>(command);
    maximum = lowest;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = requantize(sums[c], UInt<16>(command.logit_multiplier), command.logit_shift,
                               ranges ? static_cast<int>(command.low) : lowest,
                               ranges ? static_cast<int>(command.high) : highest);
        if (adds) {
            result[c] = add_score<P::logit_bits>(result[c], addend[c]);
        }
        if (block * P::columns + c < command.keys && result[c] > maximum) {
            maximum = result[c];
        }
    }
}

}  // namespace hlsgen
