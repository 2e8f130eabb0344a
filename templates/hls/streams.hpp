// SPDX-License-Identifier: Apache-2.0
// External memory: the Image's sections, read in order, and the output, written in order.
#pragma once

#include "integers.hpp"
#include "memory.hpp"

namespace hlsgen {

/// One transfer of the external memory bus.
template <class P>
struct Beat {
    UInt<8> bytes[P::bus_bytes];
};

/// Word `index` of N bytes, N a power of two, of the section that begins at beat `first`.
template <class P, int N>
void read_word(const Beat<P>* memory, int first, int index, UInt<8> (&bytes)[N]) {
#pragma HLS INLINE
    if constexpr (N >= P::bus_bytes) {
        constexpr int beats = N / P::bus_bytes;
        for (int b = 0; b < beats; ++b) {
            const Beat<P> beat = memory[first + index * beats + b];
            for (int i = 0; i < P::bus_bytes; ++i) {
#pragma HLS UNROLL
                bytes[b * P::bus_bytes + i] = beat.bytes[i];
            }
        }
    } else {
        constexpr int parts = P::bus_bytes / N;
        const Beat<P> beat = memory[first + index / parts];
        const int part = index % parts;
        for (int i = 0; i < N; ++i) {
#pragma HLS UNROLL
            bytes[i] = beat.bytes[part * N + i];
        }
    }
}

/// The unsigned number of 2 bytes, least significant first.
inline UInt<16> join(UInt<8> byte0, UInt<8> byte1) {
    return UInt<16>(byte0 + byte1 * 256);
}

/// The unsigned number of 4 bytes, least significant first.
inline UInt<32> join(UInt<8> byte0, UInt<8> byte1, UInt<8> byte2, UInt<8> byte3) {
    return UInt<32>(join(byte0, byte1) + UInt<32>(join(byte2, byte3)) * 65536);
}

/// The low byte of a value in two's complement.
inline UInt<8> low_byte(Int<16> value) { return UInt<8>(static_cast<int>(value) & 255); }

/// Collects bytes into beats and writes them one after another.
template <class P>
struct Writer {
    Beat<P> beat;
    int bytes = 0;  // bytes of `beat` that are filled
    int beats = 0;  // the beat in memory that comes next
};

/// What the machine writes to external memory: its output, and keys and values where they are streamed.
template <class P>
struct Output {
    Writer<P> result;
    Writer<P> workspace;
};

template <class P>
void write_byte(Beat<P>* memory, Writer<P>& writer, UInt<8> byte) {
#pragma HLS INLINE
    writer.beat.bytes[writer.bytes] = byte;
    writer.bytes += 1;
    if (writer.bytes == P::bus_bytes) {
        memory[writer.beats] = writer.beat;
        writer.beats += 1;
        writer.bytes = 0;
    }
}

/// An output word: `columns` int16.
template <class P>
void write_output(Beat<P>* memory, Output<P>& output, const Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
        write_byte<P>(memory, output.result, low_byte(word[c]));
        write_byte<P>(memory, output.result, low_byte(Int<16>(word[c] >> 8)));
    }
}

/// Fills the last beat up with zeros.
template <class P>
void flush_output(Beat<P>* memory, Output<P>& output) {
    while (output.result.bytes != 0) {
        write_byte<P>(memory, output.result, 0);
    }
}

/// Fills the image memory, in address order.
template <class P>
void read_input(Memory<P>& memory, const Beat<P>* input, int words) {
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
        UInt<8> bytes[P::columns];
#pragma HLS ARRAY_PARTITION variable=bytes complete
        read_word<P, P::columns>(input, 0, i, bytes);
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            memory.image[i][c] = as_signed<8>(bytes[c]);
        }
    }
}

/// Fills the weight ring with one sweep's words, from ring word `ring` on.
template <class P>
void read_weights(Memory<P>& memory, Progress& progress, const Beat<P>* image, int ring, int words) {
    int to = ring;
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
        UInt<8> bytes[P::depth * P::columns];
#pragma HLS ARRAY_PARTITION variable=bytes complete
        read_word<P, P::depth * P::columns>(image, progress.weights_beat, progress.weights + i, bytes);
        for (int d = 0; d < P::depth; ++d) {
#pragma HLS UNROLL
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                memory.ring[to][d][c] = as_signed<8>(bytes[d * P::columns + c]);
            }
        }
        to = to + 1 == P::ring_words ? 0 : to + 1;
    }
    progress.weights += words;
}

/// The next word of the addend section: `columns` int16.
template <class P>
void read_addend(Progress& progress, const Beat<P>* image, Int<16> (&addend)[P::columns]) {
#pragma HLS INLINE
    UInt<8> bytes[2 * P::columns];
#pragma HLS ARRAY_PARTITION variable=bytes complete
    read_word<P, 2 * P::columns>(image, progress.addends_beat, progress.addends, bytes);
    progress.addends += 1;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        addend[c] = as_signed<16>(join(bytes[2 * c], bytes[2 * c + 1]));
    }
}

}  // namespace hlsgen
