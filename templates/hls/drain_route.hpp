// SPDX-License-Identifier: Apache-2.0
// ROUTE: from router logits to the expert queues. Each token goes to its best experts, with its gates.
#pragma once

#include "stream.hpp"
#include "memory.hpp"

namespace hlsgen {

/// How gate weights are made of router logits: the `gate_mode` of a command.
constexpr int gate_all = 0;
constexpr int gate_chosen = 1;
constexpr int gate_sigmoid = 2;

/// The gate of expert `j` of the chosen ones, from its logit, the largest one and the sum of the table's values.
template <class P>
UInt<15> drain_route(const Command& command, const UInt<15> (&table)[Derived<P>::exp_entries], int logit, int most,
                     UInt<32> sum) {
#pragma HLS INLINE
    const bool sigmoid = command.gate_mode == gate_sigmoid;
    const UInt<15> value = table[sigmoid ? logit - Derived<P>::lowest_logit : most - logit];
    return sigmoid ? value : gate(value, sum);
}

template <class P>
struct Route {
    static constexpr int experts = Derived<P>::experts;
    static constexpr int words = (experts + P::columns - 1) / P::columns;
    /// Rows of logits at a time: a router of several blocks may have several sweeps, with all tiles between them.
    static constexpr int kept = words > 1 ? P::queue_tokens : 1;

    bool done = false;
    std::uint32_t tokens[experts];  // of each expert since the image began, over all layers

    Route() {
#pragma HLS ARRAY_PARTITION variable=tokens complete
#pragma HLS ARRAY_PARTITION variable=count complete
#pragma HLS ARRAY_PARTITION variable=taken complete
        for (int e = 0; e < experts; ++e) {
            tokens[e] = 0;
        }
    }

    void tick(Stream<Logits<P>>& in, Stream<QueueEntry>& to_load, Stream<QueueEntry>& to_drain,
              Stream<Counts<P>>& to_sequence, Stream<Counts<P>>& to_fetch, Stream<Token>& taken) {
#pragma HLS INLINE
        if (phase == Phase::take) {
            take(in, taken);
        } else if (phase == Phase::choose) {
            choose();
        } else if (phase == Phase::sum) {
            add();
        } else if (phase == Phase::give) {
            give(to_load, to_drain);
        } else {
            Counts<P> counts;
            counts.entries = entries;
            for (int e = 0; e < experts; ++e) {
#pragma HLS UNROLL
                counts.count[e] = count[e];
            }
            to_sequence.write(counts);
            to_fetch.write(counts);
            phase = Phase::take;
        }
    }

private:
    enum class Phase : std::uint8_t { take, choose, sum, give, count };
    Phase phase = Phase::take;
    UInt<15> table[Derived<P>::exp_entries];
    Int<16> logits[kept][words * P::columns];
    int count[experts];
    int entries = 0;
    Logits<P> last;  // the token's last word of logits
    int row = 0;     // of `logits`
    bool taken[experts];
    int chosen[Derived<P>::choices];
    Int<16> chosen_logit[Derived<P>::choices];
    int j = 0, e = 0;
    int best = -1, lowest = 0;
    Int<16> best_logit = 0;
    UInt<32> sum = 0;

    void take(Stream<Logits<P>>& in, Stream<Token>& taken_out) {
#pragma HLS INLINE
        if (in.empty()) {
            return;
        }
        last = in.read();
        done = last.ends;
        if (last.ends) {
            return;
        }
        taken_out.write(Token());
        if (last.table) {
            table[last.index] = UInt<15>(last.value);
            return;
        }
        if (last.token == 0 && last.block == 0) {
            entries = 0;
            for (int i = 0; i < experts; ++i) {
#pragma HLS UNROLL
                count[i] = 0;
            }
        }
        row = kept > 1 ? last.token : 0;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            logits[row][last.block * P::columns + c] = last.data[c];
        }
        if ((last.block + 1) * P::columns >= last.work.command.experts) {
            for (int i = 0; i < experts; ++i) {
#pragma HLS UNROLL
                taken[i] = false;
            }
            j = e = 0;
            best = -1;
            phase = Phase::choose;
        }
    }

    /// The best experts, the best first; of equals the lower index first. An expert an iteration.
    void choose() {
#pragma HLS INLINE
        const Command& command = last.work.command;
        const Int<16> logit = logits[row][e];
        if (!taken[e] && (best < 0 || logit > best_logit)) {
            best = e;
            best_logit = logit;
        }
        e += 1;
        if (e == command.experts) {
            taken[best] = true;
            chosen[j] = best;
            chosen_logit[j] = best_logit;
            lowest = j == 0 || best < lowest ? best : lowest;
            best = -1;
            e = 0;
            j += 1;
            if (j == command.choices) {
                j = 0;
                sum = 0;
                phase = command.gate_mode == gate_sigmoid ? Phase::give : Phase::sum;
            }
        }
    }

    /// What the gates of a token are divided by: the sum over all experts, or over the chosen ones.
    void add() {
#pragma HLS INLINE
        const Command& command = last.work.command;
        const bool all = command.gate_mode == gate_all;
        const Int<16> logit = all ? logits[row][e] : chosen_logit[e];
        sum = sum + table[static_cast<int>(chosen_logit[0] - logit)];
        e += 1;
        if (e == (all ? command.experts : command.choices)) {
            e = 0;
            phase = Phase::give;
        }
    }

    void give(Stream<QueueEntry>& to_load, Stream<QueueEntry>& to_drain) {
#pragma HLS INLINE
        const Command& command = last.work.command;
        const int expert = chosen[j];
        QueueEntry entry;
        entry.place = expert * P::queue_tokens + count[expert];
        entry.token = last.token;
        entry.first = expert == lowest;
        entry.gate = drain_route<P>(command, table, static_cast<int>(chosen_logit[j]),
                                    static_cast<int>(chosen_logit[0]), sum);
        to_load.write(entry);
        to_drain.write(entry);
        count[expert] += 1;
        tokens[expert] += 1;
        entries += 1;
        j += 1;
        if (j == command.choices) {
            const Job& job = last.work.job;
            const bool last_token = job.command_ends && last.token + 1 == job.first_row + job.rows;
            phase = last_token ? Phase::count : Phase::take;
        }
    }
};

}  // namespace hlsgen
