// SPDX-License-Identifier: Apache-2.0
// LOAD, modes pool and pool_norm: one row, the mean over residual rows, as int8 or normalised.
#pragma once

#include "command.hpp"
#include "load_layer_norm.hpp"
#include "tile.hpp"

namespace hlsgen {

/// One word of the mean: the rows' sum, shifted, saturated to [low, high].
template <class P>
void pool_word(const Memory<P>& memory, const Command& command, int word, int low, int high,
               Int<16> (&mean)[P::columns]) {
    Int<32> sums[P::columns];
#pragma HLS ARRAY_PARTITION variable=sums complete
    for (int row = 0; row < command.pool_rows; ++row) {
#pragma HLS PIPELINE II=1
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            const Int<16> element = memory.residual[command.source + row * command.source_stride + word][c];
            if (row == 0) {
                sums[c] = element;
            } else {
                sums[c] = sums[c] + element;
            }
        }
    }
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        mean[c] = saturate<16, 32>(round_shift<32>(sums[c], command.pool_shift), low, high);
    }
}

template <class P>
void load_pool(Memory<P>& memory, const Command& command, const Job& job) {
    for (int word = 0; word < command.k_words; ++word) {
        Int<16> mean[P::columns];
        Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=mean complete
#pragma HLS ARRAY_PARTITION variable=elements complete
        pool_word<P>(memory, command, word, -128, 127, mean);
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            elements[c] = mean[c];
        }
        write_tile<P>(memory, job, 0, word, elements);
    }
}

template <class P>
void load_pool_norm(Memory<P>& memory, const Command& command, const Job& job) {
    Int<16> mean[P::tile_words][P::columns];
#pragma HLS ARRAY_RESHAPE variable=mean complete dim=2
    RowSums sums;
    for (int word = 0; word < command.k_words; ++word) {
        pool_word<P>(memory, command, word, -32768, 32767, mean[word]);
        add_word<P>(sums, mean[word]);
    }
    drop_total<P>(command, sums);
    const RowScale scale = norm_scale<P>(command, sums);
    for (int word = 0; word < command.k_words; ++word) {
#pragma HLS PIPELINE II=1
        Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=elements complete
        normalise_word<P>(command, sums, scale, word, mean[word], elements);
        write_tile<P>(memory, job, 0, word, elements);
    }
}

}  // namespace hlsgen
