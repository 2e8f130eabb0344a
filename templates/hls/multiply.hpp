// SPDX-License-Identifier: Apache-2.0
// MULTIPLY: rows x columns accumulators, `depth` products each per step.
#pragma once

#include "command.hpp"
#include "memory.hpp"

namespace hlsgen {

/// The depth x columns factors of one step: weights from the ring, keys or values.
template <class P>
void read_factors(const Memory<P>& memory, const Command& command, const Job& job, int block, int step,
                  Int<8> (&factors)[P::depth][P::columns]) {
#pragma HLS INLINE
    const int offset = job.ring + block * job.steps + step;
    const int ring = offset >= P::ring_words ? offset - P::ring_words : offset;
    const int key = job.place * command.head_stride + block * command.head_words;
    const int value = job.place * command.value_stride + step * command.head_words + block;
    for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
        const int element = step * P::depth + d;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            if (job.kind == Kind::plain) {
                factors[d][c] = memory.ring[ring][d][c];
            } else if (job.kind == Kind::scores) {
                factors[d][c] = memory.keys[c][key + element / P::columns][element % P::columns];
            } else {
                factors[d][c] = memory.values[d][value][c];
            }
        }
    }
}

/// The operand elements of one row for one step; exp operands are unsigned bytes.
template <class P>
void read_operand(const Memory<P>& memory, const Job& job, int row, int step, Int<9> (&operand)[P::depth]) {
#pragma HLS INLINE
    for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
        const int element = step * P::depth + d;
        const int word = job.tile_slot * Derived<P>::tile_words + element / P::columns;
        const int value = memory.tile[row][word][element % P::columns];
        operand[d] = job.kind == Kind::context ? value & 255 : value;
    }
}

/// All steps of one column block.
template <class P>
void multiply(const Memory<P>& memory, const Command& command, const Job& job, int block,
              Int<P::accumulator_bits> (&sums)[P::rows][P::columns]) {
    for (int step = 0; step < job.steps; ++step) {
#pragma HLS PIPELINE II=1
        Int<8> factors[P::depth][P::columns];
#pragma HLS ARRAY_PARTITION variable=factors complete dim=0
        read_factors<P>(memory, command, job, block, step, factors);
        for (int row = 0; row < P::rows; ++row) {
#pragma HLS UNROLL
            if (row < job.rows) {
                Int<9> operand[P::depth];
#pragma HLS ARRAY_PARTITION variable=operand complete
                read_operand<P>(memory, job, row, step, operand);
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    Int<P::accumulator_bits> sum = 0;
                    if (step > 0) {
                        sum = sums[row][c];
                    }
                    for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
                        sum = sum + operand[d] * factors[d][c];
                    }
                    sums[row][c] = sum;
                }
            }
        }
    }
}

}  // namespace hlsgen
