// SPDX-License-Identifier: Apache-2.0
// The memories that LOAD reads and owns, and the place in a tile that it is at.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// What has been written to LOAD's memories.
struct Written {
    int commands = 0;  // that have drained
    int tiles = 0;     // that have drained in the last sweep of the command in progress
    int scores = 0;    // score tiles, in all
    int pixels = 0;    // words of the image
    int weighted = 0;  // commands with constants whose tables have come
    int routed = 0;    // queue entries, in all
};

template <class P>
struct LoadMemory {
    Int<16> residual[P::residual_words][P::columns];
    Int<8> features[P::feature_words][P::columns];
    Int<8> image[P::image_words][P::columns];
    Int<P::logit_bits> scores[P::score_slots * P::rows * P::score_words][P::columns];
    Int<16> maximum[P::score_slots * P::rows];
    // a copy a lane: bank * entries + index, `table_entries` of them a word
    UInt<8> exponential[P::columns][2 * Derived<P>::exp_bytes / table_entries][table_entries];
    UInt<32> lists[Derived<P>::list_words][2];  // two runs a word
    UInt<3> norm_shifts[Derived<P>::shift_parts][shift_elements];
    int token[Derived<P>::queue_entries];
    bool first[Derived<P>::queue_entries];

    LoadMemory() {
        // A word is read or written at once; lanes are memories of their own. The residual memory has a second
        // port to read, for addends.
#pragma HLS ARRAY_RESHAPE variable=residual complete dim=2
#pragma HLS BIND_STORAGE variable=residual type=ram_1wnr
#pragma HLS ARRAY_RESHAPE variable=features complete dim=2
#pragma HLS ARRAY_RESHAPE variable=image complete dim=2
#pragma HLS ARRAY_RESHAPE variable=scores complete dim=2
#pragma HLS ARRAY_PARTITION variable=exponential complete dim=1
#pragma HLS ARRAY_RESHAPE variable=exponential complete dim=3
#pragma HLS ARRAY_RESHAPE variable=lists complete dim=2
#pragma HLS ARRAY_RESHAPE variable=norm_shifts complete dim=2
    }
};

/// Where in a tile LOAD is: `part` counts the reads that make a word.
struct Cursor {
    int source = 0;  // where the job's part of row 0 begins
    int row = 0;
    int word = 0;
    int part = 0;
    int place = 0;      // of a run list: where the piece begins
    int piece = 0;      // words of it before this one
    bool zero = false;  // it is zeros
};

/// The first place of a job: a head or a sweep may have its own part of each row.
template <class P>
Cursor first_place(const Command& command, const Job& job) {
#pragma HLS INLINE
    Cursor first;
    first.source = command.source + job.head * command.outer_source;
    if constexpr (P::operand_bases > 0) {
        first.source += command.source_word;
    }
    return first;
}

}  // namespace hlsgen
