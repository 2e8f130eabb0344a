// SPDX-License-Identifier: Apache-2.0
// What DRAIN holds: constants of blocks in use, tables of the activation, queue entries of the experts.
#pragma once

#include "drain_route.hpp"
#include "schedule.hpp"
#include "sequence.hpp"
#include "streams.hpp"

namespace hlsgen {

/// Entries of the gate table pass through to ROUTE, in the order of the constant stream.
template <class P>
struct DrainConstants {
    struct Filled {
        int blocks = 0;  // of constants, in all
        int routed = 0;  // queue entries, in all
    };

    Settled<Filled> written;
    Constant constants[P::constant_words][P::columns];
    /// A copy for each lane: bank, index.
    Int<8> activation[P::columns][2 * Derived<P>::index_entries / table_entries][table_entries];
    int token[Derived<P>::queue_entries];
    UInt<15> weight[Derived<P>::queue_entries];
    int freed = 0;  // blocks of constants
    int logits_free = depth_logits;
    bool gate_waits = false;  // an entry of the gate table is on its way to ROUTE
    bool gate_sent = false;

    DrainConstants() {
#pragma HLS ARRAY_RESHAPE variable=constants complete dim=2
#pragma HLS ARRAY_PARTITION variable=activation complete dim=1
#pragma HLS ARRAY_RESHAPE variable=activation complete dim=3
    }

    /// commands: those that have drained; a table's entry may wait for one.
    template <class... More>
    void tick(Stream<ConstantWord<P>>& words, int commands, More&... more) {
#pragma HLS INLINE
        written.shift();
        take_constants(words, commands);
        (take_entry(more), ...);
    }

private:
    ConstantWord<P> word;
    bool held = false;
    int write = 0;
    int gate_index = 0;
    UInt<16> gate_value = 0;

    void take_constants(Stream<ConstantWord<P>>& words, int commands) {
#pragma HLS INLINE
        if (!held && !words.empty()) {
            word = words.read();
            held = true;
        }
        if (!held) {
            return;
        }
        if (word.kind == Entry::constants) {
            if (written.now.blocks - freed < P::constant_words) {
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    constants[write][c] = word.constants[c];
                }
                write = write + 1 == P::constant_words ? 0 : write + 1;
                written.now.blocks += 1;
                held = false;
            }
        } else if (table_free(word.after, commands)) {
            if (word.kind == Entry::activation) {
                const int at = word.bank * (Derived<P>::index_entries / table_entries) + word.index;
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    for (int i = 0; i < table_entries; ++i) {
#pragma HLS UNROLL
                        activation[c][at][i] = as_signed<8>(word.bytes[i]);
                    }
                }
                held = false;
            } else if (!gate_waits) {
                gate_waits = true;
                held = false;
                gate_index = word.index;
                gate_value = join(word.bytes[0], word.bytes[1]);
            }
        }
    }

    void take_entry(Stream<QueueEntry>& entries) {
#pragma HLS INLINE
        if (!entries.empty()) {
            const QueueEntry entry = entries.read();
            token[entry.place] = entry.token;
            weight[entry.place] = entry.gate;
            written.now.routed += 1;
        }
    }
    /// Logits leave after the entries of the gate table that came before.
    void take_entry(Stream<Logits<P>>& logits) {
#pragma HLS INLINE
        if (gate_waits && logits_free > 0) {
            gate_waits = false;
            logits_free -= 1;
            Logits<P> out;
            out.table = true;
            out.index = gate_index;
            out.value = gate_value;
            logits.write(out);
            gate_sent = true;
        } else {
            gate_sent = false;
        }
    }
    void take_entry(Stream<Token>& taken) {
#pragma HLS INLINE
        if (!taken.empty()) {
            taken.read();
            logits_free += 1;
        }
    }
};

}  // namespace hlsgen
