// SPDX-License-Identifier: Apache-2.0
// LOAD: owns the row memories. It writes what DRAIN sends, reads operand rows, and reads addends for DRAIN.
//
// An iteration does one of each at most: a write, a word of operands, a word of addends. A read of what DRAIN
// writes waits for the counts of what has been written; DRAIN's words come in order, so a count says that all
// before it is there. LOAD never waits for a full FIFO of addends: `depth_addends` bounds what is under way.
#pragma once

#include "drain_add.hpp"
#include "drain_combine.hpp"
#include "load_exp.hpp"
#include "load_layer_norm.hpp"
#include "load_patches.hpp"
#include "load_pool.hpp"
#include "load_rows.hpp"
#include "schedule.hpp"
#include "sequence.hpp"
#include "streams.hpp"

namespace hlsgen {

template <class P>
struct LoadStage {
    bool done = false;
    int input_words = 0;

    LoadStage() {
#pragma HLS ARRAY_PARTITION variable=pools complete
    }

    /// More: queue entries, in machines with experts.
    template <class... More>
    void tick(Stream<Work>& works, Stream<Work>& adds, Stream<Store<P>>& stores, Stream<Token>& slots,
              Stream<Bytes<P::columns>>& pixels, Stream<TableWord>& tables, Stream<Raw<P>>& raws,
              Stream<ScaleRequest>& scales, Stream<Word<P>>& addends, More&... more) {
#pragma HLS INLINE
#pragma HLS DEPENDENCE variable=memory.residual type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.features type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.image type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.scores type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.maximum type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.exponential type=inter direction=RAW distance=4 true
        written.shift();
        if (!slots.empty()) {
            slots.read();
            free_slots += 1;
        }
        take_store(stores);
        take_pixels(pixels);
        take_table(tables);
        (take_entry(more), ...);
        give_addend(adds, addends);
        if (!active && !held && !works.empty()) {
            work = works.read();
            held = true;
        }
        if (held) {
            begin(raws, scales);
        }
        if (active) {
            give_word(raws, scales);
        }
    }

private:
    LoadMemory<P> memory;
    Settled<Written> written;
    int addends_taken = 0;
    bool drained = false;  // DRAIN has sent its last word
    int free_slots = P::tile_slots;

    Work work;
    bool held = false;    // `work` waits until it may begin
    bool active = false;  // its tile is being read
    Cursor at;
    int slot = 0;
    RowSums sums;
    Int<32> pools[P::columns];
    PatchPlace patch;
    RunPlace runs;
    bool piece_begins = true;
    Int<16> word[P::columns];

    Work add;
    bool adding = false, adds_end = false;
    int add_block = 0, add_row = 0, addends_given = 0;

    void take_store(Stream<Store<P>>& stores) {
#pragma HLS INLINE
        if (stores.empty()) {
            return;
        }
        const Store<P> store = stores.read();
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            if (store.where == Where::features) {
                memory.features[store.address][c] = Int<8>(store.data[c]);
            } else if (store.where == Where::residual) {
                memory.residual[store.address][c] = store.data[c];
            } else if (store.where == Where::scores) {
                memory.scores[store.address][c] = Int<P::logit_bits>(store.data[c]);
            }
        }
        if (store.where == Where::scores) {
            memory.maximum[store.row] = store.maximum;
        }
        addends_taken += store.addend ? 1 : 0;
        written.now.tiles += store.final ? 1 : 0;
        written.now.scores += store.scored ? 1 : 0;
        if (store.command_ends) {
            written.now.commands = store.command + 1;
            written.now.tiles = 0;
        }
        drained = drained || store.ends;
    }

    void take_pixels(Stream<Bytes<P::columns>>& pixels) {
#pragma HLS INLINE
        if (!pixels.empty()) {
            const Bytes<P::columns> in = pixels.read();
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                memory.image[written.now.pixels][c] = as_signed<8>(in.bytes[c]);
            }
            written.now.pixels += 1;
        }
    }

    TableWord table;
    bool table_held = false;

    void take_table(Stream<TableWord>& tables) {
#pragma HLS INLINE
        if (!table_held && !tables.empty()) {
            table = tables.read();
            table_held = true;
        }
        if (table_held && table.kind == Entry::end) {
            written.now.weighted += 1;
            table_held = false;
        } else if (table_held && table.kind == Entry::list) {
            for (int run = 0; run < 2; ++run) {
#pragma HLS UNROLL
                const int at = 4 * run;
                memory.lists[table.index][run] =
                    join(table.bytes[at], table.bytes[at + 1], table.bytes[at + 2], table.bytes[at + 3]);
            }
            table_held = false;
        } else if (P::norm_shift_words > 0 && table_held && table.kind == Entry::shifts) {
            take_shifts<P>(memory, table.index, table.bytes);
            table_held = false;
        } else if (table_held && table_free(table.after, written.now.commands)) {
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                for (int i = 0; i < table_entries; ++i) {
#pragma HLS UNROLL
                    const int word = table.bank * (Derived<P>::exp_bytes / table_entries) + table.index;
                    memory.exponential[c][word][i] = table.bytes[i];
                }
            }
            table_held = false;
        }
    }

    void take_entry(Stream<QueueEntry>& entries) {
#pragma HLS INLINE
        if (!entries.empty()) {
            const QueueEntry entry = entries.read();
            memory.token[entry.place] = entry.token;
            memory.first[entry.place] = entry.first;
            written.now.routed += 1;
        }
    }

    /// Addends in DRAIN's order, of a command whose predecessors have drained.
    void give_addend(Stream<Work>& adds, Stream<Word<P>>& addends) {
#pragma HLS INLINE
        if (!adding && !adds.empty()) {
            add = adds.read();
            adds_end = add.job.kind == Kind::end;
            adding = !adds_end;
            add_block = add_row = 0;
        }
        const Written& seen = written.seen();
        if (!adding || seen.commands < add.job.command || seen.routed < add.job.routed ||
            addends_given - addends_taken >= depth_addends) {
            return;
        }
        const int t = add.job.first_row + add_row, block = add.job.first_block + add_block;
        int address = addend_address<P>(add.command, add.job, t, block);
        if constexpr (P::experts > 0) {
            if (add.command.drain == Drain::combine) {
                const int entry = combine_entry(add.command, t);
                address = combine_address(add.command, memory.token[entry], memory.first[entry], block);
            }
        }
        Word<P> out;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = memory.residual[address][c];
        }
        addends.write(out);
        addends_given += 1;
        add_row += 1;
        if (add_row == add.job.rows) {
            add_row = 0;
            add_block += 1;
            adding = add_block != add.job.blocks;
        }
    }

    /// Begins the job that is held, or ends, when what it waits for is there.
    void begin(Stream<Raw<P>>& raws, Stream<ScaleRequest>& scales) {
#pragma HLS INLINE
        const Written& seen = written.seen();
        if (work.job.kind == Kind::end) {
            done = drained && adds_end && free_slots == P::tile_slots && written.now.pixels == input_words &&
                   written.now.weighted == work.job.weighted && written.now.routed == work.job.routed;
            if (done) {
                Raw<P> last;
                last.ends = true;
                raws.write(last);
                ScaleRequest none;
                none.ends = true;
                scales.write(none);
            }
            return;
        }
        const Command& command = work.command;
        const bool whole = seen.commands > command.depends_on;
        const bool tile = seen.commands == command.depends_on && seen.tiles > work.job.tile;
        const bool there =
            work.job.kind == Kind::context
                ? seen.scores >= work.job.scores && seen.weighted >= work.job.weighted
                : command.depends == Depends::none || whole || (command.depends == Depends::tile && tile);
        // A list, or norm shifts, come before the constants of the commands before this one have come.
        const int listed = is_listed<P>(command, work.job) || has_shifts<P>(command)
                               ? work.job.weighted - (takes_constants(command) ? 1 : 0)
                               : 0;
        if (there && seen.weighted >= listed && free_slots > 0 && seen.routed >= work.job.routed) {
            held = false;
            active = true;
            free_slots -= 1;
            at = first_place<P>(command, work.job);
            sums = RowSums();
            piece_begins = true;
            if (work.job.tile == 0) {
                first_patch(command, patch);
                if (is_listed<P>(command, work.job)) {
                    runs.start(command);
                }
            }
        }
    }

    /// One read of the tile, and with the last one of a word the word.
    void give_word(Stream<Raw<P>>& raws, Stream<ScaleRequest>& scales) {
#pragma HLS INLINE
        const Command& command = work.command;
        const bool context = work.job.kind == Kind::context;
        const bool patches = command.load == Load::patches;
        const bool pool_norm = command.load == Load::pool_norm;
        const bool pools_rows = command.load == Load::pool || pool_norm;
        const bool norm = command.load == Load::layer_norm || pool_norm;
        int parts = 1, pixels = P::columns;
        if (patches) {
            const int needed = patch_pixels(command, patch);
            if (written.seen().pixels < (needed < input_words ? needed : input_words)) {
                return;
            }
            pixels = segment_pixels<P>(command);
            parts = P::columns / pixels;
        } else if (pools_rows) {
            parts = pool_parts(command);
        }
        const bool complete = at.part + 1 == parts;
        const bool listed = is_listed<P>(command, work.job);
        if (listed && piece_begins) {
            load_runs<P>(memory, command, runs, at);
        }
        if (context) {
            load_exp<P>(memory, command, work.job, at, word, sums);
        } else if (patches) {
            load_patches<P>(memory, command, patch, at.part, pixels, word);
            next_segment(command, patch, pixels);
        } else if (pools_rows) {
            const int low = pool_norm ? -32768 : -128, high = pool_norm ? 32767 : 127;
            load_pool<P>(memory, command, at, low, high, pools, word);
            if (complete) {
                add_word<P>(sums, word);
            }
        } else if (norm) {
            load_layer_norm<P>(memory, command, work.job, at, word, sums);
        } else {
            load_rows<P>(memory, command, work.job, at, word);
        }
        if (!complete) {
            at.part += 1;
            return;
        }
        at.part = 0;
        piece_begins = listed && next_of_piece(command, at);
        end_word(raws, scales, context, norm, patches);
    }

    void end_word(Stream<Raw<P>>& raws, Stream<ScaleRequest>& scales, bool context, bool norm, bool patches) {
#pragma HLS INLINE
        const Command& command = work.command;
        Raw<P> out;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = word[c];
        }
        out.row = at.row;
        out.word = at.word;
        out.address = slot * Derived<P>::tile_words + at.word;
        out.normalised = norm;
        load_norm_shifts<P>(memory, command, at.word, out);
        out.is_exp = context;
        out.row_ends = at.word + 1 == (context ? exp_words<P>(command) : command.k_words);
        out.tile_ends = out.row_ends && at.row + 1 == work.job.rows;
#ifdef HLSGEN_TRACE
        out.job = tile_job(command, work.job);
#endif
        raws.write(out);
        at.word += 1;
        if (out.row_ends) {
            if (context || norm) {
                ScaleRequest request = context ? exp_request(command) : norm_request<P>(command, sums);
                request.sums = sums;
                scales.write(request);
            }
            if (patches) {
                next_patch(command, patch);
            }
            sums = RowSums();
            at.word = 0;
            at.row += 1;
        }
        if (out.tile_ends) {
            active = false;
            slot = slot + 1 == P::tile_slots ? 0 : slot + 1;
        }
    }
};

}  // namespace hlsgen
