// SPDX-License-Identifier: Apache-2.0
// Tile slots: R lanes of operand words, written by LOAD and read by MULTIPLY.
#pragma once

#include "memory.hpp"
#include "trace.hpp"

namespace hlsgen {

/// Writes word `word` of row `row` of the job's tile.
template <class P>
void write_tile(Memory<P>& memory, const Job& job, int row, int word, const Int<8> (&elements)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        memory.tile[row][job.tile_slot * Derived<P>::tile_words + word][c] = elements[c];
    }
    trace_tile(job, row, word, elements);
}

}  // namespace hlsgen
