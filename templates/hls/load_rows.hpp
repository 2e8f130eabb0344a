// SPDX-License-Identifier: Apache-2.0
// LOAD, mode rows: int8 rows of the feature memory; a head or a sweep may have its own part of each row.
#pragma once

#include "load_runs.hpp"
#include "row_store.hpp"

namespace hlsgen {

template <class P>
void load_rows(const LoadMemory<P>& memory, const Command& command, const Job& job, const Cursor& at,
               Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    const int t = job.first_row + at.row;
    const bool listed = is_listed<P>(command, job);
    const int address = listed ? at.place + at.piece : at.source + t * command.source_stride + at.word;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        word[c] = 0;
        if (!(listed && at.zero)) {
            word[c] = memory.features[address][c];
        }
    }
}

}  // namespace hlsgen
