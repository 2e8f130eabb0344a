// SPDX-License-Identifier: Apache-2.0
// LOAD: the power of two that each element of a normalised row has of its own. LOAD gives it along with the word.
#pragma once

#include "row_store.hpp"

namespace hlsgen {

/// Whether a command's rows have shifts.
template <class P>
bool has_shifts(const Command& command) {
#pragma HLS INLINE
    if constexpr (P::norm_shift_words > 0) {
        return command.norm_shift_base != 0;
    }
    return false;
}

/// 8 bytes of the constant stream to part `index` of the memory: the lowest three of an element's 4 bits count.
template <class P>
void take_shifts(LoadMemory<P>& memory, int index, const UInt<8> (&bytes)[table_entries]) {
#pragma HLS INLINE
    for (int i = 0; i < table_entries; ++i) {
#pragma HLS UNROLL
        const int pair = static_cast<int>(bytes[i]);
        memory.norm_shifts[index][2 * i] = UInt<3>(pair & 7);
        memory.norm_shifts[index][2 * i + 1] = UInt<3>((pair >> 4) & 7);
    }
}

/// The shifts of word `word` of a row.
template <class P>
void load_norm_shifts(const LoadMemory<P>& memory, const Command& command, int word, Raw<P>& out) {
#pragma HLS INLINE
    if constexpr (P::norm_shift_words > 0) {
        constexpr int word_parts = Derived<P>::shift_parts / P::norm_shift_words;
        const bool there = has_shifts<P>(command);
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.shift[c] = 0;
            if (there) {
                const int element = word * P::columns + c;
                const int part = (command.norm_shift_base - 1) * word_parts + element / shift_elements;
                out.shift[c] = memory.norm_shifts[part % Derived<P>::shift_parts][element % shift_elements];
            }
        }
    }
}

/// The shift of element `c` of a word.
template <class P>
int shift_of(const Raw<P>& word, int c) {
#pragma HLS INLINE
    if constexpr (P::norm_shift_words > 0) {
        return static_cast<int>(word.shift[c]);
    }
    return 0;
}

}  // namespace hlsgen
