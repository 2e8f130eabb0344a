// SPDX-License-Identifier: Apache-2.0
// The machine: LOAD, MULTIPLY and DRAIN, job by job.
//
// One instance of `run_job` serves every command, so every layer shares the one array. The stages of a job
// run one after the other here (the RTL overlaps them); the order of the jobs is the machine's, so that
// the trace is too.
#pragma once

#include "command.hpp"
#include "constants.hpp"
#include "drain_activation.hpp"
#include "drain_add.hpp"
#include "drain_combine.hpp"
#include "drain_context.hpp"
#include "drain_requantize.hpp"
#include "drain_route.hpp"
#include "drain_scores.hpp"
#include "load_exp.hpp"
#include "load_layer_norm.hpp"
#include "load_patches.hpp"
#include "load_pool.hpp"
#include "load_rows.hpp"
#include "memory.hpp"
#include "multiply.hpp"
#include "store.hpp"
#include "streams.hpp"
#include "trace.hpp"
#include "workspace.hpp"

namespace hlsgen {

template <class P>
void load(Memory<P>& memory, const Command& command, const Job& job) {
#pragma HLS INLINE off
    if (job.kind == Kind::context) {
        load_exp<P>(memory, command, job);
    } else if (command.load == Load::layer_norm) {
        load_layer_norm<P>(memory, command, job);
    } else if (command.load == Load::patches) {
        load_patches<P>(memory, command, job);
    } else if (command.load == Load::pool) {
        load_pool<P>(memory, command, job);
    } else if (command.load == Load::pool_norm) {
        load_pool_norm<P>(memory, command, job);
    } else {
        load_rows<P>(memory, command, job);
    }
}

/// Whether the command makes keys or values.
inline bool is_stored(const Command& command) {
    return command.target == Target::keys || command.target == Target::values;
}

/// The rows that fill the last group of `row_width`: addends are skipped, outputs are zero.
template <class P>
void fill_group(Progress& progress, Beat<P>* external, Beat<P>* workspace, Output<P>& output,
                const Command& command, const Job& job) {
#pragma HLS INLINE
    for (int row = job.rows; row % P::row_width != 0; ++row) {
        if (command.stream_addend != 0) {
            progress.addends += 1;
        }
        if (command.target == Target::output) {
            const Int<16> nothing[P::columns] = {};
            write_output<P>(external, output, nothing);
        }
        if constexpr (P::workspace_units > 0) {
            if (is_stored(command)) {
                const Int<16> nothing[P::columns] = {};
                write_workspace<P>(workspace, output, nothing);
            }
        }
    }
}

template <class P>
void drain(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external,
           Beat<P>* workspace, Output<P>& output, const Command& command, const Job& job, int block,
           const Int<P::accumulator_bits> (&sums)[P::rows][P::columns]) {
#pragma HLS INLINE off
    const BlockPlace at = place(command, job, block);
    if constexpr (P::workspace_units > 0) {
        if (job.kind == Kind::plain && is_stored(command) && job.first_row == 0 && block == 0) {
            begin_workspace<P>(output, command);
        }
    }
    for (int row = 0; row < job.rows; ++row) {
#pragma HLS PIPELINE II=1
        // Each row of a block has addresses of its own, in the addition as well.
#pragma HLS DEPENDENCE variable=memory.residual type=inter direction=RAW dependent=false
        Int<16> result[P::columns];
#pragma HLS ARRAY_PARTITION variable=result complete
        int t = job.first_row + row;
        if (job.kind == Kind::scores) {
            drain_scores<P>(memory, command, job, row, block, sums[row], result);
        } else if (job.kind == Kind::context) {
            drain_context<P>(memory, job, row, sums[row], result);
        } else if (P::experts > 0 && command.drain == Drain::combine) {
            if constexpr (P::experts > 0) {
                const QueueEntry entry = memory.queues.entry[command.queue_base + t];
                drain_combine<P>(memory, command, entry, block, sums[row], result);
                t = entry.token;
            }
        } else if (command.drain == Drain::activation) {
            drain_activation<P>(memory, command, block, sums[row], result);
        } else if (command.drain == Drain::add) {
            drain_add<P>(memory, progress, image, command, t, block, sums[row], result);
        } else {
            drain_requantize<P>(memory, command, block, sums[row], result);
        }
        if (P::experts > 0 && command.target == Target::queues) {
            if constexpr (P::experts > 0) {
                drain_route<P>(memory, command, job, row, block, result);
            }
        } else if (job.kind != Kind::scores) {
            store<P>(memory, command, at, t, external, workspace, output, result);
        }
        trace_drain(job, row, block, result);
    }
    if (job.kind == Kind::plain) {
        fill_group<P>(progress, external, workspace, output, command, job);
        if constexpr (P::workspace_units > 0) {
            const bool ends = job.first_row == (command.tiles - 1) * P::rows && at.word == command.head_words - 1;
            if (is_stored(command) && ends) {
                end_head<P>(workspace, output);
            }
        }
    }
}

/// One tile against the column blocks of one sweep.
template <class P>
void run_job(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external, Beat<P>* workspace,
             Output<P>& output, const Command& command, const Job& job) {
#pragma HLS INLINE off
    if constexpr (P::workspace_units > 0) {
        if (job.opens) {
            read_operands<P>(memory, workspace, command, job);
        }
    }
    load<P>(memory, command, job);
    for (int block = 0; block < job.blocks; ++block) {
        Int<P::accumulator_bits> sums[P::rows][P::columns];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
        multiply<P>(memory, command, job, block, sums);
        drain<P>(memory, progress, image, external, workspace, output, command, job, job.first_block + block, sums);
    }
    progress.tile_slot = progress.tile_slot + 1 == P::tile_slots ? 0 : progress.tile_slot + 1;
}

/// A job on tile `tile` of the command; the rest of the job is the caller's.
template <class P>
Job tile_job(const Progress& progress, const Command& command, Kind kind, int tile) {
    Job job;
    job.kind = kind;
    job.command = progress.command;
    job.first_row = tile * P::rows;
    job.rows = tile == command.tiles - 1 ? command.tail_rows : P::rows;
    job.tile_slot = progress.tile_slot;
    return job;
}

/// Sweeps, and for each sweep all tiles: every weight is read once.
template <class P>
void run_plain(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external, Beat<P>* workspace,
               Output<P>& output, const Command& command) {
#pragma HLS INLINE
    read_constants<P>(memory, progress, image, command.groups * command.blocks + command.extra);
    int first_block = 0;
    for (int group = 0; group < command.groups; ++group) {
        const int blocks = group < command.extra ? command.blocks + 1 : command.blocks;
        const int words = blocks * command.k_steps;
        read_weights<P>(memory, progress, image, progress.ring, words);
        for (int tile = 0; tile < command.tiles; ++tile) {
            Job job = tile_job<P>(progress, command, Kind::plain, tile);
            job.ring = progress.ring;
            job.first_block = first_block;
            job.blocks = blocks;
            job.steps = command.k_steps;
            run_job<P>(memory, progress, image, external, workspace, output, command, job);
        }
        progress.ring += words;
        progress.ring = progress.ring >= P::ring_words ? progress.ring - P::ring_words : progress.ring;
        first_block += blocks;
    }
}

/// Job S or C of attention tile `index`, heads outer.
template <class P>
Job attention_job(const Progress& progress, const Command& command, Kind kind, int index) {
    Job job = tile_job<P>(progress, command, kind, index % command.tiles);
    job.head = index / command.tiles;
    job.place = job.head;
    if (P::workspace_units > 0) {
        const int tile = index % command.tiles;
        job.place = (job.head * command.passes + tile / command.span) % 2;
        job.opens = tile % command.span == 0;
    }
    job.score_slot = index % 2;
    job.blocks = kind == Kind::scores ? command.blocks : command.head_words;
    job.steps = kind == Kind::scores ? command.k_steps : command.exp_steps;
    return job;
}

/// S(0), then S(j+1) and C(j) for each j: the scores of the next tile before the context of this one.
template <class P>
void run_attention(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external,
                   Beat<P>* workspace, Output<P>& output, const Command& command) {
#pragma HLS INLINE
    const int count = command.heads * command.tiles;
    for (int j = 0; j <= count; ++j) {
        for (int half = 0; half < 2; ++half) {
            const bool scores = half == 0;
            if (scores ? j < count : j > 0) {
                const Job job = attention_job<P>(progress, command, scores ? Kind::scores : Kind::context,
                                                 scores ? j : j - 1);
                run_job<P>(memory, progress, image, external, workspace, output, command, job);
            }
        }
    }
}

/// Executes one command of every task.
template <class P>
void run(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external, Beat<P>* workspace,
         Output<P>& output, const Command& command) {
#pragma HLS INLINE off
#pragma HLS ALLOCATION function instances=run_job<P> limit=1
    if (command.product == Product::attention) {
        run_attention<P>(memory, progress, image, external, workspace, output, command);
    } else {
        run_plain<P>(memory, progress, image, external, workspace, output, command);
    }
    progress.command += 1;
}

/// A command on the rows of its expert's queue.
template <class P>
Command with_rows(const Command& command, int count) {
    Command result = command;
    result.tiles = (count + P::rows - 1) / P::rows;
    result.tail_rows = count - (result.tiles - 1) * P::rows;
    return result;
}

/// Executes a command unless another task's, or its expert has no tokens; its sections begin where they are.
template <class P>
void run_if(Memory<P>& memory, Progress& progress, const Beat<P>* image, Beat<P>* external, Beat<P>* workspace,
            Output<P>& output, const Command& command, int task, bool last) {
#pragma HLS INLINE off
    constexpr int unit = 64;
    progress.weights = progress.weights_unit * unit / (P::columns * P::depth);
    progress.constants = progress.constants_unit * unit / constant_bytes<P>;
    progress.weights_unit += command.weight_units;
    progress.constants_unit += command.constant_units;
    const bool mine = command.tasks == 0 || (command.tasks >> task & 1) != 0;
    if (progress.last || !mine || (command.expert > 0 && memory.queues.count[command.expert - 1] == 0)) {
        progress.command += 1;
        return;
    }
    if (command.expert > 0) {
        run<P>(memory, progress, image, external, workspace, output,
               with_rows<P>(command, memory.queues.count[command.expert - 1]));
    } else {
        run<P>(memory, progress, image, external, workspace, output, command);
    }
    progress.last = last;
}

}  // namespace hlsgen
