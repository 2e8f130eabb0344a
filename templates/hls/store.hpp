// SPDX-License-Identifier: Apache-2.0
// Where DRAIN writes its results: features, keys, values, residual or the output.
#pragma once

#include "command.hpp"
#include "memory.hpp"
#include "streams.hpp"
#include "workspace.hpp"

namespace hlsgen {

/// What is the same for all rows of one column block.
struct BlockPlace {
    int head = 0;  // of keys and values
    int word = 0;
    int base = 0;  // of features and residual: address of row 0
};

inline BlockPlace place(const Command& command, const Job& job, int block) {
    BlockPlace result;
    if (command.target == Target::keys || command.target == Target::values) {
        result.head = block / command.head_words;
        result.word = block % command.head_words;
    }
    result.base = command.target_base + block;
    if (job.kind == Kind::context) {
        result.base += job.head * command.head_words;
    }
    return result;
}

/// Writes the result word of operand row `t`.
template <class P>
void store(Memory<P>& memory, const Command& command, const BlockPlace& at, int t, Beat<P>* external,
           Beat<P>* workspace, Output<P>& output, const Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    if (command.target == Target::output) {
        write_output<P>(external, output, result);
        return;
    }
    if constexpr (P::workspace_units > 0) {
        if (command.target == Target::keys || command.target == Target::values) {
            write_workspace<P>(workspace, output, result);
            return;
        }
    }
    const int row = at.base + t * command.target_stride;
    const int key = at.head * command.head_stride + t / P::columns * command.head_words + at.word;
    const int value = at.head * command.value_stride + t / P::depth * command.head_words + at.word;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        if (command.target == Target::features) {
            memory.features[row][c] = result[c];
        } else if (command.target == Target::residual) {
            memory.residual[row][c] = result[c];
        } else if (command.target == Target::keys) {
            memory.keys[t % P::columns][key][c] = result[c];
        } else {
            memory.values[t % P::depth][value][c] = result[c];
        }
    }
}

}  // namespace hlsgen
