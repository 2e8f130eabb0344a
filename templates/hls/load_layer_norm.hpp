// SPDX-License-Identifier: Apache-2.0
// LOAD, mode layer_norm: rows of the residual memory. LOAD adds a row up while its words wait in a FIFO for
// their scale; NORMALISE takes them from there. So rows follow each other without a gap.
#pragma once

#include "load_norm_shifts.hpp"
#include "load_runs.hpp"
#include "row_store.hpp"

namespace hlsgen {

/// The row of the residual memory that becomes row `at.row` of the tile.
template <class P>
int norm_source(const LoadMemory<P>& memory, const Command& command, const Job& job, const Cursor& at) {
#pragma HLS INLINE
    int row = job.first_row + at.row;
    if constexpr (P::experts > 0) {
        if (command.gather != 0) {
            row = memory.token[command.queue_base + row];
        }
    }
    return at.source + row * command.source_stride;
}

/// Adds one word to the sums of its row. Padding elements of a row are zero in the residual memory.
template <class P>
void add_word(RowSums& sums, const Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    Int<30> total = 0;
    UInt<44> squares = 0;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        total = total + word[c];
        squares = squares + word[c] * word[c];
    }
    sums.total = sums.total + total;
    sums.squares = sums.squares + squares;
}

template <class P>
void load_layer_norm(const LoadMemory<P>& memory, const Command& command, const Job& job, const Cursor& at,
                     Int<16> (&word)[P::columns], RowSums& sums) {
#pragma HLS INLINE
    const bool listed = is_listed<P>(command, job);
    const int address = listed ? at.place + at.piece : norm_source<P>(memory, command, job, at) + at.word;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        word[c] = 0;
        if (!(listed && at.zero)) {
            word[c] = memory.residual[address][c];
        }
    }
    add_word<P>(sums, word);
}

/// What a row's scale is made of, but for its sums. An RMS norm leaves the row's mean where it is.
template <class P>
ScaleRequest norm_request(const Command& command, RowSums& sums) {
#pragma HLS INLINE
    if constexpr (P::rms_norms > 0) {
        if (command.norm_rms != 0) {
            sums.total = 0;
        }
    }
    ScaleRequest request;
    request.width = UInt<13>(command.norm_width);
    request.epsilon = UInt<48>(command.norm_epsilon);
    request.gain = UInt<15>(command.norm_gain);
    request.shift = command.norm_gain_shift;
    return request;
}

/// Normalises one word of a row; elements beyond the row's width become zero.
template <class P>
void normalise_word(const NormScale& row, const Raw<P>& raw, Int<16> (&to)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const Int<30> centred = row.width * raw.data[c] - row.total;
        const int shift = row.scale.shift - shift_of<P>(raw, c);
        const Int<8> value = normalise(centred, row.scale.multiplier, shift, -128, 127);
        to[c] = 0;
        if (raw.word * P::columns + c < row.width) {
            to[c] = value;
        }
    }
}

}  // namespace hlsgen
