// SPDX-License-Identifier: Apache-2.0
// The machine's memories and the job that its stages work on.
//
// P is the machine's shape: a struct of static constexpr int, one per machine parameter (rows, columns,
// depth, bus_bytes, tile_slots, ..._words, logit_bits, accumulator_bits). A word is `columns` elements;
// addresses are in words and are those of docs/machine.md.
#pragma once

#include <cstdint>

#include "integers.hpp"
#include "numerics.hpp"

namespace hlsgen {

/// Bias, multiplier and shift of one column of a block.
struct Constant {
    Int<19> bias;
    UInt<15> multiplier;
    UInt<6> shift;
};

/// Sizes that follow from the shape.
template <class P>
struct Derived {
    /// Words that one step of `depth` elements touches.
    static constexpr int step_words = P::depth > P::columns ? P::depth / P::columns : 1;
    /// Words per row of a tile slot, rounded up so that a row's last step stays inside its slot.
    static constexpr int tile_words = (P::tile_words + step_words - 1) / step_words * step_words;
    static constexpr int exp_entries = 1 << P::logit_bits;
    static constexpr int lowest_logit = -(1 << (P::logit_bits - 1));
    static constexpr int highest_logit = (1 << (P::logit_bits - 1)) - 1;
};

/// A token in an expert's queue; `first`: no expert before this one has it.
struct QueueEntry {
    int token = 0;
    UInt<15> gate = 0;
    bool first = false;
};

/// What a router command leaves for the experts' commands.
template <class P>
struct Queues {
    static constexpr int experts = P::experts > 0 ? P::experts : 1;
    static constexpr int choices = P::choices > 0 ? P::choices : 1;
    static constexpr int entries = P::experts > 0 ? P::experts * P::queue_tokens : 1;
    static constexpr int words = (experts + P::columns - 1) / P::columns;
    /// Rows of logits at a time: a router of several blocks may have several sweeps, with all tiles between them.
    static constexpr int rows = words > 1 ? P::queue_tokens : 1;
    QueueEntry entry[entries];
    int count[experts];
    std::uint32_t tokens[experts];  // of each expert since the image began, over all layers
    UInt<15> table[P::experts > 0 ? 1 << P::logit_bits : 1];
    Int<P::logit_bits> logits[rows][words * P::columns];  // of a router command's tokens
};

template <class P>
struct Memory {
    Int<16> residual[P::residual_words][P::columns];
    Int<8> features[P::feature_words][P::columns];
    Int<8> image[P::image_words][P::columns];
    Int<8> keys[P::columns][P::key_words][P::columns];   // lane, word
    Int<8> values[P::depth][P::value_words][P::columns];  // lane, word
    Int<P::logit_bits> scores[2 * P::rows][P::score_words][P::columns];  // slot * rows + row, word
    Int<P::logit_bits> row_maximum[2 * P::rows];
    RowScale row_scale[2 * P::rows];
    Int<8> tile[P::rows][P::tile_slots * Derived<P>::tile_words][P::columns];  // lane, word
    Int<8> ring[P::ring_words][P::depth][P::columns];
    Queues<P> queues;
    Constant constants[P::constant_words][P::columns];
    Int<8> activation[P::columns][2 * 256];                        // a copy per lane; bank * 256 + index
    UInt<8> exponential[P::columns][2 * Derived<P>::exp_entries];  // a copy per lane; bank * entries + index
};

/// Where in the program and in its streams the machine is.
struct Progress {
    int command = 0;
    int tile_slot = 0;
    int ring = 0;             // ring word that the next sweep begins at
    int constants_beat = 0;   // first beat of each section of the Image
    int weights_beat = 0;
    int addends_beat = 0;
    int constants = 0;        // words consumed of each section
    int weights = 0;
    int addends = 0;
    int constants_unit = 0;   // where commands may be skipped: units of 64 bytes to the next one's sections
    int weights_unit = 0;
    bool last = false;        // the task's last command has run
    bool bad_constants = false;
};

enum class Kind { plain = 0, scores = 1, context = 2 };

/// One tile of operand rows against the column blocks of one sweep.
struct Job {
    Kind kind = Kind::plain;
    int command = 0;
    int head = 0;
    int place = 0;        // attention: which of the heads in the key and value memories
    bool opens = false;   // streamed attention: the head's keys or values have to be read first
    int first_row = 0;
    int rows = 0;         // valid rows of the tile
    int tile_slot = 0;
    int score_slot = 0;
    int ring = 0;         // plain: ring word of the sweep's first block
    int first_block = 0;  // plain: the sweep's first block
    int blocks = 0;
    int steps = 0;        // steps of a block
};

/// Index into row_maximum, row_scale and the rows of scores.
template <class P>
int score_row(const Job& job, int row) {
    return job.score_slot * P::rows + row;
}

}  // namespace hlsgen
