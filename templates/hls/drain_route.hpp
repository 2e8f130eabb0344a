// SPDX-License-Identifier: Apache-2.0
// DRAIN to the queues: each token goes to its best experts, with its gates.
#pragma once

#include "command.hpp"
#include "memory.hpp"

namespace hlsgen {

/// How gate weights are made of router logits: the `gate_mode` of a command.
constexpr int gate_all = 0;
constexpr int gate_chosen = 1;
constexpr int gate_sigmoid = 2;

/// The k best experts of a token, best first; of equals the lower index first.
template <class P>
void choose_experts(const Int<P::logit_bits> (&logits)[Queues<P>::words * P::columns], int experts, int choices,
                    int (&chosen)[Queues<P>::choices]) {
    bool taken[Queues<P>::experts] = {};
    for (int j = 0; j < choices; ++j) {
        int best = -1;
        for (int e = 0; e < experts; ++e) {
#pragma HLS PIPELINE II=1
            if (!taken[e] && (best < 0 || logits[e] > logits[best])) {
                best = e;
            }
        }
        taken[best] = true;
        chosen[j] = best;
    }
}

/// What the gates of a token are divided by: the sum over all experts, or over the chosen ones.
template <class P>
UInt<32> gate_sum(const Memory<P>& memory, const Command& command,
                  const Int<P::logit_bits> (&logits)[Queues<P>::words * P::columns],
                  const int (&chosen)[Queues<P>::choices]) {
    UInt<32> sum = 0;
    const int count = command.gate_mode == gate_all ? command.experts : command.choices;
    for (int i = 0; i < count; ++i) {
#pragma HLS PIPELINE II=1
        const int expert = command.gate_mode == gate_all ? i : chosen[i];
        const int index = logits[chosen[0]] - logits[expert];
        sum = sum + memory.queues.table[index];
    }
    return sum;
}

/// Appends a token to the queues of its experts.
template <class P>
void append_token(Memory<P>& memory, const Command& command, int token,
                  const Int<P::logit_bits> (&logits)[Queues<P>::words * P::columns]) {
    int chosen[Queues<P>::choices] = {};
    choose_experts<P>(logits, command.experts, command.choices, chosen);
    const UInt<32> sum = gate_sum<P>(memory, command, logits, chosen);
    int lowest = chosen[0];
    for (int j = 1; j < command.choices; ++j) {
        lowest = chosen[j] < lowest ? chosen[j] : lowest;
    }
    for (int j = 0; j < command.choices; ++j) {
        const int expert = chosen[j];
        QueueEntry entry;
        entry.token = token;
        entry.first = expert == lowest;
        if (command.gate_mode == gate_sigmoid) {
            const int index = logits[expert] - Derived<P>::lowest_logit;
            entry.gate = memory.queues.table[index];
        } else {
            const int index = logits[chosen[0]] - logits[expert];
            entry.gate = gate(memory.queues.table[index], sum);
        }
        memory.queues.entry[expert * P::queue_tokens + memory.queues.count[expert]] = entry;
        memory.queues.count[expert] += 1;
        memory.queues.tokens[expert] += 1;
    }
}

/// Keeps a block's logits of row `row`; with the last block of the last sweep the token goes to its queues.
template <class P>
void drain_route(Memory<P>& memory, const Command& command, const Job& job, int row, int block,
                 const Int<16> (&result)[P::columns]) {
#pragma HLS INLINE off
    const int token = job.first_row + row;
    const int kept = Queues<P>::rows > 1 ? token : 0;
    if (token == 0 && block == 0) {
        for (int e = 0; e < Queues<P>::experts; ++e) {
            memory.queues.count[e] = 0;
        }
    }
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        memory.queues.logits[kept][block * P::columns + c] = result[c];
    }
    if ((block + 1) * P::columns >= command.experts) {
        append_token<P>(memory, command, token, memory.queues.logits[kept]);
    }
}

}  // namespace hlsgen
