// SPDX-License-Identifier: Apache-2.0
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

/// Blocks of constants whose high bytes share a word.
constexpr int constant_group = 4;

/// Bytes of a word of the stream.
template <class P>
constexpr int constant_bytes = P::columns > 2 ? constant_group * P::columns : 8;

template <class P>
void read_constant_word(Progress& progress, const Beat<P>* image, UInt<8> (&bytes)[constant_bytes<P>]) {
#pragma HLS INLINE
    read_word<P, constant_bytes<P>>(image, progress.constants_beat, progress.constants, bytes);
    progress.constants += 1;
}

/// Fills one bank of a table, in every lane's copy.
template <class P>
void read_table(Memory<P>& memory, Progress& progress, const Beat<P>* image, int kind, int bank, int count) {
    for (int first = 0; first < count; first += constant_bytes<P>) {
        UInt<8> bytes[constant_bytes<P>];
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
        UInt<8> bytes[constant_bytes<P>];
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

/// A column's record of 40 bits: bias in 0..18, multiplier in 19..33, shift in 34..39.
inline Constant split_record(UInt<32> low, UInt<8> high) {
#pragma HLS INLINE
    Constant result;
    result.bias = as_signed<19>(UInt<19>(low & 0x7FFFF));
    result.multiplier = UInt<15>((low >> 19) + UInt<15>(high & 3) * 8192);
    result.shift = UInt<6>(high >> 2);
    return result;
}

/// Reads the constants of `count` column blocks: a word of high bytes before each quad of blocks.
template <class P>
void read_block_constants(Memory<P>& memory, Progress& progress, const Beat<P>* image, int count) {
    UInt<8> high[constant_bytes<P>];
#pragma HLS ARRAY_PARTITION variable=high complete
    const int words = count + (count + constant_group - 1) / constant_group;
    int block = 0;
    int place = constant_group;  // in the quad; the word of high bytes comes next
    for (int word = 0; word < words; ++word) {
#pragma HLS PIPELINE II=1
        UInt<8> bytes[constant_bytes<P>];
#pragma HLS ARRAY_PARTITION variable=bytes complete
        read_constant_word<P>(progress, image, bytes);
        if (place == constant_group) {
            for (int i = 0; i < constant_bytes<P>; ++i) {
#pragma HLS UNROLL
                high[i] = bytes[i];
            }
            place = 0;
        } else {
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                const int at = 4 * c;
                const UInt<32> low = join(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
                memory.constants[block][c] = split_record(low, high[place * P::columns + c]);
            }
            ++place;
            ++block;
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
        UInt<8> header[constant_bytes<P>];
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
