// SPDX-License-Identifier: Apache-2.0
// WORKSPACE: keys and values in external memory, for streamed attention. Each has a region of `workspace_units`
// * 64 bytes: a head after the other, each up to a multiple of 64 bytes, words of int8 in drain order (tile,
// word, row). One process owns the port: it writes what DRAIN sends, and reads a head for MULTIPLY when its
// tensor is written and one of the two places in MULTIPLY's memories is free.
#pragma once

#include "output.hpp"
#include "store.hpp"

namespace hlsgen {

template <class P>
struct Workspace {
    static constexpr int unit_beats = 64 / P::bus_bytes;
    static constexpr int value_beat = P::workspace_units * unit_beats;

    bool done = false;

    /// Whether the next iteration takes a beat, or waits for the memory's answer.
    bool takes() const { return reading && asked && unpack.takes(); }
    bool answers() const { return pending && read_waits() && idle(); }

    void tick(Port<Beat<P>>& port, Stream<Work>& readings, Stream<Work>& closed, Stream<Operand<P>>& stored,
              Stream<Operand<P>>& operands) {
#pragma HLS INLINE
        if (!closed.empty()) {
            const Work over = closed.read();
            keys_over += over.job.kind == Kind::scores ? 1 : 0;
            values_over += over.job.kind == Kind::scores ? 0 : 1;
        }
        if (!reading && !ended_readings && !readings.empty()) {
            work = readings.read();
            ended_readings = work.job.kind == Kind::end;
            reading = !ended_readings;
            opened += reading ? 1 : 0;
            asked = false;
        }
        if (reading && asked) {
            read(port, operands);
        } else if (answers()) {
            port.write_response();
            pending = false;
        } else if (!idle()) {
            write(port);
        } else if (!stored.empty()) {
            take(port, stored, operands);
        } else if (reading && read_waits() && !pending) {
            ask(port);
        }
        done = ended && ended_readings && keys_over + values_over == opened;
    }

private:
    Pack<P, P::columns> pack;
    Unpack<P, P::columns> unpack;
    Work work;
    bool reading = false, asked = false, ended_readings = false, ended = false;
    int opened = 0, keys_over = 0, values_over = 0;  // readings in all, and those that MULTIPLY is done with
    int written = 0;                     // the command whose keys or values are written, plus 1
    int beat = 0;                        // that is written next
    bool whole = false;                  // `pack` has a beat to write
    bool filling = false;                // up to a multiple of 64 bytes
    bool pending = false;                // writes whose answer has not come

    int first = 0, row = 0, word = 0, t = 0, rows = 0;  // of the reading

    bool idle() const { return !whole && !filling; }

    /// Whether what the reading needs has been written by DRAIN, and its place is free.
    bool read_waits() const {
#pragma HLS INLINE
        const bool keys = work.job.kind == Kind::scores;
        return reading && !asked && written > work.command.operand_depends_on &&
               (keys ? keys_over : values_over) + 2 >= work.job.reading;
    }

    void write(Port<Beat<P>>& port) {
#pragma HLS INLINE
        if (whole) {
            port.write_request(beat, 1);
            port.write(pack.beat);
            pending = true;
            beat += 1;
            if (pack.left > 0) {
                pack.next();
            } else {
                whole = false;
            }
        } else if (pack.part > 0) {
            pack.fill();
            whole = true;
        } else if (beat % unit_beats != 0) {
            pack.fill();
            whole = true;
        } else {
            filling = false;
        }
    }

    void take(Port<Beat<P>>&, Stream<Operand<P>>& stored, Stream<Operand<P>>& operands) {
#pragma HLS INLINE
        const Operand<P> in = stored.read();
        if (in.ends) {
            ended = true;
            operands.write(in);
            return;
        }
        if (in.begins) {
            beat = in.keys ? 0 : value_beat;
        }
        UInt<8> bytes[P::columns];
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            bytes[c] = low_byte(Int<16>(in.data[c]));
        }
        whole = pack.put(bytes);
        filling = in.head_ends;
        written = in.done ? in.command + 1 : written;
    }

    void ask(Port<Beat<P>>& port) {
#pragma HLS INLINE
        const Command& command = work.command;
        const int base = work.job.kind == Kind::scores ? 0 : value_beat;
        const int at = base + work.job.head * command.head_units * unit_beats;
        port.read_request(at, command.head_units * unit_beats);
        left = command.head_units * unit_beats;
        asked = true;
        unpack.start(0);
        first = row = word = 0;
        measure();
    }
    int left = 0;  // beats of the reading that have not come

    void measure() {
#pragma HLS INLINE
        const int keys = work.command.keys - first;
        rows = keys < P::rows ? keys : P::rows;
    }

    void read(Port<Beat<P>>& port, Stream<Operand<P>>& operands) {
#pragma HLS INLINE
        if (unpack.takes()) {
            unpack.beat = port.read();
            unpack.loaded = true;
            left -= 1;
        }
        const bool there = unpack.step();
        const bool more = first < work.command.keys;  // else a head's padding
        if (there && more) {
            give(operands);
        }
        if (left == 0 && unpack.takes()) {
            reading = false;
        }
    }

    void give(Stream<Operand<P>>& operands) {
#pragma HLS INLINE
        const Command& command = work.command;
        const int padded = (rows + P::row_width - 1) / P::row_width * P::row_width;
        const bool word_ends = row + 1 == padded, tile_ends = word_ends && word + 1 == command.head_words;
        Operand<P> out;
        out.keys = work.job.kind == Kind::scores;
        operand_place<P>(command, work.job.place, word, first + row, out);
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = as_signed<8>(unpack.word.bytes[c]);
        }
        out.written = row < rows;
        out.done = tile_ends && first + P::rows >= command.keys;
        operands.write(out);
        row = word_ends ? 0 : row + 1;
        if (word_ends) {
            word = tile_ends ? 0 : word + 1;
        }
        if (tile_ends) {
            first += P::rows;
            measure();
        }
    }
};

}  // namespace hlsgen
