// SPDX-License-Identifier: Apache-2.0
// DRAIN: what becomes of a row of accumulators, one row in an iteration, and where it goes.
//
// It tells LOAD of every row, so that LOAD knows what has been written, and which addends are used up.
#pragma once

#include "drain_activation.hpp"
#include "drain_add.hpp"
#include "drain_combine.hpp"
#include "drain_context.hpp"
#include "drain_requantize.hpp"
#include "drain_route.hpp"
#include "drain_scores.hpp"
#include "held_constants.hpp"
#include "schedule.hpp"
#include "sequence.hpp"
#include "store.hpp"
#include "streams.hpp"
#include "trace.hpp"

namespace hlsgen {

template <class P>
struct DrainStage {
    bool done = false;

    DrainStage() {
#pragma HLS ARRAY_PARTITION variable=result complete
#pragma HLS ARRAY_RESHAPE variable=kept complete dim=2
    }

    /// More: router logits on their way, and queue entries, in machines with experts.
    template <class... More>
    void tick(Stream<Work>& works, Stream<SumsRow<P>>& rows, Stream<ConstantWord<P>>& words,
              Stream<RowScale>& scales, Stream<Word<P>>& addends, Stream<Bytes<2 * P::columns>>& image_addends,
              Stream<Store<P>>& stores, Stream<Token>& taken, Stream<Operand<P>>& operands, Stream<Word<P>>& outputs,
              More&... more) {
#pragma HLS INLINE
#pragma HLS DEPENDENCE variable=held.constants type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=held.activation type=inter direction=RAW distance=4 true
        held.tick(words, commands, more...);
        if (!active && !works.empty()) {
            work = works.read();
            begin(stores, operands, outputs, more...);
        }
        if (active && ready(rows, scales, addends, image_addends)) {
            if (row < work.job.rows) {
                taken.write(Token());
            }
            drain_row(rows, scales, addends, image_addends, stores, operands, outputs, more...);
        }
    }

private:
    DrainConstants<P> held;
    RowScale scale[P::rows];
    Int<16> maximum[P::rows];
    int constants_sweep = 0, constants_read = 0;  // of the sweep's first block, of this one
    int commands = 0;                             // that have drained

    Work work;
    bool active = false;
    int total = 0;  // rows of a block, those that fill a group included
    int block = 0, row = 0;
    HeadWord sweep_place, at;
    WindowRow tile_row, window_row;  // the tile's first row, and the next one
    Int<16> result[P::columns];
    Int<16> kept[Derived<P>::addend_rows][P::columns];  // addends of a command's first head
    int kept_at = 0;

    template <class... More>
    void begin(Stream<Store<P>>& stores, Stream<Operand<P>>& operands, Stream<Word<P>>& outputs, More&... more) {
#pragma HLS INLINE
        const Job& job = work.job;
        active = job.kind != Kind::skipped && job.kind != Kind::end;
        if (!active) {
            Store<P> mark;
            mark.command_ends = job.kind == Kind::skipped;
            mark.command = job.command;
            mark.ends = job.kind == Kind::end;
            stores.write(mark);
            commands = mark.command_ends ? job.command + 1 : commands;
            if (mark.ends) {
                end(operands, outputs, more...);
            }
            return;
        }
        const Command& command = work.command;
        const bool fills = job.kind == Kind::plain
                               ? command.stream_addend != 0 || command.target == Target::output ||
                                     (P::workspace_units > 0 && is_stored(command))
                               : job.kind == Kind::scores && adds_to_scores<P>(command);
        total = fills ? (job.rows + P::row_width - 1) / P::row_width * P::row_width : job.rows;
        block = row = 0;
        if (job.tile == 0 && job.first_block == 0) {
            sweep_place = HeadWord();
        }
        if (job.tile == 0) {
            tile_row = WindowRow();
        }
        window_row = tile_row;
        kept_at = job.kind == Kind::scores && job.tile == 0 ? 0 : kept_at;
        at = sweep_place;
        constants_read = constants_sweep;
    }

    template <class... More>
    void end(Stream<Operand<P>>& operands, Stream<Word<P>>& outputs, More&... more) {
#pragma HLS INLINE
        done = true;
        Operand<P> operand;
        operand.ends = true;
        operand.written = false;
        operands.write(operand);
        Word<P> output;
        output.ends = true;
        outputs.write(output);
        (end_logits(more), ...);
    }
    void end_logits(Stream<Logits<P>>& logits) {
#pragma HLS INLINE
        Logits<P> out;
        out.ends = true;
        logits.write(out);
    }
    template <class T>
    void end_logits(Stream<T>&) {
#pragma HLS INLINE
    }

    /// Whether all that the row needs is there.
    bool ready(Stream<SumsRow<P>>& rows, Stream<RowScale>& scales, Stream<Word<P>>& addends,
               Stream<Bytes<2 * P::columns>>& image_addends) {
#pragma HLS INLINE
        const Command& command = work.command;
        const bool fills = row >= work.job.rows;  // the group: the row has neither sums nor an addend
        const bool sums = fills || !rows.empty();
        bool more = true;
        if (work.job.kind == Kind::scores) {
            more = !takes_addends<P>(command, work.job.head) || !image_addends.empty();
        } else if (work.job.kind == Kind::context) {
            more = block > 0 || !scales.empty();
        } else if (work.job.kind == Kind::plain) {
            more = held.written.seen().blocks - held.freed > block && held.written.seen().routed >= work.job.routed;
            if (adds_residual(command)) {
                more = more && (fills || !addends.empty());
            } else if (command.drain == Drain::add) {
                more = more && !image_addends.empty();
            }
            more = more && (P::experts == 0 || command.target != Target::queues ||
                            (!held.gate_sent && !held.gate_waits && held.logits_free > 0));
        }
        return sums && more;
    }

    template <class... More>
    void drain_row(Stream<SumsRow<P>>& rows, Stream<RowScale>& scales, Stream<Word<P>>& addends,
                   Stream<Bytes<2 * P::columns>>& image_addends, Stream<Store<P>>& stores,
                   Stream<Operand<P>>& operands, Stream<Word<P>>& outputs, More&... more) {
#pragma HLS INLINE
        const Job& job = work.job;
        const bool real = row < job.rows;
        int t = job.first_row + row;
        Store<P> note;
        SumsRow<P> sums;
        if (real) {
            sums = rows.read();
        }
        if (job.kind == Kind::scores) {
            score(sums, image_addends, real, note);
        } else if (job.kind == Kind::context) {
            if (block == 0) {
                scale[row] = scales.read();
            }
            drain_context<P>(scale[row], sums.data, result);
        } else {
            plain(sums, addends, image_addends, real, t, note);
        }
        if (!real) {
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                result[c] = 0;
            }
        }
        const int number = job.first_block + block;
        if (real) {
            trace_drain(job, row, number, result);
        }
        if (job.kind != Kind::scores) {
            leave(real, t, number, note, operands, outputs, more...);
        }
        finish_row(note, stores);
    }

    void score(const SumsRow<P>& sums, Stream<Bytes<2 * P::columns>>& image_addends, bool real, Store<P>& note) {
#pragma HLS INLINE
        Int<16> most, addend[P::columns];
#pragma HLS ARRAY_PARTITION variable=addend complete
        if (takes_addends<P>(work.command, work.job.head)) {
            take(image_addends, addend);
        }
        keep(addend);
        if (!real) {
            return;
        }
        drain_scores<P>(work.command, block, sums.data, addend, result, most);
        if (block > 0 && maximum[row] > most) {
            most = maximum[row];
        }
        maximum[row] = most;
        note.where = Where::scores;
        note.row = score_row<P>(work.job, row);
        note.address = note.row * P::score_words + block;
        note.maximum = most;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            note.data[c] = result[c];
        }
    }

    /// What the first head took stays; for the heads behind it `addend` becomes that.
    void keep(Int<16> (&addend)[P::columns]) {
#pragma HLS INLINE
        if constexpr (P::addend_words > 0) {
            if (work.command.kept_addends == 0) {
                return;
            }
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                if (work.job.head == 0) {
                    kept[kept_at][c] = addend[c];
                } else {
                    addend[c] = kept[kept_at][c];
                }
            }
            kept_at += 1;
        }
    }

    static void take(Stream<Bytes<2 * P::columns>>& image_addends, Int<16> (&addend)[P::columns]) {
#pragma HLS INLINE
        const Bytes<2 * P::columns> in = image_addends.read();
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            addend[c] = as_signed<16>(join(in.bytes[2 * c], in.bytes[2 * c + 1]));
        }
    }

    void plain(const SumsRow<P>& sums, Stream<Word<P>>& addends, Stream<Bytes<2 * P::columns>>& image_addends,
               bool real, int& t, Store<P>& note) {
#pragma HLS INLINE
        const Command& command = work.command;
        Int<16> addend[P::columns];
#pragma HLS ARRAY_PARTITION variable=addend complete
        if (command.drain == Drain::add && streams_addend(command)) {
            take(image_addends, addend);
        } else if (adds_residual(command) && real) {
            const Word<P> in = addends.read();
            note.addend = true;
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                addend[c] = in.data[c];
            }
        }
        if (!real) {
            return;
        }
        drain_requantize<P>(command, held.constants[constants_read], sums.data, result);
        if (command.drain == Drain::activation) {
            drain_activation<P>(command, held.activation, result);
        } else if (command.drain == Drain::add) {
            drain_add<P>(addend, result);
        } else if (P::experts > 0 && command.drain == Drain::combine) {
            const int entry = combine_entry(command, t);
            drain_combine<P>(command, held.weight[entry], addend, result);
            t = held.token[entry];
        }
    }

    /// The result goes to its target.
    template <class... More>
    void leave(bool real, int t, int number, Store<P>& note, Stream<Operand<P>>& operands, Stream<Word<P>>& outputs,
               More&... more) {
#pragma HLS INLINE
        const Command& command = work.command;
        if (command.target == Target::output) {
            Word<P> out;
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                out.data[c] = result[c];
            }
            outputs.write(out);
        } else if (is_stored(command)) {
            operands.write(operand(real, t, number));
        } else if (command.target == Target::queues) {
            (route(number, more), ...);
        } else if (real) {
            store<P>(command, work.job, t, number, note);
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                note.data[c] = result[c];
            }
        }
    }

    Operand<P> operand(bool real, int t, int number) const {
#pragma HLS INLINE
        const Job& job = work.job;
        const bool last_row = row + 1 == total, last_tile = job.tile + 1 == work.command.tiles;
        Operand<P> out;
        out.keys = work.command.target == Target::keys;
        if constexpr (P::windows > 0) {
            if (work.command.window_rows != 0) {
                window_place<P>(work.command, at.head, at.word, window_row, out);
            } else {
                operand_place<P>(work.command, at.head, at.word, t, out);
            }
        } else {
            operand_place<P>(work.command, at.head, at.word, t, out);
        }
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = Int<8>(result[c]);
        }
        out.written = real;
        out.begins = number == 0 && t == 0;
        out.head_ends = last_row && last_tile && at.word + 1 == work.command.head_words;
        out.done = last_row && job.command_ends && block + 1 == job.blocks;
        out.command = job.command;
        return out;
    }

    void route(int number, Stream<Logits<P>>& logits) {
#pragma HLS INLINE
        Logits<P> out;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = result[c];
        }
        out.work = work;
        out.token = work.job.first_row + row;
        out.block = number;
        logits.write(out);
        held.logits_free -= 1;
    }
    template <class T>
    void route(int, Stream<T>&) {
#pragma HLS INLINE
    }

    /// LOAD is told, and the next row comes.
    void finish_row(Store<P>& note, Stream<Store<P>>& stores) {
#pragma HLS INLINE
        const Job& job = work.job;
        const bool block_ends = row + 1 == total, job_ends = block_ends && block + 1 == job.blocks;
        note.final = job_ends && job.final;
        note.scored = job_ends && job.kind == Kind::scores;
        note.command_ends = job_ends && job.command_ends;
        note.command = job.command;
        stores.write(note);
        commands = note.command_ends ? job.command + 1 : commands;
        row = block_ends ? 0 : row + 1;
        if constexpr (P::windows > 0) {
            window_row.advance(work.command, work.command.target == Target::keys ? P::columns : P::depth);
            tile_row = job_ends ? window_row : tile_row;
        }
        if (!block_ends) {
            return;
        }
        window_row = tile_row;
        block += 1;
        at.advance(work.command);
        constants_read = constants_read + 1 == P::constant_words ? 0 : constants_read + 1;
        if (job_ends) {
            active = false;
            if (job.kind == Kind::plain && job.sweep_ends) {
                sweep_place = at;
                constants_sweep = constants_read;
                held.freed += job.blocks;
            }
        }
    }
};

}  // namespace hlsgen
