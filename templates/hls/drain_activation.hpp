// SPDX-License-Identifier: Apache-2.0
// DRAIN, mode activation: requantize to an index, then the activation table.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// The table has a copy for each lane: bank * entries + index, `table_entries` of them a word.
template <class P>
void drain_activation(const Command& command,
                      const Int<8> (&table)[P::columns][2 * Derived<P>::index_entries / table_entries][table_entries],
                      Int<16> (&result)[P::columns]) {
#pragma HLS INLINE
    constexpr int entries = Derived<P>::index_entries;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        const int index = command.activation_bank * entries + result[c] + entries / 2;
        result[c] = table[c][index / table_entries][index % table_entries];
    }
}

}  // namespace hlsgen
