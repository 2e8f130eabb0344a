// SPDX-License-Identifier: Apache-2.0
// Where DRAIN sends its results: to LOAD's memories, to MULTIPLY's, to external memory.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// Whether the command makes keys or values.
inline bool is_stored(const Command& command) {
    return command.target == Target::keys || command.target == Target::values;
}

/// The head, and the word of a head, that a block of keys or values is.
struct HeadWord {
    int head = 0;
    int word = 0;

    void advance(const Command& command) {
#pragma HLS INLINE
        const bool last = word + 1 == command.head_words;
        word = last ? 0 : word + 1;
        head += last ? 1 : 0;
    }
};

/// A row of keys or values that lie by windows: its window's first word in a lane, its number in the window.
struct WindowRow {
    int words = 0;
    int row = 0;

    void advance(const Command& command, int lanes) {
#pragma HLS INLINE
        const bool last = row + 1 == command.window_rows;
        words += last ? (command.window_rows + lanes - 1) / lanes : 0;
        row = last ? 0 : row + 1;
    }
};

/// Words from the target's first to row `t`, block `block`: each sweep, or head, may have rows of its own.
template <class P>
int result_offset(const Command& command, const Job& job, int t, int block) {
#pragma HLS INLINE
    int offset = t * command.target_stride + block;
    if constexpr (P::operand_bases > 0) {
        offset += command.target_word;
    }
    if constexpr (P::products > 0 || P::windows > 0) {
        if (command.outer_target != 0) {
            offset += job.head * command.outer_target - job.first_block;
        }
    }
    return offset;
}

/// A result word of row `t` for LOAD's memories.
template <class P>
void store(const Command& command, const Job& job, int t, int block, Store<P>& out) {
#pragma HLS INLINE
    if (command.target == Target::features || command.target == Target::residual) {
        out.where = command.target == Target::features ? Where::features : Where::residual;
        const bool own = P::windows > 0 && command.outer_target != 0;
        const int head = job.kind == Kind::context && !own ? job.head * command.head_words : 0;
        out.address = command.target_base + head + result_offset<P>(command, job, t, block);
    }
}

/// The place of a word of keys or values: of row `t`, in a head that begins at key word and value word 0.
template <class P>
void operand_place(const Command& command, int head, int word, int t, Operand<P>& out) {
#pragma HLS INLINE
    out.lane = out.keys ? t % P::columns : t % P::depth;
    out.address = out.keys ? head * command.head_stride + t / P::columns * command.head_words + word
                           : head * command.value_stride + t / P::depth * command.head_words + word;
}

/// The same where rows lie by windows; `row` is the place's.
template <class P>
void window_place(const Command& command, int head, int word, const WindowRow& row, Operand<P>& out) {
#pragma HLS INLINE
    const int lanes = out.keys ? P::columns : P::depth;
    out.lane = row.row % lanes;
    out.address = head * (out.keys ? command.head_stride : command.value_stride) + word +
                  (row.words + row.row / lanes) * command.head_words;
}

}  // namespace hlsgen
