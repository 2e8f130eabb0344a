// SPDX-License-Identifier: Apache-2.0
// LOAD, mode layer_norm: rows of the residual memory, normalised.
#pragma once

#include "command.hpp"
#include "tile.hpp"

namespace hlsgen {

/// Sum and sum of squares of a row.
struct RowSums {
    Int<30> total = 0;
    UInt<44> squares = 0;
};

/// Adds one word to the sums. Padding elements of a row are zero in the residual memory.
template <class P>
void add_word(RowSums& sums, const Int<16> (&elements)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        sums.total = sums.total + elements[c];
        sums.squares = sums.squares + elements[c] * elements[c];
    }
}

/// Sets the sum to 0 where the row's mean stays where it is: an RMS norm.
template <class P>
void drop_total(const Command& command, RowSums& sums) {
#pragma HLS INLINE
    if constexpr (P::rms_norms > 0) {
        if (command.norm_rms != 0) {
            sums.total = 0;
        }
    }
}

template <class P>
RowScale norm_scale(const Command& command, const RowSums& sums) {
    return row_scale(sums.total, sums.squares, UInt<13>(command.norm_width), UInt<48>(command.norm_epsilon),
                     UInt<15>(command.norm_gain), command.norm_gain_shift);
}

/// Normalises one word of a row; elements beyond the row's width become zero.
template <class P>
void normalise_word(const Command& command, const RowSums& sums, const RowScale& scale, int word,
                    const Int<16> (&from)[P::columns], Int<8> (&to)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const Int<30> centred = command.norm_width * from[c] - sums.total;
        const Int<8> value = normalise(centred, scale.multiplier, scale.shift, -128, 127);
        to[c] = 0;
        if (word * P::columns + c < command.norm_width) {
            to[c] = value;
        }
    }
}

template <class P>
void load_layer_norm(Memory<P>& memory, const Command& command, const Job& job) {
    for (int row = 0; row < job.rows; ++row) {
        int token = job.first_row + row;
        if constexpr (P::experts > 0) {
            if (command.gather != 0) {
                token = memory.queues.entry[command.queue_base + token].token;
            }
        }
        const int source = command.source + token * command.source_stride;
        RowSums sums;
        for (int word = 0; word < command.k_words; ++word) {
#pragma HLS PIPELINE II=1
            add_word<P>(sums, memory.residual[source + word]);
        }
        drop_total<P>(command, sums);
        const RowScale scale = norm_scale<P>(command, sums);
        for (int word = 0; word < command.k_words; ++word) {
#pragma HLS PIPELINE II=1
            Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=elements complete
            normalise_word<P>(command, sums, scale, word, memory.residual[source + word], elements);
            write_tile<P>(memory, job, row, word, elements);
        }
    }
}

}  // namespace hlsgen
