// The constant stream: constants of the weight commands, with the tables in between.
#pragma once

#include "memory.hpp"
#include "streams.hpp"

namespace hlsgen {

/// Kinds of item on the constant stream.
constexpr int constants_item = 1;
constexpr int activation_item = 2;
constexpr int exp_item = 3;
constexpr int gate_item = 4;

template <class P>
constexpr int constant_bytes = 8 * P::columns;

template <class P>
void read_constant_word(Progress& progress, const Beat<P>* image, UInt<8> (&bytes)[8 * P::columns]) {
#pragma HLS INLINE
    read_word<P, 8 * P::columns>(image, progress.constants_beat, progress.constants, bytes);
    progress.constants += 1;
}

/// Fills one bank of a table, in every lane's copy.
template <class P>
void read_table(Memory<P>& memory, Progress& progress, const Beat<P>* image, int kind, int bank, int count) {
    for (int first = 0; first < count; first += constant_bytes<P>) {
        UInt<8> bytes[8 * P::columns];
        read_constant_word<P>(progress, image, bytes);
        for (int i = 0; i < constant_bytes<P>; ++i) {
#pragma HLS PIPELINE II=1
            const int entry = first + i;
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                if (kind == activation_item && entry < 256) {
                    memory.activation[c][bank * 256 + entry] = as_signed<8>(bytes[i]);
                }
                if (kind == exp_item && entry < Derived<P>::exp_entries) {
                    memory.exponential[c][bank * Derived<P>::exp_entries + entry] = bytes[i];
                }
            }
        }
    }
}

/// Fills the gate table: entries of two bytes.
template <class P>
void read_gates(Memory<P>& memory, Progress& progress, const Beat<P>* image, int count) {
    for (int first = 0; first < count; first += constant_bytes<P>) {
        UInt<8> bytes[8 * P::columns];
        read_constant_word<P>(progress, image, bytes);
        for (int i = 0; i < constant_bytes<P>; i += 2) {
#pragma HLS PIPELINE II=1
            const int entry = (first + i) / 2;
            if (entry < Derived<P>::exp_entries) {
                memory.queues.table[entry] = join(bytes[i], bytes[i + 1]);
            }
        }
    }
}

/// Reads `count` constant words, one per column block.
template <class P>
void read_block_constants(Memory<P>& memory, Progress& progress, const Beat<P>* image, int count) {
    for (int block = 0; block < count; ++block) {
#pragma HLS PIPELINE II=1
        UInt<8> bytes[8 * P::columns];
#pragma HLS ARRAY_PARTITION variable=bytes complete
        read_constant_word<P>(progress, image, bytes);
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            const int at = 8 * c;
            const UInt<32> bias = join(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
            memory.constants[block][c].bias = as_signed<32>(bias);
            memory.constants[block][c].multiplier = join(bytes[at + 4], bytes[at + 5]);
            memory.constants[block][c].shift = bytes[at + 6];
        }
    }
}

/// Reads the constants of a command with `blocks` column blocks, and the tables that come before them.
///
/// The tables' `after` needs no attention here: every earlier command has drained.
template <class P>
void read_constants(Memory<P>& memory, Progress& progress, const Beat<P>* image, int blocks) {
    bool tables = !progress.bad_constants;
    while (tables) {
        UInt<8> header[8 * P::columns];
        read_constant_word<P>(progress, image, header);
        const int kind = header[0];
        const int bank = header[1];
        const int count = join(header[4], header[5]);
        if (kind == activation_item || kind == exp_item) {
            read_table<P>(memory, progress, image, kind, bank & 1, count);
        } else if (P::experts > 0 && kind == gate_item) {
            if constexpr (P::experts > 0) {
                read_gates<P>(memory, progress, image, count);
            }
        } else {
            tables = false;
            progress.bad_constants = kind != constants_item || count != blocks;
        }
    }
    if (!progress.bad_constants) {
        read_block_constants<P>(memory, progress, image, blocks);
    }
}

}  // namespace hlsgen
