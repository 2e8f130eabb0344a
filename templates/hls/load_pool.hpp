// SPDX-License-Identifier: Apache-2.0
// LOAD, modes pool and pool_norm: one row, the mean over residual rows, as int8 or to be normalised.
#pragma once

#include "row_store.hpp"

namespace hlsgen {

/// Reads that make a word: one for each row.
inline int pool_parts(const Command& command) { return command.pool_rows; }

/// Adds a row's word to `sums`; with the last row `word` is the mean, saturated to [low, high].
template <class P>
void load_pool(const LoadMemory<P>& memory, const Command& command, const Cursor& at, int low, int high,
               Int<32> (&sums)[P::columns], Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    const int address = at.source + at.part * command.source_stride + at.word;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        Int<32> sum = 0;
        if (at.part > 0) {
            sum = sums[c];
        }
        sum = sum + memory.residual[address][c];
        sums[c] = sum;
        word[c] = saturate<16, 32>(round_shift<32>(sum, command.pool_shift), low, high);
    }
}

/// Words that LOAD writes for the row.
inline int pool_words(const Command& command) { return command.k_words; }

}  // namespace hlsgen
