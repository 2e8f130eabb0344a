// SPDX-License-Identifier: Apache-2.0
// The machine's shape, the jobs of its stages, and the words that its processes hand on.
//
// P is the machine's shape: a struct of static constexpr int, one per machine parameter (rows, columns,
// depth, bus_bytes, tile_slots, ..._words, logit_bits, accumulator_bits). A word is `columns` elements;
// addresses are in words and are those of docs/machine.md. Each memory belongs to one process.
#pragma once

#include <cstdint>

#include "command.hpp"
#include "integers.hpp"
#include "numerics.hpp"

namespace hlsgen {

/// Bias, multiplier and shift of one column of a block.
struct Constant {
    Int<19> bias = 0;
    UInt<15> multiplier = 0;
    UInt<6> shift = 0;
};

/// Sizes that follow from the shape.
template <class P>
struct Derived {
    /// Words that one step of `depth` elements touches.
    static constexpr int step_words = P::depth > P::columns ? P::depth / P::columns : 1;
    /// Words per row of a tile slot, rounded up so that a row's last step stays inside its slot.
    static constexpr int tile_words = (P::tile_words + step_words - 1) / step_words * step_words;
    static constexpr int exp_entries = 1 << P::logit_bits;
    static constexpr int exp_bytes = P::numerator_digits * exp_entries;  // of a bank: the low digits first
    static constexpr int index_entries = 1 << P::activation_bits;  // of an activation's table
    static constexpr int list_words = P::list_words > 0 ? P::list_words : 1;
    static constexpr int key_list_words = P::key_list_words > 0 ? P::key_list_words : 1;
    /// Parts of the memory of norm shifts that come at once.
    static constexpr int shift_parts = P::norm_shift_words > 0 ? 4 * P::norm_shift_words : 1;
    /// Rows of addends that stay for the heads behind the first one.
    static constexpr int addend_rows = P::addend_words > 0 ? P::addend_words * P::row_width : 1;
    static constexpr int lowest_logit = -(1 << (P::logit_bits - 1));
    static constexpr int highest_logit = (1 << (P::logit_bits - 1)) - 1;
    static constexpr int experts = P::experts > 0 ? P::experts : 1;
    static constexpr int choices = P::choices > 0 ? P::choices : 1;
    static constexpr int queue_entries = P::experts > 0 ? P::experts * P::queue_tokens : 1;
};

/// Iterations between a write of a memory and the first read that may ask for it. The counts that allow reads
/// are that late (`Settled`), so the DEPENDENCE pragmas' distance is a fact of the text.
constexpr int settle = 4;

/// A value as it was `settle` iterations ago.
template <class T>
struct Settled {
    T now;
    T before[settle];

    void shift() {
#pragma HLS INLINE
        for (int i = settle - 1; i > 0; --i) {
#pragma HLS UNROLL
            before[i] = before[i - 1];
        }
        before[0] = now;
    }
    const T& seen() const { return before[settle - 1]; }
};

enum class Kind : std::uint8_t { plain = 0, scores = 1, context = 2, skipped = 3, end = 4 };

/// One tile of operand rows against the column blocks of one sweep.
struct Job {
    Kind kind = Kind::plain;
    int command = 0;
    int number = 0;       // of the job
    int head = 0;         // of attention; plain: the sweep
    int place = 0;        // which of the heads in the key and value memories
    int reading = 0;      // streamed attention: readings of keys, or of values, up to this one
    bool opens = false;   // streamed attention: the first job of its reading, the last one
    bool closes = false;
    int tile = 0;
    int first_row = 0;
    int rows = 0;         // valid rows of the tile
    int score_slot = 0;
    int scores = 0;       // attention: score tiles up to this one
    int first_block = 0;  // plain: the sweep's first block
    int blocks = 0;
    int steps = 0;        // steps of a block
    int weighted = 0;     // commands with constants up to this one
    int routed = 0;       // queue entries that there have been
    bool sweep_ends = false;
    bool final = false;   // its results are the tile's last ones
    bool command_ends = false;
};

/// Whether a command takes weights, and constants, from their streams.
inline bool attends(const Command& command) {
    return command.product == Product::attention || command.product == Product::maps;
}
inline bool takes_weights(const Command& command) {
    return command.product == Product::weights || command.product == Product::maps;
}
inline bool takes_constants(const Command& command) { return !attends(command); }

/// Whether a ring word holds the weights of two steps.
template <class P>
bool halves(const Command& command) {
#pragma HLS INLINE
    return P::narrow_weights > 0 && command.narrow != 0;
}

/// Ring words of a block's weights; the last one may be half empty.
template <class P>
int ring_words_of(const Command& command) {
#pragma HLS INLINE
    return halves<P>(command) ? (command.k_steps + 1) / 2 : static_cast<int>(command.k_steps);
}

/// Digits of a softmax numerator; the high one comes first.
template <class P>
int digits_of(const Command& command) {
#pragma HLS INLINE
    if constexpr (P::numerator_digits > 1) {
        return 1 + static_cast<int>(command.high_digits);
    }
    return 1;
}

/// Whether a step is the first of an exp's low digit, behind those of the high one; `any`: one of them.
template <class P>
bool begins_low(const Command& command, const Job& job, int step, bool any) {
#pragma HLS INLINE
    if constexpr (P::numerator_digits > 1) {
        const int low = command.exp_steps;
        return job.kind == Kind::context && command.high_digits != 0 && (any ? step >= low : step == low);
    }
    return false;
}

/// Whether the command's scores take addends from the Image.
template <class P>
bool adds_to_scores(const Command& command) {
#pragma HLS INLINE
    return P::score_addends > 0 && command.score_addends != 0;
}

/// Whether scores of a head take addends from the stream: of some commands the first head's are those of all.
template <class P>
bool takes_addends(const Command& command, int head) {
#pragma HLS INLINE
    if constexpr (P::addend_words > 0) {
        return adds_to_scores<P>(command) && (command.kept_addends == 0 || head == 0);
    }
    return adds_to_scores<P>(command);
}

/// Sweeps of weights: the heads' of attention.
inline int sweeps_of(const Command& command) { return attends(command) ? command.heads : command.sweeps; }

/// A job and its command.
struct Work {
    Command command;
    Job job;
};

/// Index of a row of a score tile.
template <class P>
int score_row(const Job& job, int row) {
#pragma HLS INLINE
    return job.score_slot * P::rows + row;
}

// -- words between processes -------------------------------------------------------------------------------

struct Token {};

template <int N>
struct Bytes {
    UInt<8> bytes[N];
};

/// A word of int16: an addend, a result on its way out.
template <class P>
struct Word {
    Int<16> data[P::columns];
    bool ends = false;  // the last one of the program, without data
};

/// What DRAIN tells LOAD for each row: a word for one of its memories, and how far DRAIN is.
enum class Where : std::uint8_t { nowhere, features, residual, scores };
template <class P>
struct Store {
    Where where = Where::nowhere;
    int address = 0;
    Int<16> data[P::columns];
    int row = 0;          // scores: the row's index
    Int<16> maximum = 0;  // scores: the largest of the row so far
    bool addend = false;  // an addend of the residual memory was taken
    bool final = false;   // the last row of a tile's last results, of a score tile, of a command
    bool scored = false;
    bool command_ends = false;
    int command = 0;
    bool ends = false;
};

/// A word of keys or values.
template <class P>
struct Operand {
    bool keys = false;
    int lane = 0;
    int address = 0;
    Int<8> data[P::columns];
    bool written = true;        // false: padding of streamed attention, or nothing but marks
    bool begins = false;        // streamed: the first word of a tensor, the last one of a head
    bool head_ends = false;
    bool done = false;          // the last word of a command, or of a reading
    int command = 0;
    bool ends = false;
};

/// The shifts of a normalised word's elements; none in a machine without norm shifts.
template <class P, bool there>
struct RawShifts {};
template <class P>
struct RawShifts<P, true> {
    UInt<3> shift[P::columns];
};

/// An operand word on its way from LOAD to the tile slots, before the norm.
template <class P>
struct Raw : RawShifts<P, (P::norm_shift_words > 0)> {
    Int<16> data[P::columns];
    int row = 0;
    int word = 0;
    int address = 0;         // in the lane of the row
    bool normalised = false; // waits for the scale of its row
    bool is_exp = false;     // unsigned bytes
    bool row_ends = false;
    bool tile_ends = false;
    bool ends = false;
#ifdef HLSGEN_TRACE
    Job job;
#endif
};

/// An operand word for a tile slot.
template <class P>
struct TileWord {
    Int<8> data[P::columns];
    int row = 0;
    int address = 0;
    bool tile_ends = false;
};

/// What a row's scale is made of: sums of a norm, or the denominator of a softmax.
struct RowSums {
    Int<30> total = 0;
    UInt<44> squares = 0;
    UInt<32> denominator = 0;
};
struct ScaleRequest {
    RowSums sums;
    bool is_exp = false;
    UInt<13> width = 0;
    UInt<48> epsilon = 0;
    UInt<15> gain = 0;
    int shift = 0;
    bool ends = false;
};
struct NormScale {
    RowScale scale;
    Int<30> total = 0;
    UInt<13> width = 0;
};

/// A row of accumulators.
template <class P>
struct SumsRow {
    Int<P::accumulator_bits> data[P::columns];
};

/// Entries of a table that lie in one word of its memory, and are written at once.
constexpr int table_entries = 8;

/// Elements of a part of the memory of norm shifts, 4 bits each.
constexpr int shift_elements = 2 * table_entries;

/// Of the constant stream: the constants of a block, an entry of a table, or the end of a command's part.
enum class Entry : std::uint8_t { constants, activation, gate, exp, list, shifts, end };
template <class P>
struct ConstantWord {
    Entry kind = Entry::constants;
    Constant constants[P::columns];
    int after = 0;  // tables: the command that must have drained before
    int bank = 0;
    int index = 0;  // of the table's words; gates have an entry each
    UInt<8> bytes[table_entries];
};
struct TableWord {
    Entry kind = Entry::exp;
    int after = 0;
    int bank = 0;
    int index = 0;
    UInt<8> bytes[table_entries];
};
struct ConstantsJob {
    int words = 0;
    int blocks = 0;
    bool ends = false;
};

/// `after` of a table that waits for nothing.
constexpr int no_command = 0xFFFF;

/// Whether a table may be written when so many commands have drained.
inline bool table_free(int after, int drained) {
#pragma HLS INLINE
    return after == no_command || drained > after;
}

// -- experts -----------------------------------------------------------------------------------------------

/// A token in an expert's queue; `first`: no expert before this one has it.
struct QueueEntry {
    int place = 0;  // in the queues' memory
    int token = 0;
    UInt<15> gate = 0;
    bool first = false;
};

/// The tokens of each expert after a routing.
template <class P>
struct Counts {
    int count[Derived<P>::experts];
    int entries = 0;
};

/// A row of router logits, or an entry of the gate table, or the end.
template <class P>
struct Logits {
    Int<16> data[P::columns];
    Work work;
    int token = 0;
    int block = 0;
    bool table = false;
    int index = 0;
    UInt<16> value = 0;
    bool ends = false;
};

}  // namespace hlsgen
