// SPDX-License-Identifier: Apache-2.0
// Keys and values in external memory, for streamed attention. Each has a region of `workspace_units` * 64 bytes:
// a head after the other, each up to a multiple of 64 bytes, words of int8 in drain order (tile, word, row).
#pragma once

#include "command.hpp"
#include "memory.hpp"
#include "streams.hpp"

namespace hlsgen {

template <class P>
struct WorkspaceLayout {
    static constexpr int unit_beats = 64 / P::bus_bytes;
    static constexpr int value_beat = P::workspace_units * unit_beats;
};

/// The word of a row of keys or values.
template <class P>
void write_workspace(Beat<P>* workspace, Output<P>& output, const Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
        write_byte<P>(workspace, output.workspace, low_byte(word[c]));
    }
}

/// Before the first word of a command's keys or values.
template <class P>
void begin_workspace(Output<P>& output, const Command& command) {
#pragma HLS INLINE
    output.workspace.bytes = 0;
    output.workspace.beats = command.target == Target::keys ? 0 : WorkspaceLayout<P>::value_beat;
}

/// After a head's last word: zeros up to a multiple of 64 bytes.
template <class P>
void end_head(Beat<P>* workspace, Output<P>& output) {
    while (output.workspace.bytes != 0 || output.workspace.beats % WorkspaceLayout<P>::unit_beats != 0) {
        write_byte<P>(workspace, output.workspace, 0);
    }
}

/// A head's keys, or values, to the place in their memory that the job reads.
template <class P>
void read_operands(Memory<P>& memory, const Beat<P>* workspace, const Command& command, const Job& job) {
#pragma HLS INLINE off
    const bool keys = job.kind == Kind::scores;
    const int base = (keys ? 0 : WorkspaceLayout<P>::value_beat) +
                     job.head * command.head_units * WorkspaceLayout<P>::unit_beats;
    int index = 0;
    for (int first = 0; first < command.keys; first += P::rows) {
        const int rows = command.keys - first < P::rows ? command.keys - first : P::rows;
        const int padded = (rows + P::row_width - 1) / P::row_width * P::row_width;
        for (int word = 0; word < command.head_words; ++word) {
            for (int row = 0; row < padded; ++row) {
#pragma HLS PIPELINE II=1
                UInt<8> bytes[P::columns];
#pragma HLS ARRAY_PARTITION variable=bytes complete
                read_word<P, P::columns>(workspace, base, index, bytes);
                index += 1;
                const int t = first + row;
                const int key = job.place * command.head_stride + t / P::columns * command.head_words + word;
                const int value = job.place * command.value_stride + t / P::depth * command.head_words + word;
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    if (row < rows && keys) {
                        memory.keys[t % P::columns][key][c] = as_signed<8>(bytes[c]);
                    } else if (row < rows) {
                        memory.values[t % P::depth][value][c] = as_signed<8>(bytes[c]);
                    }
                }
            }
        }
    }
}

}  // namespace hlsgen
