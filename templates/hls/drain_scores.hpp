// SPDX-License-Identifier: Apache-2.0
// DRAIN, attention scores: requantize to logits, keep each row's maximum over the keys that exist.
#pragma once

#include "command.hpp"
#include "memory.hpp"

namespace hlsgen {

template <class P>
void drain_scores(Memory<P>& memory, const Command& command, const Job& job, int row, int block,
                  const Int<P::accumulator_bits> (&sums)[P::columns], Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    const int to = score_row<P>(job, row);
    int maximum = Derived<P>::lowest_logit;
    if (block > 0) {
        maximum = memory.row_maximum[to];
    }
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        result[c] = requantize(sums[c], UInt<16>(command.logit_multiplier), command.logit_shift,
                               Derived<P>::lowest_logit, Derived<P>::highest_logit);
        memory.scores[to][block][c] = result[c];
        if (block * P::columns + c < command.keys && result[c] > maximum) {
            maximum = result[c];
        }
    }
    memory.row_maximum[to] = maximum;
}

}  // namespace hlsgen
