// SPDX-License-Identifier: Apache-2.0
// LOAD: rows in the order of a run list. A list goes on from tile to tile of a sweep, or of a head.
#pragma once

#include "interface.hpp"
#include "row_store.hpp"
#include "sequence.hpp"

namespace hlsgen {

/// Whether the rows of a job are those of a run list.
template <class P>
bool is_listed(const Command& command, const Job& job) {
#pragma HLS INLINE
    return P::list_words > 0 && command.list_base != 0 && job.kind != Kind::context;
}

/// Where LOAD is in a run list.
struct RunPlace {
    int next = 0;  // run
    int left = 0;  // rows of this one
    int group = 0, bank = 0;
    bool zero = false;

    void start(const Command& command) {
#pragma HLS INLINE
        next = 2 * (command.list_base - 1);
        left = 0;
    }
};

/// The next row's place, or the next piece's; rows of a run follow one another group by group.
template <class P>
void load_runs(const LoadMemory<P>& memory, const Command& command, RunPlace& runs, Cursor& at) {
#pragma HLS INLINE
    if (runs.left == 0) {
        const UInt<32> run = memory.lists[runs.next / 2 % Derived<P>::list_words][runs.next % 2];
        const int place = static_cast<int>(run & ((1 << run_place_bits) - 1));
        runs.group = place / P::row_width;
        runs.bank = place % P::row_width;
        runs.left = static_cast<int>((run >> run_place_bits) & ((1 << run_count_bits) - 1)) + 1;
        runs.zero = (run >> (run_place_bits + run_count_bits)) != 0;
        runs.next += 1;
    } else if (runs.bank + 1 == P::row_width) {
        runs.bank = 0;
        runs.group += command.source_stride;
    } else {
        runs.bank += 1;
    }
    runs.left -= 1;
    at.place = at.source + runs.group * P::row_width + runs.bank * command.source_stride;
    at.zero = runs.zero;
    at.piece = 0;
}

/// To the next word of the piece; whether a piece ends with it.
inline bool next_of_piece(const Command& command, Cursor& at) {
#pragma HLS INLINE
    at.piece += 1;
    return at.piece == command.piece_words;
}

}  // namespace hlsgen
