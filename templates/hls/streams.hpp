// SPDX-License-Identifier: Apache-2.0
// Beats of external memory, and the words that they hold.
#pragma once

#include "memory.hpp"

namespace hlsgen {

/// One transfer of the external memory bus.
template <class P>
struct Beat {
    UInt<8> bytes[P::bus_bytes];
};

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

/// Where some words of N bytes lie: the beats that hold them, and the first word's place in its beat.
struct Span {
    int beat = 0;
    int beats = 0;
    int part = 0;
};

/// Words `first`.. of a section that begins at beat `base`; N is a power of two.
template <class P, int N>
Span span(int base, int first, int words) {
#pragma HLS INLINE
    if constexpr (N >= P::bus_bytes) {
        constexpr int beats = N / P::bus_bytes;
        return Span{base + first * beats, words * beats, 0};
    } else {
        constexpr int parts = P::bus_bytes / N;
        const int part = first % parts;
        return Span{base + first / parts, (part + words + parts - 1) / parts, part};
    }
}

/// Makes words of N bytes of beats, a beat or a word in an iteration.
template <class P, int N>
struct Unpack {
    static constexpr int beats = N > P::bus_bytes ? N / P::bus_bytes : 1;
    static constexpr int parts = N < P::bus_bytes ? P::bus_bytes / N : 1;
    Bytes<N> word;
    Beat<P> beat;
    int at = 0;  // beats that the word has, or words that the beat has given
    bool loaded = false;

    void start(int part) {
#pragma HLS INLINE
        at = part;
        loaded = false;
    }

    /// Whether the next iteration takes a beat.
    bool takes() const { return parts == 1 || !loaded; }

    /// The beat is there if it is taken; whether `word` is complete then.
    bool step() {
#pragma HLS INLINE
        if constexpr (parts == 1) {
            for (int b = 0; b < beats; ++b) {
#pragma HLS UNROLL
                for (int i = 0; i < P::bus_bytes; ++i) {
#pragma HLS UNROLL
                    if (b == at) {
                        word.bytes[b * P::bus_bytes + i] = beat.bytes[i];
                    }
                }
            }
            at = at + 1 == beats ? 0 : at + 1;
            return at == 0;
        } else {
            for (int i = 0; i < N; ++i) {
#pragma HLS UNROLL
                word.bytes[i] = beat.bytes[at * N + i];
            }
            loaded = at + 1 != parts;
            at = at + 1 == parts ? 0 : at + 1;
            return true;
        }
    }
};

/// Bytes of a word of the constant stream.
template <class P>
constexpr int constant_bytes = P::columns > 2 ? 4 * P::columns : 8;

}  // namespace hlsgen
