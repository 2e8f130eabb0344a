// SPDX-License-Identifier: Apache-2.0
// LOAD, mode rows: int8 rows of the feature memory; attention's query rows are those of one head.
#pragma once

#include "command.hpp"
#include "tile.hpp"

namespace hlsgen {

template <class P>
void load_rows(Memory<P>& memory, const Command& command, const Job& job) {
    for (int row = 0; row < job.rows; ++row) {
        const int t = job.first_row + row;
        const int source = command.source + t * command.source_stride + job.head * command.head_words;
        for (int word = 0; word < command.k_words; ++word) {
#pragma HLS PIPELINE II=1
            Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=elements complete
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                elements[c] = memory.features[source + word][c];
            }
            write_tile<P>(memory, job, row, word, elements);
        }
    }
}

}  // namespace hlsgen
