// SPDX-License-Identifier: Apache-2.0
// MULTIPLY: rows x columns accumulators, `depth` products each per step. It owns the tile slots, the weight
// ring, keys and values, and fills them while it multiplies. It never waits for a full FIFO: DRAIN says how many
// rows it has taken, so `depth_sums` bounds what is under way.
#pragma once

#include "packed.hpp"
#include "schedule.hpp"
#include "stream.hpp"
#include "streams.hpp"

namespace hlsgen {

template <class P>
struct Factors {
    Int<8> tile[P::rows][P::tile_slots * Derived<P>::tile_words][P::columns];  // lane, word
    Int<8> keys[P::columns][P::key_words][P::columns];                        // lane, word
    Int<8> values[P::depth][P::value_words][P::columns];                      // lane, word
    Int<8> ring[P::ring_words][P::depth][P::columns];
    UInt<32> lists[Derived<P>::key_list_words][2];  // a run of keys: where these lie, where their values do

    Factors() {
        // A lane is a memory of its own, and an address of it holds the words of a step.
        constexpr int step_words = Derived<P>::step_words;
        (void)step_words;
#pragma HLS ARRAY_PARTITION variable=tile complete dim=1
#pragma HLS ARRAY_RESHAPE variable=tile complete dim=3
#pragma HLS ARRAY_RESHAPE variable=tile cyclic factor=step_words dim=2
#pragma HLS ARRAY_PARTITION variable=keys complete dim=1
#pragma HLS ARRAY_RESHAPE variable=keys complete dim=3
#pragma HLS ARRAY_RESHAPE variable=keys cyclic factor=step_words dim=2
#pragma HLS ARRAY_PARTITION variable=values complete dim=1
#pragma HLS ARRAY_RESHAPE variable=values complete dim=3
#pragma HLS ARRAY_RESHAPE variable=ring complete dim=2
#pragma HLS ARRAY_RESHAPE variable=ring complete dim=3
#pragma HLS ARRAY_RESHAPE variable=lists complete dim=2
    }
};

/// Element `step * depth + d` of a row of words that begins at `address`. The words that a step may touch are
/// read with an index that the step gives, the element with one that the text gives.
template <class P, int N>
Int<8> step_element(const Int<8> (&lane)[N][P::columns], int address, int step, int d) {
#pragma HLS INLINE
    if constexpr (P::depth >= P::columns) {
        return lane[address + step * Derived<P>::step_words + d / P::columns][d % P::columns];
    } else {
        constexpr int steps = P::columns / P::depth;  // of a word
        return lane[address + step / steps][step % steps * P::depth + d];
    }
}

/// The memory that gives a job's factors.
enum class Source : std::uint8_t { ring, keys, values };

template <class P>
Source source_of(const Command& command, const Job& job) {
#pragma HLS INLINE
    if (job.kind == Kind::context) {
        return Source::values;
    }
    if (job.kind == Kind::scores) {
        if constexpr (P::taps > 0) {
            return takes_weights(command) ? Source::ring : Source::keys;
        }
        return Source::keys;
    }
    if constexpr (P::products > 0) {
        if (!takes_weights(command)) {
            return command.product == Product::keys ? Source::keys : Source::values;
        }
    }
    return Source::ring;
}

/// Words of a key: those that the steps of a block touch.
template <class P>
int key_words(const Job& job) {
#pragma HLS INLINE
    if constexpr (P::depth >= P::columns) {
        return job.steps * Derived<P>::step_words;
    } else {
        return job.steps / (P::columns / P::depth);
    }
}

/// Whether the keys of a job are those of its tile's runs.
template <class P>
bool lists_keys(const Command& command, const Job& job) {
#pragma HLS INLINE
    return P::key_list_words > 0 && command.key_runs != 0 && job.kind != Kind::plain;
}

/// Where a job is in the runs of its tile: a run of keys has blocks, one of values steps.
template <class P>
struct KeyWalk {
    /// Words before those of the block, or step, that comes next.
    int next(const Factors<P>& memory, const Work& work) {
#pragma HLS INLINE
        const bool context = work.job.kind == Kind::context;
        if (left == 0) {
            const int at = static_cast<int>(work.command.key_base) + work.job.tile * work.command.key_runs + run;
            const UInt<32> found = memory.lists[at % Derived<P>::key_list_words][context ? 1 : 0];
            place = static_cast<int>(found & ((1 << run_place_bits) - 1));
            left = static_cast<int>((found >> run_place_bits) & ((1 << run_count_bits) - 1));
            run = run + 1 == work.command.key_runs ? 0 : run + 1;
        } else {
            place += context ? work.job.blocks : key_words<P>(work.job);
            left -= 1;
        }
        return place;
    }

private:
    int run = 0;
    int left = 0;  // blocks, or steps, of the run behind this one
    int place = 0;
};

/// A weight of a step out of a byte of its ring word: the byte, or the half of it that is the step's.
template <class P>
Int<8> weight_of(const Command& command, const Int<8>& byte, int step) {
#pragma HLS INLINE
    if (!halves<P>(command)) {
        return byte;
    }
    const int bits = static_cast<int>(byte) & 255;
    const int half = step % 2 == 0 ? bits & 15 : bits >> 4;
    return Int<8>(half - (half & 8) * 2);
}

/// The depth x columns factors of one step: weights from the ring, keys or values.
/// listed: where the block's keys or the step's values lie, in a job that has runs of them.
template <class P>
void read_factors(const Factors<P>& memory, const Command& command, const Job& job, int ring, int block, int step,
                  int listed, Int<8> (&factors)[P::columns][P::depth]) {
#pragma HLS INLINE
    const Source source = source_of<P>(command, job);
    const int key_base = P::operand_bases > 0 ? static_cast<int>(command.key_base) : 0;
    const int value_base = P::operand_bases > 0 ? static_cast<int>(command.value_base) : 0;
    // Both digits of an exp meet the same values.
    const int value_step = begins_low<P>(command, job, step, true) ? step - static_cast<int>(command.exp_steps) : step;
    int key = job.place * command.head_stride;
    int value = job.place * command.value_stride + block;
    if (lists_keys<P>(command, job)) {
        key += listed;
        value += listed;
    } else {
        key += key_base + block * key_words<P>(job);
        value += value_base + value_step * job.blocks;
    }
    for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            if (source == Source::ring) {
                factors[c][d] = weight_of<P>(command, memory.ring[ring][d][c], step);
            } else if (source == Source::keys) {
                factors[c][d] = step_element<P>(memory.keys[c], key, step, d);
            } else {
                factors[c][d] = memory.values[d][value][c];
            }
        }
    }
}

/// One step of all cells, `at` of the operand rows, `step` of the block; exp operands are unsigned bytes.
template <class P>
void multiply(const Factors<P>& memory, const Command& command, const Job& job, int slot, int at, int step,
              const Int<8> (&factors)[P::columns][P::depth], Int<P::accumulator_bits> (&sums)[P::rows][P::columns]) {
#pragma HLS INLINE
    Int<9> operand[P::rows][P::depth];
#pragma HLS ARRAY_PARTITION variable=operand complete dim=0
    for (int row = 0; row < P::rows; ++row) {
#pragma HLS UNROLL
        for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
            // rows beyond the tile's hold what an earlier tile left there; nobody reads their sums
            const Int<8> value = step_element<P>(memory.tile[row], slot * Derived<P>::tile_words, at, d);
            operand[row][d] = row >= job.rows ? Int<9>(0)
                              : job.kind == Kind::context ? Int<9>(static_cast<int>(value) & 255)
                                                          : Int<9>(value);
        }
    }
    constexpr int paired = pack_rows ? P::rows / 2 * 2 : 0;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        for (int row = 0; row < P::rows; ++row) {
#pragma HLS UNROLL
            if (step == 0) {
                sums[row][c] = 0;
            } else if (begins_low<P>(command, job, step, false)) {
                sums[row][c] = Int<P::accumulator_bits>(sums[row][c] * 256);
            }
        }
        for (int row = 0; row < paired; row += 2) {
#pragma HLS UNROLL
            packed_dots(operand[row], operand[row + 1], factors[c], sums[row][c], sums[row + 1][c]);
        }
        for (int row = paired; row < P::rows; ++row) {
#pragma HLS UNROLL
            plain_dot(operand[row], factors[c], sums[row][c]);
        }
    }
}

/// Which step of the operand rows the next step of a block reads: a block may read parts of a row, its taps.
template <class P>
struct RowWalk {
    int at(int step) const {
#pragma HLS INLINE
        return P::taps > 0 ? place : step;
    }

    void advance(const Work& work) {
#pragma HLS INLINE
        if constexpr (P::taps > 0) {
            const bool ends = work.job.kind != Kind::context && tap + 1 == work.command.tap_steps;
            tap = ends ? 0 : tap + 1;
            place += ends ? work.command.tap_jump : 1;
        }
    }

    void next_block(const Work& work) {
#pragma HLS INLINE
        if constexpr (P::taps > 0) {
            first += work.job.kind != Kind::context ? work.command.advance : 0;
            place = first;
            tap = 0;
        }
    }

private:
    int place = 0, first = 0;  // of this block
    int tap = 0;               // steps of the tap that are over
};

template <class P>
struct MultiplyStage {
    bool done = false;

    MultiplyStage() {
#pragma HLS ARRAY_PARTITION variable=sums complete dim=0
#pragma HLS ARRAY_PARTITION variable=captured complete dim=0
    }

    /// More: key lists; readings that are over, where attention is streamed.
    template <class... More>
    void tick(Stream<Work>& works, Stream<TileWord<P>>& tiles, Stream<Bytes<P::depth * P::columns>>& weights,
              Stream<Operand<P>>& operands, Stream<Token>& taken, Stream<Token>& slots, Stream<SumsRow<P>>& rows,
              More&... more) {
#pragma HLS INLINE
#pragma HLS DEPENDENCE variable=memory.tile type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.keys type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.values type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.ring type=inter direction=RAW distance=4 true
#pragma HLS DEPENDENCE variable=memory.lists type=inter direction=RAW distance=4 true
        written.shift();
        take_tile(tiles);
        take_weights(weights);
        take_operand(operands);
        (take_list(more), ...);
        if (!taken.empty()) {
            taken.read();
            rows_free += 1;
        }
        if (!active && !ending && !works.empty()) {
            work = works.read();
            ending = work.job.kind == Kind::end;
            active = !ending;
        }
        give_row(rows);
        const bool steps = active && ready();
        if (steps) {
            issue(slots, more...);
        }
        const bool listed = P::key_list_words == 0 || written.now.weighted == work.job.weighted;
        done = ending && ended && rows_free == depth_sums && listed;
    }

private:
    struct Filled {
        int tiles = 0;    // tiles that are complete
        int weights = 0;  // ring words, in all
        int operands = 0; // the command whose keys and values are complete, plus 1
        int keys = 0;     // streamed: readings that have come
        int values = 0;
        int weighted = 0;  // commands with constants before which all key lists have come
    };

    Factors<P> memory;
    Settled<Filled> written;
    int ring_write = 0;
    int ring_freed = 0;  // ring words that are over, in all
    bool ended = false;  // the operands have

    Work work;
    bool active = false, ending = false;
    int block = 0, step = 0;
    RowWalk<P> walk;
    KeyWalk<P> keys;
    int listed = 0;  // where the keys or values of the next step lie, of a tile that has runs of them
    int slot = 0;
    int tiles_used = 0;
    int ring_sweep = 0;  // ring word of the sweep's first block, and of the next step
    int ring_read = 0;
    int words = 0;       // of the sweep, up to that of the next step
    Int<P::accumulator_bits> sums[P::rows][P::columns];

    Int<P::accumulator_bits> captured[P::rows][P::columns];  // a block that leaves row by row
    int left = 0;  // rows of it that have not left
    int rows_free = depth_sums;

    void take_tile(Stream<TileWord<P>>& tiles) {
#pragma HLS INLINE
        if (!tiles.empty()) {
            const TileWord<P> word = tiles.read();
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                memory.tile[word.row][word.address][c] = word.data[c];
            }
            written.now.tiles += word.tile_ends ? 1 : 0;
        }
    }

    void take_weights(Stream<Bytes<P::depth * P::columns>>& weights) {
#pragma HLS INLINE
        if (written.now.weights - ring_freed < P::ring_words && !weights.empty()) {
            const Bytes<P::depth * P::columns> word = weights.read();
            for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    memory.ring[ring_write][d][c] = as_signed<8>(word.bytes[d * P::columns + c]);
                }
            }
            ring_write = ring_write + 1 == P::ring_words ? 0 : ring_write + 1;
            written.now.weights += 1;
        }
    }

    void take_operand(Stream<Operand<P>>& operands) {
#pragma HLS INLINE
        if (operands.empty()) {
            return;
        }
        const Operand<P> word = operands.read();
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            if (word.written && word.keys) {
                memory.keys[word.lane][word.address][c] = word.data[c];
            } else if (word.written) {
                memory.values[word.lane][word.address][c] = word.data[c];
            }
        }
        if (word.done) {
            written.now.operands = word.command + 1;
            written.now.keys += word.keys ? 1 : 0;
            written.now.values += word.keys ? 0 : 1;
        }
        ended = ended || word.ends;
    }

    void take_list(Stream<TableWord>& lists) {
#pragma HLS INLINE
        if (lists.empty()) {
            return;
        }
        const TableWord word = lists.read();
        if (word.kind == Entry::end) {
            written.now.weighted += 1;
            return;
        }
        for (int run = 0; run < 2; ++run) {
#pragma HLS UNROLL
            const int at = 4 * run;
            memory.lists[word.index][run] =
                join(word.bytes[at], word.bytes[at + 1], word.bytes[at + 2], word.bytes[at + 3]);
        }
    }
    void take_list(Stream<Work>&) {
#pragma HLS INLINE
    }

    /// A row of the last block leaves.
    void give_row(Stream<SumsRow<P>>& rows) {
#pragma HLS INLINE
        if (left == 0 || rows_free == 0) {
            return;
        }
        SumsRow<P> out;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = captured[0][c];
            for (int row = 0; row + 1 < P::rows; ++row) {
#pragma HLS UNROLL
                captured[row][c] = captured[row + 1][c];
            }
        }
        rows.write(out);
        left -= 1;
        rows_free -= 1;
    }

    /// Whether what the next step reads is there, and a place for what it makes.
    bool ready() const {
#pragma HLS INLINE
        const Filled& seen = written.seen();
        bool factors = false;
        if (source_of<P>(work.command, work.job) == Source::ring) {
            factors = seen.weights - ring_freed > words;
        } else if (P::workspace_units > 0) {
            factors = (work.job.kind == Kind::scores ? seen.keys : seen.values) >= work.job.reading;
        } else {
            factors = seen.operands > work.command.operand_depends_on;
        }
        if (lists_keys<P>(work.command, work.job)) {
            factors = factors && seen.weighted >= work.job.weighted;
        }
        const bool last = step + 1 == work.job.steps;
        return seen.tiles > tiles_used && factors && (!last || left == 0);
    }

    template <class... More>
    void issue(Stream<Token>& slots, More&... more) {
#pragma HLS INLINE
        Int<8> factors[P::columns][P::depth];
#pragma HLS ARRAY_PARTITION variable=factors complete dim=0
        if (lists_keys<P>(work.command, work.job) && (work.job.kind == Kind::context || step == 0)) {
            listed = keys.next(memory, work);
        }
        read_factors<P>(memory, work.command, work.job, ring_read, block, step, listed, factors);
        multiply<P>(memory, work.command, work.job, slot, walk.at(step), step, factors, sums);
        if (!halves<P>(work.command) || step % 2 == 1 || step + 1 == work.job.steps) {
            ring_read = ring_read + 1 == P::ring_words ? 0 : ring_read + 1;
            words += 1;
        }
        step += 1;
        walk.advance(work);
        if (step == work.job.steps) {
            walk.next_block(work);
            for (int row = 0; row < P::rows; ++row) {
#pragma HLS UNROLL
                for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                    captured[row][c] = sums[row][c];
                }
            }
            left = work.job.rows;
            step = 0;
            block += 1;
            if (block == work.job.blocks) {
                end_job(slots, more...);
            }
        }
    }

    template <class... More>
    void end_job(Stream<Token>& slots, More&... more) {
#pragma HLS INLINE
        if (source_of<P>(work.command, work.job) == Source::ring && work.job.sweep_ends) {
            ring_freed += words;
            ring_sweep = ring_read;
        }
        ring_read = ring_sweep;
        words = 0;
        block = 0;
        walk = RowWalk<P>();
        keys = KeyWalk<P>();
        active = false;
        tiles_used += 1;
        slot = slot + 1 == P::tile_slots ? 0 : slot + 1;
        slots.write(Token());
        (close(more), ...);
    }

    void close(Stream<Work>& readings) {
#pragma HLS INLINE
        if (work.job.kind != Kind::plain && work.job.closes) {
            readings.write(work);
        }
    }
    void close(Stream<TableWord>&) {
#pragma HLS INLINE
    }
};

}  // namespace hlsgen
