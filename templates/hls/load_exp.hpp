// SPDX-License-Identifier: Apache-2.0
// LOAD, attention contexts: exp of the score tile, and each row's denominator, which becomes its scale.
#pragma once

#include "row_store.hpp"

namespace hlsgen {

/// One word of a digit of exp; elements beyond the keys are zero. Their sum is added to the denominator.
template <class P>
void load_exp(const LoadMemory<P>& memory, const Command& command, const Job& job, const Cursor& at,
              Int<16> (&word)[P::columns], RowSums& sums) {
#pragma HLS INLINE
    const int row = score_row<P>(job, at.row);
    const int maximum = memory.maximum[row];
    const bool two = P::numerator_digits > 1 && command.high_digits != 0;
    const bool high = two && at.word < command.exp_words;
    const int scores = two && !high ? at.word - command.exp_words : at.word;
    UInt<32> sum = 0;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        UInt<8> e = 0;
        const int key = scores * P::columns + c;
        if (key < command.keys) {
            const int logit = memory.scores[row * P::score_words + scores][c];
            const int difference = maximum - logit;
            const int bank = command.exp_bank * Derived<P>::exp_bytes + (high ? Derived<P>::exp_entries : 0);
            const int index = bank + difference;
            e = memory.exponential[c][index / table_entries][index % table_entries];
            if (P::score_addends > 0 && command.score_addends != 0 && logit == Derived<P>::lowest_logit) {
                e = 0;  // the key is hidden
            }
        }
        word[c] = Int<16>(static_cast<int>(e));
        sum = sum + e;
    }
    sums.denominator = sums.denominator + (high ? UInt<32>(sum * 256) : sum);
}

/// What a row's scale is made of, but for its sums.
inline ScaleRequest exp_request(const Command& command) {
#pragma HLS INLINE
    ScaleRequest request;
    request.is_exp = true;
    request.gain = UInt<15>(command.context_multiplier);
    request.shift = command.context_shift;
    return request;
}

/// Words that LOAD writes for a row.
template <class P>
int exp_words(const Command& command) {
#pragma HLS INLINE
    return digits_of<P>(command) * command.exp_words;
}

}  // namespace hlsgen
