// SPDX-License-Identifier: Apache-2.0
// OUTPUT: the program's results on their way to external memory, in bursts.
#pragma once

#include "port.hpp"
#include "streams.hpp"

namespace hlsgen {

/// Makes beats of words of N bytes, a beat or a word in an iteration.
template <class P, int N>
struct Pack {
    static constexpr int beats = N > P::bus_bytes ? N / P::bus_bytes : 1;
    static constexpr int parts = N < P::bus_bytes ? P::bus_bytes / N : 1;
    Beat<P> beat;
    UInt<8> word[N];
    int left = 0;  // beats of the word that have not left
    int part = 0;  // words that the beat has

    /// Takes a word; whether `beat` is whole then. With `left` not 0 the next iterations call `next`.
    bool put(const UInt<8> (&bytes)[N]) {
#pragma HLS INLINE
        if constexpr (parts > 1) {
            for (int i = 0; i < N; ++i) {
#pragma HLS UNROLL
                beat.bytes[part * N + i] = bytes[i];
            }
            part = part + 1 == parts ? 0 : part + 1;
            return part == 0;
        } else {
            for (int i = 0; i < N; ++i) {
#pragma HLS UNROLL
                word[i] = bytes[i];
            }
            left = beats;
            next();
            return true;
        }
    }

    /// The word's next beat.
    void next() {
#pragma HLS INLINE
        for (int i = 0; i < P::bus_bytes; ++i) {
#pragma HLS UNROLL
            beat.bytes[i] = word[(beats - left) * P::bus_bytes % N + i % N];
        }
        left -= 1;
    }

    /// The rest of the beat becomes zero.
    void fill() {
#pragma HLS INLINE
        for (int i = 0; i < P::bus_bytes; ++i) {
#pragma HLS UNROLL
            if (i >= part * N) {
                beat.bytes[i] = 0;
            }
        }
        part = 0;
    }
};

template <class P>
struct Output {
    static constexpr int size = 2 * P::columns;
    static constexpr int burst = 16;  // beats

    bool done = false;

    Output() {
#pragma HLS ARRAY_RESHAPE variable=beats complete dim=0
    }

    /// Whether the next iteration waits for the memory's answer.
    bool answers() const { return phase == Phase::answer; }

    void tick(Port<Beat<P>>& output, Stream<Word<P>>& words) {
#pragma HLS INLINE
        if (phase == Phase::collect) {
            collect(output, words);
        } else if (phase == Phase::write) {
            output.write(beats[sent]);
            sent += 1;
            if (sent == count) {
                first += count;
                count = sent = 0;
                phase = Phase::answer;
            }
        } else {
            output.write_response();
            phase = Phase::collect;
            done = ended && pack.left == 0;
        }
    }

private:
    enum class Phase : std::uint8_t { collect, write, answer };
    Phase phase = Phase::collect;
    Pack<P, size> pack;
    Beat<P> beats[burst];
    int count = 0, sent = 0, first = 0;
    bool ended = false;

    void collect(Port<Beat<P>>& output, Stream<Word<P>>& words) {
#pragma HLS INLINE
        bool whole = false;
        if (pack.left > 0) {
            pack.next();
            whole = true;
        } else if (!ended && !words.empty()) {
            const Word<P> word = words.read();
            ended = word.ends;
            whole = ended ? pack.part > 0 : put(word);
            if (ended && whole) {
                pack.fill();
            }
        }
        if (whole) {
            beats[count] = pack.beat;
            count += 1;
        }
        if (count == burst || (ended && count > 0)) {
            output.write_request(first, count);
            phase = Phase::write;
        } else {
            done = ended && pack.left == 0;
        }
    }

    bool put(const Word<P>& word) {
#pragma HLS INLINE
        UInt<8> bytes[size];
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            bytes[2 * c] = low_byte(word.data[c]);
            bytes[2 * c + 1] = low_byte(Int<16>(word.data[c] >> 8));
        }
        return pack.put(bytes);
    }
};

}  // namespace hlsgen
