// SPDX-License-Identifier: Apache-2.0
// LOAD, attention contexts: exp of the score tile, and each row's denominator turned into its scale.
#pragma once

#include "command.hpp"
#include "tile.hpp"

namespace hlsgen {

/// An unsigned byte with the same bits as a tile element; MULTIPLY takes context operands as unsigned.
inline Int<8> tile_byte(UInt<8> value) { return as_signed<8>(value); }

/// One word of exp for one row; elements beyond the keys are zero.
template <class P>
void exp_word(const Memory<P>& memory, const Command& command, int from, int word, UInt<8> (&e)[P::columns]) {
#pragma HLS INLINE
    const int maximum = memory.row_maximum[from];
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        e[c] = 0;
        if (word * P::columns + c < command.keys) {
            const int difference = maximum - memory.scores[from][word][c];
            e[c] = memory.exponential[c][command.exp_bank * Derived<P>::exp_entries + difference];
        }
    }
}

template <class P>
void load_exp(Memory<P>& memory, const Command& command, const Job& job) {
    for (int row = 0; row < job.rows; ++row) {
        const int from = score_row<P>(job, row);
        UInt<32> denominator = 0;
        for (int word = 0; word < command.exp_words; ++word) {
#pragma HLS PIPELINE II=1
            UInt<8> e[P::columns];
            Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=e complete
#pragma HLS ARRAY_PARTITION variable=elements complete
            exp_word<P>(memory, command, from, word, e);
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                denominator = denominator + e[c];
                elements[c] = tile_byte(e[c]);
                memory.tile[row][job.tile_slot * Derived<P>::tile_words + word][c] = elements[c];
            }
            trace_tile(job, row, word, e);
        }
        memory.row_scale[from] =
            context_scale(denominator, UInt<15>(command.context_multiplier), command.context_shift);
    }
}

}  // namespace hlsgen
